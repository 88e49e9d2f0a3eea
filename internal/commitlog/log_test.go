package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func newLog(t testing.TB, cfg Config) (*Log, *mem.Bucket) {
	t.Helper()
	b := new(mem.Bucket)
	return logOn(t, b, cfg), b
}

func logOn(t testing.TB, b objstore.Bucket, cfg Config) *Log {
	t.Helper()
	if cfg.CompactEvery == 0 {
		cfg.CompactEvery = 4
	}
	l, err := New(b, "t/acme", cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// grow appends n commits, each of which sets page 2 of a two-page database.
func grow(t testing.TB, l *Log, n int) State {
	t.Helper()
	ctx := context.Background()
	if _, err := l.Create(ctx); err != nil {
		t.Fatal(err)
	}
	ld, err := l.Load(ctx, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	st := ld.State
	for range n {
		st = set(t, l, st, byte(st.TXID+1))
	}
	return st
}

// set commits page 2 filled with v on st.
func set(t testing.TB, l *Log, st State, v byte) State {
	t.Helper()
	next, err := trySet(l, st, v)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func trySet(l *Log, st State, v byte) (State, error) {
	c := Change{Commit: 2, Post: st.Checksum}
	if st.TXID > 1 { // take the old page 2 out: it was filled with the low byte of its commit
		c.Post = XorChecksum(c.Post, Page{2, bytes.Repeat([]byte{byte(st.TXID)}, PageSize)})
	}
	p := Page{2, bytes.Repeat([]byte{v}, PageSize)}
	c.Pages, c.Post = []Page{p}, XorChecksum(c.Post, p)
	next, _, err := l.Append(context.Background(), st, c)
	return next, err
}

func TestOfManyWhoWantASlotOneGetsIt(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	st := grow(t, logOn(t, b, Config{}), 3)
	var mu sync.Mutex
	won := 0
	var wg sync.WaitGroup
	for i := range 16 {
		l := logOn(t, b, Config{})
		wg.Go(func() {
			_, err := trySet(l, st, byte(100+i))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, ErrConflict):
				t.Errorf("append: %v, want ErrConflict", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d won, want 1", won)
	}
}

func TestManyWhoCreateATenantGetTheSameOne(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	var wg sync.WaitGroup
	heads := make([]Head, 8)
	for i := range heads {
		l := logOn(t, b, Config{})
		wg.Go(func() {
			h, err := l.Create(t.Context())
			if err != nil {
				t.Error(err)
			}
			heads[i] = h
		})
	}
	wg.Wait()
	for _, h := range heads {
		if h != heads[0] || h.Generation != 1 {
			t.Errorf("head %+v, want %+v", h, heads[0])
		}
	}
	l := logOn(t, b, Config{})
	orphans, err := l.Orphans(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range orphans {
		if o == heads[0].Lineage {
			t.Error("the live lineage is an orphan")
		}
		if err := l.Retire(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
	if err := l.Retire(t.Context(), heads[0].Lineage); !errors.Is(err, ErrLive) {
		t.Errorf("retire the live lineage: %v, want ErrLive", err)
	}
	if left, err := l.Orphans(t.Context()); err != nil || len(left) != 0 {
		t.Errorf("orphans left: %v %v", left, err)
	}
	if names, err := Names(t.Context(), b, "t/"); err != nil || !slices.Equal(names, []string{"acme"}) {
		t.Errorf("names = %v %v", names, err)
	}
}

func TestTheFirstCommitIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	var first []byte
	for range 2 {
		l, b := newLog(t, Config{})
		h, err := l.Create(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		raw, _, err := b.Get(t.Context(), l.slotKey(h.Lineage, 1))
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, raw) {
			t.Error("two first commits differ")
		}
		first = raw
	}
}

func TestAPoisonedSlotIsAnAlarmAndNotALoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := new(mem.Bucket)
		st := grow(t, logOn(t, b, Config{}), 2)
		var alarms []error
		f := objstoretest.NewFault(b, func(c objstoretest.Call) objstoretest.Effect {
			if strings.Contains(c.Key, "/ltx/0/0000000000000004") {
				return objstoretest.Effect{Action: objstoretest.Ghost}
			}
			return objstoretest.Effect{}
		})
		l := logOn(t, f, Config{OnAlarm: func(err error) { alarms = append(alarms, err) }})
		_, err := trySet(l, st, 4)
		if !errors.Is(err, ErrPoisoned) {
			t.Errorf("append = %v, want ErrPoisoned", err)
		}
		if len(alarms) != 1 || !errors.Is(alarms[0], ErrPoisoned) {
			t.Errorf("alarms %v, want one", alarms)
		}
		if n := f.Calls(); n > 40 {
			t.Errorf("%d calls for one commit", n)
		}
	})
}

func TestAStoreThatStaysDownLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := new(mem.Bucket)
		st := grow(t, logOn(t, b, Config{}), 2)
		f := objstoretest.NewFault(b, func(objstoretest.Call) objstoretest.Effect {
			return objstoretest.Effect{Action: objstoretest.Fail}
		})
		start := time.Now()
		_, err := trySet(logOn(t, f, Config{}), st, 4)
		if !errors.Is(err, ErrUnknown) {
			t.Errorf("append = %v, want ErrUnknown", err)
		}
		if d := time.Since(start); d < 29*time.Second || d > 31*time.Second {
			t.Errorf("gave up after %v, want 30 s", d)
		}
	})
}

func TestCommitTimesGrowEvenIfClocksDoNot(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, Config{})
	st := grow(t, l, 1)
	st.Millis += 3_600_000 // the commit before was made by somebody an hour ahead
	want := st.Millis
	next := set(t, l, st, byte(st.TXID+1))
	if next.Millis != want+1 {
		t.Errorf("commit time %d, want %d", next.Millis, want+1)
	}
}

func TestChainPicksTheFewestFiles(t *testing.T) {
	t.Parallel()
	f := func(level int, minID, maxID ltx.TXID) FileInfo { return FileInfo{Level: level, Min: minID, Max: maxID} }
	for _, c := range []struct {
		name      string
		files     []FileInfo
		to, floor ltx.TXID
		want      string
	}{
		{"single commits", []FileInfo{f(0, 1, 1), f(0, 2, 2), f(0, 3, 3)}, 0, 0, "0/1-1 0/2-2 0/3-3"},
		{"a range instead of its commits", []FileInfo{f(0, 1, 1), f(0, 2, 2), f(0, 5, 5), f(1, 1, 4)}, 0, 0, "1/1-4 0/5-5"},
		{"the newest snapshot", []FileInfo{f(9, 1, 3), f(9, 1, 6), f(1, 1, 4), f(1, 5, 8), f(0, 9, 9)}, 0, 0, "9/1-6 1/5-8 0/9-9"},
		{"up to a commit", []FileInfo{f(9, 1, 6), f(1, 1, 4), f(1, 5, 8), f(0, 5, 5), f(0, 6, 6)}, 5, 0, "1/1-4 0/5-5"},
		{"no commit at or below the boundary", []FileInfo{f(9, 1, 6), f(0, 5, 5), f(0, 7, 7)}, 0, 6, "9/1-6 0/7-7"},
		{"a late write under the boundary is not the end", []FileInfo{f(9, 1, 6), f(0, 7, 7), f(0, 9, 9)}, 0, 7, "9/1-6"},
		{"a gap ends it", []FileInfo{f(0, 1, 1), f(0, 3, 3)}, 0, 0, "0/1-1"},
		{"nothing without a whole database", []FileInfo{f(0, 2, 2)}, 0, 0, ""},
	} {
		got, _ := chain(c.files, c.to, c.floor)
		var s []string
		for _, f := range got {
			s = append(s, fmt.Sprintf("%d/%d-%d", f.Level, f.Min, f.Max))
		}
		if g := strings.Join(s, " "); g != c.want {
			t.Errorf("%s: %q, want %q", c.name, g, c.want)
		}
	}
}

// page2 returns the first byte of page 2 of the database at commit at.
func page2(ctx context.Context, l *Log, lin Lineage, at ltx.TXID) (byte, error) {
	var db bytes.Buffer
	if err := l.WriteDatabase(ctx, lin, at, &db); err != nil {
		return 0, err
	}
	if db.Len() != 2*PageSize {
		return 0, fmt.Errorf("%d bytes", db.Len())
	}
	return db.Bytes()[PageSize], nil
}

func TestPointsAreExactlyWhatCanBeRestored(t *testing.T) {
	t.Parallel()
	for _, layout := range []Layout{Folder, Objects} {
		l, _ := newLog(t, Config{Layout: layout})
		st := grow(t, l, 20)
		lin := st.Lineage
		check := func(want ...ltx.TXID) {
			t.Helper()
			points, err := l.Points(t.Context(), lin)
			if err != nil {
				t.Fatal(err)
			}
			var got []ltx.TXID
			for _, p := range points {
				got = append(got, p.TXID)
			}
			if want != nil && !slices.Equal(got, want) {
				t.Errorf("points %v, want %v", got, want)
			}
			for id := ltx.TXID(2); id <= 30; id++ {
				v, err := page2(t.Context(), l, lin, id)
				if slices.Contains(got, id) != (err == nil) || err == nil && v != byte(id) {
					t.Errorf("commit %d: page %d, %v; points %v", id, v, err, got)
				}
			}
		}
		check()
		if n, err := l.CompactAll(t.Context(), lin); err != nil || n != 5 {
			t.Fatalf("compacted %d, %v", n, err)
		}
		f, err := l.Snapshot(t.Context(), lin)
		if err == nil {
			err = l.VerifySnapshot(t.Context(), lin, f)
		}
		if err != nil {
			t.Fatal(err)
		}
		check()
		e, err := l.Expire(t.Context(), lin, f, Retention{Commits: time.Hour, Snapshots: time.Hour})
		if err != nil || e.Boundary.TXID != 0 || e.Deleted != 0 {
			t.Errorf("expired %+v, %v; everything is young", e, err)
		}
		if e, err = l.Expire(t.Context(), lin, f, Retention{}); err != nil || e.Boundary.TXID != 20 || e.Deleted != 20 {
			t.Errorf("expired %+v, %v; want boundary 20", e, err)
		}
		check(4, 8, 12, 16, 20, 21)
		if e, err = l.Expire(t.Context(), lin, f, Retention{}); err != nil || e.Boundary.Generation != 1 || e.Deleted != 0 {
			t.Errorf("second run: %+v, %v; want nothing", e, err)
		}
		for range 8 {
			st = set(t, l, st, byte(st.TXID+1))
		}
		if _, err := l.CompactAll(t.Context(), lin); err != nil {
			t.Fatal(err)
		}
		if f, err = l.Snapshot(t.Context(), lin); err == nil {
			err = l.VerifySnapshot(t.Context(), lin, f)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err = l.Expire(t.Context(), lin, f, Retention{}); err != nil {
			t.Fatal(err)
		}
		check(29) // the first snapshot and what only it needs are gone
	}
}

func TestATimeLeadsToTheCommitBeforeIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLog(t, Config{})
		st := grow(t, l, 0)
		var times []time.Time
		for range 6 {
			time.Sleep(time.Minute)
			st = set(t, l, st, byte(st.TXID+1))
			times = append(times, time.UnixMilli(st.Millis))
		}
		points, err := l.Points(t.Context(), st.Lineage)
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range times {
			for shift, want := range map[time.Duration]ltx.TXID{0: ltx.TXID(i + 2), -time.Millisecond: ltx.TXID(i + 1), time.Second: ltx.TXID(i + 2)} {
				p, err := l.PointAt(t.Context(), st.Lineage, points, at.Add(shift))
				if err != nil || p.TXID != want {
					t.Errorf("commit %d %v later: %d, %v; want %d", i+2, shift, p.TXID, err, want)
				}
			}
		}
	})
}

func TestCompactionWritesTheSameBytesEverywhere(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	l := logOn(t, b, Config{NodeID: 1})
	st := grow(t, l, 7)
	f := FileInfo{Level: 1, Min: 5, Max: 8}
	var files [][]byte
	for i := range 3 {
		if err := logOn(t, b, Config{NodeID: uint64(10 + i)}).Compact(t.Context(), st.Lineage, 1, 8, Boundary{}); err != nil {
			t.Fatal(err)
		}
		raw, _, err := b.Get(t.Context(), l.Key(st.Lineage, f))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, raw)
		if err := b.Delete(t.Context(), l.Key(st.Lineage, f)); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(files[0], files[1]) || !bytes.Equal(files[0], files[2]) {
		t.Error("three instances compacted to different bytes")
	}
}

func TestASnapshotThatIsDamagedCarriesNoBoundary(t *testing.T) {
	t.Parallel()
	l, b := newLog(t, Config{})
	st := grow(t, l, 6)
	f, err := l.Snapshot(t.Context(), st.Lineage)
	if err != nil {
		t.Fatal(err)
	}
	key := l.Key(st.Lineage, f)
	raw, _, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 4
	if _, err := b.Put(t.Context(), key, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := l.VerifySnapshot(t.Context(), st.Lineage, f); !errors.Is(err, ErrCorrupt) {
		t.Errorf("damaged snapshot: %v, want ErrCorrupt", err)
	}
	// A whole and valid snapshot of something else is refused too.
	other, _ := newLog(t, Config{})
	ost := grow(t, other, 5)
	set(t, other, ost, 77)
	of, err := other.Snapshot(t.Context(), ost.Lineage)
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err = other.bucket.Get(t.Context(), other.Key(ost.Lineage, of))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), key, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if err := l.VerifySnapshot(t.Context(), st.Lineage, f); !errors.Is(err, ErrCorrupt) {
		t.Errorf("snapshot of another database: %v, want ErrCorrupt", err)
	}
}

func TestSwapUndoAndDelete(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, Config{})
	st := grow(t, l, 6)
	ctx := t.Context()
	h, err := l.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	to, err := l.Fork(ctx, h.Generation, h.Lineage, 3)
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Fork(ctx, h.Generation, h.Lineage, 4)
	if err != nil {
		t.Fatal(err)
	}
	next, err := l.Swap(ctx, h, to)
	if err != nil || next.Lineage != to || next.Seal != 8 {
		t.Fatalf("swap: %+v %v", next, err)
	}
	if again, err := l.Swap(ctx, h, to); err != nil || again != next {
		t.Errorf("the same swap again: %+v %v", again, err)
	}
	if _, err := l.Swap(ctx, h, other); !errors.Is(err, ErrSealed) {
		t.Errorf("a second swap of the same lineage: %v, want ErrSealed", err)
	}
	if _, err := trySet(l, st, 8); !errors.Is(err, ErrConflict) {
		t.Errorf("commit after the seal: %v, want ErrConflict", err)
	}
	if _, _, err := l.Catchup(ctx, st, nil); !errors.Is(err, ErrSealed) {
		t.Errorf("catch up over the seal: %v, want ErrSealed", err)
	}
	if _, err := l.Snapshot(ctx, h.Lineage); !errors.Is(err, ErrSealed) {
		t.Errorf("snapshot of a sealed lineage: %v, want ErrSealed", err)
	}
	if v, err := page2(ctx, l, to, 0); err != nil || v != 3 {
		t.Errorf("after the swap: %d %v, want 3", v, err)
	}
	undone, err := l.Undo(ctx, next)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := page2(ctx, l, undone.Lineage, 0); err != nil || v != 7 {
		t.Errorf("after undo: %d %v, want 7", v, err)
	}
	gone, err := l.Delete(ctx, undone)
	if err != nil || !gone.Deleted {
		t.Fatalf("delete: %+v %v", gone, err)
	}
	if _, err := l.Load(ctx, 1<<20); !errors.Is(err, ErrDeleted) {
		t.Errorf("load after delete: %v, want ErrDeleted", err)
	}
	back, err := l.Undo(ctx, gone)
	if err != nil || back.Deleted {
		t.Fatalf("undo of the deletion: %+v %v", back, err)
	}
	if v, err := page2(ctx, l, back.Lineage, 0); err != nil || v != 7 {
		t.Errorf("after that: %d %v, want 7", v, err)
	}
	if err := l.Retire(ctx, h.Lineage); err != nil {
		t.Fatal(err)
	}
	if _, err := trySet(l, st, 8); !errors.Is(err, ErrStale) || !errors.Is(err, ErrUnknown) {
		t.Errorf("commit into a retired lineage: %v, want ErrStale and ErrUnknown", err)
	}
	heads, err := l.Heads(ctx)
	if err != nil || len(heads) != 5 {
		t.Errorf("%d pointers, %v; want 5", len(heads), err)
	}
}

func TestWhoeverMeetsASealCompletesThePointer(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, Config{})
	st := grow(t, l, 2)
	h, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to, err := l.Fork(t.Context(), h.Generation, h.Lineage, st.TXID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.putSeal(t.Context(), h, Seal{Successor: to}); err != nil { // and killed there
		t.Fatal(err)
	}
	ld, err := l.Load(t.Context(), 1<<20)
	if err != nil || ld.Head.Lineage != to || ld.Head.Generation != 2 {
		t.Errorf("load: %+v %v, want %s", ld, err, to)
	}
}

func TestAnImportIsReadBackByteForByte(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, Config{})
	grow(t, l, 0)
	h, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := append(emptyPage(), bytes.Repeat([]byte{7}, 3*PageSize)...)
	db[31] = 4
	lin, err := l.Import(t.Context(), h.Generation, bytes.NewReader(db), int64(len(db)))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := l.WriteDatabase(t.Context(), lin, 0, &got); err != nil || !bytes.Equal(got.Bytes(), db) {
		t.Errorf("%d bytes differ from %d: %v", got.Len(), len(db), err)
	}
	for _, bad := range [][]byte{nil, db[:5000], bytes.Repeat([]byte{1}, PageSize)} {
		if _, err := l.Import(t.Context(), h.Generation, bytes.NewReader(bad), int64(len(bad))); !errors.Is(err, ErrNotDatabase) {
			t.Errorf("import of %d bytes: %v, want ErrNotDatabase", len(bad), err)
		}
	}
}

func TestManyWhoRaiseTheBoundaryEndWithTheHighest(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	st := grow(t, logOn(t, b, Config{}), 1)
	var wg sync.WaitGroup
	for i := range 12 {
		l := logOn(t, b, Config{})
		wg.Go(func() {
			got, err := l.raise(t.Context(), st.Lineage, Boundary{TXID: ltx.TXID(i)})
			if err != nil || got.TXID < ltx.TXID(i) {
				t.Errorf("raise to %d: %d %v", i, got.TXID, err)
			}
		})
	}
	wg.Wait()
	l := logOn(t, b, Config{})
	top, err := l.Boundary(t.Context(), st.Lineage)
	if err != nil || top.TXID != 11 {
		t.Errorf("boundary %d %v, want 11", top.TXID, err)
	}
	for g, last := uint64(1), ltx.TXID(0); g <= top.Generation; g++ {
		b, err := l.readBoundary(t.Context(), st.Lineage, g)
		if err != nil || b.TXID <= last {
			t.Errorf("generation %d: %d after %d, %v", g, b.TXID, last, err)
		}
		last = b.TXID
	}
}
