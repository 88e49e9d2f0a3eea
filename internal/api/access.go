package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/ratelimit"
)

// tenantFor authorises r for one scope and opens the tenant it is for. Nothing
// of the body was read before.
func (s *Server) tenantFor(w http.ResponseWriter, r *http.Request, scope auth.Scope) (Tenant, error) {
	p, err := s.keys.Principal(r)
	if err != nil {
		return Tenant{}, err
	}
	if err := p.Require(scope); err != nil {
		return Tenant{}, err
	}
	return s.open(w, r, p, "")
}

// open opens the tenant that r names, or its body does, for p.
func (s *Server) open(w http.ResponseWriter, r *http.Request, p auth.Principal, inBody string) (Tenant, error) {
	id, err := p.ForTenant(r.Header.Get("X-Tenant-ID"), r.URL.Query().Get("tenant"), inBody)
	if err != nil {
		return Tenant{}, err
	}
	if rec, ok := w.(*recorder); ok {
		rec.tenant = id
	}
	if p.Public() && !slices.Contains(s.cfg.PublicTenants, id) {
		return Tenant{}, kb.E(kb.Unauthenticated, nil, "this tenant needs an API key with scope %q: send it as X-API-Key or Authorization: Bearer", auth.Chat)
	}
	return s.backend.Tenant(r.Context(), id, !p.Public() && s.cfg.AutoCreate)
}

// limit counts the request under key and refuses it when there were too many
// in this minute.
func (s *Server) limit(w http.ResponseWriter, key string, perMinute int) error {
	now := time.Now()
	d := s.limits.Allow(key, perMinute, time.Minute, now)
	if d.Limit > 0 {
		setLimit(w.Header(), d)
	}
	if d.OK {
		return nil
	}
	name, _, _ := strings.Cut(key, " ")
	s.cfg.Meter.Limited(name)
	e := kb.E(kb.RateLimited, nil, "too many requests: at most %d a minute", d.Limit)
	e.Retry = d.Reset.Sub(now)
	return e
}

func setLimit(h http.Header, d ratelimit.Decision) {
	h.Set("X-RateLimit-Limit", strconv.Itoa(d.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(d.Remaining))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(d.Reset.Unix(), 10))
}
