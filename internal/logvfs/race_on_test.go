//go:build race

package logvfs

// slow shrinks tests under the race detector, where SQLite takes ten times as
// long: they are there for the races then, not for the numbers.
const slow = 8
