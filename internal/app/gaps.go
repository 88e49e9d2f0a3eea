package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// While little is live, garbage is collected after so many bytes of it. What
// stays of a stream lies between the 200 KB of garbage of its opening, and the
// gaps are as wide as the heap grows from one collection to the next: 18 KiB for
// each of 200 streams as usual, next to none so. From smallHeap on gaps matter
// less, and collections cost more.
const (
	smallHeap = 24 << 20 // bytes
	growth    = 2 << 20  // bytes, about: the runtime adds its share of stacks
	usualGC   = 100      // percent, the runtime's
)

// closeGaps sets how often garbage is collected from now on, unless somebody
// chose it: GOGC.
func closeGaps() {
	if before := debug.SetGCPercent(usualGC); before != usualGC {
		debug.SetGCPercent(before)
		return
	}
	watchHeap(usualGC)
}

// watchHeap sets it anew after each collection: all of them find what nobody has.
func watchHeap(percent int) {
	runtime.AddCleanup(new([64]byte), func(percent int) {
		if want := percentAt(liveHeap()); want > percent+percent/8 || want < percent-percent/8 { // to set it stops all
			debug.SetGCPercent(want)
			percent = want
		}
		watchHeap(percent)
	}, percent)
}

func liveHeap() uint64 {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return live[0].Value.Uint64()
}

// percentAt is how much the heap may grow while so much is live.
func percentAt(live uint64) int {
	if live >= smallHeap {
		return usualGC
	}
	return int(min(usualGC, growth*100/max(live, 1)))
}
