//go:build !noasm

package lexical

import "golang.org/x/sys/cpu"

// sixteens reports whether the functions below can run here.
func sixteens() bool { return cpu.X86.HasAVX2 }
