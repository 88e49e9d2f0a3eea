package lexical

// A term that is in many chunks stands in an array, four bits for each chunk of
// its segment: adding it to the scores is the same few instructions for all of
// them, sixteen at a time where the processor can.

// array is such a term, from some chunk on.
type array struct {
	tfs []byte
	w   float32
}

// addArray adds w·tf/(tf+norm) to every score, 0 where tf is 0.
func addArray(acc, norm []float32, a array) {
	n := 0
	if sixteens() {
		if n = len(acc) &^ 15; n > 0 {
			_, _ = norm[n-1], a.tfs[n/2-1] // panics here, not in assembly
			addSixteens(&acc[0], &norm[0], &a.tfs[0], a.w, n)
		}
	}
	addArrayPortable(acc[n:], norm[n:], array{a.tfs[n/2:], a.w})
}

func addArrayPortable(acc, norm []float32, a array) {
	norm = norm[:len(acc)]
	for i := range acc {
		tf := float32(a.tfs[i>>1] >> (4 * (i & 1)) & 15)
		acc[i] += a.w * tf / (tf + norm[i])
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
