package fc

import (
	"net/http"
	"strconv"

	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// bounded refuses a whole reply that announces more bytes than FC returns,
// while a 413 can still be said. A stream announces nothing and is left alone.
type bounded struct {
	http.ResponseWriter
	r       *http.Request
	cfg     function.Config
	started bool
	refused bool
}

func (b *bounded) WriteHeader(status int) {
	if b.started {
		return
	}
	if status >= 200 {
		b.started = true
		n, err := strconv.ParseInt(b.Header().Get("Content-Length"), 10, 64)
		if err == nil && n > maxPayload && b.r.Method != http.MethodHead {
			b.refused = true
			clear(b.Header())
			rep := b.cfg.Fit(b.r.Context(), &function.Reply{Status: status}, int(n), maxPayload, "Function Compute")
			rep.WriteTo(b.ResponseWriter)
			return
		}
	}
	b.ResponseWriter.WriteHeader(status)
}

func (b *bounded) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	if b.refused {
		return 0, function.ErrTooLarge
	}
	return b.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (b *bounded) Flush() {
	b.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(b.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the server's writer.
func (b *bounded) Unwrap() http.ResponseWriter { return b.ResponseWriter }
