package largepages

import "testing"

// TestTheHeapGrowsWhereverItHasComeTo: a block may lie anywhere in a step, and
// reach into the next one, for which Heap panicked once.
func TestTheHeapGrowsWhereverItHasComeTo(*testing.T) {
	var kept [][]byte
	for n := range 50 {
		Heap()
		kept = append(kept, make([]byte, 100_000+n*10_000)) // moves the heap on, by another way each time
	}
	_ = kept
}
