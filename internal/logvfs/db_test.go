package logvfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
)

const tenant = "t/acme"

// remote is of a store that takes a round trip for each call.
var remote = commitlog.Config{Layout: commitlog.Objects}

func openDB(t testing.TB, b objstore.Bucket, cfg Config) *DB {
	t.Helper()
	cfg.Create = true
	db, err := Open(t.Context(), b, tenant, cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func exec(sql string) func(*sqlite3.Conn) error {
	return func(c *sqlite3.Conn) error { return c.Exec(sql) }
}

func commit(t testing.TB, db *DB, sql string) {
	t.Helper()
	if err := db.Commit(context.Background(), "", exec(sql)); err != nil {
		t.Fatalf("commit %q: %v", sql, err)
	}
}

// queryText returns the first column of the first row of sql.
func queryText(c *sqlite3.Conn, sql string) (string, error) {
	s, _, err := c.Prepare(sql)
	if err != nil {
		return "", err
	}
	defer s.Close()
	if !s.Step() {
		return "", s.Err()
	}
	return s.ColumnText(0), nil
}

func read(t testing.TB, db *DB, sql string) (got string) {
	t.Helper()
	err := db.Read(context.Background(), func(c *sqlite3.Conn) (err error) {
		got, err = queryText(c, sql)
		return err
	})
	if err != nil {
		t.Fatalf("read %q: %v", sql, err)
	}
	return got
}

func refresh(t testing.TB, db *DB) {
	t.Helper()
	if _, err := db.Refresh(context.Background()); err != nil {
		t.Fatalf("refresh: %v", err)
	}
}

func TestWhatOneInstanceCommitsTheOtherReads(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	one, two := openDB(t, b, Config{}), openDB(t, b, Config{})
	commit(t, one, "CREATE TABLE k(v)")
	commit(t, one, "INSERT INTO k VALUES('a')")
	refresh(t, two)
	if got := read(t, two, "SELECT v FROM k"); got != "a" {
		t.Errorf("second instance reads %q, want a", got)
	}
	commit(t, two, "UPDATE k SET v = v || 'b'")
	commit(t, one, "UPDATE k SET v = v || 'c'") // behind by one: loses, catches up, runs again
	refresh(t, two)
	for i, db := range []*DB{one, two} {
		if got := read(t, db, "SELECT v FROM k"); got != "abc" {
			t.Errorf("instance %d reads %q, want abc", i, got)
		}
		if got := read(t, db, "PRAGMA integrity_check"); got != "ok" {
			t.Errorf("instance %d: integrity_check = %s", i, got)
		}
	}
	three := openDB(t, b, Config{WholeBytes: -1})
	if got := read(t, three, "SELECT v FROM k"); got != "abc" {
		t.Errorf("lazily opened instance reads %q, want abc", got)
	}
}

func TestConcurrentCommitsOfManyInstancesAreSerial(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	const instances, clients, each = 3, 8, 5
	setup := openDB(t, b, Config{})
	commit(t, setup, "CREATE TABLE n(v INT); INSERT INTO n VALUES(0); CREATE TABLE log(id TEXT PRIMARY KEY, seen INT)")
	var wg sync.WaitGroup
	for i := range instances {
		db := openDB(t, b, Config{})
		for c := range clients {
			wg.Go(func() {
				for n := range each {
					commit(t, db, fmt.Sprintf("UPDATE n SET v = v + 1; INSERT INTO log SELECT '%d-%d-%d', v FROM n", i, c, n))
				}
			})
		}
	}
	wg.Wait()
	refresh(t, setup)
	want := fmt.Sprint(instances * clients * each)
	if got := read(t, setup, "SELECT v || ' ' || (SELECT count(DISTINCT seen) FROM log) FROM n"); got != want+" "+want {
		t.Errorf("counter and distinct values = %s, want %s each", got, want)
	}
	if got := read(t, setup, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check = %s", got)
	}
}

func TestAFailingClosureLosesOnlyItsOwnChanges(t *testing.T) {
	t.Parallel()
	db := openDB(t, new(mem.Bucket), Config{})
	commit(t, db, "CREATE TABLE k(v UNIQUE)")
	boom := errors.New("boom")
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			err := db.Commit(context.Background(), "", func(c *sqlite3.Conn) error {
				if err := c.Exec(fmt.Sprintf("INSERT INTO k VALUES(%d)", i)); err != nil {
					return err
				}
				switch i % 4 {
				case 1:
					return boom
				case 2:
					return c.Exec("INSERT INTO k VALUES(0), (0)") // violates a constraint
				case 3:
					panic("closure")
				}
				return nil
			})
			var p *PanicError
			switch {
			case i%4 == 0 && err != nil, i%4 == 1 && !errors.Is(err, boom),
				i%4 == 2 && !errors.Is(err, sqlite3.CONSTRAINT), i%4 == 3 && !errors.As(err, &p):
				t.Errorf("closure %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if got := read(t, db, "SELECT count(*) || ' ' || sum(v % 4) FROM k"); got != "10 0" {
		t.Errorf("rows and remainders = %s, want 10 0", got)
	}
}

func TestAClosureCannotLeaveTheRules(t *testing.T) {
	t.Parallel()
	db := openDB(t, new(mem.Bucket), Config{})
	commit(t, db, "CREATE TABLE k(v)")
	for _, sql := range []string{
		"COMMIT", "ROLLBACK", "ATTACH ':memory:' AS m", "ATTACH 'file:/etc/passwd?vfs=os' AS m", "VACUUM",
		"PRAGMA journal_mode=wal", "PRAGMA locking_mode=exclusive", "PRAGMA page_size=8192; VACUUM",
		"PRAGMA synchronous=off", "PRAGMA writable_schema=1", "PRAGMA auto_vacuum=1", "PRAGMA cache_spill=1",
	} {
		err := db.Commit(t.Context(), "", func(c *sqlite3.Conn) error {
			if err := c.Exec("INSERT INTO k VALUES(1)"); err != nil {
				return err
			}
			return c.Exec(sql)
		})
		if err == nil {
			t.Errorf("%s: committed, want an error", sql)
		}
	}
	// Without the authorizer the file itself still refuses.
	err := db.Commit(t.Context(), "", func(c *sqlite3.Conn) error {
		c.SetAuthorizer(nil)
		if err := c.Exec("INSERT INTO k VALUES(1)"); err != nil {
			return err
		}
		return c.Exec("COMMIT")
	})
	if err == nil {
		t.Error("a closure without authorizer committed by itself")
	}
	err = db.Read(t.Context(), exec("INSERT INTO k VALUES(1)"))
	if !errors.Is(err, sqlite3.READONLY) {
		t.Errorf("write in Read = %v, want READONLY", err)
	}
	if got := read(t, db, "SELECT count(*) FROM k"); got != "0" {
		t.Errorf("%s rows, want none", got)
	}
	commit(t, db, "INSERT INTO k VALUES(1)")
}

func TestReadersKeepTheirSnapshotWhileOthersCommit(t *testing.T) {
	t.Parallel()
	db := openDB(t, new(mem.Bucket), Config{})
	commit(t, db, "CREATE TABLE k(v); INSERT INTO k VALUES(1)")
	err := db.Read(t.Context(), func(c *sqlite3.Conn) error {
		first, err := queryText(c, "SELECT count(*) FROM k")
		if err != nil {
			return err
		}
		for range 3 {
			commit(t, db, "INSERT INTO k VALUES(2)")
		}
		second, err := queryText(c, "SELECT count(*) FROM k")
		if first != second {
			t.Errorf("snapshot changed from %s to %s rows", first, second)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, db, "SELECT count(*) FROM k"); got != "4" {
		t.Errorf("new snapshot has %s rows, want 4", got)
	}
}

func TestACommitOverTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	db := openDB(t, new(mem.Bucket), Config{})
	commit(t, db, "CREATE TABLE k(v)")
	for _, sql := range []string{
		"INSERT INTO k VALUES(randomblob(17000000))", // does not compress
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 80) INSERT INTO k SELECT zeroblob(1000000) FROM n", // does
	} {
		err := db.Commit(t.Context(), "", exec(sql))
		if kb.KindOf(err) != kb.TooLarge {
			t.Errorf("%.40s: %v, want TooLarge", sql, err)
		}
	}
	commit(t, db, "INSERT INTO k VALUES(randomblob(1000000))")
	if got := read(t, db, "SELECT count(*) FROM k"); got != "1" {
		t.Errorf("%s rows, want 1", got)
	}
}

func TestWaitingClosuresCanBeCanceled(t *testing.T) {
	t.Parallel()
	db := openDB(t, new(mem.Bucket), Config{})
	commit(t, db, "CREATE TABLE k(v)")
	inside, out := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		first := true
		err := db.Commit(context.Background(), "", func(c *sqlite3.Conn) error {
			if first {
				first = false
				close(inside)
				<-out
			}
			return c.Exec("INSERT INTO k VALUES('a')")
		})
		if err != nil {
			t.Errorf("leader: %v", err)
		}
	})
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Commit(ctx, "", exec("INSERT INTO k VALUES('b')")); kb.KindOf(err) != kb.Canceled {
		t.Errorf("waiting closure = %v, want Canceled", err)
	}
	close(out)
	wg.Wait()
	ctx, cancel = context.WithCancel(t.Context())
	err := db.Commit(ctx, "", func(c *sqlite3.Conn) error {
		cancel()
		return c.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) INSERT INTO k SELECT i FROM n")
	})
	if kb.KindOf(err) != kb.Canceled {
		t.Errorf("running closure = %v, want Canceled", err)
	}
	if got := read(t, db, "SELECT group_concat(v) FROM k"); got != "a" {
		t.Errorf("rows = %s, want a", got)
	}
}

func TestADatabaseCanShrink(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	db := openDB(t, b, Config{})
	commit(t, db, "CREATE TABLE k(v)")
	for range 5 {
		commit(t, db, "INSERT INTO k VALUES(randomblob(100000))")
	}
	before := read(t, db, "PRAGMA page_count")
	commit(t, db, "DELETE FROM k")
	commit(t, db, "INSERT INTO k VALUES('x')")
	if got := read(t, db, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check = %s", got)
	}
	t.Logf("pages %s then %s", before, read(t, db, "PRAGMA page_count"))
	other := openDB(t, b, Config{})
	if got := read(t, other, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("other instance: integrity_check = %s", got)
	}
}

func TestARestingDatabaseWakesByItself(t *testing.T) {
	t.Parallel()
	db := openDB(t, new(mem.Bucket), Config{})
	commit(t, db, "CREATE TABLE k(v)")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 20 {
				if i == 0 {
					db.Rest()
					continue
				}
				commit(t, db, "INSERT INTO k VALUES(1)")
				read(t, db, "SELECT count(*) FROM k")
			}
		})
	}
	wg.Wait()
	db.Rest()
	if got := read(t, db, "SELECT count(*) FROM k"); got != "60" {
		t.Errorf("%s rows, want 60", got)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Read(t.Context(), exec("SELECT 1")); err == nil {
		t.Error("read after Close succeeded")
	}
	if err := db.Commit(t.Context(), "", exec("SELECT 1")); err == nil {
		t.Error("commit after Close succeeded")
	}
}
