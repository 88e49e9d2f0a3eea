package logvfs

import (
	"context"
	"sync"
)

// turns lets concurrent callers share one run of the same work: who comes
// while a run is under way shares the next one, because the current one may
// have looked before he came.
type turns struct {
	mu      sync.Mutex
	running bool
	next    *run
}

type run struct {
	lead chan struct{} // one of those who wait is to run
	done chan struct{}
	err  error
	left bool // the one who ran it was canceled: err is about him
}

// do runs f, or waits for another's run of it that begins after this call.
func (t *turns) do(ctx context.Context, f func() error) error {
	t.mu.Lock()
	if t.next == nil {
		t.next = &run{lead: make(chan struct{}, 1), done: make(chan struct{})}
	}
	r := t.next
	if !t.running {
		t.running = true
		r.lead <- struct{}{}
	}
	t.mu.Unlock()
	for {
		select {
		case <-r.lead:
			if ctx.Err() != nil { // another of those who wait may have time
				r.lead <- struct{}{}
				return ctx.Err()
			}
			t.mu.Lock()
			t.next = nil
			t.mu.Unlock()
			r.err = f()
			r.left = r.err != nil && ctx.Err() != nil
			close(r.done)
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.running = t.next != nil; t.running {
				t.next.lead <- struct{}{}
			}
			return r.err
		case <-r.done:
			if r.left {
				return t.do(ctx, f)
			}
			return r.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
