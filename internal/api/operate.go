package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Meter counts what the surface sees. *metrics.Metrics is one; so is what
// writes metrics as log lines where nothing scrapes.
type Meter interface {
	Request(method, route string, status int, took, firstByte time.Duration, streamed bool)
	InFlight(n int)
	Limited(limit string)
	Answer(route, outcome string)
	Degraded(mode string)
}

// noMeter is the Meter of who wants none.
type noMeter struct{}

func (noMeter) Request(string, string, int, time.Duration, time.Duration, bool) {}
func (noMeter) InFlight(int)                                                    {}
func (noMeter) Limited(string)                                                  {}
func (noMeter) Answer(string, string)                                           {}
func (noMeter) Degraded(string)                                                 {}

// operator lets in keys with scope admin, and without a key only who sits at
// this machine: the peer is loopback, asks for a loopback host, and no proxy
// stands between.
func (s *Server) operator(h http.Handler) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, err := s.keys.Principal(r)
		if err != nil {
			return err
		}
		if !(p.Public() && atThisMachine(r)) {
			if err := p.Require(auth.Admin); err != nil {
				return err
			}
		}
		h.ServeHTTP(w, r)
		return nil
	}
}

func atThisMachine(r *http.Request) bool {
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip" {
			return false
		}
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host != "localhost" && !loopback(strings.Trim(host, "[]")) {
		return false
	}
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && loopback(peer)
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// metrics serves /metrics where something is there to be scraped.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Scrape == nil {
		return kb.E(kb.NotFound, nil, "this process writes its metrics to the log; there is nothing to scrape")
	}
	return s.operator(s.cfg.Scrape)(w, r)
}

// count meters one finished answer.
func (s *Server) count(route kb.Route, m kb.Metadata) {
	outcome := "model"
	switch {
	case m.Abstained:
		outcome = "abstained"
	case route == kb.Handoff:
		outcome = "handoff"
	case m.Quoted:
		outcome = "quoted"
	case m.Model == "":
		outcome = "direct"
	}
	s.cfg.Meter.Answer(string(route), outcome)
	for _, d := range m.Degraded {
		s.cfg.Meter.Degraded(d)
	}
}
