package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// adminRoutes are the routes of operators.
func (s *Server) adminRoutes() []route {
	type m = map[string]handlerFunc
	return []route{
		{"/admin/tenants", m{"GET": s.tenantList, "POST": s.tenantPost}},
		{"/admin/tenants/{id}", m{"DELETE": s.tenantDelete}},
		{"/admin/tenants/{id}/backup", m{"POST": s.backupPost}},
		{"/admin/tenants/{id}/backups", m{"GET": s.backupList}},
		{"/admin/tenants/{id}/restore", m{"POST": s.restorePost}},
		{"/admin/tenants/{id}/undo", m{"POST": s.undoPost}},
		{"/admin/tenants/{id}/export", m{"GET": s.exportGet}},
		{"/admin/tenants/{id}/import", m{"POST": s.importPost}},
		{"/admin/tenants/{id}/keys", m{"GET": s.keyList, "POST": s.keyPost}},
		{"/admin/tenants/{id}/keys/{key}", m{"DELETE": s.keyDelete}},
		{"/admin/keys", m{"GET": s.keyList, "POST": s.keyPost}},
		{"/admin/keys/{key}", m{"DELETE": s.keyDelete}},
		{"/admin/log-level", m{"GET": s.levelGet, "POST": s.levelPost}},
		{"/admin/audit", m{"GET": s.auditList}},
	}
}

// manager authorises r and returns who asks. A key that is bound to a tenant
// manages no servers and no tenants, whatever its scopes say.
func (s *Server) manager(r *http.Request, scope auth.Scope) (op Operator, actor string, err error) {
	op, ok := s.backend.(Operator)
	if !ok {
		return nil, "", notFound(nil, r)
	}
	p, err := s.keys.Principal(r)
	if err != nil {
		return nil, "", err
	}
	if err := p.Require(scope); err != nil {
		return nil, "", err
	}
	if p.Tenant != "" {
		return nil, "", kb.E(kb.Forbidden, nil, "this key is bound to a tenant; this needs one that is not")
	}
	return op, p.KeyID, nil
}

// longWork is how long moving a whole tenant may take before its answer.
const longWork = 30 * time.Minute

// root is manager for one tenant and what may take its time.
func (s *Server) root(w http.ResponseWriter, r *http.Request) (op Operator, actor string, id kb.TenantID, err error) {
	if op, actor, err = s.manager(r, auth.Root); err != nil {
		return nil, "", "", err
	}
	if id, err = kb.ParseTenant(r.PathValue("id")); err != nil {
		return nil, "", "", err
	}
	if rec, ok := w.(*recorder); ok {
		rec.tenant = id
	}
	_ = http.NewResponseController(w).SetWriteDeadline(now().Add(longWork)) // not on every platform
	return op, actor, id, nil
}

func (s *Server) tenantList(w http.ResponseWriter, r *http.Request) error {
	op, _, err := s.manager(r, auth.Root)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	ts, next, err := op.Tenants(r.Context(), p)
	if err != nil {
		return err
	}
	return list(w, "tenants", ts, next)
}

func (s *Server) tenantPost(w http.ResponseWriter, r *http.Request) error {
	op, actor, err := s.manager(r, auth.Root)
	if err != nil {
		return err
	}
	var req struct {
		ID string `json:"id"`
	}
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	id, err := kb.ParseTenant(req.ID)
	if err != nil {
		return err
	}
	if err := op.CreateTenant(r.Context(), actor, id); err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, map[string]kb.TenantID{"id": id})
}

func (s *Server) tenantDelete(w http.ResponseWriter, r *http.Request) error {
	op, actor, id, err := s.root(w, r)
	if err != nil {
		return err
	}
	if err := op.DeleteTenant(r.Context(), actor, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) backupPost(w http.ResponseWriter, r *http.Request) error {
	op, actor, id, err := s.root(w, r)
	if err != nil {
		return err
	}
	b, err := op.BackUp(r.Context(), actor, id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, b)
}

func (s *Server) backupList(w http.ResponseWriter, r *http.Request) error {
	op, _, id, err := s.root(w, r)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	ps, next, err := op.RestorePoints(r.Context(), id, p)
	if err != nil {
		return err
	}
	return list(w, "backups", ps, next)
}

func (s *Server) restorePost(w http.ResponseWriter, r *http.Request) error {
	op, actor, id, err := s.root(w, r)
	if err != nil {
		return err
	}
	var req struct {
		Time    string `json:"time"`
		Commit  string `json:"commit"`
		Preview bool   `json:"preview"`
	}
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	at, err := moment(req.Time, req.Commit)
	if err != nil {
		return err
	}
	if at == (Moment{}) {
		return kb.E(kb.Invalid, nil, "time, commit: give one of the two").With("field", "time")
	}
	res, err := op.Restore(r.Context(), actor, id, at, req.Preview)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, res)
}

func moment(at, commit string) (Moment, error) {
	m := Moment{Commit: commit}
	if at == "" {
		return m, nil
	}
	if commit != "" {
		return m, kb.E(kb.Invalid, nil, "time, commit: give one of the two, not both").With("field", "time")
	}
	var err error
	if m.Time, err = time.Parse(time.RFC3339Nano, at); err != nil {
		return m, kb.E(kb.Invalid, err, "time: use RFC 3339, such as 2026-05-01T12:00:00Z").With("field", "time")
	}
	return m, nil
}

func (s *Server) undoPost(w http.ResponseWriter, r *http.Request) error {
	op, actor, id, err := s.root(w, r)
	if err != nil {
		return err
	}
	res, err := op.Undo(r.Context(), actor, id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, res)
}

// exportGet sends the file; its manifest is in the header X-Export-Manifest,
// its hash in Repr-Digest (RFC 9530).
func (s *Server) exportGet(w http.ResponseWriter, r *http.Request) error {
	op, actor, id, err := s.root(w, r)
	if err != nil {
		return err
	}
	at, err := moment(r.URL.Query().Get("time"), r.URL.Query().Get("commit"))
	if err != nil {
		return err
	}
	return op.Export(r.Context(), actor, id, at, func(e Exported) error {
		h := w.Header()
		h.Set("Content-Type", "application/vnd.sqlite3")
		h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s"`, e.Name))
		h.Set("Content-Length", strconv.FormatInt(e.Bytes, 10))
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(e.SHA256)+":")
		h.Set("X-Export-Manifest", string(e.Manifest))
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodHead {
			return nil
		}
		rc := http.NewResponseController(w)
		for {
			_ = rc.SetWriteDeadline(now().Add(chunkTime)) // not on every platform
			if _, err := io.CopyN(w, e.File, 1<<20); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return fmt.Errorf("send export: %w", err)
			}
		}
	})
}

// chunkTime is how long a client may take for one MiB of a tenant: 9 KB/s.
const chunkTime = 2 * time.Minute

// maxImport bounds an imported file; a tenant of 4 GiB is beyond what one
// database is for.
const maxImport = 4 << 30

// importPost takes the file as the body. ?replace=true puts it in the place of
// a tenant that exists, ?sha256= makes sure that it is the one that was meant.
func (s *Server) importPost(w http.ResponseWriter, r *http.Request) error {
	op, actor, id, err := s.root(w, r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	replace := false
	if v := q.Get("replace"); v != "" {
		if replace, err = strconv.ParseBool(v); err != nil {
			return kb.E(kb.Invalid, err, "replace: use true or false").With("field", "replace")
		}
	}
	if r.ContentLength > maxImport {
		return tooLarge(maxImport)
	}
	body := &slowBody{r: http.MaxBytesReader(w, r.Body, maxImport), rc: http.NewResponseController(w)}
	im, err := op.Import(r.Context(), actor, id, body, q.Get("sha256"), replace)
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(big.Limit)
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, im)
}

// slowBody renews the time to read as long as bytes arrive.
type slowBody struct {
	r  io.Reader
	rc *http.ResponseController
}

func (b *slowBody) Read(p []byte) (int, error) {
	_ = b.rc.SetReadDeadline(now().Add(chunkTime)) // not on every platform
	return b.r.Read(p)
}

func (s *Server) levelGet(w http.ResponseWriter, r *http.Request) error {
	op, _, err := s.manager(r, auth.Admin)
	if err != nil {
		return err
	}
	l, err := op.LogLevel(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, l)
}

func (s *Server) levelPost(w http.ResponseWriter, r *http.Request) error {
	op, actor, err := s.manager(r, auth.Admin)
	if err != nil {
		return err
	}
	var req struct {
		Level string `json:"level"`
		For   string `json:"for"`
	}
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	switch req.Level {
	case "debug", "info", "warn", "error":
	default:
		return kb.E(kb.Invalid, nil, "level: use debug, info, warn or error").With("field", "level")
	}
	hold, err := span("for", req.For, 30*24*time.Hour)
	if err != nil {
		return err
	}
	l, err := op.SetLogLevel(r.Context(), actor, req.Level, hold)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, l)
}

// span parses a duration of a request; "" is 0.
func span(field, text string, most time.Duration) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > most {
		return 0, kb.E(kb.Invalid, err, "%s: use a duration such as 24h, at most %s", field, most).With("field", field)
	}
	return d, nil
}

func (s *Server) auditList(w http.ResponseWriter, r *http.Request) error {
	op, _, err := s.manager(r, auth.Root)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	of := kb.TenantID("")
	if t := r.URL.Query().Get("tenant"); t != "" {
		if of, err = kb.ParseTenant(t); err != nil {
			return err
		}
	}
	es, next, err := op.Audit(r.Context(), of, p)
	if err != nil {
		return err
	}
	return list(w, "audit", es, next)
}
