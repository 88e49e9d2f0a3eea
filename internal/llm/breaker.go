package llm

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Breaker settings. Five failed tries in a row are two calls with their
// retries: enough to tell an outage from a hiccup, few enough that the third
// question is answered from quotes at once.
const (
	breakAfter  = 5
	firstPause  = 2 * time.Second
	longestStop = 60 * time.Second
	denyPause   = 10 * time.Second // a refused key or account: an operator has to act, and will not in less
)

// breaker stops calls to an endpoint that only fails. Closed, it lets all
// through; after breakAfter failures in a row, or one denial, it is open for a
// while that doubles; then one probe goes through, and what that meets decides.
type breaker struct {
	mu      sync.Mutex
	fails   int
	stop    time.Duration // the last pause
	until   time.Time     // open until then; zero = closed
	probing bool
	last    error // what opened it, to answer with
}

// open says how long no try may start, and why; 0 = one may.
func (b *breaker) open(now time.Time) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.remaining(now), b.last
}

// enter is open at the moment a try starts, and makes the first one after the
// pause the probe.
func (b *breaker) enter(now time.Time) (probe bool, wait time.Duration, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.remaining(now); wait > 0 {
		return false, wait, b.last
	}
	probe = !b.until.IsZero()
	b.probing = probe
	return probe, 0, nil
}

func (b *breaker) remaining(now time.Time) time.Duration {
	switch {
	case b.until.IsZero():
		return 0
	case now.Before(b.until):
		return b.until.Sub(now)
	case b.probing:
		return firstPause
	}
	return 0
}

// alive notes the first sign of life of a try. A probe closes the breaker
// without waiting for the end of its stream; the count stays just below the
// limit, so that one more failure opens it again.
func (b *breaker) alive(probe bool) {
	if !probe {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until, b.probing, b.fails = time.Time{}, false, breakAfter-1
}

// success notes a try that ended well.
func (b *breaker) success() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails, b.stop, b.until, b.probing, b.last = 0, 0, time.Time{}, false, nil
}

// failure notes a try that failed through the endpoint's fault; denied says
// that the next ones will, too.
func (b *breaker) failure(now time.Time, denied bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
	b.fails++
	if b.fails < breakAfter && !denied {
		return
	}
	switch {
	case denied:
		b.stop = denyPause
	case b.until.IsZero() && b.stop == 0:
		b.stop = firstPause
	case !now.Before(b.until): // not when several tries in flight fail together
		b.stop = min(2*b.stop, longestStop)
	}
	b.last = err
	b.until = now.Add(b.stop/2 + rand.N(b.stop/2+1)) // half to all of it: instances must not probe in step
}

// neutral notes a try that says nothing about the endpoint, such as one that
// the caller gave up. A probe's place is free again.
func (b *breaker) neutral(probe bool) {
	if !probe {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.probing = false
}
