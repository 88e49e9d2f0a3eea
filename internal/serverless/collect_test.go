package serverless

import (
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"testing"

	"github.com/eino-qa/eino-qa/internal/serverless/early"
)

// TestCollectionBeginsAfterTheFirstInvocation runs alone: the setting is the
// process's.
func TestCollectionBeginsAfterTheFirstInvocation(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(early.Percent)
		debug.SetGCPercent(p)
		return p
	}
	if p := percent(); p != early.Percent || early.Before != 100 {
		t.Errorf("percent at the start is %d and was %d, want %d and 100", p, early.Before, early.Percent)
	}
	defer debug.SetGCPercent(early.Before)
	var during []int
	h := collectLater(Handlers{HTTP: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { during = append(during, percent()) })}, 150)
	for range 2 {
		h.HTTP.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	if after := percent(); during[0] != early.Percent || during[1] != 150 || after != 150 {
		t.Errorf("percent is %v in two requests and %d after them, want %d, then 150", during, after, early.Percent)
	}
	if h.Object != nil || h.Schedule != nil {
		t.Error("handlers that were not there appeared")
	}
	collectLater(Handlers{}, -1)
	if p := percent(); p != -1 {
		t.Errorf("percent is %d although collection was turned off", p)
	}
}
