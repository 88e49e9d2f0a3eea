package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// plainFile makes a tenant's database as a plain file and runs sql on it.
func plainFile(t *testing.T, sql string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a b#c?.db") // names need no care
	c, err := openFile(t.Context(), path, "rwc", false)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Exec(schemaSQL + `; CREATE TABLE commit_keys (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
		INSERT INTO documents (id, name, newest, created_at, updated_at) VALUES ('d1', 'one', 1, 5, 5), ('d2', 'two', 1, 5, 5);` + sql)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInspectFile(t *testing.T) {
	t.Parallel()
	inspect := func(sql string) (FileFacts, error) { return InspectFile(t.Context(), plainFile(t, sql)) }
	a, err := inspect("")
	if err != nil {
		t.Fatal(err)
	}
	if a.Control || a.Schema != 1 || a.MinReader != 1 || a.MinWriter != 1 {
		t.Errorf("facts %+v", a)
	}
	rows := func(f FileFacts, table string) TableFacts {
		for _, tf := range f.Tables {
			if tf.Name == table {
				return tf
			}
		}
		return TableFacts{}
	}
	if rows(a, "documents").Rows != 2 {
		t.Errorf("documents: %+v", rows(a, "documents"))
	}
	t.Run("the digest depends on rows, not on where they lie", func(t *testing.T) {
		b, err := inspect(`UPDATE documents SET name = 'x' WHERE id = 'd1'; VACUUM; UPDATE documents SET name = 'one' WHERE id = 'd1'`)
		if err != nil || cmp.Diff(a, b) != "" {
			t.Errorf("%v %s", err, cmp.Diff(a, b))
		}
		for _, sql := range []string{`UPDATE documents SET name = 'onf' WHERE id = 'd1'`, `UPDATE documents SET name = x'6f6e65' WHERE id = 'd1'`, `DELETE FROM documents WHERE id = 'd1'`} {
			c, err := inspect(sql)
			if err != nil || rows(c, "documents").Digest == rows(a, "documents").Digest {
				t.Errorf("%s: %v, the digest is the same", sql, err)
			}
		}
	})
	for name, sql := range map[string]string{
		"a trigger":            `CREATE TRIGGER x AFTER INSERT ON documents BEGIN DELETE FROM chunks; END`,
		"a view":               `CREATE VIEW v AS SELECT * FROM documents`,
		"a missing table":      `DROP TABLE chunks`,
		"a missing column":     `ALTER TABLE documents DROP COLUMN metadata`,
		"a computed column":    `ALTER TABLE documents ADD COLUMN c GENERATED ALWAYS AS (id) VIRTUAL`,
		"a newer minimum":      `UPDATE meta SET value = 2 WHERE key = 'min_writer'`,
		"no version":           `DELETE FROM meta WHERE key = 'schema'`,
		"an impossible number": `UPDATE meta SET value = -1 WHERE key = 'schema'`,
	} {
		if _, err := inspect(sql); kb.KindOf(err) != kb.Unprocessable {
			t.Errorf("%s: %v, want unprocessable", name, err)
		}
	}
	if _, err := inspect(`ALTER TABLE documents ADD COLUMN later TEXT NOT NULL DEFAULT ''; CREATE TABLE more (a)`); err != nil {
		t.Errorf("an expanded database: %v", err)
	}
}

func TestInspectFileFindsDamage(t *testing.T) {
	t.Parallel()
	path := plainFile(t, "")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string][]byte{
		"another kind of file": []byte(strings.Repeat("not a database ", 1000)),
		"empty":                nil,
		"cut":                  whole[:len(whole)/2],
		"a page overwritten":   append(append(append([]byte{}, whole[:4096]...), make([]byte, 4096)...), whole[8192:]...),
	} {
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := InspectFile(t.Context(), path); kb.KindOf(err) != kb.Unprocessable {
			t.Errorf("%s: %v, want unprocessable", name, err)
		}
	}
}

func FuzzInspectFile(f *testing.F) {
	f.Add([]byte("SQLite format 3\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "f.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := InspectFile(t.Context(), path); err == nil || kb.KindOf(err) != kb.Unprocessable {
			t.Errorf("%d bytes: %v, want unprocessable", len(data), err)
		}
	})
}

func TestCompareFiles(t *testing.T) {
	t.Parallel()
	then := plainFile(t, `INSERT INTO documents (id, name, newest, created_at, updated_at) VALUES ('gone', 'x', 1, 5, 5)`)
	now := plainFile(t, `UPDATE documents SET name = 'changed' WHERE id = 'd2';
		INSERT INTO documents (id, name, newest, created_at, updated_at) VALUES ('new1', 'x', 1, 5, 5), ('new2', 'x', 1, 5, 5);
		INSERT INTO segments (level, docs, bytes, first_chunk, last_chunk, created_at) VALUES (0, 1, 1, 1, 1, 1)`)
	got, err := CompareFiles(t.Context(), then, now)
	want := []Difference{
		{Table: "documents", Then: 3, Now: 4, Back: 1, Gone: 2, Changed: 1},
		{Table: "segments", Now: 1, Gone: 1},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	if got, err := CompareFiles(t.Context(), now, now); err != nil || got != nil {
		t.Errorf("a file with itself: %v, %v", got, err)
	}
}

func TestNormalizeFileTakesTheLogInAndLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	src := plainFile(t, `PRAGMA page_size=8192; VACUUM`)
	c, err := openFile(t.Context(), src, "rw", false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// Left open, its rows are only in the log, as after a kill.
	if err := c.Exec(`PRAGMA locking_mode=exclusive; PRAGMA journal_mode=wal; PRAGMA wal_autocheckpoint=0; INSERT INTO commit_keys VALUES ('in the log', 1)`); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "out.db")
	if err := NormalizeFile(t.Context(), src, dst); err != nil {
		t.Fatal(err)
	}
	f, err := InspectFile(t.Context(), dst)
	if err != nil {
		t.Fatal(err)
	}
	if f.Tables[1].Name != "commit_keys" || f.Tables[1].Rows != 1 {
		t.Errorf("the row in the log is missing: %+v", f.Tables)
	}
	after, err := os.ReadFile(src)
	if err != nil || string(after) != string(before) {
		t.Errorf("the original was changed: %v", err)
	}
	if size := pageSizeOf(t, dst); size != pageSize {
		t.Errorf("page size %d, want %d", size, pageSize)
	}
	if left, _ := filepath.Glob(dst + "-*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func pageSizeOf(t *testing.T, path string) (size int) {
	t.Helper()
	c, err := openFile(t.Context(), path, "ro", true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := rows(c, `PRAGMA page_size`, func(s *sqlite3.Stmt) error { size = s.ColumnInt(0); return nil }); err != nil {
		t.Fatal(err)
	}
	return size
}

func TestAdvanceFileGivesOutNothingTwice(t *testing.T) {
	t.Parallel()
	path := plainFile(t, `UPDATE meta SET value = 7 WHERE key = 'kb_version';
		INSERT INTO segments (id, level, docs, bytes, first_chunk, last_chunk, created_at) VALUES (41, 0, 1, 1, 1, 1, 1)`)
	live := Counters{"kb_version": 90, "next_chunk": 500, "seq:segments": 3, "seq:turns": 12, "schema": 1, "min_reader": 1}
	if err := AdvanceFile(t.Context(), path, live); err != nil {
		t.Fatal(err)
	}
	got := countersOf(t, path)
	want := Counters{
		"kb_version": 90 + counterGap, "next_chunk": 500 + counterGap, "seq:segments": 41 + counterGap, "seq:turns": 12 + counterGap,
		"epoch":  counterGap, // batches of vectors from before are counted again
		"schema": 1, "min_reader": 1, "min_writer": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want +got)\n%s", diff)
	}
	if _, err := InspectFile(t.Context(), path); err != nil {
		t.Error(err)
	}
}

func countersOf(t *testing.T, path string) Counters {
	t.Helper()
	c, err := openFile(context.Background(), path, "ro", true)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := Counters{}
	if err := rows(c, countersSQL, func(s *sqlite3.Stmt) error { n[s.ColumnText(0)] = s.ColumnInt64(1); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}
