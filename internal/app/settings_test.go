package app

import "testing"

// A function has no level to change: its first request must not ask the store
// for settings. This App has no store, and would panic.
func TestSettingsAreNotReadWithoutALevelToChange(t *testing.T) {
	t.Parallel()
	new(App).watch(t.Context())
}
