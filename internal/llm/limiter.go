package llm

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Limiter settings.
const (
	maxQueue    = 1024             // waiting calls; more are refused at once
	bulkShare   = 8                // one grant in so many goes to bulk while others wait
	firstGate   = time.Second      // after a 429 that names no time; doubles
	burstGate   = 5 * time.Second  // after "increased too quickly"
	longestGate = 30 * time.Second // without a Retry-After: half of the minute limits take to recover
	floorReqs   = 1                // requests/s never paced below; the models on offer allow 5,400 a minute and more
	floorTokens = 1000             // tokens/s never paced below; the models on offer allow 10 million a minute
)

// limits are the settings of a limiter; rates per second, 0 = none.
type limits struct {
	slots          int
	perSec, tokens float64
}

// limiter admits calls to one model of one endpoint: at most so many at once,
// at most at such a rate, both learned downwards from the provider's 429s and
// recovering slowly. Waiting tenants take turns; calls someone is waiting for
// go before bulk. It runs no goroutine, only a timer while calls wait.
type limiter struct {
	mu       sync.Mutex
	slots    float64 // allowed at once now
	most     float64
	used     int
	gate     time.Time // nobody starts before
	strikes  int       // 429s in a row
	cutAt    time.Time
	requests pace
	tokens   pace
	front    ring // someone waits for the answer
	bulk     ring
	grants   int
	timer    *time.Timer
}

func newLimiter(l limits) *limiter {
	return &limiter{
		slots: float64(l.slots), most: float64(l.slots),
		requests: pace{fixed: l.perSec}, tokens: pace{fixed: l.tokens},
	}
}

// waiter is a call in line.
type waiter struct {
	tenant kb.TenantID
	tokens float64
	ready  chan struct{} // closed when admitted
	gone   bool          // gave up
}

// acquire waits until a call of k may start. It returns how long it waited, or
// why it may not: ctx ended, the queue is full, or the gate opens later than
// patience or ctx allow, in which case waiting would be in vain.
func (l *limiter) acquire(ctx context.Context, k *call) (time.Duration, *verdict) {
	start := time.Now()
	if ctx.Err() != nil {
		return 0, ended(ctx, k.op)
	}
	line := &l.front
	if k.bulk {
		line = &l.bulk
	}
	w := &waiter{tenant: k.tenant, tokens: float64(k.tokens), ready: make(chan struct{})}
	l.mu.Lock()
	if late := l.late(ctx, start, k); late != nil {
		l.mu.Unlock()
		return 0, late
	}
	line.push(w)
	l.dispatch(start)
	l.mu.Unlock()
	select {
	case <-w.ready:
		return time.Since(start), nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.ready: // admitted at the same moment: hand the place on
		l.used--
		l.dispatch(time.Now())
	default:
		w.gone = true
		line.len--
	}
	return time.Since(start), ended(ctx, k.op)
}

// late reports that a call has no chance to start in time.
func (l *limiter) late(ctx context.Context, now time.Time, k *call) *verdict {
	wait := l.gate.Sub(now)
	deadline, has := ctx.Deadline()
	full := l.front.len+l.bulk.len >= maxQueue
	if !full && wait <= k.patience() && (!has || now.Add(wait).Before(deadline)) {
		return nil
	}
	err := kb.E(kb.RateLimited, &CallError{Op: k.op, cause: ErrThrottled}, "the language model is busy; try again in a moment")
	err.Retry = max(wait, time.Second)
	return &verdict{err: err, after: err.Retry}
}

// dispatch admits as many waiters as may start now. The lock is held.
func (l *limiter) dispatch(now time.Time) {
	for l.used < max(1, int(l.slots)) {
		if wait := max(l.gate.Sub(now), l.requests.wait(now), l.tokens.wait(now)); wait > 0 {
			if l.front.len+l.bulk.len > 0 {
				l.wake(wait)
			}
			return
		}
		w := l.pop()
		if w == nil {
			return
		}
		l.used++
		l.requests.take(now, 1)
		l.tokens.take(now, w.tokens)
		close(w.ready)
	}
}

func (l *limiter) wake(wait time.Duration) {
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.dispatch(time.Now())
		})
		return
	}
	l.timer.Reset(wait)
}

func (l *limiter) pop() *waiter {
	l.grants++
	first, second := &l.front, &l.bulk
	if l.grants%bulkShare == 0 {
		first, second = second, first
	}
	if w := first.pop(); w != nil {
		return w
	}
	return second.pop()
}

// release ends an admitted call. v is how its try failed, nil if it did not.
func (l *limiter) release(v *verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.used--
	switch {
	case v == nil:
		l.strikes = 0
		l.slots = min(l.most, l.slots+1/l.slots) // one more per round of successes, as TCP
	case v.limit != notThrottled:
		l.throttled(now, v)
	}
	l.dispatch(now)
}

func (l *limiter) throttled(now time.Time, v *verdict) {
	if now.Sub(l.cutAt) > time.Second { // many calls in flight meet the same 429
		l.cutAt = now
		l.slots = max(1, min(l.slots, float64(l.used+1))/2)
		l.strikes++
	}
	pause := v.after
	if pause == 0 {
		pause = firstGate
		if v.limit == byBurst {
			pause = burstGate
		}
		pause = min(pause<<min(max(l.strikes-1, 0), 5), longestGate)
		pause = pause/2 + rand.N(pause/2+1)
		v.err.Retry = pause
	}
	if at := now.Add(pause); at.After(l.gate) {
		l.gate = at
	}
	if v.limit != byTokens {
		l.requests.throttled(now, floorReqs)
	}
	if v.limit != byRequests {
		l.tokens.throttled(now, floorTokens)
	}
}

// ring is a queue in which tenants take turns.
type ring struct {
	order []kb.TenantID // tenants with waiters, next first
	lines map[kb.TenantID][]*waiter
	len   int // waiters, without those that gave up
}

func (r *ring) push(w *waiter) {
	if r.lines == nil {
		r.lines = map[kb.TenantID][]*waiter{}
	}
	if len(r.lines[w.tenant]) == 0 {
		r.order = append(r.order, w.tenant)
	}
	r.lines[w.tenant] = append(r.lines[w.tenant], w)
	r.len++
}

func (r *ring) pop() *waiter {
	for len(r.order) > 0 {
		t := r.order[0]
		line := r.lines[t]
		w := line[0]
		line[0] = nil
		r.order, r.lines[t] = r.order[1:], line[1:]
		if len(r.lines[t]) == 0 {
			delete(r.lines, t)
		} else {
			r.order = append(r.order, t)
		}
		if !w.gone {
			r.len--
			return w
		}
	}
	return nil
}
