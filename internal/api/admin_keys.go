package api

import (
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// keysOf is who asks for the keys of which tenant: that of the path, or none.
func (s *Server) keysOf(w http.ResponseWriter, r *http.Request) (op Operator, actor string, of kb.TenantID, err error) {
	if r.PathValue("id") == "" {
		op, actor, err = s.manager(r, auth.Root)
		return op, actor, "", err
	}
	return s.root(w, r)
}

func (s *Server) keyList(w http.ResponseWriter, r *http.Request) error {
	op, _, of, err := s.keysOf(w, r)
	if err != nil {
		return err
	}
	ks, err := op.Keys(r.Context(), of)
	if err != nil {
		return err
	}
	return list(w, "keys", ks, "")
}

// keyRequest is the body of a new key.
type keyRequest struct {
	Name     string   `json:"name"`
	Scopes   []string `json:"scopes"`
	Expires  string   `json:"expires_in"`
	Replaces string   `json:"replaces"`
	Overlap  string   `json:"overlap"`
}

// Bounds of a key's times and name. Ten years are for ever.
const (
	maxKeyLife     = 87600 * time.Hour
	maxKeyOverlap  = 90 * 24 * time.Hour
	defaultOverlap = 24 * time.Hour
	maxKeyName     = 100 // characters
)

func (req keyRequest) key(of kb.TenantID) (k NewKey, err error) {
	k = NewKey{Name: req.Name, Scopes: req.Scopes, Replaces: req.Replaces}
	if utf8.RuneCountInString(req.Name) > maxKeyName {
		return k, kb.E(kb.Invalid, nil, "name: at most %d characters", maxKeyName).With("field", "name")
	}
	if len(req.Scopes) == 0 && req.Replaces == "" {
		return k, kb.E(kb.Invalid, nil, "scopes: name at least one of chat, ingest, admin, root").With("field", "scopes")
	}
	for _, sc := range req.Scopes {
		if !slices.Contains([]auth.Scope{auth.Chat, auth.Ingest, auth.Admin, auth.Root}, auth.Scope(sc)) {
			return k, kb.E(kb.Invalid, nil, "scopes: %q is none of chat, ingest, admin, root", sc).With("field", "scopes")
		}
		if of != "" && auth.Scope(sc) == auth.Root {
			return k, kb.E(kb.Invalid, nil, "scopes: a key of a tenant cannot be root; make it under /admin/keys").With("field", "scopes")
		}
	}
	if k.Life, err = span("expires_in", req.Expires, maxKeyLife); err != nil {
		return k, err
	}
	if k.Overlap, err = span("overlap", req.Overlap, maxKeyOverlap); err != nil {
		return k, err
	}
	if k.Overlap > 0 && k.Replaces == "" {
		return k, kb.E(kb.Invalid, nil, "overlap: it is for a key that replaces another; name that in replaces").With("field", "overlap")
	}
	if k.Overlap == 0 {
		k.Overlap = defaultOverlap
	}
	return k, nil
}

func (s *Server) keyPost(w http.ResponseWriter, r *http.Request) error {
	op, actor, of, err := s.keysOf(w, r)
	if err != nil {
		return err
	}
	var req keyRequest
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	k, err := req.key(of)
	if err != nil {
		return err
	}
	made, err := op.CreateKey(r.Context(), actor, of, k)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, made)
}

func (s *Server) keyDelete(w http.ResponseWriter, r *http.Request) error {
	op, actor, of, err := s.keysOf(w, r)
	if err != nil {
		return err
	}
	if err := op.DeleteKey(r.Context(), actor, of, r.PathValue("key")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
