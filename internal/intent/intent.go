// Package intent tells what a message wants by a small linear classifier: its
// features are hashed words and letters, its weights are learned from the
// sentences in data/ and embedded. It knows nothing about a conversation; who
// asks it has tried rules before, see docs/intent.md.
package intent

import (
	_ "embed"
	"math"
)

// The classes, which are the names of the files in data/. Greet, Thanks, Bye
// and About need no documents.
const (
	Knowledge = "knowledge"
	Order     = "order"
	Handoff   = "handoff"
	Greet     = "greet"
	Thanks    = "thanks"
	Bye       = "bye"
	About     = "about" // who the assistant is, and small talk
)

// packed is the weights as they are used: for each bucket one signed byte a
// class, in the order of classes. Nothing is done to it at the start of a
// process; "make train-intent" writes it.
//
//go:embed weights.bin
var packed string

// Classify returns the likeliest class of a message and its probability, as
// calibrated on sentences that training had not seen. It reads the two ends of
// a long message only.
func Classify(message string) (class string, p float64) {
	sums := make([]float64, len(classes))
	for _, f := range vector(message) {
		at := int(f.hash>>(32-packedBits)) * len(classes)
		for c := range sums {
			sums[c] += float64(f.value) * float64(int8(packed[at+c]))
		}
	}
	for c := range sums {
		sums[c] = sums[c]*units[c] + bias[c]
	}
	ps := softmax(sums, scale)
	best := 0
	for c := range ps {
		if ps[c] > ps[best] {
			best = c
		}
	}
	return classes[best], ps[best]
}

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
