//go:build race

package backup_test

// underRace leaves out what has SQLite do much and races little: it takes ten
// times as long there.
const underRace = true
