//go:build !linux

package largepages

// Ask does nothing: this system has no such hint.
func Ask([]byte, uintptr) {}
