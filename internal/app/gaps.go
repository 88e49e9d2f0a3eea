package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// While little is live, garbage is collected four times as often as usual. What
// stays of a stream lies between the 200 KB of garbage of its opening, and the
// gaps are as wide as the heap grows from one collection to the next: 18 KiB for
// each of 200 streams, 3 so. From smallHeap on there are not enough streams for
// that to matter, and collections cost more.
const (
	smallHeap = 32 << 20 // bytes
	oftenGC   = 25       // percent
	usualGC   = 100      // percent, the runtime's
)

// closeGaps sets how often garbage is collected from now on, unless somebody
// chose it: GOGC.
func closeGaps() {
	if before := debug.SetGCPercent(oftenGC); before != usualGC {
		debug.SetGCPercent(before)
		return
	}
	watchHeap(oftenGC)
}

// watchHeap sets it anew after each collection: all of them find what nobody has.
func watchHeap(percent int) {
	runtime.AddCleanup(new([64]byte), func(percent int) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		want := usualGC
		if live[0].Value.Uint64() < smallHeap {
			want = oftenGC
		}
		if want != percent {
			debug.SetGCPercent(want)
		}
		watchHeap(want)
	}, percent)
}
