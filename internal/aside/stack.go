package aside

// deep is what an answer takes from the handler down to SQLite, whose functions
// have large frames: 32 to 64 KB were measured. moderate is what encoding JSON
// and preparing a short commit take.
const (
	deep     = 48 << 10
	moderate = 12 << 10
)

// Deepen makes the stack of this goroutine large at once. Otherwise it grows by
// doubling where it is deepest, and each time all frames are moved, for which
// the runtime looks up where their pointers are: 84 times in a cold start, a
// twentieth of it. It is for goroutines that will be deep, at their beginning.
func Deepen() { asked(false) }

// asked has a large frame, which is asked for when the function is entered, and
// touched nowhere.
//
//go:noinline
func asked(touch bool) {
	if touch {
		var frame [deep]byte
		fill(frame[:])
	}
}

//go:noinline
func askedLess(touch bool) {
	if touch {
		var frame [moderate]byte
		fill(frame[:])
	}
}

// fill keeps the compiler from seeing that nobody needs the frame.
//
//go:noinline
func fill(b []byte) {
	for i := range b {
		b[i] = byte(i)
	}
}
