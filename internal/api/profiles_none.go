//go:build function

package api

import "net/http"

// mountProfiles serves nothing: who asked one of many instances for its profile
// would not know which, and functions sample no memory.
func (s *Server) mountProfiles(*http.ServeMux) {}
