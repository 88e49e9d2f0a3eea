// Package ratelimit counts requests per key in fixed windows, before any work
// starts. Counts are exact within one process.
package ratelimit

import (
	"sync"
	"time"
)

// Limiter counts in this process's memory. The zero value is ready.
type Limiter struct {
	mu      sync.Mutex
	windows map[string]*window
	sweepAt time.Time
}

type window struct {
	ends time.Time
	n    int
}

// Decision is the answer to one request, and what the X-RateLimit headers say.
type Decision struct {
	OK        bool
	Limit     int
	Remaining int
	Reset     time.Time // when the window ends
}

// Allow counts one request of key and reports whether it is within limit per
// window. A limit of 0 or less allows everything and counts nothing.
func (l *Limiter) Allow(key string, limit int, per time.Duration, now time.Time) Decision {
	if limit <= 0 {
		return Decision{OK: true}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sweep(now, per)
	w := l.windows[key]
	if w == nil || !now.Before(w.ends) {
		w = &window{ends: now.Add(per)}
		l.windows[key] = w
	}
	w.n++
	return Decision{OK: w.n <= limit, Limit: limit, Remaining: max(limit-w.n, 0), Reset: w.ends}
}

// sweep forgets ended windows, so that memory follows the callers of the last
// window and not all there ever were.
func (l *Limiter) sweep(now time.Time, per time.Duration) {
	if l.windows == nil {
		l.windows = map[string]*window{}
	}
	if now.Before(l.sweepAt) {
		return
	}
	l.sweepAt = now.Add(per)
	for k, w := range l.windows {
		if !now.Before(w.ends) {
			delete(l.windows, k)
		}
	}
}
