//go:build !noasm && (amd64 || arm64)

package lexical

// addSixteens is addPairPortable for n chunks, a multiple of 16 and not 0; the
// sums are the same to the bit.
//
//go:noescape
func addSixteens(acc, norm *float32, a, b *byte, wa, wb float32, n int)

// aboveSixteens is abovePortable for n scores, a multiple of 16 and not 0, but
// returns the beginning of the sixteen in which it stands.
//
//go:noescape
func aboveSixteens(acc *float32, floor float32, n int) int
