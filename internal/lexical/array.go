package lexical

// A term that is in many chunks stands in an array, four bits for each chunk of
// its segment: adding it to the scores is the same few instructions for all of
// them, sixteen at a time where the processor can. Most of the time goes to the
// division, so that two terms share one.

// array is such a term, from some chunk on.
type array struct {
	tfs []byte
	w   float32
}

// addArrays adds w·tf/(tf+norm) of two terms to every score, 0 where tf is 0.
func addArrays(acc, norm []float32, a, b array) {
	n := 0
	if sixteens() {
		if n = len(acc) &^ 15; n > 0 {
			_, _, _ = norm[n-1], a.tfs[n/2-1], b.tfs[n/2-1] // panics here, not in assembly
			addSixteens(&acc[0], &norm[0], &a.tfs[0], &b.tfs[0], a.w, b.w, n)
		}
	}
	addArraysPortable(acc[n:], norm[n:], array{a.tfs[n/2:], a.w}, array{b.tfs[n/2:], b.w})
}

func addArraysPortable(acc, norm []float32, a, b array) {
	norm = norm[:len(acc)]
	for i := range acc {
		shift := 4 * (i & 1)
		x, y := float32(a.tfs[i>>1]>>shift&15), float32(b.tfs[i>>1]>>shift&15)
		p, q := x+norm[i], y+norm[i]
		// The conversions keep the processor from rounding once where it could.
		acc[i] += (float32(a.w*x*q) + float32(b.w*y*p)) / (p * q)
	}
}

// above returns where the first score above floor stands, or up to fifteen
// before; len(acc) if there is none.
func above(acc []float32, floor float32) int {
	n := 0
	if sixteens() {
		if n = len(acc) &^ 15; n > 0 {
			if at := aboveSixteens(&acc[0], floor, n); at < n {
				return at
			}
		}
	}
	return n + abovePortable(acc[n:], floor)
}

func abovePortable(acc []float32, floor float32) int {
	for i, v := range acc {
		if v > floor {
			return i
		}
	}
	return len(acc)
}
