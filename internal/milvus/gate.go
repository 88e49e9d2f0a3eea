package milvus

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// strikesOut failures in a row are an outage: two are a hiccup, and what
	// each costs the one who asks is its whole deadline.
	strikesOut = 3
	// firstPause is how long an outage lets nobody through; each failed probe
	// doubles it. Chat is answered without Milvus meanwhile.
	firstPause   = 5 * time.Second
	longestPause = time.Minute
)

// verdict is what a call tells about the server.
type verdict int

const (
	answered verdict = iota // whatever it said, it is there
	silent                  // nothing to learn: the caller left, or asked for the impossible
	failed                  // too slow, or not able to serve
	lost                    // no connection, or no entry: the next call meets the same
)

// gate keeps calls away from a server that is out, so that nobody waits for
// it, and tells the log of an outage once. The connection mends itself: while
// there is none no call passes, and when it stands again one may try.
type gate struct {
	log     *slog.Logger
	address string
	first   time.Duration

	mu      sync.Mutex
	down    bool
	strikes int
	pause   time.Duration // the last one
	until   time.Time     // nobody passes before
	probing bool
	why     error
}

// shut says how long a call must stay away and why; 0 = it may pass now.
// connected says whether the connection stands: before the first failure a call
// passes without one, and makes it.
func (g *gate) shut(connected bool, now time.Time) (wait time.Duration, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.wait(connected, now), g.why
}

// enter is shut at the moment a call starts. In an outage one call at a time
// passes: a probe.
func (g *gate) enter(connected bool, now time.Time) (probe bool, wait time.Duration, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait := g.wait(connected, now); wait > 0 {
		return false, wait, g.why
	}
	g.probing = g.down
	return g.down, 0, nil
}

func (g *gate) wait(connected bool, now time.Time) time.Duration {
	switch {
	case !g.down:
		return 0
	case now.Before(g.until):
		return g.until.Sub(now)
	case !connected || g.probing:
		return g.first
	}
	return 0
}

// leave notes how a call that passed ended. ctx and err are for the log.
func (g *gate) leave(ctx context.Context, probe bool, v verdict, now time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if probe {
		g.probing = false
	}
	switch v {
	case answered:
		if g.down {
			g.log.InfoContext(ctx, "milvus answers again", "address", g.address)
		}
		g.down, g.strikes, g.pause, g.until, g.why = false, 0, 0, time.Time{}, nil
		return
	case silent:
		return
	case failed:
		if g.strikes++; g.strikes < strikesOut && !probe {
			return
		}
	case lost:
	}
	if g.down && !probe {
		return // it was on its way when the outage began
	}
	g.why = err
	g.pause = min(max(2*g.pause, g.first), longestPause)
	// Half to all of it: instances must not come back in step.
	g.until = now.Add(g.pause/2 + rand.N(g.pause/2+1))
	if !g.down {
		g.down = true
		g.log.ErrorContext(ctx, "failed to connect to milvus", "address", g.address, "error", err)
	}
}
