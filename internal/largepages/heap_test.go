package largepages

import (
	"testing"
	"unsafe"
)

// TestTheHeapGrowsWhereverItHasComeTo: a block may lie anywhere in a step, and reach
// into the next one.
func TestTheHeapGrowsWhereverItHasComeTo(t *testing.T) {
	for n := range 50 {
		Heap()
		b := make([]byte, 100_000+n*10_000) // moves the heap on, by another way each time
		if uintptr(unsafe.Pointer(unsafe.SliceData(b)))%8 != 0 {
			t.Fatal("not aligned")
		}
	}
}
