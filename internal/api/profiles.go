//go:build !function

package api

import (
	"net/http"
	"net/http/pprof"
)

// mountProfiles serves what go tool pprof asks for.
func (s *Server) mountProfiles(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"/debug/pprof/": pprof.Index, "/debug/pprof/cmdline": pprof.Cmdline, "/debug/pprof/profile": pprof.Profile,
		"/debug/pprof/symbol": pprof.Symbol, "/debug/pprof/trace": pprof.Trace,
	} {
		mux.Handle(path, s.fails(s.operator(h)))
	}
}
