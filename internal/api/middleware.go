package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/telemetry"
)

// recorder remembers what was answered. It keeps Flush and deadlines of the
// writer below reachable through http.ResponseController.
type recorder struct {
	http.ResponseWriter
	status int
	route  string
	tenant kb.TenantID
	first  time.Time // when the first byte went out
	stream bool
	copy   *bytes.Buffer // not nil: what goes out is kept, too, up to keptBytes and a bit
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.first = status, time.Now()
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status, w.first = http.StatusOK, time.Now()
	}
	if w.copy != nil && w.copy.Len() <= keptBytes {
		w.copy.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// outer gives each request its trace id, which log lines of its context carry, bounds how many run at once, catches
// panics, and writes the access log: never a query string, a header or a body.
func (s *Server) outer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := s.newTraceID(r.Context())
		r = r.WithContext(telemetry.WithRequest(r.Context(), id))
		w := &recorder{ResponseWriter: rw}
		w.Header().Set("X-Request-ID", id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		defer s.logRequest(w, r, began)
		defer s.recover(w, r)
		running := s.running.Add(1)
		defer s.running.Add(-1)
		s.cfg.Meter.InFlight(1)
		defer s.cfg.Meter.InFlight(-1)
		if s.cfg.Concurrent > 0 && running > int64(s.cfg.Concurrent) && !strings.HasPrefix(r.URL.Path, "/health") {
			s.fail(w, r, kb.E(kb.Unavailable, nil, "too many requests at once; try again"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) newTraceID(ctx context.Context) string {
	if s.cfg.TraceID != nil {
		if id := s.cfg.TraceID(ctx); id != "" {
			return id
		}
	}
	return strings.ToLower(rand.Text())
}

func (s *Server) recover(w *recorder, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(p)
	}
	s.log.ErrorContext(r.Context(), "handler panicked", "panic", p, "stack", string(debug.Stack()))
	s.fail(w, r, errors.New("panic"))
}

func (s *Server) logRequest(w *recorder, r *http.Request, began time.Time) {
	took := time.Since(began)
	first := took
	if !w.first.IsZero() {
		first = w.first.Sub(began)
	}
	s.cfg.Meter.Request(r.Method, w.route, w.status, took, first, w.stream)
	level := slog.LevelDebug
	slow := s.cfg.SlowRequest > 0 && !w.stream && took >= s.cfg.SlowRequest
	if slow {
		level = slog.LevelWarn
	}
	s.log.LogAttrs(r.Context(), level, "request", slog.Bool("slow", slow), slog.String("method", r.Method), slog.String("route", w.route), slog.Int("status", w.status),
		slog.Duration("duration", took), slog.String("tenant", string(w.tenant)))
}

// dispatch picks the method of a route; HEAD is GET without a body.
func (s *Server) dispatch(rt route) http.Handler {
	allow := make([]string, 0, len(rt.methods)+2)
	for m := range rt.methods {
		allow = append(allow, m)
	}
	if rt.methods["GET"] != nil {
		allow = append(allow, "HEAD")
	}
	slices.Sort(allow)
	return s.fails(func(w http.ResponseWriter, r *http.Request) error {
		if rec, ok := w.(*recorder); ok {
			rec.route = rt.path
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		h := rt.methods[method]
		if h == nil || r.Method == http.MethodHead && rt.path == "/chat" { // a question is asked for its answer
			w.Header().Set("Allow", strings.Join(allow, ", "))
			return kb.E(kb.MethodNotAllowed, nil, "%s is not possible here; use %s", r.Method, strings.Join(allow, ", "))
		}
		return h(w, r)
	})
}

// fails answers with the error a handler returns.
func (s *Server) fails(h handlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

// clientAddr is the address of the client: the peer's, or, behind a trusted
// proxy, the last address of X-Forwarded-For that is not such a proxy.
func (s *Server) clientAddr(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !s.trusted(host) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if _, err := netip.ParseAddr(hop); err != nil {
			break
		}
		host = hop
		if !s.trusted(hop) {
			break
		}
	}
	return host
}

func (s *Server) trusted(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(s.cfg.TrustedProxy, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}
