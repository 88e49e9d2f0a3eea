//go:build !race

package chunk

const slowdown = 1
