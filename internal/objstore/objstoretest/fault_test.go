package objstoretest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestFaultPassesWhatItIsNotToldToFail(t *testing.T) {
	t.Parallel()
	objstoretest.Run(t, func(*testing.T) objstore.Bucket { return objstoretest.NewFault(new(mem.Bucket), nil) })
}

func TestMeterChangesNothing(t *testing.T) {
	t.Parallel()
	objstoretest.Run(t, func(*testing.T) objstore.Bucket { return objstoretest.NewMeter(new(mem.Bucket), time.Microsecond) })
}

func put(ctx context.Context, b objstore.Bucket, key, data string) error {
	_, err := b.Create(ctx, key, strings.NewReader(data))
	return err
}

func read(b objstore.Bucket, key string) string {
	data, _, err := b.Get(context.Background(), key)
	if err != nil {
		return "-"
	}
	return string(data)
}

func TestFaultActions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action           objstoretest.Action
		wantErr          error
		stored, whenLate string // what the store holds at once, and after Land
	}{
		{objstoretest.Pass, nil, "x", "x"},
		{objstoretest.Fail, objstoretest.ErrInjected, "-", "-"},
		{objstoretest.ApplyThenFail, objstoretest.ErrInjected, "x", "x"},
		{objstoretest.ApplyLate, objstoretest.ErrInjected, "-", "x"},
		{objstoretest.Ghost, objstore.ErrExist, "-", "-"},
		{objstoretest.Corrupt, nil, "x", "x"},
	} {
		t.Run(c.action.String(), func(t *testing.T) {
			var b mem.Bucket
			f := objstoretest.NewFault(&b, objstoretest.Nth(1, objstoretest.Effect{Action: c.action}))
			if err := put(t.Context(), f, "k", "x"); !errors.Is(err, c.wantErr) || err == nil != (c.wantErr == nil) {
				t.Errorf("Create = %v, want %v", err, c.wantErr)
			}
			if got := read(&b, "k"); got != c.stored {
				t.Errorf("stored %q at once, want %q", got, c.stored)
			}
			f.Land(-1)
			if got := read(&b, "k"); got != c.whenLate {
				t.Errorf("stored %q in the end, want %q", got, c.whenLate)
			}
			if err := put(t.Context(), f, "k2", "y"); err != nil {
				t.Errorf("second call = %v, want nil", err)
			}
		})
	}
}

func TestFaultSpoilsReads(t *testing.T) {
	t.Parallel()
	var b mem.Bucket
	if err := put(t.Context(), &b, "k", "abc"); err != nil {
		t.Fatal(err)
	}
	corrupt := objstoretest.NewFault(&b, func(objstoretest.Call) objstoretest.Effect {
		return objstoretest.Effect{Action: objstoretest.Corrupt}
	})
	if got := read(corrupt, "k"); got != "arc" {
		t.Errorf("corrupted read = %q, want one changed byte", got)
	}
	if got := read(&b, "k"); got != "abc" {
		t.Errorf("the store itself holds %q now", got)
	}
	ghost := objstoretest.NewFault(&b, objstoretest.Nth(1, objstoretest.Effect{Action: objstoretest.Ghost}))
	if _, _, err := ghost.GetRange(t.Context(), "k", 0, 1); !errors.Is(err, objstore.ErrNotExist) {
		t.Errorf("ghost read = %v, want ErrNotExist", err)
	}
}

func TestFaultFreezesUntilThawOrTheEndOfTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b mem.Bucket
		f := objstoretest.NewFault(&b, nil)
		f.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := put(ctx, f, "a", "x"); !errors.Is(err, context.DeadlineExceeded) || read(&b, "a") != "-" {
			t.Errorf("frozen Create = %v, stored %q", err, read(&b, "a"))
		}
		done := make(chan error)
		go func() { done <- put(context.Background(), f, "b", "y") }()
		time.Sleep(time.Hour)
		if got := read(&b, "b"); got != "-" {
			t.Errorf("stored %q while frozen", got)
		}
		f.Thaw()
		if err := <-done; err != nil || read(&b, "b") != "y" {
			t.Errorf("thawed Create = %v, stored %q", err, read(&b, "b"))
		}
		f.Freeze()
		go func() { done <- put(context.Background(), f, "c", "z") }()
		synctest.Wait()
		f.Kill()
		if err := <-done; !errors.Is(err, objstoretest.ErrKilled) || read(&b, "c") != "-" {
			t.Errorf("killed Create = %v, stored %q", err, read(&b, "c"))
		}
	})
}

func TestFaultHangsAndLandsByTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b mem.Bucket
		f := objstoretest.NewFault(&b, func(c objstoretest.Call) objstoretest.Effect {
			if c.Key == "hang" {
				return objstoretest.Effect{Action: objstoretest.ApplyThenHang}
			}
			return objstoretest.Effect{Action: objstoretest.ApplyLate, Late: time.Second, Delay: time.Second}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := put(ctx, f, "hang", "x"); !errors.Is(err, context.DeadlineExceeded) || read(&b, "hang") != "x" {
			t.Errorf("hanging Create = %v, stored %q", err, read(&b, "hang"))
		}
		start := time.Now()
		if err := put(t.Context(), f, "late", "y"); !errors.Is(err, objstoretest.ErrInjected) || time.Since(start) != time.Second {
			t.Errorf("late Create = %v after %v", err, time.Since(start))
		}
		before := read(&b, "late")
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if after := read(&b, "late"); before != "-" || after != "y" {
			t.Errorf("late Create stored %q, then %q", before, after)
		}
	})
}

func TestSeededPlanRepeatsWhateverRunsBesides(t *testing.T) {
	t.Parallel()
	rates := objstoretest.Rates{Fail: .2, ApplyThenFail: .2, ApplyLate: .2, Ghost: .1, Corrupt: .1, Delay: time.Second}
	fates := func(seed uint64, step int) map[string]objstoretest.Effect {
		plan, got := objstoretest.Seeded(seed, rates), map[string]objstoretest.Effect{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				c := objstoretest.Call{N: i * step, Op: objstoretest.Create, Key: fmt.Sprint(i), Nth: 1}
				e := plan(c)
				mu.Lock()
				defer mu.Unlock()
				got[c.Key] = e
			})
		}
		wg.Wait()
		return got
	}
	first := fates(1, 1)
	if d := cmp.Diff(first, fates(1, 7)); d != "" {
		t.Errorf("the same seed differs:\n%s", d)
	}
	if cmp.Equal(first, fates(2, 1)) {
		t.Error("another seed plans the same")
	}
	seen := map[objstoretest.Action]int{}
	for _, e := range first {
		seen[e.Action]++
	}
	if len(seen) != 6 || seen[objstoretest.Fail] < 8 || seen[objstoretest.Fail] > 40 {
		t.Errorf("100 fates are %v, want all six, about 20 fail", seen)
	}
}

func TestMeterCountsAndSlows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := objstoretest.NewMeter(new(mem.Bucket), 20*time.Millisecond)
		start := time.Now()
		if err := put(t.Context(), m, "a", "12345"); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if _, _, err := m.GetRange(context.Background(), "a", int64(i%2), 2); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		_, _, _ = m.Get(t.Context(), "absent") // an answer like any other
		u := m.Usage()
		if got, want := u.String(), "depth 3, 1 create, 1 get, 8 range, 5 bytes in, 16 out"; got != want {
			t.Errorf("Usage = %s, want %s", got, want)
		}
		if d := time.Since(start); d != 60*time.Millisecond {
			t.Errorf("took %v, want three round trips", d)
		}
		m.Reset()
		if u := m.Usage(); u.Total() != 0 || u.Depth != 0 {
			t.Errorf("after Reset: %s", u)
		}
	})
}
