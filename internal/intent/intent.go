// Package intent tells what a message wants by a small linear classifier: its
// features are hashed words and letters, its weights are learned from the
// sentences in data/ and embedded. It knows nothing about a conversation; who
// asks it has tried rules before, see docs/intent.md.
package intent

import "math"

// softmax returns probabilities of sums.
func softmax(sums []float64, scale float64) []float64 {
	top, total := math.Inf(-1), 0.0
	for _, s := range sums {
		top = max(top, s)
	}
	out := make([]float64, len(sums))
	for i, s := range sums {
		out[i] = math.Exp((s - top) * scale)
		total += out[i]
	}
	for i := range out {
		out[i] /= total
	}
	return out
}
