//go:build !race

package logvfs

const slow = 1
