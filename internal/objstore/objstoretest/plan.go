package objstoretest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Rates are probabilities from 0 to 1 that a call meets each fate; together
// at most 1.
type Rates struct {
	Fail, ApplyThenFail, ApplyLate, Ghost, Corrupt float64
	Delay                                          time.Duration // at most; uniform, for every call
	Late                                           time.Duration // at most, of an ApplyLate; 0 waits for Land
	Only                                           func(Call) bool
}

// Seeded plans by chance. What becomes of a call depends on the seed, its Op,
// Key and Nth only, so that a run repeats as far as its calls do, whatever
// the order in which goroutines run.
func Seeded(seed uint64, r Rates) func(Call) Effect {
	return func(c Call) Effect {
		if r.Only != nil && !r.Only(c) {
			return Effect{}
		}
		h := fnv.New64a()
		fmt.Fprintf(h, "%s %s %d", c.Op, c.Key, c.Nth)
		rnd := rand.New(rand.NewPCG(seed, h.Sum64()))
		e := Effect{Delay: upTo(rnd, r.Delay), Late: upTo(rnd, r.Late)}
		p := rnd.Float64()
		for _, a := range []struct {
			rate   float64
			action Action
		}{{r.Fail, Fail}, {r.ApplyThenFail, ApplyThenFail}, {r.ApplyLate, ApplyLate}, {r.Ghost, Ghost}, {r.Corrupt, Corrupt}} {
			if p -= a.rate; p < 0 {
				e.Action = a.action
				break
			}
		}
		return e
	}
}

func upTo(rnd *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return 1 + time.Duration(rnd.Int64N(int64(d))) // never 0, which means something else for Late
}

// Nth plans e for the n-th call of all, from 1, and lets the others pass: run
// a scenario for n = 1, 2, … until Fault.Calls stays below n.
func Nth(n int, e Effect) func(Call) Effect {
	return func(c Call) Effect {
		if c.N == n {
			return e
		}
		return Effect{}
	}
}
