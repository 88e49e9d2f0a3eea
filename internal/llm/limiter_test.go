package llm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestLimiterBoundsCallsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(limits{slots: 3})
		now, peak := 0, 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, v := l.acquire(t.Context(), &call{}); v != nil {
					t.Error(v)
					return
				}
				mu.Lock()
				now++
				peak = max(peak, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				l.release(nil)
			})
		}
		wg.Wait()
		if peak != 3 || l.used != 0 || l.front.len != 0 {
			t.Errorf("peak %d, used %d, waiting %d; want 3, 0, 0", peak, l.used, l.front.len)
		}
	})
}

// order runs calls one at a time through a limiter and returns in which order
// they were admitted.
func order(t *testing.T, calls []*call) []string {
	t.Helper()
	var got []string
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(limits{slots: 1})
		if _, v := l.acquire(t.Context(), &call{}); v != nil { // so that all stand in line
			t.Fatal(v)
		}
		var wg sync.WaitGroup
		for _, k := range calls {
			wg.Go(func() {
				if _, v := l.acquire(t.Context(), k); v != nil {
					t.Error(v)
					return
				}
				got = append(got, string(k.tenant)) // one place: no race
				l.release(nil)
			})
			synctest.Wait()
		}
		l.slots, l.most = 1, 1
		l.release(nil)
		wg.Wait()
	})
	return got
}

func TestLimiterLetsTenantsTakeTurns(t *testing.T) {
	t.Parallel()
	var calls []*call
	for range 5 {
		calls = append(calls, &call{tenant: "big"})
	}
	calls = append(calls, &call{tenant: "small"}, &call{tenant: "tiny"})
	got := order(t, calls)
	if i, j := slices.Index(got, "small"), slices.Index(got, "tiny"); i != 1 || j != 2 {
		t.Errorf("admitted %v, want small and tiny right after the first of big", got)
	}
}

func TestLimiterPutsBulkBehind(t *testing.T) {
	t.Parallel()
	var calls []*call
	for i := range 10 {
		calls = append(calls, &call{tenant: "bulk", bulk: true}, &call{tenant: kb.TenantID(fmt.Sprint(i))})
	}
	got := order(t, calls)
	last := 0
	for i, w := range got {
		if w != "bulk" {
			last = i
		}
	}
	first := slices.Index(got, "bulk")
	if first > bulkShare || last > 12 {
		t.Errorf("admitted %v, want bulk behind, but one of %d", got, bulkShare)
	}
}

func TestLimiterForgetsWhoLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(limits{slots: 1})
		if _, v := l.acquire(t.Context(), &call{}); v != nil {
			t.Fatal(v)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				_, v := l.acquire(ctx, &call{})
				if v == nil || kb.KindOf(v.err) != kb.Canceled {
					t.Errorf("acquire = %v, want Canceled", v)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if l.front.len != 0 {
			t.Errorf("%d wait, want none", l.front.len)
		}
		l.release(nil)
		if _, v := l.acquire(t.Context(), &call{}); v != nil {
			t.Error("the place is lost")
		}
	})
}

// A call may be admitted at the moment it gives up: its place is handed on.
func TestLimiterLosesNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(limits{slots: 1})
		mustAcquire(t, l, &call{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, v := l.acquire(ctx, &call{}); v == nil {
				t.Error("admitted after it was cancelled")
			}
		})
		synctest.Wait()
		l.mu.Lock()
		cancel() // it wakes up and waits for the lock
		l.used--
		l.dispatch(time.Now()) // admitted
		l.mu.Unlock()
		wg.Wait()
		if l.used != 0 {
			t.Errorf("%d places taken by nobody", l.used)
		}
		mustAcquire(t, l, &call{})
	})
}

func TestLimiterRefusesWhenFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(limits{slots: 1})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range maxQueue + 1 {
			wg.Go(func() {
				if _, v := l.acquire(ctx, &call{}); v == nil {
					<-ctx.Done()
					l.release(nil)
				}
			})
		}
		synctest.Wait()
		_, v := l.acquire(t.Context(), &call{})
		if v == nil || kb.KindOf(v.err) != kb.RateLimited || v.err.Retry <= 0 {
			t.Errorf("acquire = %v, want RateLimited with a time", v)
		}
		cancel()
		wg.Wait()
	})
}

func TestLimiterHoldsAllBackAfter429(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(limits{slots: 8})
		take := func() { t.Helper(); mustAcquire(t, l, &call{}) }
		for range 8 {
			take()
		}
		start := time.Now()
		throttled := func(after time.Duration) *verdict {
			return &verdict{limit: byRequests, after: after, err: kb.E(kb.RateLimited, nil, "x")}
		}
		for range 8 {
			l.release(throttled(3 * time.Second)) // eight answers to the same fact
		}
		if got := int(l.slots); got != 4 {
			t.Errorf("%d places after one 429 met by eight, want half", got)
		}
		take()
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("next call after %v, want 3s", d)
		}
		for range 200 { // successes bring the places back
			l.release(nil)
			take()
		}
		if got := int(l.slots); got != 8 {
			t.Errorf("%d places after 200 successes, want 8", got)
		}
		v := throttled(0)
		l.release(v)
		if v.err.Retry < firstGate/2 || v.err.Retry > firstGate {
			t.Errorf("Retry without Retry-After = %v", v.err.Retry)
		}
		burst := &verdict{limit: byBurst, err: kb.E(kb.RateLimited, nil, "x")}
		take()
		l.release(burst)
		if burst.err.Retry < burstGate/2 {
			t.Errorf("Retry after a burst = %v", burst.err.Retry)
		}
	})
}

func mustAcquire(t *testing.T, l *limiter, k *call) {
	t.Helper()
	if _, v := l.acquire(t.Context(), k); v != nil {
		t.Fatal(v)
	}
}

func TestLimiterKeepsToItsRate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		limits limits
		tokens int
		want   time.Duration // for 61 calls, after the burst of a second
	}{
		{"of requests", limits{slots: 100, perSec: 10}, 0, 5 * time.Second},
		{"of tokens", limits{slots: 100, tokens: 1000}, 100, 5 * time.Second},
		{"of whatever is less", limits{slots: 100, perSec: 10, tokens: 500}, 100, 11 * time.Second},
		{"of none", limits{slots: 100}, 100, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(tt.limits)
				start := time.Now()
				for range 61 {
					mustAcquire(t, l, &call{tokens: tt.tokens})
					l.release(nil)
				}
				if d := time.Since(start); d < tt.want || d > tt.want+200*time.Millisecond {
					t.Errorf("61 calls took %v, want %v", d, tt.want)
				}
			})
		})
	}
}

func TestPaceLearnsAndForgets(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var p pace
	now := start
	for range 600 { // 20 a second for half a minute
		p.take(now, 1)
		now = now.Add(50 * time.Millisecond)
	}
	if m := p.measured(now); math.Abs(m-20) > 2 {
		t.Fatalf("measured %.1f/s, want about 20", m)
	}
	p.throttled(now, floorReqs)
	p.throttled(now.Add(time.Millisecond), floorReqs) // the same fact again
	cut := p.rate(now)
	if math.Abs(cut-14) > 2 {
		t.Errorf("after a 429: %.1f/s, want about 14", cut)
	}
	if later := p.rate(now.Add(15 * time.Second)); later < 1.9*cut || later > 2.3*cut {
		t.Errorf("15 s later: %.1f/s, want twice %.1f", later, cut)
	}
	if !math.IsInf(p.rate(now.Add(time.Minute)), 1) {
		t.Errorf("a minute later: %.1f/s, want no limit", p.rate(now.Add(time.Minute)))
	}
	slow := pace{}
	slow.take(start, 1)
	slow.throttled(start, floorReqs)
	if !math.IsInf(slow.rate(start), 1) {
		t.Error("a single call learned a rate")
	}
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		fail := func(n int) {
			for range n {
				b.failure(time.Now(), false, context.DeadlineExceeded)
			}
		}
		open := func() bool { w, _ := b.open(time.Now()); return w > 0 }
		fail(breakAfter - 1)
		b.success()
		fail(breakAfter - 1)
		if open() {
			t.Error("open after failures that were not in a row")
		}
		fail(3) // the fifth opens, two more were in flight
		if w, why := b.open(time.Now()); w <= 0 || w > firstPause || why == nil {
			t.Errorf("open for %v because of %v, want at most %v", w, why, firstPause)
		}
		time.Sleep(firstPause)
		if probe, w, _ := b.enter(time.Now()); !probe || w != 0 {
			t.Errorf("enter = %v, %v; want the probe", probe, w)
		}
		if probe, w, _ := b.enter(time.Now()); probe || w == 0 {
			t.Error("a second probe at once")
		}
		b.neutral(true) // it was cancelled
		if probe, w, _ := b.enter(time.Now()); !probe || w != 0 {
			t.Error("a cancelled probe keeps its place")
		}
		fail(1)
		if w, _ := b.open(time.Now()); w <= firstPause/2 || w > 2*firstPause {
			t.Errorf("open for %v after a failed probe, want up to %v", w, 2*firstPause)
		}
		for range 10 { // it doubles up to a minute
			time.Sleep(longestStop)
			if probe, _, _ := b.enter(time.Now()); !probe {
				t.Fatal("no probe")
			}
			fail(1)
		}
		if w, _ := b.open(time.Now()); w > longestStop || w < longestStop/2 {
			t.Errorf("open for %v, want at most %v", w, longestStop)
		}
		time.Sleep(longestStop)
		b.enter(time.Now())
		b.alive(true)
		if open() {
			t.Error("open although the probe's stream has begun")
		}
		fail(1)
		if !open() {
			t.Error("closed although the probe's stream broke off")
		}
		time.Sleep(longestStop)
		b.enter(time.Now())
		b.success()
		fail(breakAfter - 1)
		if open() {
			t.Error("open right after a success")
		}
		b.failure(time.Now(), true, ErrArrears)
		if w, why := b.open(time.Now()); w < denyPause/2 || w > denyPause || !errors.Is(why, ErrArrears) {
			t.Errorf("open for %v because of %v after a denial", w, why)
		}
	})
}
