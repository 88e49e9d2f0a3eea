package logvfs

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

// Hazards that only show when something happens between two particular calls,
// or to one particular object.

func TestAStrongReadReadsTheBoundaryAfterTheSlot(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	one := openDB(t, b, guarded(0))
	commit(t, one, "CREATE TABLE k(v); INSERT INTO k VALUES('start')")
	for at := int32(1); at <= 3; at++ { // expiry comes before this call of the read
		var armed atomic.Bool
		var calls atomic.Int32 // catching up asks for several slots at once
		f := objstoretest.NewFault(b, func(objstoretest.Call) objstoretest.Effect {
			if armed.Load() && calls.Add(1) == at {
				expire(t, one.Log())
			}
			return objstoretest.Effect{}
		})
		reader := openDB(t, f, guarded(0))
		for i := range 3 * simEvery {
			commit(t, one, fmt.Sprintf("INSERT INTO k VALUES(%d)", i))
		}
		armed.Store(true)
		refresh(t, reader)
		armed.Store(false)
		if got, want := read(t, reader, "SELECT count(*) FROM k"), read(t, one, "SELECT count(*) FROM k"); got != want || calls.Load() < at {
			t.Errorf("expiry before call %d of %d: a strong read sees %s rows of %s", at, calls.Load(), got, want)
		}
	}
}

func TestAFileOfAnotherHistoryIsNotOpened(t *testing.T) {
	t.Parallel()
	for _, whole := range []int64{0, -1} { // a lazy open cannot know the checksum of all pages
		b, other := new(mem.Bucket), new(mem.Bucket)
		for i, in := range []*mem.Bucket{b, other} {
			db := openDB(t, in, guarded(0))
			commit(t, db, "CREATE TABLE k(v)")
			for range 2 + i {
				commit(t, db, fmt.Sprintf("INSERT INTO k VALUES('%d of %d')", i, i))
			}
		}
		from, to := openDB(t, other, guarded(0)), openDB(t, b, guarded(0))
		next := commitlog.FileInfo{Min: 5, Max: 5}
		raw, _, err := other.Get(t.Context(), from.Log().Key(from.im.head.Lineage, next))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Create(t.Context(), to.Log().Key(to.im.head.Lineage, next), strings.NewReader(string(raw))); err != nil {
			t.Fatal(err)
		}
		cfg := guarded(0)
		cfg.WholeBytes = whole
		if db, err := Open(t.Context(), b, tenant, cfg); !errors.Is(err, commitlog.ErrFork) {
			t.Errorf("open with WholeBytes %d = %v, want ErrFork", whole, err)
			if err == nil {
				db.Close()
			}
		}
	}
}

// twin is a bucket with everything that b has.
func twin(t *testing.T, b *mem.Bucket) *mem.Bucket {
	t.Helper()
	to := new(mem.Bucket)
	infos, _, err := b.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range infos {
		raw, _, err := b.Get(t.Context(), i.Key)
		if err == nil {
			_, err = to.Create(t.Context(), i.Key, strings.NewReader(string(raw)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// A slot that expired may be filled by a late write, with the same name, size
// and places of pages. Who held a page of it before must not read the other.
func TestAPageIsNotReadAgainFromALateWrite(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	cfg := guarded(0)
	cfg.Log.CompactEvery = 128
	db := openDB(t, b, cfg)
	commit(t, db, "CREATE TABLE k(v)")
	late := twin(t, b)
	writer := openDB(t, late, Config{Log: cfg.Log})
	commit(t, db, "INSERT INTO k VALUES(replace(hex(zeroblob(1500)), '0', 'a'))")
	commit(t, writer, "INSERT INTO k VALUES(replace(hex(zeroblob(1500)), '0', 'b'))")
	key := db.Log().Key(db.im.head.Lineage, commitlog.FileInfo{Min: 3, Max: 3})
	mine, _, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	theirs, _, err := late.Get(t.Context(), key)
	if err != nil || len(mine) != len(theirs) {
		t.Fatalf("files of %d and %d bytes, %v: the hazard needs equal ones", len(mine), len(theirs), err)
	}
	if _, err := b.Put(t.Context(), key, strings.NewReader(string(theirs))); err != nil {
		t.Fatal(err)
	}
	db.Rest()                                 // SQLite's own cache holds the page too
	db.im.cache.forget(db.im.current().pages) // the room goes to others
	var got string
	err = db.Read(t.Context(), func(c *sqlite3.Conn) (err error) {
		got, err = queryText(c, "SELECT substr(v, 1, 1) FROM k")
		return err
	})
	if err == nil || got == "b" {
		t.Errorf("read %q, %v; want an error, for what was committed is gone", got, err)
	}
}

// A process that was stopped while it committed wakes behind the boundary, and
// another of its goroutines finds that out first and drops what it knows. What
// the committer is told must be what became of the commit.
func TestACommitWhoseBaseWasDroppedIsUnknownAndNothingElse(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	one := openDB(t, b, guarded(0))
	commit(t, one, "CREATE TABLE k(v); INSERT INTO k VALUES('start')")
	var two *DB
	armed := false
	f := objstoretest.NewFault(b, func(c objstoretest.Call) objstoretest.Effect {
		if armed && c.Op == objstoretest.Create {
			armed = false
			for i := range 3 * simEvery {
				commit(t, one, fmt.Sprintf("INSERT INTO k VALUES(%d)", i))
			}
			expire(t, one.Log())
			two.drop(two.im)
		}
		return objstoretest.Effect{}
	})
	two = openDB(t, f, guarded(0))
	read(t, two, "SELECT count(*) FROM k")
	armed = true
	err := two.Commit(t.Context(), "", exec("INSERT INTO k VALUES('late')"))
	if !errors.Is(err, commitlog.ErrUnknown) || reason(err) != ReasonUnknown {
		t.Errorf("commit = %v, want an unknown outcome", err)
	}
	if got := read(t, two, "SELECT count(*) FROM k WHERE v = 'late'"); got != "0" {
		t.Errorf("the late commit is there %s times", got)
	}
	commit(t, two, "INSERT INTO k VALUES('again')")
}
