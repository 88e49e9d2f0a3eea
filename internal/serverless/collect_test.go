package serverless

import (
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"testing"
)

// TestCollectionIsPutOffOnce runs alone: the setting is the process's.
func TestCollectionIsPutOffOnce(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(startPercent)
		debug.SetGCPercent(p)
		return p
	}
	defer debug.SetGCPercent(debug.SetGCPercent(150))
	during := 0
	h := withoutCollection(Handlers{HTTP: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { during = percent() })})
	for range 2 {
		h.HTTP.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	if after := percent(); during != 150 || after != 150 {
		t.Errorf("percent is %d in the second request and %d after it, want 150 again", during, after)
	}
	h = withoutCollection(Handlers{HTTP: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { during = percent() })})
	h.HTTP.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if during != startPercent {
		t.Errorf("percent is %d in the first request, want %d", during, startPercent)
	}
	if h.Object != nil || h.Schedule != nil {
		t.Error("handlers that were not there appeared")
	}
	debug.SetGCPercent(-1)
	withoutCollection(Handlers{})
	if p := percent(); p != -1 {
		t.Errorf("percent is %d although collection was turned off", p)
	}
}
