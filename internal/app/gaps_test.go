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
	if got := gcPercent(); got != oftenGC {
		t.Errorf("%d %% at first, want %d", got, oftenGC)
	}
	much := make([]byte, smallHeap)
	becomes(t, usualGC)
	runtime.KeepAlive(much)
	becomes(t, oftenGC)
}

func becomes(t *testing.T, want int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); gcPercent() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d %%, want %d", gcPercent(), want)
		}
		runtime.GC()
	}
}

func gcPercent() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(s[0].Value.Uint64())
}
