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
