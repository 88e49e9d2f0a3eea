package store

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

var update = flag.Bool("update", false, "write the fixture of the schema that is not released yet")

// fixture is the database of a released schema, as SQL: testdata/tenant-N.sql
// and control-N.sql. Those of releases are never changed again.
func fixture(t *testing.T, control bool, schema string) string {
	t.Helper()
	name := "tenant-"
	if control {
		name = "control-"
	}
	path := filepath.Join("testdata", name+schema+".sql")
	if *update && schema == "1" { // the first release is not out yet
		if err := os.WriteFile(path, []byte(baseSchema(control)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sql, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(sql)
}

// The next release, as this one's tests imagine it.
var next = []step{{
	schema:         2,
	tenantExpand:   `ALTER TABLE documents ADD COLUMN origin TEXT NOT NULL DEFAULT ''; CREATE TABLE tags (document TEXT, tag TEXT, PRIMARY KEY (document, tag)) WITHOUT ROWID;`,
	controlExpand:  `ALTER TABLE keys ADD COLUMN note TEXT NOT NULL DEFAULT ''`,
	tenantContract: `ALTER TABLE documents DROP COLUMN metadata`,
}}

func TestTheSchemaIsTheFixtureOfItsRelease(t *testing.T) {
	t.Parallel()
	for _, control := range []bool{false, true} {
		want, got := layout(t, fixture(t, control, "1")), layout(t, baseSchema(control))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("control %t: the schema changed. Before the first release: go test ./internal/store -run Fixture -update. After it: add a step to steps() and a fixture of the new number.\n%s", control, diff)
		}
	}
}

// layout lists what a script makes, without its comments and blanks.
func layout(t *testing.T, script string) map[string]string {
	t.Helper()
	c, err := sqlite3.OpenContext(t.Context(), ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Exec(script); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	err = rows(c, `SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL`, func(s *sqlite3.Stmt) error {
		var words []string
		for line := range strings.Lines(s.ColumnText(1)) {
			code, _, _ := strings.Cut(line, "--")
			words = append(words, strings.Fields(code)...)
		}
		out[s.ColumnText(0)] = strings.Join(words, " ")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rawHandle is a database that a released program made.
func rawHandle(t *testing.T, id kb.TenantID, script string) *tenant.Handle {
	t.Helper()
	reg := tenant.NewRegistry(tenant.Config{Bucket: new(mem.Bucket), RunTwice: true, Schema: func(_ kb.TenantID, c *tenant.Conn) error { return c.Script(script) }})
	t.Cleanup(func() { reg.Close() })
	h, err := reg.Create(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestProgramsOfOneReleaseApartWorkOnEachOthersDatabases(t *testing.T) {
	t.Parallel()
	h := rawHandle(t, "t1", fixture(t, false, "1"))
	older, newer := New(h), &Store{h: guarded{h, 2}}
	write := func(s *Store, name string) {
		t.Helper()
		sub := submit(t, s, name, "sha "+name, "")
		seg, p := stage(t, s, sub, "text of "+name)
		if ready := publish(t, s, seg, p); len(ready) != 1 {
			t.Fatalf("%s: published %v", name, ready)
		}
	}
	read := func(s *Store, want ...string) {
		t.Helper()
		ds, _, err := s.Documents(t.Context(), kb.Page{})
		var names []string
		for _, d := range ds {
			names = append(names, d.Name)
		}
		if err != nil || len(names) != len(want) {
			t.Errorf("documents %v, %v, want %v", names, err, want)
		}
	}
	write(newer, "newer before the migration")
	read(older, "newer before the migration")
	m, err := migrate(t.Context(), h, false, 2, next)
	if err != nil || m != (Migrated{From: 1, To: 2}) {
		t.Fatalf("migrate: %+v, %v", m, err)
	}
	if m, err := migrate(t.Context(), h, true, 2, next); err != nil || m != (Migrated{From: 2, To: 2}) {
		t.Errorf("again, with contraction too early: %+v, %v; want nothing done", m, err)
	}
	write(older, "older after the migration")
	write(newer, "newer after the migration")
	read(older, "1", "2", "3")
	read(newer, "1", "2", "3")
}

func TestContractionEndsOlderProgramsThatAreRunning(t *testing.T) {
	t.Parallel()
	h := rawHandle(t, "t1", fixture(t, false, "1"))
	older := New(h)
	if err := older.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := migrate(t.Context(), h, true, 3, append(next[:1:1], step{schema: 3}))
	if err != nil || m != (Migrated{From: 1, To: 3, Contracted: 2}) {
		t.Fatalf("migrate: %+v, %v", m, err)
	}
	for what, err := range map[string]error{
		"check": older.Check(t.Context()),
		"read":  func() error { _, err := older.Job(t.Context(), "x"); return err }(),
		"write": older.Fail(t.Context(), "x", "reason", epoch),
	} {
		e, ok := errors.AsType[*kb.Error](err)
		if !ok || e.Kind != kb.Unavailable || !strings.Contains(e.Msg, "is 2, this program knows 1; update the program") {
			t.Errorf("%s by a program below the minimum: %v", what, err)
		}
	}
	if _, err := migrate(t.Context(), h, false, 1, nil); kb.KindOf(err) == kb.Internal {
		t.Errorf("migrate by an older program: %v", err)
	}
	if err := (&Store{h: guarded{h, 3}}).Check(t.Context()); err != nil {
		t.Errorf("the program that contracted: %v", err)
	}
}

func TestWriteMinimumAloneLeavesReadingOpen(t *testing.T) {
	t.Parallel()
	h := rawHandle(t, "t1", fixture(t, false, "1")+`; UPDATE meta SET value = 2 WHERE key = 'min_writer'`)
	s := New(h)
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("reading: %v", err)
	}
	if err := s.Fail(t.Context(), "x", "", epoch); kb.KindOf(err) != kb.Unavailable {
		t.Errorf("writing: %v, want unavailable", err)
	}
}

func TestAProgramTwoReleasesAheadAsksForTheMigration(t *testing.T) {
	t.Parallel()
	h := rawHandle(t, "t1", fixture(t, false, "1"))
	err := (&Store{h: guarded{h, 3}}).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "bin/server migrate") {
		t.Errorf("got %v", err)
	}
}

func TestAControlDatabaseMigratesToo(t *testing.T) {
	t.Parallel()
	h := rawHandle(t, ControlID, fixture(t, true, "1"))
	if m, err := migrate(t.Context(), h, false, 2, next); err != nil || m.To != 2 {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, _, err := NewControl(h).Load(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestARestoredFileGetsTheSchemaOfTheLiveDatabase(t *testing.T) {
	t.Parallel()
	path := plainFile(t, "")
	if err := advanceFile(t.Context(), path, Counters{"schema": 2}, next); err != nil {
		t.Fatal(err)
	}
	c, err := openFile(context.Background(), path, "ro", true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if cols, err := columns(c, "main", "tags"); err != nil || len(cols) != 2 {
		t.Errorf("tags: %v, %v", cols, err)
	}
	if n := countersOf(t, path); n["schema"] != 2 {
		t.Errorf("schema %d, want 2", n["schema"])
	}
}
