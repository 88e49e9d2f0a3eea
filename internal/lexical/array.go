package lexical

// A term that is in many chunks stands in an array, four bits for each chunk of
// its segment: adding it to the scores is the same few instructions for all of
// them, sixteen at a time where the processor can. Most of the time goes to the
// division, so that two terms share one.

// array is such a term.
type array struct {
	tfs []byte
	w   float32
}

// addArrays adds w·tf/(tf+norm) of terms to the scores, which begin at chunk
// from, an even number; 0 where tf is 0.
func addArrays(acc, norm []float32, arrays []array, from int) {
	for i := 0; i < len(arrays); i += 2 {
		a, b := pair(arrays, i)
		addPair(acc, norm, array{a.tfs[from/2:], a.w}, array{b.tfs[from/2:], b.w})
	}
}

// addArraysAt does it for the i-th score alone, with the same sum to the bit.
func addArraysAt(acc, norm []float32, arrays []array, from, i int) {
	even := i &^ 1
	for j := 0; j < len(arrays); j += 2 {
		a, b := pair(arrays, j)
		at := (from + even) / 2
		addPairPortable(acc[i:i+1], norm[i:i+1], array{a.tfs[at:], a.w}, array{b.tfs[at:], b.w}, i-even)
	}
}

// pair returns the arrays i and i+1; the last may have no other.
func pair(arrays []array, i int) (a, b array) {
	if i+1 < len(arrays) {
		return arrays[i], arrays[i+1]
	}
	return arrays[i], array{arrays[i].tfs, 0}
}

// addPair adds two terms; their arrays begin with the first score.
func addPair(acc, norm []float32, a, b array) {
	n := 0
	if sixteens() {
		if n = len(acc) &^ 15; n > 0 {
			_, _, _ = norm[n-1], a.tfs[n/2-1], b.tfs[n/2-1] // panics here, not in assembly
			addSixteens(&acc[0], &norm[0], &a.tfs[0], &b.tfs[0], a.w, b.w, n)
		}
	}
	addPairPortable(acc[n:], norm[n:], array{a.tfs[n/2:], a.w}, array{b.tfs[n/2:], b.w}, 0)
}

// addPairPortable is addPair in plain words; the first score is that of the
// array's frequency odd, 0 or 1.
func addPairPortable(acc, norm []float32, a, b array, odd int) {
	norm = norm[:len(acc)]
	for i := range acc {
		at, shift := (i+odd)>>1, 4*((i+odd)&1)
		x, y := float32(a.tfs[at]>>shift&15), float32(b.tfs[at]>>shift&15)
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
