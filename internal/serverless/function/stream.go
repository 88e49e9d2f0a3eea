package function

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"sync"

	"github.com/eino-qa/eino-qa/internal/aside"
)

// Streamed is a reply whose body arrives while the handler still runs. The
// caller reads Body to its end and closes it; Close cancels the handler and
// waits for it, so nothing runs after the reply.
type Streamed struct {
	Status int
	Header http.Header
	Body   io.ReadCloser
}

// streamWriter is the handler's end of a Streamed. Every Write is one chunk.
type streamWriter struct {
	method string
	pw     *io.PipeWriter
	ready  chan struct{} // closed at the first WriteHeader
	once   sync.Once
	header http.Header
	sent   http.Header
	status int
	tail   [2]byte // the last two bytes written
	wrote  bool
}

func (w *streamWriter) Header() http.Header { return w.header }

func (w *streamWriter) WriteHeader(status int) {
	checkStatus(status)
	if status < 200 {
		return
	}
	w.once.Do(func() {
		w.status = status
		w.sent = w.header.Clone()
		close(w.ready)
	})
}

func (w *streamWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		if _, typed := w.header["Content-Type"]; !typed {
			w.header.Set("Content-Type", http.DetectContentType(p))
		}
		w.WriteHeader(http.StatusOK)
	}
	if !bodyAllowed(w.method, w.status) {
		return len(p), nil
	}
	n, err := w.pw.Write(p)
	w.note(p[:n])
	return n, err
}

// note remembers the last two bytes: they tell whether an event is open.
func (w *streamWriter) note(p []byte) {
	switch n := len(p); {
	case n >= 2:
		w.tail = [2]byte{p[n-2], p[n-1]}
	case n == 1:
		w.tail = [2]byte{w.tail[1], p[0]}
	default:
		return
	}
	w.wrote = true
}

// Flush implements http.Flusher: a pipe holds nothing back.
func (w *streamWriter) Flush() { w.WriteHeader(http.StatusOK) }

// RunStreamed starts h and returns when its headers are known. A panic before
// that is a JSON 500; after it the body ends with an error event, where it is
// an event stream, and a read error. cancel ends the request's context.
func RunStreamed(h http.Handler, r *http.Request, cancel context.CancelFunc, log *slog.Logger) *Streamed {
	pr, pw := io.Pipe()
	w := &streamWriter{method: r.Method, pw: pw, ready: make(chan struct{}), header: http.Header{}}
	done := make(chan struct{})
	early := make(chan error, 1) // a panic before the headers
	go func() {
		defer close(done)
		aside.Deepen()
		err := Guard(r.Context(), log, func() error {
			h.ServeHTTP(w, r)
			return nil
		})
		if err != nil && w.status == 0 {
			early <- err
			return
		}
		w.WriteHeader(http.StatusOK)
		if err != nil && eventStream(w.sent) && (!w.wrote || w.tail == [2]byte{'\n', '\n'}) {
			// Inside an unfinished event nothing can be said: without its blank
			// line the client drops it, and the read error below tells the rest.
			_, _ = pw.Write(ErrorEvent(r.Context()))
		}
		_ = pw.CloseWithError(err)
	}()
	body := &streamBody{pr, cancel, done}
	select {
	case <-w.ready:
		CleanReply(w.sent)
		return &Streamed{w.status, w.sent, body}
	case <-early: //nolint:errcheck // a signal
		<-done
		cancel()
		e := ErrorReply(r.Context(), http.StatusInternalServerError, "internal error", nil)
		return e.Stream()
	}
}

// ErrorEvent is the event that ends a stream whose handler panicked.
func ErrorEvent(ctx context.Context) []byte {
	inv, _ := InvocationFrom(ctx)
	b, err := json.Marshal(struct {
		Type    string `json:"type"`
		Code    string `json:"code"`
		Message string `json:"message"`
		TraceID string `json:"trace_id,omitempty"`
	}{"error", "internal", "internal error", inv.RequestID})
	if err != nil {
		return nil
	}
	return append(append([]byte("data: "), b...), "\n\n"...)
}

func eventStream(h http.Header) bool {
	mt, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && mt == "text/event-stream"
}

type streamBody struct {
	pr     *io.PipeReader
	cancel context.CancelFunc
	done   <-chan struct{}
}

func (b *streamBody) Read(p []byte) (int, error) { return b.pr.Read(p) }

// Close cancels the handler and waits for its end. A handler that ignores its
// context holds the instance here until the platform's timeout, which is what
// that platform does with any handler that hangs.
func (b *streamBody) Close() error {
	b.cancel()
	err := b.pr.Close()
	<-b.done
	return err
}

// Stream returns r as a Streamed that is complete already.
func (r *Reply) Stream() *Streamed {
	return &Streamed{r.Status, r.Header, io.NopCloser(bytes.NewReader(r.Body))}
}
