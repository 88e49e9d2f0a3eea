package emf

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/telemetry/metrics"
)

// observe calls everything once.
func observe(m interface {
	Request(method, route string, status int, took, firstByte time.Duration, streamed bool)
	Limited(limit string)
	Answer(route, outcome string)
	Degraded(mode string)
	Document(outcome string)
	Commit(outcome string, took time.Duration)
	Storage(event string)
	Object(op, outcome string, took time.Duration)
	Model(kind, outcome string, took time.Duration, tokensIn, tokensOut int)
	Retrieval(channel string, took time.Duration)
	Milvus(op string, took time.Duration)
},
) {
	m.Request("GET", "/health", 200, 20*time.Millisecond, 10*time.Millisecond, false)
	m.Request("FORGED", "", 200, 2*time.Second, 10*time.Millisecond, true)
	m.Limited("chat")
	m.Answer("knowledge", "quoted")
	m.Degraded("lexical")
	m.Document("ready")
	m.Commit("ok", 20*time.Millisecond)
	m.Storage("alarm")
	m.Object("get", "ok", time.Millisecond)
	m.Model("chat", "ok", time.Second, 100, 20)
	m.Retrieval("lexical", time.Millisecond)
	m.Milvus("search", time.Millisecond)
}

func TestALineIsAsCloudWatchReadsIt(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	m := New(&out, Lambda)
	m.Request("POST", "/chat", 200, 1500*time.Millisecond, 20*time.Millisecond, true)
	m.Flush()
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	if stamp, ok := got["_aws"].(map[string]any)["Timestamp"].(float64); !ok || stamp < 1.7e12 {
		t.Errorf("timestamp %v, want milliseconds", stamp)
	}
	delete(got["_aws"].(map[string]any), "Timestamp")
	want := map[string]any{
		"_aws": map[string]any{"CloudWatchMetrics": []any{
			map[string]any{"Namespace": "EinoQA", "Dimensions": []any{[]any{"method", "route", "status"}}, "Metrics": []any{map[string]any{"Name": "http_requests_total", "Unit": "Count"}}},
			map[string]any{"Namespace": "EinoQA", "Dimensions": []any{[]any{"route"}}, "Metrics": []any{
				map[string]any{"Name": "http_first_byte_seconds", "Unit": "Seconds"}, map[string]any{"Name": "http_stream_duration_seconds", "Unit": "Seconds"},
			}},
		}},
		"method": "POST", "route": "/chat", "status": "200", "http_requests_total": 1.0, "http_first_byte_seconds": 0.02, "http_stream_duration_seconds": 1.5,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

// TestNamesAreThoseOfMetrics: whoever renames a metric or a label in one
// package must do so in the other.
func TestNamesAreThoseOfMetrics(t *testing.T) {
	t.Parallel()
	p := metrics.New("test")
	observe(p)
	rec := httptest.NewRecorder()
	p.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	scraped := rec.Body.String()
	var out bytes.Buffer
	m := New(&out, Lambda)
	observe(m)
	m.Flush()
	n := 0
	for l := range strings.Lines(out.String()) {
		var doc struct {
			AWS struct{ CloudWatchMetrics []directive } `json:"_aws"`
		}
		if err := json.Unmarshal([]byte(l), &doc); err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		_ = json.Unmarshal([]byte(l), &fields)
		for _, d := range doc.AWS.CloudWatchMetrics {
			for _, x := range d.Metrics {
				n++
				series, end := "(?m)^"+x.Name+"(_sum)?{", "}"
				if len(d.Dimensions[0]) == 0 {
					series, end = "(?m)^"+x.Name+"(_sum)? ", ""
				}
				for _, label := range slices.Sorted(slices.Values(d.Dimensions[0])) { // as scraped
					series += label + `="` + regexp.QuoteMeta(fields[label].(string)) + `",?`
				}
				if !regexp.MustCompile(series + end).MatchString(scraped) {
					t.Errorf("nothing scraped matches %s", series)
				}
			}
		}
	}
	if n != 21 {
		t.Errorf("%d metrics, want 21", n)
	}
}

func TestElsewhereALineIsPlain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	m := New(&out, "fc")
	m.Answer("knowledge", "quoted")
	m.Flush()
	m.Flush() // nothing twice
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	delete(got, "time")
	if diff := cmp.Diff(map[string]any{"msg": "metrics", "route": "knowledge", "outcome": "quoted", "answers_total": 1.0}, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestNobodyFlushes(t *testing.T) {
	t.Parallel()
	m := New(io.Discard, "fc")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				m.Degraded("lexical")
			}
		})
	}
	wg.Wait()
	if len(m.lines) != 1 || m.lines[0].series[0].values[0] != 4000 {
		t.Errorf("%d lines kept, want one of 4000", len(m.lines))
	}
	for range 2 * maxLines * maxValues {
		m.Milvus("search", time.Millisecond)
	}
	if len(m.lines) != maxLines {
		t.Errorf("%d lines kept, want %d", len(m.lines), maxLines)
	}
	const requests = 2 * maxLines * maxValues
	long := New(io.Discard, Lambda) // one long run, as a backup of many tenants is
	for range requests {
		long.Object("get", "ok", time.Millisecond)
	}
	var counted float64
	for _, l := range long.lines {
		counted += l.series[0].values[0]
	}
	if counted != requests || len(long.lines) != maxLines {
		t.Errorf("%v requests in %d lines, want all %d in %d: a count stays whole", counted, len(long.lines), requests, maxLines)
	}
	var none *Meter
	observe(none)
	none.Flush()
}
