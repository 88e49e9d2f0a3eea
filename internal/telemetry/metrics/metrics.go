// Package metrics counts what the product does, for Prometheus. Each Metrics
// has a registry of its own, so two apps live in one process. It is apart from
// package telemetry because its imports would triple the smallest function.
//
// Users of it declare the one or two methods they call; all methods may be
// called on a nil *Metrics and then do nothing, and all are safe for
// concurrent use. Labels are patterns and words of ours, never a path, a
// tenant or anything a caller can invent: each value is a time series for ever.
package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Buckets in seconds. Requests: from the 2 ms we promise before a model is
// called (DESIGN §7) to the request timeout of the guide, 30 s.
var (
	requestBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	streamBuckets  = []float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	workBuckets    = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 30}
)

// Metrics is one set of counters and histograms.
type Metrics struct {
	registry *prometheus.Registry

	requests    *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	firstByte   *prometheus.HistogramVec
	stream      *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	limited     *prometheus.CounterVec
	answers     *prometheus.CounterVec
	degraded    *prometheus.CounterVec
	retrieval   *prometheus.HistogramVec
	milvus      *prometheus.HistogramVec
	modelCalls  *prometheus.CounterVec
	modelTime   *prometheus.HistogramVec
	modelTokens *prometheus.CounterVec
	cache       *prometheus.CounterVec
	documents   *prometheus.CounterVec
	commits     *prometheus.CounterVec
	commitTime  prometheus.Histogram
	storage     *prometheus.CounterVec
	objects     *prometheus.CounterVec
	objectTime  *prometheus.HistogramVec
}

// New makes the counters of one app.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),

		requests:    counter("http_requests_total", "Requests answered.", "method", "route", "status"),
		duration:    histogram("http_request_duration_seconds", "Time to the last byte of an answer that is not streamed.", requestBuckets, "method", "route"),
		firstByte:   histogram("http_first_byte_seconds", "Time to the first byte of any answer.", requestBuckets, "route"),
		stream:      histogram("http_stream_duration_seconds", "Time to the last byte of a streamed answer.", streamBuckets, "route"),
		inFlight:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight", Help: "Requests running now."}),
		limited:     counter("rate_limited_total", "Requests refused by a rate limit.", "limit"),
		answers:     counter("answers_total", "Questions answered.", "route", "outcome"),
		degraded:    counter("degraded_total", "Answers given in a degraded mode.", "mode"),
		retrieval:   histogram("retrieval_duration_seconds", "Time of one search.", workBuckets, "channel"),
		milvus:      histogram("milvus_query_duration_seconds", "Time of one call to Milvus.", workBuckets, "op"),
		modelCalls:  counter("model_requests_total", "Calls to models.", "kind", "outcome"),
		modelTime:   histogram("model_request_duration_seconds", "Time of one call to a model.", streamBuckets, "kind"),
		modelTokens: counter("model_tokens_total", "Tokens sent to and received from models.", "kind", "direction"),
		cache:       counter("cache_requests_total", "Look-ups in the answer cache.", "result"),
		documents:   counter("documents_total", "Documents ingested.", "outcome"),
		commits:     counter("commits_total", "Transactions of tenants.", "outcome"),
		commitTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "commit_duration_seconds", Help: "Time of one transaction, the store's answer included.", Buckets: workBuckets,
		}),
		storage:    counter("storage_events_total", "What the commit log met; an alarm needs an operator.", "event"),
		objects:    counter("object_requests_total", "Requests to the object store.", "op", "outcome"),
		objectTime: histogram("object_request_duration_seconds", "Time of one request to the object store.", workBuckets, "op"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "build_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.requests, m.duration, m.firstByte, m.stream, m.inFlight, m.limited, m.answers, m.degraded, m.retrieval, m.milvus,
		m.modelCalls, m.modelTime, m.modelTokens, m.cache, m.documents, m.commits, m.commitTime, m.storage, m.objects, m.objectTime, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// Handler writes the metrics in the format the scraper asks for. It checks no
// key: package api does.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// Gauge exports the value that read returns at each scrape, such as the
// number of open connections. read must be fast and safe for concurrent use.
// A second gauge of a name is an error.
func (m *Metrics) Gauge(name, help string, read func() float64) error {
	if m == nil {
		return nil
	}
	return m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Request counts one request. route is the pattern that matched, "" for none.
func (m *Metrics) Request(method, route string, status int, took, firstByte time.Duration, streamed bool) {
	if m == nil {
		return
	}
	method = known(method)
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.firstByte.WithLabelValues(route).Observe(firstByte.Seconds())
	if streamed {
		// A stream lasts as long as the model talks: in one histogram with
		// the rest it would set off HighResponseTime for nothing.
		m.stream.WithLabelValues(route).Observe(took.Seconds())
		return
	}
	m.duration.WithLabelValues(method, route).Observe(took.Seconds())
}

// known keeps a client from inventing methods, each of which would be a time
// series for ever.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// InFlight adds n, which is 1 or -1, to the requests running now.
func (m *Metrics) InFlight(n int) {
	if m != nil {
		m.inFlight.Add(float64(n))
	}
}

// Limited counts one request refused by the limit of that name.
func (m *Metrics) Limited(limit string) {
	if m != nil {
		m.limited.WithLabelValues(limit).Inc()
	}
}

// Answer counts one answer: its route and model, quoted, abstained, handoff,
// cached or error.
func (m *Metrics) Answer(route, outcome string) {
	if m != nil {
		m.answers.WithLabelValues(route, outcome).Inc()
	}
}

// Degraded counts one answer given in a degraded mode.
func (m *Metrics) Degraded(mode string) {
	if m != nil {
		m.degraded.WithLabelValues(mode).Inc()
	}
}

// Retrieval observes one search; channel all is the whole of it.
func (m *Metrics) Retrieval(channel string, took time.Duration) {
	if m != nil {
		m.retrieval.WithLabelValues(channel).Observe(took.Seconds())
	}
}

// Milvus observes one call: search, upsert, delete …
func (m *Metrics) Milvus(op string, took time.Duration) {
	if m != nil {
		m.milvus.WithLabelValues(op).Observe(took.Seconds())
	}
}

// Model observes one call to a model: chat, embedding or rerank; outcome is ok
// or the kind of error.
func (m *Metrics) Model(kind, outcome string, took time.Duration, tokensIn, tokensOut int) {
	if m == nil {
		return
	}
	m.modelCalls.WithLabelValues(kind, outcome).Inc()
	m.modelTime.WithLabelValues(kind).Observe(took.Seconds())
	m.modelTokens.WithLabelValues(kind, "in").Add(float64(max(tokensIn, 0)))
	m.modelTokens.WithLabelValues(kind, "out").Add(float64(max(tokensOut, 0)))
}

// Cache counts one look-up: hit, miss or error.
func (m *Metrics) Cache(result string) {
	if m != nil {
		m.cache.WithLabelValues(result).Inc()
	}
}

// Document counts one ingested document: ready, duplicate or failed.
func (m *Metrics) Document(outcome string) {
	if m != nil {
		m.documents.WithLabelValues(outcome).Inc()
	}
}

// Commit observes one transaction of a tenant: ok, repeated, refused,
// canceled or error.
func (m *Metrics) Commit(outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.commits.WithLabelValues(outcome).Inc()
	m.commitTime.Observe(took.Seconds())
}

// Object observes one request to the object store: get, create, list …
func (m *Metrics) Object(op, outcome string, took time.Duration) {
	if m == nil {
		return
	}
	m.objects.WithLabelValues(op, outcome).Inc()
	m.objectTime.WithLabelValues(op).Observe(took.Seconds())
}

// Storage counts one event of the commit log: commit, conflict, reload, unknown,
// untidy, alarm.
func (m *Metrics) Storage(event string) {
	if m != nil {
		m.storage.WithLabelValues(event).Inc()
	}
}
