package function

import (
	"log/slog"
	"maps"
	"net/http"
)

// Recover wraps h for a real net/http server: a panic before the headers is a
// JSON 500, after them an error event where it is an event stream, and then an
// aborted connection, so that no client takes half an answer for a whole one.
func Recover(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := &tracked{ResponseWriter: w}
		err := Guard(r.Context(), log, func() error {
			h.ServeHTTP(t, r)
			return nil
		})
		if err == nil {
			return
		}
		if !t.wrote {
			clear(w.Header())
			ErrorReply(r.Context(), http.StatusInternalServerError, "internal error", nil).WriteTo(w)
			return
		}
		if eventStream(w.Header()) && t.tail == [2]byte{'\n', '\n'} {
			_, _ = w.Write(ErrorEvent(r.Context()))
			t.Flush()
		}
		panic(http.ErrAbortHandler)
	})
}

// WriteTo sends r through w.
func (r *Reply) WriteTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.Header)
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Body) // the client may have left
}

// tracked remembers whether the headers left, and how the body ends.
type tracked struct {
	http.ResponseWriter
	wrote bool
	tail  [2]byte
}

func (t *tracked) WriteHeader(status int) {
	if status >= 200 {
		t.wrote = true
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t *tracked) Write(p []byte) (int, error) {
	t.wrote = true
	n, err := t.ResponseWriter.Write(p)
	switch {
	case n >= 2:
		t.tail = [2]byte{p[n-2], p[n-1]}
	case n == 1:
		t.tail = [2]byte{t.tail[1], p[0]}
	}
	return n, err
}

// Flush implements http.Flusher.
func (t *tracked) Flush() {
	t.wrote = true
	_ = http.NewResponseController(t.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the server's writer.
func (t *tracked) Unwrap() http.ResponseWriter { return t.ResponseWriter }
