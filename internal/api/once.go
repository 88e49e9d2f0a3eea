package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// once makes h happen once for an Idempotency-Key: who repeats a request gets
// the answer of the first one. A key is its caller's own, for 7 days.
func (s *Server) once(h handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if key := r.Header.Get("Idempotency-Key"); key != "" {
			return s.onlyOnce(w, r, h, key)
		}
		return h(w, r)
	}
}

func (s *Server) onlyOnce(w http.ResponseWriter, r *http.Request, h handlerFunc, key string) error {
	if len(key) > 255 || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return kb.E(kb.Invalid, nil, "Idempotency-Key: use 1 to 255 printable ASCII characters, such as a UUID").With("field", "Idempotency-Key")
	}
	p, err := s.keys.Principal(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxUpload+s.cfg.MaxBody)) // h has narrower limits of its own
	if err != nil {
		return explainJSON(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var named struct {
		Tenant  string `json:"tenant_id"`
		Session string `json:"session_id"`
	}
	_ = json.Unmarshal(body, &named) // h says what is wrong with it
	if p.Public() && named.Session == "" {
		return h(w, r) // nothing tells this visitor from another with the same key
	}
	t, err := s.known(w, r, p, named.Tenant)
	if kb.KindOf(err) == kb.NotFound {
		return h(w, r) // which refuses
	}
	if err != nil {
		return err
	}
	rc := &kb.Receipt{ID: digest(p.KeyID, visitor(p, named.Session), r.Method, r.URL.Path, key), Body: digest(r.Header.Get("X-User-Token"), content(r, body)), At: now()}
	before, err := t.Receipts.Receipt(r.Context(), rc.ID, rc.At)
	switch {
	case err == nil:
		return s.repeat(w, r, t, before, rc.Body)
	case kb.KindOf(err) != kb.NotFound:
		return err
	}
	return s.first(w, r.WithContext(kb.WithReceipt(r.Context(), rc)), t, h, rc)
}

// known opens the tenant that r names, or its body does. Whoever has a key that
// can do something makes it, as with every first request.
func (s *Server) known(w http.ResponseWriter, r *http.Request, p auth.Principal, inBody string) (Tenant, error) {
	if p.Can(auth.Chat) || p.Can(auth.Ingest) || p.Can(auth.Admin) {
		return s.open(w, r, p, inBody)
	}
	id, err := p.ForTenant(r.Header.Get("X-Tenant-ID"), r.URL.Query().Get("tenant"), inBody)
	if err != nil {
		return Tenant{}, err
	}
	return s.backend.Tenant(r.Context(), id, false)
}

// visitor tells callers without a key apart: by their session, which only they
// know.
func visitor(p auth.Principal, session string) string {
	if p.Public() {
		return session
	}
	return ""
}

// content is a body as it is compared: the boundary of a form is another one
// each time.
func content(r *http.Request, body []byte) string {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if b := params["boundary"]; err == nil && b != "" {
		return strings.ReplaceAll(string(body), b, "")
	}
	return string(body)
}

// keptBytes bounds the answers that are kept; ours are smaller.
const keptBytes = 1 << 20

// first carries the request out and keeps its answer.
func (s *Server) first(w http.ResponseWriter, r *http.Request, t Tenant, h handlerFunc, rc *kb.Receipt) error {
	rec, ok := w.(*recorder)
	if !ok {
		rec = &recorder{ResponseWriter: w}
	}
	rec.copy = new(bytes.Buffer)
	err := h(rec, r)
	if errors.Is(err, kb.ErrRepeated) { // another one came first, while we were at it
		before, err := t.Receipts.Receipt(r.Context(), rc.ID, now())
		if err != nil {
			return err
		}
		return s.repeat(w, r, t, before, rc.Body)
	}
	if err != nil || rec.status >= 300 || rc.Turn != "" || rec.copy.Len() > keptBytes {
		return err
	}
	rc.Status, rc.Type, rc.Answer = rec.status, rec.Header().Get("Content-Type"), rec.copy.Bytes()
	if err := t.Receipts.KeepReceipt(r.Context(), *rc); err != nil {
		// The change is noted already where one was made: only its answer is lost.
		s.log.WarnContext(r.Context(), "the answer to a request with an Idempotency-Key was not kept", "error", err)
	}
	return nil
}

// repeat answers a request that was carried out before.
func (s *Server) repeat(w http.ResponseWriter, r *http.Request, t Tenant, rc kb.Receipt, body string) error {
	if rc.Body != body {
		return kb.E(kb.Conflict, nil, "Idempotency-Key: it was used for another body; use a new key for a new request").With("field", "Idempotency-Key")
	}
	w.Header().Set("Idempotent-Replayed", "true")
	switch {
	case rc.Turn != "":
		return s.repeatTurn(w, r, t, rc.Turn)
	case rc.Status == 0:
		return writeJSON(w, http.StatusOK, map[string]any{"success": true, "replayed": true})
	}
	w.Header().Set("Content-Type", rc.Type)
	w.WriteHeader(rc.Status)
	_, err := w.Write(rc.Answer)
	return err
}

// repeatTurn answers a question that was answered before.
func (s *Server) repeatTurn(w http.ResponseWriter, r *http.Request, t Tenant, id kb.TurnID) error {
	p, err := s.keys.Principal(r)
	if err != nil {
		return err
	}
	user, err := s.user(r, t)
	if err != nil {
		return err
	}
	turn, err := t.Conversations.Turn(r.Context(), id, owner(p, user))
	if err != nil {
		return err
	}
	turn.Metadata.Replayed = true
	var req chatRequest
	if body, err := io.ReadAll(r.Body); err == nil {
		_ = json.Unmarshal(body, &req) // it was good the first time
	}
	if req.Stream || strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return s.sendTurn(w, r, t, turn)
	}
	if err := s.stillQuotable(r, t, turn); err != nil {
		return err
	}
	answer, err := drain(func(yield func(kb.Event, error) bool) {
		for _, ev := range replay(turn) {
			if !yield(ev, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	s.sign(t.ID, answer.Sources)
	return writeJSON(w, http.StatusOK, answer)
}

// digest is a hash of parts that cannot be confused with that of others.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}
