// Package early turns the sampling of memory off and puts the first garbage
// collection off before the packages of others are initialised, which is the only
// work of ours that is done before main. Their tables and patterns make the heap cross the runtime's first 4 MB,
// and the collections that follow take a tenth of a cold start's processor
// time, as does one between an invocation and its reply. From the first
// collection on it is as often as without this package.
package early

import (
	"runtime"
	"runtime/debug"
)

// Percent lets the heap grow to 32 MB before the first collection: the
// runtime's least heap is 4 MB at 100. Opening a store and answering takes some
// 20 MB, most of which stays in use.
const Percent = 800

var _ = later()

// later sets the percentage, and back what it was after the first collection.
func later() (before int) {
	// A sample unwinds a stack, some forty times in a cold start; and nobody can
	// ask one of many instances for its profile.
	runtime.MemProfileRate = 0
	before = debug.SetGCPercent(Percent)
	if before < 0 || before > Percent { // somebody chose it: GOGC
		debug.SetGCPercent(before)
		return before
	}
	// The first collection finds this, as nobody has it.
	runtime.AddCleanup(new([64]byte), func(before int) { debug.SetGCPercent(before) }, before)
	return before
}
