package largepages

import (
	"runtime"
	"unsafe"
)

// heapStep is what the runtime makes its heap grow by (mheap.grow).
const heapStep = 4 << 20

// Heap makes the heap grow by a step of large pages. What it has so far was
// touched here and there, in small pages, which stay small; the rest of that is
// taken, and not touched, until the first collection. It is for a process that
// has just started and will need a few megabytes at once.
func Heap() {
	const block = 128 << 10 // the least that does not come from pages that a processor has for itself
	var taken [4][]byte
	for i := range taken {
		b := make([]byte, block)
		at := uintptr(unsafe.Pointer(unsafe.SliceData(b))) % heapStep
		if at == 0 {
			Ask(b, heapStep)
			break
		}
		if at+block < heapStep { // else it reaches into the next step
			taken[i] = make([]byte, heapStep-at-block)
		}
	}
	runtime.KeepAlive(&taken)
}
