package function

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Reply is a whole HTTP response.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
	cut    bool // it outgrew maxSpill and has no whole body
}

// ErrTooLarge is returned by Write when a buffered reply outgrew even what
// may be spilled.
var ErrTooLarge = errors.New("reply is larger than this platform can return")

// maxSpill bounds a reply held in memory on its way to Config.Spill: a
// quarter of the 256 MB that the small functions of template.yaml get.
const maxSpill = 64 << 20

// errorBody is the shape of errors, DESIGN.md §6.
type errorBody struct {
	Code    int            `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
	TraceID string         `json:"trace_id,omitempty"`
}

// ErrorReply makes a JSON error response; the request id comes from ctx.
func ErrorReply(ctx context.Context, status int, message string, details map[string]any) *Reply {
	inv, _ := InvocationFrom(ctx)
	b, err := json.Marshal(errorBody{status, message, details, inv.RequestID})
	if err != nil {
		b = []byte(`{"code":500,"message":"internal error"}`)
	}
	return &Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: b}
}

// ErrorOf makes the JSON response for err as package api would: its kind's
// status and its message, or "internal error".
func ErrorOf(ctx context.Context, err error) *Reply {
	e, ok := errors.AsType[*kb.Error](err)
	if !ok {
		return ErrorReply(ctx, http.StatusInternalServerError, "internal error", nil)
	}
	status := http.StatusInternalServerError
	switch e.Kind {
	case kb.Invalid:
		status = http.StatusBadRequest
	case kb.TooLarge:
		status = http.StatusRequestEntityTooLarge
	case kb.Unavailable:
		status = http.StatusServiceUnavailable
	case kb.NotFound:
		status = http.StatusNotFound
	default:
		return ErrorReply(ctx, status, "internal error", nil)
	}
	return ErrorReply(ctx, status, e.Msg, e.Details)
}

// recorder keeps a reply in memory. Its semantics are net/http's: the first
// WriteHeader wins, informational ones are dropped, silence is 200.
type recorder struct {
	method string
	header http.Header
	sent   http.Header // copy of header at the first WriteHeader
	status int
	body   []byte
	over   bool
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	checkStatus(status)
	if w.status != 0 || status < 200 {
		return
	}
	w.status = status
	w.sent = w.header.Clone()
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		if _, typed := w.header["Content-Type"]; !typed {
			w.header.Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(http.StatusOK)
	}
	if !bodyAllowed(w.method, w.status) {
		return len(p), nil
	}
	if len(w.body)+len(p) > maxSpill {
		w.over = true
		return 0, ErrTooLarge
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// checkStatus panics as net/http does, so that a handler behaves alike on all platforms.
func checkStatus(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %d", status))
	}
}

// bodyAllowed reports whether a reply may have a body (RFC 9110 §6.4.1).
func bodyAllowed(method string, status int) bool {
	return method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified
}

// Flush implements http.Flusher: the headers are final from here on.
func (w *recorder) Flush() { w.WriteHeader(http.StatusOK) }

// RunBuffered runs h to its end and returns what it wrote; a panic is a JSON
// 500, whatever was written before.
func RunBuffered(h http.Handler, r *http.Request, log *slog.Logger) *Reply {
	w := &recorder{method: r.Method, header: http.Header{}}
	err := Guard(r.Context(), log, func() error {
		h.ServeHTTP(w, r)
		return nil
	})
	if err != nil {
		return ErrorReply(r.Context(), http.StatusInternalServerError, "internal error", nil)
	}
	w.WriteHeader(http.StatusOK)
	if w.over {
		return &Reply{Status: w.status, Header: w.sent, cut: true}
	}
	CleanReply(w.sent)
	return &Reply{Status: w.status, Header: w.sent, Body: w.body}
}

// hopByHop headers belong to one connection (RFC 9110 §7.6.1); the gateway
// that talks to the client makes its own. So does it count the bytes.
var hopByHop = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length"}

// CleanReply removes from a reply's header what the gateway sets itself.
func CleanReply(h http.Header) {
	for _, k := range hopByHop {
		delete(h, k)
	}
}

// TextBody returns the body as a JSON string can carry it, and whether it had
// to be base64. Text is what says so and is valid UTF-8; everything else is
// bytes, which a gateway must not touch.
func (r *Reply) TextBody() (string, bool) {
	if len(r.Body) == 0 {
		return "", false
	}
	if r.Header.Get("Content-Encoding") == "" && textual(r.Header.Get("Content-Type")) && utf8.Valid(r.Body) {
		return string(r.Body), false
	}
	return base64.StdEncoding.EncodeToString(r.Body), true
}

func textual(contentType string) bool {
	mt, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if strings.HasPrefix(mt, "text/") || strings.HasSuffix(mt, "+json") || strings.HasSuffix(mt, "+xml") {
		return true
	}
	switch mt {
	case "application/json", "application/x-ndjson", "application/javascript", "application/xml", "application/x-www-form-urlencoded", "application/yaml":
		return true
	}
	return false
}

// Fit returns r, or what stands for it when its encoding of size bytes is
// over limit: a redirect to where Spill put it, else a 413 that says what to do.
func (c Config) Fit(ctx context.Context, r *Reply, size int, limit int64, platform string) *Reply {
	if int64(size) <= limit && !r.cut {
		return r
	}
	if c.Spill != nil && !r.cut && r.Status < 300 {
		url, err := c.Spill(ctx, r.Header.Get("Content-Type"), r.Body)
		if err == nil {
			return &Reply{Status: http.StatusSeeOther, Header: http.Header{
				"Location":      {url},
				"Cache-Control": {"no-store"},
			}}
		}
		c.Log.ErrorContext(ctx, "large reply not stored", "err", err.Error())
	}
	return ErrorReply(ctx, http.StatusRequestEntityTooLarge,
		"the response is larger than the "+sizeWord(limit)+" that "+platform+" returns: ask for less at a time (limit, cursor, range), or for the presigned download of large results",
		map[string]any{"limit_bytes": limit})
}

// TooLarge is the error for a request of more than limit bytes; it names the
// route that takes large bodies.
func (c Config) TooLarge(limit int64, platform string) error {
	return kb.E(kb.TooLarge, nil, "the request is larger than the %s that %s takes, base64 included: use %s and send the bytes to the URL it returns",
		sizeWord(limit), platform, c.UploadRoute).With("limit_bytes", limit).With("upload_route", c.UploadRoute)
}

func sizeWord(n int64) string {
	const mb = 1 << 20
	return strconv.FormatInt((n+mb/2)/mb, 10) + " MB"
}

// recovered logs a panic with its stack and returns it as an error.
func recovered(ctx context.Context, log *slog.Logger, v any) error {
	p := &panicked{describe(v)}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so. It is how a handler says "cut the connection"
		return p
	}
	inv, _ := InvocationFrom(ctx)
	log.ErrorContext(ctx, "handler panicked", "panic", p.what, "trace_id", inv.RequestID, "stack", string(debug.Stack()))
	return p
}
