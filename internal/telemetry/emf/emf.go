// Package emf writes metrics as log lines, for platforms where nothing
// scrapes: in CloudWatch's embedded metric format on Lambda, as plain
// structured lines elsewhere. Names and labels are those of package metrics, so
// that one dashboard reads both. It imports the standard library only.
//
// What is observed during an invocation is kept and written by Flush at its
// end: one line for each set of labels.
package emf

import (
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Namespace is where CloudWatch files the metrics.
const Namespace = "EinoQA"

// Lambda is the platform whose lines are in the embedded metric format.
const Lambda = "lambda"

// Meter collects and writes. All methods may be called on a nil *Meter, which
// does nothing, and are safe for concurrent use.
type Meter struct {
	out      io.Writer
	embedded bool

	mu    sync.Mutex
	lines []line
}

// line is metrics that share their labels.
type line struct {
	labels  map[string]string
	metrics []metric
}

type metric struct {
	name   string
	unit   string // of CloudWatch
	labels []string
	value  float64
}

// Units of CloudWatch (MetricDatum of its API).
const (
	count   = "Count"
	seconds = "Seconds"
)

// maxLines bounds what one Flush may write, and what is kept if nobody calls it.
const maxLines = 100

// New returns a Meter that writes to out, which takes whole lines at a time.
func New(out io.Writer, platform string) *Meter {
	return &Meter{out: out, embedded: platform == Lambda}
}

func (m *Meter) add(labels map[string]string, metrics ...metric) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.lines) < maxLines {
		m.lines = append(m.lines, line{labels, metrics})
	}
}

// Flush writes what was observed since the last one. A write error has no
// reader: the log itself is broken.
func (m *Meter) Flush() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.lines {
		_, _ = m.out.Write(m.encode(l, time.Now()))
	}
	m.lines = m.lines[:0]
}

// directive tells CloudWatch which fields of a line are metrics
// ("Specification: Embedded metric format", CloudWatch user guide).
type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []definition
}

type definition struct{ Name, Unit string }

func (m *Meter) encode(l line, now time.Time) []byte {
	doc := map[string]any{}
	for k, v := range l.labels {
		doc[k] = v
	}
	var ds []directive
	for _, x := range l.metrics {
		doc[x.name] = x.value
		i := slices.IndexFunc(ds, func(d directive) bool { return slices.Equal(d.Dimensions[0], x.labels) })
		if i < 0 {
			i = len(ds)
			ds = append(ds, directive{Namespace: Namespace, Dimensions: [][]string{x.labels}})
		}
		ds[i].Metrics = append(ds[i].Metrics, definition{x.name, x.unit})
	}
	if m.embedded {
		doc["_aws"] = map[string]any{"Timestamp": now.UnixMilli(), "CloudWatchMetrics": ds}
	} else {
		doc["time"], doc["msg"] = now.UTC().Format(time.RFC3339Nano), "metrics"
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil // a value that is no number, which nobody observes
	}
	return append(b, '\n')
}

// Request counts one request; see package metrics.
func (m *Meter) Request(method, route string, status int, took, firstByte time.Duration, streamed bool) {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		method = "other"
	}
	if route == "" {
		route = "none"
	}
	last := metric{"http_request_duration_seconds", seconds, []string{"method", "route"}, took.Seconds()}
	if streamed {
		last = metric{"http_stream_duration_seconds", seconds, []string{"route"}, took.Seconds()}
	}
	m.add(map[string]string{"method": method, "route": route, "status": strconv.Itoa(status)},
		metric{"http_requests_total", count, []string{"method", "route", "status"}, 1},
		metric{"http_first_byte_seconds", seconds, []string{"route"}, firstByte.Seconds()}, last)
}

// InFlight does nothing: an invocation is one request.
func (m *Meter) InFlight(int) {}

// Limited counts one request refused by the limit of that name.
func (m *Meter) Limited(limit string) { m.one("rate_limited_total", "limit", limit) }

// Answer counts one answer.
func (m *Meter) Answer(route, outcome string) {
	m.add(map[string]string{"route": route, "outcome": outcome}, metric{"answers_total", count, []string{"route", "outcome"}, 1})
}

// Degraded counts one answer given in a degraded mode.
func (m *Meter) Degraded(mode string) { m.one("degraded_total", "mode", mode) }

// Document counts one ingested document: ready, duplicate or failed.
func (m *Meter) Document(outcome string) { m.one("documents_total", "outcome", outcome) }

func (m *Meter) one(name, label, value string) {
	m.add(map[string]string{label: value}, metric{name, count, []string{label}, 1})
}
