// Package early puts the garbage collector off before the packages of others
// are initialised, which is the only work of ours that is done before main.
// Their tables and patterns make the heap cross the runtime's first 4 MB, and
// the collection that follows takes a tenth of a cold start's processor time.
// Package serverless turns the collector on again after the first invocation.
package early

import "runtime/debug"

// Percent lets the heap grow to 32 MB before the first collection: the
// runtime's least heap is 4 MB at 100. Opening a store takes some 15 MB,
// nearly all of which stays in use.
const Percent = 800

// Before is what the percentage was: 100, or what GOGC says; -1 = off.
var Before = debug.SetGCPercent(Percent)
