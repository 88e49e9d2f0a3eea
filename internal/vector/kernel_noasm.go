//go:build noasm || (!amd64 && !arm64)

package vector

// kernels returns what this processor can run, the fastest first.
func kernels() []kernel { return []kernel{portable} }
