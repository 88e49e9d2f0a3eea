package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
)

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

func TestNoRangeIsWrittenFromCommitsBehindTheBoundary(t *testing.T) {
	t.Parallel()
	l, b := newLog(t, Config{})
	st := grow(t, l, 12)
	if _, err := l.CompactAll(t.Context(), st.Lineage); err != nil {
		t.Fatal(err)
	}
	// An expiry that was killed after its first step: what stands in slots 1
	// to 8 may be late writes from now on.
	if _, err := l.raise(t.Context(), st.Lineage, Boundary{TXID: 8}); err != nil {
		t.Fatal(err)
	}
	r := FileInfo{Level: 1, Min: 5, Max: 8}
	if err := b.Delete(t.Context(), l.Key(st.Lineage, r)); err != nil {
		t.Fatal(err)
	}
	if err := l.Compact(t.Context(), st.Lineage, 1, 8, Boundary{}); !errors.Is(err, ErrStale) {
		t.Errorf("Compact = %v, want ErrStale", err)
	}
	if _, _, err := b.Get(t.Context(), l.Key(st.Lineage, r)); !errors.Is(err, objstore.ErrNotExist) {
		t.Errorf("the range is there: %v", err)
	}
	if err := l.Compact(t.Context(), st.Lineage, 1, 12, Boundary{}); err != nil {
		t.Errorf("Compact above the boundary = %v", err)
	}
}
