package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// Not parallel, as it is about the whole process.
func TestGarbageIsCollectedOftenWhileLittleIsLive(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	closeGaps()
	if got := gcPercent(); got != 70 {
		t.Errorf("%d %%, want 70 as somebody chose", got)
	}
	debug.SetGCPercent(usualGC)
	closeGaps()
	some := make([]byte, 2*growth)
	becomes(t, "less than usual", func(percent int) bool { return percent < usualGC })
	much := make([]byte, smallHeap)
	becomes(t, "as usual", func(percent int) bool { return percent == usualGC })
	runtime.KeepAlive(much)
	becomes(t, "less again", func(percent int) bool { return percent < usualGC })
	runtime.KeepAlive(some)
}

func TestTheHeapGrowsByAsMuchWhileItIsSmall(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]int{0: usualGC, growth / 2: usualGC, 2 * growth: 50, 8 * growth: 12, smallHeap: usualGC} {
		if got := percentAt(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}
}

func becomes(t *testing.T, what string, is func(percent int) bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(gcPercent()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d %%, want %s", gcPercent(), what)
		}
		runtime.GC()
	}
}

func gcPercent() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}
