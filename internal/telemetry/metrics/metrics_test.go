package metrics

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func scrape(t testing.TB, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("scrape: %d, %v\n%s", w.Code, err, body)
	}
	return string(body)
}

func TestEverythingIsCounted(t *testing.T) {
	t.Parallel()
	m := New("v1.2.3")
	m.Request("POST", "POST /chat", 200, 30*time.Millisecond, 20*time.Millisecond, false)
	m.Request("POST", "POST /chat", 200, 5*time.Second, 20*time.Millisecond, true)
	m.Request("BREW", "", 405, time.Millisecond, time.Millisecond, false)
	m.InFlight(1)
	m.InFlight(1)
	m.InFlight(-1)
	m.Limited("chat")
	m.Answer("knowledge", "quoted")
	m.Degraded("no_model")
	m.Retrieval("lexical", time.Millisecond)
	m.Milvus("search", time.Millisecond)
	m.Model("chat", "ok", time.Second, 100, 20)
	m.Model("chat", "rate_limited", time.Second, -1, 0)
	m.Cache("hit")
	m.Document("ready")
	m.Commit("ok", time.Millisecond)
	m.Object("create", "ok", time.Millisecond)
	if err := m.Gauge("db_connections_open", "Open readers.", func() float64 { return 7 }); err != nil {
		t.Fatal(err)
	}
	if err := m.Gauge("db_connections_open", "Again.", func() float64 { return 8 }); err == nil {
		t.Error("a second gauge of one name is no error")
	}
	got := scrape(t, m)
	for _, line := range []string{
		`http_requests_total{method="POST",route="POST /chat",status="200"} 2`,
		`http_requests_total{method="other",route="none",status="405"} 1`,
		`http_request_duration_seconds_bucket{method="POST",route="POST /chat",le="0.05"} 1`,
		`http_request_duration_seconds_count{method="POST",route="POST /chat"} 1`,
		`http_first_byte_seconds_count{route="POST /chat"} 2`,
		`http_stream_duration_seconds_bucket{route="POST /chat",le="5"} 1`,
		`http_requests_in_flight 1`,
		`rate_limited_total{limit="chat"} 1`,
		`answers_total{outcome="quoted",route="knowledge"} 1`,
		`degraded_total{mode="no_model"} 1`,
		`retrieval_duration_seconds_count{channel="lexical"} 1`,
		`milvus_query_duration_seconds_count{op="search"} 1`,
		`model_requests_total{kind="chat",outcome="rate_limited"} 1`,
		`model_tokens_total{direction="in",kind="chat"} 100`,
		`cache_requests_total{result="hit"} 1`,
		`documents_total{outcome="ready"} 1`,
		`commits_total{outcome="ok"} 1`,
		`commit_duration_seconds_count 1`,
		`object_requests_total{op="create",outcome="ok"} 1`,
		`db_connections_open 7`,
		`version="v1.2.3"`,
		`go_goroutines `,
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
}

func TestTwoAppsDoNotMeet(t *testing.T) {
	t.Parallel()
	a, b := New("a"), New("b")
	a.Degraded("no_model")
	if got := scrape(t, b); strings.Contains(got, "no_model") {
		t.Error("b counts what a did")
	}
}

func TestNilCountsNothing(t *testing.T) {
	t.Parallel()
	var m *Metrics
	m.Request("GET", "/", 200, 0, 0, false)
	m.InFlight(1)
	m.Limited("")
	m.Answer("", "")
	m.Degraded("")
	m.Retrieval("", 0)
	m.Milvus("", 0)
	m.Model("", "", 0, 0, 0)
	m.Cache("")
	m.Document("")
	m.Commit("", 0)
	m.Object("", "", 0)
	if err := m.Gauge("a", "", nil); err != nil {
		t.Error(err)
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("status = %d, want 404", w.Code)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	m := New("")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				m.Request("GET", "GET /health", 200, time.Millisecond, time.Millisecond, false)
			}
		})
	}
	wg.Go(func() { scrape(t, m) })
	wg.Wait()
	if got := scrape(t, m); !strings.Contains(got, `status="200"} 1600`) {
		t.Errorf("want 1600 requests in\n%s", got)
	}
}

// BenchmarkNew is what a cold start pays, BenchmarkRequest what a request does.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New("v")
	}
}

func BenchmarkRequest(b *testing.B) {
	m := New("v")
	for b.Loop() {
		m.Request("POST", "POST /chat", 200, time.Millisecond, time.Millisecond, false)
	}
}
