package function

// deepStack is what an answer takes from the handler down to SQLite, whose
// functions have large frames: 32 to 64 KB were measured.
const deepStack = 48 << 10

// grown makes the stack of this goroutine large enough at once. Otherwise it
// grows by doubling where it is deepest, and each time all frames are moved: a
// twentieth of a cold start. It returns 0; the compiler must not know.
//
//go:noinline
func grown(n int) (sum byte) {
	if n == 0 { // the frame is asked for when the function is entered, and touched nowhere
		return 0
	}
	var frame [deepStack]byte
	for i := range frame[:n] {
		frame[i] = byte(i)
		sum += frame[i]
	}
	return sum
}
