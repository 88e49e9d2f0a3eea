//go:build !noasm

package lexical

// sixteens reports whether the functions below can run here: NEON is part of
// every arm64.
func sixteens() bool { return true }
