package aside

import (
	"testing"
	"unsafe"
)

// TestAStackIsMadeLargeAtOnce: the compiler may take a frame away that nobody
// needs, and then nothing is asked for. What is on a stack that grew has moved.
func TestAStackIsMadeLargeAtOnce(t *testing.T) {
	for name, f := range map[string]func(){"deep": Deepen, "moderate": func() { askedLess(false) }} {
		moved := make(chan bool)
		go func() {
			var here byte
			before := uintptr(unsafe.Pointer(&here))
			f()
			after := uintptr(unsafe.Pointer(&here))
			f() // it is large enough now
			moved <- before != after && after == uintptr(unsafe.Pointer(&here))
		}()
		if !<-moved {
			t.Errorf("%s: the stack did not grow, or grew twice", name)
		}
	}
}
