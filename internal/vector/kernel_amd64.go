//go:build !noasm

package vector

import "golang.org/x/sys/cpu"

// kernels returns what this processor can run, the fastest first.
func kernels() []kernel {
	var ks []kernel
	if x := &cpu.X86; x.HasAVX512F && x.HasAVX512BW && x.HasAVX512VNNI {
		ks = append(ks, assembled("avx512vnni", dotsVNNI))
	}
	if cpu.X86.HasAVX2 {
		ks = append(ks, assembled("avx2", dotsAVX2))
	}
	return append(ks, portable)
}

// dotsVNNI needs AVX512F, AVX512BW and AVX512_VNNI; n and dims are at least 1.
//
//go:noescape
func dotsVNNI(out *int32, rows, query *byte, n, dims int)

// dotsAVX2 needs AVX2; n and dims are at least 1.
//
//go:noescape
func dotsAVX2(out *int32, rows, query *byte, n, dims int)
