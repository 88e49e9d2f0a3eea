package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/telemetry"
)

// errorBody is the shape of every error (DESIGN §6).
type errorBody struct {
	Code    int            `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
	Trace   string         `json:"trace_id"`
}

// statusOf maps kinds to status codes. 499 is nginx's code for a client that
// left; nobody reads it but the log.
func statusOf(k kb.Kind) int {
	switch k {
	case kb.Invalid:
		return http.StatusBadRequest
	case kb.Unauthenticated:
		return http.StatusUnauthorized
	case kb.Forbidden:
		return http.StatusForbidden
	case kb.NotFound:
		return http.StatusNotFound
	case kb.MethodNotAllowed:
		return http.StatusMethodNotAllowed
	case kb.Conflict:
		return http.StatusConflict
	case kb.TooLarge:
		return http.StatusRequestEntityTooLarge
	case kb.Unsupported:
		return http.StatusUnsupportedMediaType
	case kb.Unprocessable:
		return http.StatusUnprocessableEntity
	case kb.RateLimited:
		return http.StatusTooManyRequests
	case kb.Unavailable:
		return http.StatusServiceUnavailable
	case kb.Canceled:
		return 499
	}
	return http.StatusInternalServerError
}

// explain returns what the one who asked may know of err.
func explain(ctx context.Context, err error) (e kb.Error) {
	if found, ok := errors.AsType[*kb.Error](err); ok {
		e = *found
	} else if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		e = kb.Error{Kind: kb.Canceled, Msg: "the client left"}
	} else if errors.Is(err, context.DeadlineExceeded) {
		e = kb.Error{Kind: kb.Unavailable, Msg: "this took too long; try again"}
	}
	if e.Kind == kb.Internal {
		e = kb.Error{Kind: kb.Internal, Msg: "internal error; tell us the trace_id"}
	}
	return e
}

// retryAfter is what we ask of a client when we do not know better.
const retryAfter = 2 * time.Second

// fail answers with err, if nothing was answered yet, and logs what somebody
// should look at.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := explain(r.Context(), err)
	status := statusOf(e.Kind)
	if status >= 500 {
		s.log.ErrorContext(r.Context(), "request failed", "status", status, "path", r.URL.Path, "error", err)
	}
	if rec, ok := w.(*recorder); ok && rec.status != 0 {
		return // half an answer is out: only the connection can tell
	}
	h := w.Header()
	switch e.Kind {
	case kb.Unavailable, kb.RateLimited:
		wait := e.Retry
		if wait <= 0 {
			wait = retryAfter
		}
		h.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	case kb.Unauthenticated:
		h.Set("WWW-Authenticate", `Bearer realm="eino-qa"`)
	}
	body := errorBody{Code: status, Message: e.Msg, Details: e.Details, Trace: telemetry.RequestOf(r.Context())}
	if e.Kind == kb.TooLarge || e.Kind == kb.Unauthenticated || r.ContentLength > readByServer {
		failEarly(w, r, status, body)
		return
	}
	_ = writeJSON(w, status, body)
}

// readByServer is what net/http itself reads of a body that a handler left.
const readByServer = 256 << 10

// Bounds of what is read and thrown away after a refusal: six times the largest
// upload by default, from a client that keeps sending.
const (
	drainBytes = 64 << 20
	drainTime  = 5 * time.Second
)

// failEarly answers while the body may still be on its way. Who closes a
// connection with bytes unread resets it, and a client that sends its body to
// the end before it reads, as curl and net/http do, never sees the answer: so
// the answer goes out whole, and then the rest comes in, up to a bound.
func failEarly(w http.ResponseWriter, r *http.Request, status int, body errorBody) {
	if data, err := encode(body); err == nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(data))) // the client knows its end, and may hang up
	}
	w.Header().Set("Connection", "close")
	_ = writeJSON(w, status, body)
	if r.Body == nil || r.Header.Get("Expect") != "" { // who asks first whether to send has its answer
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.Flush()
	_ = rc.SetReadDeadline(time.Now().Add(drainTime))
	_, _ = io.CopyN(io.Discard, r.Body, drainBytes)
}

// writeJSON answers with v. A write error means that the client left.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := encode(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(data)
	return nil
}

// encode is JSON on one line with its line end. Links keep their '&': nobody
// puts our answers into HTML without escaping them first.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return b.Bytes(), err
}

// tooLarge is the 413 that names the limit.
func tooLarge(limit int64) error {
	return kb.E(kb.TooLarge, nil, "the body is larger than %s", size(limit)).With("limit_bytes", limit)
}

func size(n int64) string {
	if n%(1<<20) == 0 {
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// readJSON decodes the body into v: one JSON value, known fields only, at most
// limit bytes, whatever Content-Type says (curl -d calls JSON a form).
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	if r.ContentLength > limit {
		return tooLarge(limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return explainJSON(err)
	}
	if at := firstInvalid(body); at >= 0 { // the decoder would put U+FFFD in its place and say nothing
		return kb.E(kb.Invalid, nil, "body: not UTF-8 at byte %d; send JSON as UTF-8", at)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return explainJSON(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return kb.E(kb.Invalid, err, "body: send one JSON object and nothing after it")
	}
	return nil
}

// firstInvalid is the place of the first byte that is not UTF-8, -1 if none is.
func firstInvalid(b []byte) int {
	for at := 0; at < len(b); {
		r, n := utf8.DecodeRune(b[at:])
		if r == utf8.RuneError && n == 1 {
			return at
		}
		at += n
	}
	return -1
}

func explainJSON(err error) error {
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(big.Limit)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return kb.E(kb.Invalid, err, "%s: want %s, got %s", orBody(wrong.Field), jsonName(wrong.Type.String()), wrong.Value).With("field", orBody(wrong.Field))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return kb.E(kb.Invalid, err, "%s: unknown field; remove it or correct its name", name).With("field", name)
	}
	if errors.Is(err, io.EOF) {
		return kb.E(kb.Invalid, err, "body: it is empty; send a JSON object")
	}
	return kb.E(kb.Invalid, err, "body: not valid JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}

func orBody(field string) string {
	if field == "" {
		return "body"
	}
	return field
}

// jsonName calls a Go type what a JSON writer calls it.
func jsonName(goType string) string {
	switch {
	case goType == "bool":
		return "true or false"
	case goType == "string" || strings.HasPrefix(goType, "kb."):
		return "a string"
	case strings.HasPrefix(goType, "int") || strings.HasPrefix(goType, "float"):
		return "a number"
	case strings.HasPrefix(goType, "["):
		return "a list"
	}
	return "an object"
}

// page reads limit and cursor.
func page(r *http.Request) (kb.Page, error) {
	q := r.URL.Query()
	p := kb.Page{Cursor: q.Get("cursor")}
	if l := q.Get("limit"); l != "" {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 || n > 200 {
			return p, kb.E(kb.Invalid, err, "limit: use a number from 1 to 200").With("field", "limit")
		}
		p.Limit = n
	}
	return p, nil
}

// list answers {<plural>: [...], next?}.
func list[T any](w http.ResponseWriter, plural string, items []T, next string) error {
	if items == nil {
		items = []T{}
	}
	body := map[string]any{plural: items}
	if next != "" {
		body["next"] = next
	}
	return writeJSON(w, http.StatusOK, body)
}
