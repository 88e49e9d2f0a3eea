package api

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/telemetry"
)

func TestEveryLineThatARequestCausesCarriesItsTraceID(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log, err := telemetry.Open(telemetry.Options{Stdout: &b, Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	s := openOffice(t, Config{}).api
	s.log = log.Logger
	w := httptest.NewRecorder()
	s.outer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		log.WarnContext(r.Context(), "something below the API")
		panic("and then this")
	})).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/x", nil))
	id := w.Header().Get("X-Request-ID")
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if id == "" || len(lines) != 3 {
		t.Fatalf("request %q wrote %d lines:\n%s", id, len(lines), b.String())
	}
	for _, line := range lines {
		if strings.Count(line, `"trace_id":"`+id+`"`) != 1 {
			t.Errorf("want trace_id %s once: %s", id, line)
		}
	}
}
