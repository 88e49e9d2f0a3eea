package chunk

import "math"

// piece is a chunk to be: the atoms from up to, not including, to.
type piece struct{ from, to int }

// recordShare: records are found one by one, so few of them share a chunk.
const recordShare = 4

// plan groups the atoms of a section into chunks at the least total cost. A
// chunk costs the square of its distance from the target, relative to it,
// twice as much when it is too long; a beginning costs what its atom says.
// That balances the chunks of a section and leaves no tiny rest, which greedy
// filling does. Time is linear in the number of atoms: a chunk has at most
// twice the target's units.
func plan(a []atom, o Options) []piece {
	sum, recs := make([]int, len(a)+1), make([]int, len(a)+1)
	for i, x := range a {
		sum[i+1], recs[i+1] = sum[i]+x.weight, recs[i]
		if x.record {
			recs[i+1] += x.weight
		}
	}
	best, from := make([]float64, len(a)+1), make([]int, len(a)+1)
	for to := 1; to <= len(a); to++ {
		best[to] = math.Inf(1)
		for i := to - 1; i >= 0; i-- {
			w := sum[to] - sum[i]
			// A list that is whole may be longer than a chunk, and what
			// announces it should not be parted from it.
			target := o.Target
			if 2*(recs[to]-recs[i]) > w {
				target = max(1, o.Target/recordShare)
			}
			if i < to-1 && w > 2*target && (to-i > 3 || w > o.Whole+o.Target) {
				break
			}
			c := best[i] + sizeCost(w, target)
			if i > 0 {
				c += a[i].cut
			}
			if c < best[to] {
				best[to], from[to] = c, i
			}
		}
	}
	out := make([]piece, 0, sum[len(a)]/o.Target+1)
	for to := len(a); to > 0; to = from[to] {
		out = append(out, piece{from[to], to})
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out
}

// grain is the share of the target below which neighbouring atoms are joined:
// where exactly a chunk begins among words of one syllable does not matter,
// and it keeps plan's work per atom at some forty steps.
const grain = 20

// coalesce joins small neighbours that may well share a chunk, in place.
func coalesce(a []atom, o Options) []atom {
	out := a[:0]
	for _, x := range a {
		if n := len(out); n > 0 && !x.record && !out[n-1].record && x.cut < cutNested && out[n-1].weight+x.weight <= o.Target/grain {
			out[n-1].end = x.end
			out[n-1].weight += x.weight
			continue
		}
		out = append(out, x)
	}
	return out
}

func sizeCost(w, target int) float64 {
	d := float64(w-target) / float64(target)
	if w > target {
		return 2 * d * d
	}
	return d * d
}
