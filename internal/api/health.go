package api

import (
	_ "embed"
	"net/http"
)

// healthBody is the answer of /health and /health/ready.
type healthBody struct {
	Status     string            `json:"status"` // ok, degraded, unavailable
	Version    string            `json:"version"`
	Components map[string]Health `json:"components,omitempty"`
}

// live says that the process runs. It asks nobody: a dependency that is down
// is no reason to restart us.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, healthBody{Status: "ok", Version: s.cfg.Version})
}

// ready says whether requests can be served now.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if !s.backend.Ready(r.Context()) {
		w.Header().Set("Retry-After", "2")
		return writeJSON(w, http.StatusServiceUnavailable, healthBody{Status: "unavailable", Version: s.cfg.Version})
	}
	return writeJSON(w, http.StatusOK, healthBody{Status: "ok", Version: s.cfg.Version})
}

// health says how each part is. A part that is down while we can serve makes
// us degraded, which is 200: a restart would not help.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	parts, ready := s.backend.Health(r.Context())
	body := healthBody{Status: "ok", Version: s.cfg.Version, Components: parts}
	status := http.StatusOK
	for _, p := range parts {
		if p.Status == "down" {
			body.Status = "degraded"
		}
	}
	if !ready {
		body.Status, status = "unavailable", http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "2")
	}
	return writeJSON(w, status, body)
}

//go:embed openapi.json
var openapiJSON []byte

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(openapiJSON) // a write error means that the client left
	return nil
}
