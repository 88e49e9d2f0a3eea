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
	"strings"
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
	lines []*line
	at    map[string]*line // the open line of a set of labels and metrics
}

// pairs are labels: name, value, name, value.
type pairs []string

// line is metrics that share their labels.
type line struct {
	labels pairs
	series []series
}

type metric struct {
	name   string
	unit   string // of CloudWatch
	labels []string
	value  float64
}

// series is the values of one metric on a line.
type series struct {
	metric
	values []float64
}

// Units of CloudWatch (MetricDatum of its API).
const (
	count   = "Count"
	seconds = "Seconds"
)

// maxLines bounds what one Flush may write, and what is kept if nobody calls it.
const maxLines = 100

// maxValues is how many values a metric may have on one line, by the
// specification of the embedded metric format.
const maxValues = 100

// New returns a Meter that writes to out, which takes whole lines at a time.
func New(out io.Writer, platform string) *Meter {
	return &Meter{out: out, embedded: platform == Lambda}
}

func (m *Meter) add(labels pairs, metrics ...metric) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	id := metrics[0].name + "\x00" + strings.Join(labels, "\x00") // of a metric they come in one order
	l := m.at[id]
	full := l != nil && len(l.series[len(metrics)-1].values) == maxValues // counts come first, and are summed
	if (l == nil || full) && len(m.lines) < maxLines {
		l = &line{labels: labels, series: make([]series, len(metrics))}
		for i, x := range metrics {
			l.series[i].metric = x
		}
		m.lines = append(m.lines, l)
		if m.at == nil {
			m.at = map[string]*line{}
		}
		m.at[id] = l
	}
	if l == nil {
		return
	}
	for i, x := range metrics {
		switch have := l.series[i].values; {
		case x.unit == count && len(have) > 0: // also past what is written: a count stays whole
			have[0] += x.value
		case len(have) < maxValues:
			l.series[i].values = append(l.series[i].values, x.value)
		}
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
	m.lines, m.at = nil, nil
}

// directive tells CloudWatch which fields of a line are metrics
// ("Specification: Embedded metric format", CloudWatch user guide).
type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []definition
}

type definition struct{ Name, Unit string }

func (m *Meter) encode(l *line, now time.Time) []byte {
	doc := map[string]any{}
	for kv := range slices.Chunk(l.labels, 2) {
		doc[kv[0]] = kv[1]
	}
	var ds []directive
	for _, x := range l.series {
		doc[x.name] = x.values
		if len(x.values) == 1 {
			doc[x.name] = x.values[0]
		}
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
	m.add(pairs{"method", method, "route", route, "status", strconv.Itoa(status)},
		metric{"http_requests_total", count, []string{"method", "route", "status"}, 1},
		metric{"http_first_byte_seconds", seconds, []string{"route"}, firstByte.Seconds()}, last)
}

// InFlight does nothing: an invocation is one request.
func (m *Meter) InFlight(int) {}

// Limited counts one request refused by the limit of that name.
func (m *Meter) Limited(limit string) { m.one("rate_limited_total", "limit", limit) }

// Answer counts one answer.
func (m *Meter) Answer(route, outcome string) {
	m.add(pairs{"route", route, "outcome", outcome}, metric{"answers_total", count, []string{"route", "outcome"}, 1})
}

// Degraded counts one answer given in a degraded mode.
func (m *Meter) Degraded(mode string) { m.one("degraded_total", "mode", mode) }

// Document counts one ingested document: ready, duplicate or failed.
func (m *Meter) Document(outcome string) { m.one("documents_total", "outcome", outcome) }

func (m *Meter) one(name, label, value string) {
	m.add(pairs{label, value}, metric{name, count, []string{label}, 1})
}

// Commit observes one transaction of a tenant.
func (m *Meter) Commit(outcome string, took time.Duration) {
	m.add(pairs{"outcome", outcome},
		metric{"commits_total", count, []string{"outcome"}, 1}, metric{"commit_duration_seconds", seconds, []string{}, took.Seconds()})
}

// Storage counts one event of the commit log; see package metrics.
func (m *Meter) Storage(event string) { m.one("storage_events_total", "event", event) }

// Object observes one request to the object store.
func (m *Meter) Object(op, outcome string, took time.Duration) {
	m.add(pairs{"op", op, "outcome", outcome},
		metric{"object_requests_total", count, []string{"op", "outcome"}, 1},
		metric{"object_request_duration_seconds", seconds, []string{"op"}, took.Seconds()})
}

// Model observes one call to a model; see package metrics.
func (m *Meter) Model(kind, outcome string, took time.Duration, tokensIn, tokensOut int) {
	m.add(pairs{"kind", kind, "outcome", outcome},
		metric{"model_requests_total", count, []string{"kind", "outcome"}, 1},
		metric{"model_request_duration_seconds", seconds, []string{"kind"}, took.Seconds()})
	for direction, n := range map[string]int{"in": tokensIn, "out": tokensOut} {
		m.add(pairs{"kind", kind, "direction", direction},
			metric{"model_tokens_total", count, []string{"kind", "direction"}, float64(max(n, 0))})
	}
}

// Retrieval observes one search; channel all is the whole of it.
func (m *Meter) Retrieval(channel string, took time.Duration) {
	m.add(pairs{"channel", channel}, metric{"retrieval_duration_seconds", seconds, []string{"channel"}, took.Seconds()})
}

// Milvus observes one call.
func (m *Meter) Milvus(op string, took time.Duration) {
	m.add(pairs{"op", op}, metric{"milvus_query_duration_seconds", seconds, []string{"op"}, took.Seconds()})
}
