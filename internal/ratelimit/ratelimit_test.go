package ratelimit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAllow(t *testing.T) {
	t.Parallel()
	var l Limiter
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, want := range []bool{true, true, false, false} {
		d := l.Allow("k", 2, time.Minute, now)
		if d.OK != want || d.Remaining != max(1-i, 0) || d.Reset != now.Add(time.Minute) {
			t.Errorf("request %d: %+v, want ok %v", i, d, want)
		}
	}
	if !l.Allow("other", 2, time.Minute, now).OK {
		t.Error("one key's limit stops another")
	}
	if !l.Allow("k", 2, time.Minute, now.Add(time.Minute)).OK {
		t.Error("the next window is not open")
	}
	if d := l.Allow("k", 0, time.Minute, now); !d.OK || d.Limit != 0 {
		t.Errorf("limit 0 = %+v, want no limit", d)
	}
}

func TestManyAtOnceGetExactlyTheLimit(t *testing.T) {
	t.Parallel()
	var l Limiter
	var ok atomic.Int64
	var wg sync.WaitGroup
	now := time.Now()
	for range 200 {
		wg.Go(func() {
			if l.Allow("k", 50, time.Minute, now).OK {
				ok.Add(1)
			}
		})
	}
	wg.Wait()
	if ok.Load() != 50 {
		t.Errorf("%d passed, want 50", ok.Load())
	}
}

func TestEndedWindowsAreForgotten(t *testing.T) {
	t.Parallel()
	var l Limiter
	now := time.Now()
	for i := range 1000 {
		l.Allow(fmt.Sprint(i), 1, time.Minute, now)
	}
	l.Allow("k", 1, time.Minute, now.Add(2*time.Minute))
	if n := len(l.windows); n != 1 {
		t.Errorf("%d windows are kept, want 1", n)
	}
}
