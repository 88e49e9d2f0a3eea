package llm

import (
	"math"
	"time"
)

// Pace settings.
const (
	window    = 10 * time.Second // over which the actual rate is measured
	backTo    = 0.7              // of the measured rate after a 429; TCP uses 0.5 to 0.7 (RFC 9438 §4.6)
	regrow    = 1.05             // per second without a 429: doubled after 14 s, as limits recover within a minute
	forgetAt  = 8                // times the rate first cut to: the limit is no longer felt
	burstTime = time.Second      // DashScope enforces minute limits also per second (facts §4, "burst")
)

// pace spaces things out: requests, or tokens. It holds to a fixed rate where
// the settings have one, and below that to a rate it learns from 429s. It is
// not safe for concurrent use; the limiter's lock guards it.
type pace struct {
	fixed   float64   // per second; 0 = none
	learned float64   // per second at the time at; 0 = none
	cut     float64   // the rate learned was first set to
	at      time.Time // of the last 429
	next    time.Time // theoretical arrival time of the next unit (GCRA)
	seen    float64   // decayed count over window
	seenAt  time.Time
}

// rate is the rate allowed now, +Inf if there is no limit.
func (p *pace) rate(now time.Time) float64 {
	r := math.Inf(1)
	if p.fixed > 0 {
		r = p.fixed
	}
	if p.learned > 0 {
		l := p.learned * math.Pow(regrow, max(0, now.Sub(p.at).Seconds()))
		if l > forgetAt*p.cut {
			p.learned = 0
		} else {
			r = min(r, l)
		}
	}
	return r
}

// wait says how long from now until n units may go; one burst's worth may
// always go at once.
func (p *pace) wait(now time.Time) time.Duration {
	return max(0, p.next.Add(-burstTime).Sub(now))
}

// take counts n units gone now.
func (p *pace) take(now time.Time, n float64) {
	p.seen = p.decayed(now) + n
	p.seenAt = now
	r := p.rate(now)
	if math.IsInf(r, 1) {
		p.next = time.Time{}
		return
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(n / r * float64(time.Second)))
}

// measured is the rate of the last window.
func (p *pace) measured(now time.Time) float64 { return p.decayed(now) / window.Seconds() }

func (p *pace) decayed(now time.Time) float64 {
	if p.seenAt.IsZero() {
		return 0
	}
	return p.seen * math.Exp(-now.Sub(p.seenAt).Seconds()/window.Seconds())
}

// throttled learns from a 429, at most once a second: many calls in flight meet
// the same one. Below floor there is nothing to learn: so slow a caller was not
// the one who used up the account's limit, and the limiter's gate is enough.
func (p *pace) throttled(now time.Time, floor float64) {
	if p.learned > 0 && now.Sub(p.at) < time.Second {
		return
	}
	r := backTo * min(p.rate(now), p.measured(now))
	if r < floor {
		return
	}
	if p.learned == 0 {
		p.cut = r
	}
	p.learned, p.at, p.cut = r, now, min(p.cut, r)
}
