//go:build !noasm

package vector

import "golang.org/x/sys/cpu"

// kernels returns what this processor can run, the fastest first. NEON is part
// of every arm64.
func kernels() []kernel {
	var ks []kernel
	if cpu.ARM64.HasASIMDDP {
		ks = append(ks, assembled("sdot", dotsSDOT))
	}
	return append(ks, assembled("neon", dotsNEON), portable)
}

// dotsSDOT needs FEAT_DotProd; n and dims are at least 1.
//
//go:noescape
func dotsSDOT(out *int32, rows, query *byte, n, dims int)

// dotsNEON runs on every arm64; n and dims are at least 1.
//
//go:noescape
func dotsNEON(out *int32, rows, query *byte, n, dims int)
