package logvfs

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

// reason returns the reason of an Unavailable error, or what it is instead.
func reason(err error) string {
	e, ok := errors.AsType[*kb.Error](err)
	if !ok || e.Kind != kb.Unavailable || e.Retry == 0 {
		return "not Unavailable: " + errString(err)
	}
	s, _ := e.Details["reason"].(string)
	return s
}

func errString(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}

func TestFailuresOfTheStoreHaveNames(t *testing.T) {
	t.Parallel()
	slot := func(n string) func(objstoretest.Call) bool {
		return func(c objstoretest.Call) bool { return strings.Contains(c.Key, "/ltx/0/000000000000000"+n) }
	}
	all := func(objstoretest.Call) bool { return true }
	for _, c := range []struct {
		name   string
		hit    func(objstoretest.Call) bool
		action objstoretest.Action
		open   string // reason of opening
		commit string // of committing on a DB that was open before
	}{
		{"everything fails", all, objstoretest.Fail, ReasonStore, ReasonUnknown},
		{"everything is applied and fails", all, objstoretest.ApplyThenFail, ReasonStore, ReasonUnknown},
		{"a commit is damaged", slot("2"), objstoretest.Corrupt, ReasonCorrupt, ""},
		{"the next slot is poisoned", slot("4"), objstoretest.Ghost, "", ReasonPoisoned},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := new(mem.Bucket)
			ill := false
			f := objstoretest.NewFault(b, func(call objstoretest.Call) objstoretest.Effect {
				if ill && c.hit(call) {
					return objstoretest.Effect{Action: c.action}
				}
				return objstoretest.Effect{}
			})
			var alarms []error
			cfg := Config{Create: true}
			cfg.Log.OnAlarm = func(err error) { alarms = append(alarms, err) }
			db, err := Open(context.Background(), f, tenant, cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			commit(t, db, "CREATE TABLE k(v)")
			commit(t, db, "INSERT INTO k VALUES('x')")
			ill = true
			start := time.Now()
			other, err := Open(context.Background(), f, tenant, cfg)
			if c.open == "" && err != nil || c.open != "" && reason(err) != c.open {
				t.Errorf("%s: open: %v, want reason %q", c.name, err, c.open)
			}
			if err == nil {
				other.Close()
			}
			err = db.Commit(context.Background(), "", exec("INSERT INTO k VALUES('y')"))
			if c.commit == "" && err != nil || c.commit != "" && reason(err) != c.commit {
				t.Errorf("%s: commit: %v, want reason %q", c.name, err, c.commit)
			}
			if d := time.Since(start); d > 2*time.Minute {
				t.Errorf("%s: took %v", c.name, d)
			}
			if wants := c.open == ReasonCorrupt || c.commit == ReasonPoisoned; wants != (len(alarms) > 0) {
				t.Errorf("%s: alarms %v", c.name, alarms)
			}
			if n := f.Calls(); n > 300 {
				t.Errorf("%s: %d calls", c.name, n)
			}
			ill = false
			commit(t, db, "INSERT INTO k VALUES('z')")
			if got := read(t, db, "SELECT count(*) FROM k WHERE v <> 'y'"); got != "2" {
				t.Errorf("%s: %s rows after recovery, want 2", c.name, got)
			}
		})
	}
}

func TestAMissingCommitIsNotTakenForTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := new(mem.Bucket)
		db, err := Open(context.Background(), b, tenant, Config{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		commit(t, db, "CREATE TABLE k(v)")
		for range 4 {
			commit(t, db, "INSERT INTO k VALUES(1)")
		}
		if err := b.Delete(t.Context(), db.Log().Key(db.im.head.Lineage, commitlog.FileInfo{Min: 4, Max: 4})); err != nil {
			t.Fatal(err)
		}
		_, err = Open(context.Background(), b, tenant, Config{})
		if reason(err) != ReasonCorrupt {
			t.Errorf("open: %v, want reason corrupt", err)
		}
	})
}

// damage changes one byte in the middle of an object.
func damage(t *testing.T, b objstore.Bucket, key string, at int64) {
	t.Helper()
	raw, _, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw[at] ^= 0x20
	if _, err := b.Put(t.Context(), key, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
}

func TestHydrationFindsWhatLazyReadsCouldNot(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	importFile(t, b, remote, bigDatabase(t, 4))
	var alarms []error
	cfg := Config{Log: remote, WholeBytes: -1}
	cfg.Log.OnAlarm = func(err error) { alarms = append(alarms, err) }
	db := openDB(t, b, cfg)
	key := db.Log().Key(db.im.head.Lineage, commitlog.FileInfo{Min: 1, Max: 1})
	damage(t, b, key, 2_000_000) // inside some row's random bytes
	if got := read(t, db, "SELECT length(body) FROM doc WHERE id = 5"); got != "950" {
		t.Fatalf("row = %s", got)
	}
	if done, err := db.Hydrate(t.Context()); done || reason(err) != ReasonCorrupt {
		t.Errorf("hydrate: %t %v, want reason corrupt", done, err)
	}
	if len(alarms) == 0 {
		t.Error("no alarm")
	}
	// It is not loaded lazily again, as if nothing had been found.
	if err := db.Read(t.Context(), func(*sqlite3.Conn) error { return nil }); reason(err) != ReasonCorrupt {
		t.Errorf("reading after damage was found: %v, want reason corrupt", err)
	}
	damage(t, b, key, 2_000_000) // the operator repaired it
	if done, err := db.Hydrate(t.Context()); !done || err != nil {
		t.Errorf("hydrate after the repair: %t %v", done, err)
	}
	if got := read(t, db, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check = %s", got)
	}
}

func TestAfterHydrationEveryReadIsVerified(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	importFile(t, b, remote, bigDatabase(t, 4))
	db := openDB(t, b, Config{Log: remote, WholeBytes: -1, Cache: NewCache(256 << 10)}) // most is read again
	if db.Verified() {
		t.Fatal("a database that was opened lazily claims to be verified")
	}
	if done, err := db.Hydrate(t.Context()); !done || err != nil || !db.Verified() {
		t.Fatalf("hydrate: %t %v", done, err)
	}
	damage(t, b, db.Log().Key(db.im.head.Lineage, commitlog.FileInfo{Min: 1, Max: 1}), 2_000_000) // inside some row's random bytes
	err := db.Read(t.Context(), func(c *sqlite3.Conn) error {
		return c.Exec("SELECT sum(length(hex(body))) FROM doc")
	})
	if reason(err) != ReasonCorrupt {
		t.Errorf("reading a damaged page: %v, want reason corrupt", err)
	}
}

func TestHydrationComparesWhatWasReadBefore(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	importFile(t, b, remote, bigDatabase(t, 4))
	db := openDB(t, b, Config{Log: remote, WholeBytes: -1})
	key := db.Log().Key(db.im.head.Lineage, commitlog.FileInfo{Min: 1, Max: 1})
	damage(t, b, key, 2_000_000) // on the way only: what is stored is good
	read(t, db, "SELECT sum(length(hex(body))) FROM doc")
	damage(t, b, key, 2_000_000)
	if done, err := db.Hydrate(t.Context()); done || reason(err) != ReasonCorrupt {
		t.Errorf("hydrate: %t %v, want reason corrupt", done, err)
	}
	if done, err := db.Hydrate(t.Context()); !done || err != nil { // loaded anew
		t.Errorf("hydrate again: %t %v", done, err)
	}
}

func TestHydrationStopsWithItsRequestAndGoesOnInTheNext(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	importFile(t, b, remote, bigDatabase(t, 8))
	synctest.Test(t, func(t *testing.T) {
		m := objstoretest.NewMeter(b, rtt)
		db, err := Open(context.Background(), m, tenant, Config{Log: remote, WholeBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		m.Reset()
		for n := 1; ; n++ {
			ctx, cancel := context.WithTimeout(context.Background(), 3*rtt+rtt/2)
			done, err := db.Hydrate(ctx)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if done {
				if n < 3 {
					t.Errorf("done in %d requests: nothing was resumed", n)
				}
				break
			}
			if n > 20 {
				t.Fatal("never done")
			}
		}
		if u := m.Usage(); u.Out > 14<<20 {
			t.Errorf("read %d bytes of 8 MB", u.Out)
		}
		m.Reset()
		read(t, db, "SELECT sum(length(body)) FROM doc")
		if u := m.Usage(); u.Total() > 0 {
			t.Errorf("reading a hydrated database: %s", u)
		}
	})
}

// TestADamagedPageOfASnapshotIsNeverData: a snapshot with checksums beside it is
// not decompressed when it is opened, so each page is checked by who reads it,
// also of a database that is too large to be read whole, or in a folder.
func TestADamagedPageOfASnapshotIsNeverData(t *testing.T) {
	t.Parallel()
	folder, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		b     objstore.Bucket
		log   commitlog.Config
		whole int64
	}{
		{"whole", new(mem.Bucket), remote, 0},
		{"lazy", new(mem.Bucket), remote, -1},
		{"near", folder, commitlog.Config{}, 0},
	} {
		b := tt.b
		importFile(t, b, tt.log, bigDatabase(t, 4))
		db := openDB(t, b, Config{Log: tt.log})
		commit(t, db, "INSERT INTO doc(body) VALUES('the last')")
		f, err := db.Log().Snapshot(t.Context(), db.im.head.Lineage)
		if err != nil {
			t.Fatal(err)
		}
		const all = "SELECT count(*) || ' ' || group_concat(hex(body), '') FROM doc"
		want := read(t, db, all)
		key := db.Log().Key(db.im.head.Lineage, f)
		refused := 0
		for at := int64(200); at < f.Size-100; at += f.Size / 12 {
			damage(t, b, key, at)
			hurt, err := Open(t.Context(), b, tenant, Config{Log: tt.log, WholeBytes: tt.whole})
			got := ""
			if err == nil {
				err = hurt.Read(t.Context(), func(c *sqlite3.Conn) (err error) {
					got, err = queryText(c, all)
					return err
				})
				hurt.Close()
			}
			switch {
			case err != nil && reason(err) != ReasonCorrupt:
				t.Errorf("%s, byte %d: %v, want reason corrupt", tt.name, at, err)
			case err != nil:
				refused++
			case got != want:
				t.Errorf("%s, byte %d: other rows than were written", tt.name, at)
			}
			damage(t, b, key, at) // back
		}
		if refused < 10 {
			t.Errorf("%s: %d of 13 damaged places were refused", tt.name, refused)
		}
	}
}

// TestInAFolderOnlyWhatIsAskedForIsRead: of a snapshot whose checksums stand
// beside it. Its pages are there also when it has expired meanwhile, and for
// transactions that outlive the image.
func TestInAFolderOnlyWhatIsAskedForIsRead(t *testing.T) {
	t.Parallel()
	folder, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	importFile(t, folder, commitlog.Config{}, bigDatabase(t, 8))
	made := openDB(t, folder, Config{})
	commit(t, made, "INSERT INTO doc(body) VALUES('the last')")
	f, err := made.Log().Snapshot(t.Context(), made.im.head.Lineage)
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, made, "SELECT group_concat(hex(body), '') FROM doc")

	cache := NewCache(1 << 20) // most is read again
	db := openDB(t, folder, Config{Cache: cache})
	if n := db.im.near.file; n != nil {
		t.Errorf("%s was read before anybody asked", n.info)
	}
	read(t, db, "SELECT hex(body) FROM doc WHERE id = 4000")
	if n := cache.Bytes(); n > f.Size/20 {
		t.Errorf("the first lookup keeps %d bytes of %d", n, f.Size)
	}
	if db.im.near.handle == nil {
		t.Fatal("it was not read near")
	}
	if !db.Verified() {
		t.Error("not every page is compared with a checksum")
	}
	db.Rest()
	if n := &db.im.near; n.handle != nil || n.buf != nil {
		t.Errorf("at rest it keeps a file open, and a buffer of %d bytes", cap(n.buf))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got := read(t, db, "SELECT group_concat(hex(body), '') FROM doc"); got != want {
				t.Error("other rows than were written")
			}
		})
	}
	wg.Wait()
	err = db.Read(t.Context(), func(c *sqlite3.Conn) error {
		db.im.near.close()
		got, err := queryText(c, "SELECT group_concat(hex(body), '') FROM doc")
		if err == nil && got != want {
			t.Error("after the end of the image: other rows than were written")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestADatabaseUnderSuspicionIsVerifiedBeside: each request that opens it begins
// anew, and none may last long enough to verify all of it.
func TestADatabaseUnderSuspicionIsVerifiedBeside(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	importFile(t, b, remote, bigDatabase(t, 8))
	synctest.Test(t, func(t *testing.T) {
		db, err := Open(context.Background(), objstoretest.NewMeter(b, rtt), tenant, Config{Log: remote, WholeBytes: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		key := db.Log().Key(db.im.head.Lineage, commitlog.FileInfo{Min: 1, Max: 1})
		damage(t, b, key, 2_000_000)
		if done, err := db.Hydrate(context.Background()); done || reason(err) != ReasonCorrupt {
			t.Fatalf("hydrate: %t %v, want reason corrupt", done, err)
		}
		damage(t, b, key, 2_000_000) // the operator repaired it
		ask := func() error {
			ctx, cancel := context.WithTimeout(context.Background(), 7*rtt)
			defer cancel()
			return db.Read(ctx, func(*sqlite3.Conn) error { return nil })
		}
		for range 5 {
			if ask() == nil {
				t.Fatal("it was verified within a request: nothing is tested")
			}
		}
		if db.Verified() {
			t.Fatal("a database that waits to be verified claims that it was")
		}
		if done, err := db.Hydrate(context.Background()); !done || err != nil || !db.Verified() {
			t.Errorf("hydrate: %t %v", done, err)
		}
		if err := ask(); err != nil {
			t.Errorf("reading what was verified: %v", err)
		}
	})
}
