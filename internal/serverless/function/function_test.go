package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

var quiet = slog.New(slog.DiscardHandler)

func get(t *testing.T) *http.Request {
	t.Helper()
	ctx := WithInvocation(t.Context(), Invocation{RequestID: "req-1"})
	return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
}

func TestBufferedReplyFollowsNetHTTP(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		handler http.HandlerFunc
		method  string
		status  int
		body    string
	}{
		{"a silent handler is 200", func(http.ResponseWriter, *http.Request) {}, "GET", 200, ""},
		{"the first status wins", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) }, "GET", 201, ""},
		{"an informational status is not the status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(202) }, "GET", 202, ""},
		{"writing means 200", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); w.WriteHeader(404) }, "GET", 200, "x"},
		{"HEAD has no body", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }, "HEAD", 200, ""},
		{"204 has no body", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204); io.WriteString(w, "x") }, "GET", 204, ""},
		{
			"a panic after half a body is 500 without it", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "half"); panic("secret") }, "GET", 500,
			`{"code":500,"message":"internal error","trace_id":"req-1"}`,
		},
		{
			"an impossible status is 500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(1) }, "GET", 500,
			`{"code":500,"message":"internal error","trace_id":"req-1"}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := get(t)
			r.Method = tt.method
			rep := RunBuffered(tt.handler, r, quiet)
			if rep.Status != tt.status || string(rep.Body) != tt.body {
				t.Errorf("reply = %d %q, want %d %q", rep.Status, rep.Body, tt.status, tt.body)
			}
		})
	}
}

func TestHeadersAreFinalAtTheFirstByte(t *testing.T) {
	t.Parallel()
	rep := RunBuffered(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-A", "1")
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Length", "99")
		w.(http.Flusher).Flush()
		w.Header().Set("X-B", "2")
	}), get(t), quiet)
	if got := rep.Header; got.Get("X-A") != "1" || got.Get("X-B") != "" || got.Get("Connection") != "" || got.Get("Content-Length") != "" {
		t.Errorf("header = %v, want X-A only", got)
	}
}

func TestPanicsAreLoggedWithoutTheirText(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&buf, nil))
	RunBuffered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("what is my salary") }), get(t), log)
	if s := buf.String(); strings.Contains(s, "salary") || !strings.Contains(s, `"panic":"string"`) || !strings.Contains(s, "function_test.go") || !strings.Contains(s, "req-1") {
		t.Errorf("log = %s, want type, stack and request id, and not the text", s)
	}
	buf.Reset()
	RunBuffered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		var m map[string]int
		m["x"] = 1 //nolint:staticcheck // it panics on purpose
	}), get(t), log)
	if s := buf.String(); !strings.Contains(s, "assignment to entry in nil map") {
		t.Errorf("log = %s, want the runtime's own words", s)
	}
	buf.Reset()
	RunBuffered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), get(t), log)
	if buf.Len() > 0 {
		t.Errorf("log = %s, want nothing for ErrAbortHandler", buf.String())
	}
}

func TestStreamArrivesAsItIsWritten(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	s := RunStreamed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("Flush = %v", err)
		}
		<-next
		io.WriteString(w, "data: 2\n\n")
	}), get(t).WithContext(ctx), cancel, quiet)
	buf := make([]byte, 64)
	n, err := s.Body.Read(buf)
	if string(buf[:n]) != "data: 1\n\n" || err != nil {
		t.Fatalf("first read = %q, %v while the handler waits", buf[:n], err)
	}
	close(next)
	rest, err := io.ReadAll(s.Body)
	if string(rest) != "data: 2\n\n" || err != nil {
		t.Errorf("rest = %q, %v", rest, err)
	}
	if err := s.Body.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestPanicInAStream(t *testing.T) {
	t.Parallel()
	const event = "data: {\"type\":\"error\",\"code\":\"internal\",\"message\":\"internal error\",\"trace_id\":\"req-1\"}\n\n"
	tests := []struct {
		name        string
		contentType string
		write       string
		status      int
		body        string
		broken      bool
	}{
		{"before the headers is a JSON 500", "", "", 500, `{"code":500,"message":"internal error","trace_id":"req-1"}`, false},
		{"after a whole event is an error event and an error", "text/event-stream; charset=utf-8", "data: a\n\n", 200, "data: a\n\n" + event, true},
		{"inside an event is an error only: the client drops the open event", "text/event-stream", "data: a", 200, "data: a", true},
		{"in something else is an error only", "text/csv", "a,b\n\n", 200, "a,b\n\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := get(t)
			ctx, cancel := context.WithCancel(r.Context())
			s := RunStreamed(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tt.contentType != "" {
					w.Header().Set("Content-Type", tt.contentType)
				}
				if tt.write != "" {
					io.WriteString(w, tt.write)
				}
				panic("boom")
			}), r.WithContext(ctx), cancel, quiet)
			body, err := io.ReadAll(s.Body)
			if s.Status != tt.status || string(body) != tt.body || (err != nil) != tt.broken {
				t.Errorf("stream = %d %q %v, want %d %q, broken %v", s.Status, body, err, tt.status, tt.body, tt.broken)
			}
			s.Body.Close()
		})
	}
}

func TestClosingAStreamEndsItsHandler(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	s := RunStreamed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "data: x\n\n"); err != nil {
				break
			}
		}
		ended <- r.Context().Err()
	}), get(t).WithContext(ctx), cancel, quiet)
	if _, err := s.Body.Read(make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	s.Body.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("handler's context = %v, want Canceled", err)
		}
	default:
		t.Error("Close returned while the handler runs")
	}
}

func TestDeadlineKeepsAMargin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                string
		left, margin, limit time.Duration
		want                time.Duration
	}{
		{"the margin comes off", 60 * time.Second, time.Second, 0, 59 * time.Second},
		{"but no more than a tenth", 3 * time.Second, time.Second, 0, 2700 * time.Millisecond},
		{"a limit is shorter", 60 * time.Second, time.Second, 20 * time.Second, 20 * time.Second},
		{"a limit is longer", 60 * time.Second, time.Second, 5 * time.Minute, 59 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.left)
				defer cancel()
				got, cancel2, err := Deadline(ctx, tt.margin, tt.limit)
				if err != nil {
					t.Fatal(err)
				}
				defer cancel2()
				end, _ := got.Deadline()
				if d := time.Until(end); d != tt.want {
					t.Errorf("time left = %v, want %v", d, tt.want)
				}
			})
		})
	}
	t.Run("a deadline of 0 is an error that says so", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithDeadline(t.Context(), time.UnixMilli(0))
		defer cancel()
		_, _, err := Deadline(ctx, time.Second, 0)
		if kb.KindOf(err) != kb.Unavailable || !strings.Contains(err.Error(), "1970-01-01T00:00:00Z") {
			t.Errorf("Deadline = %v, want Unavailable with the time", err)
		}
	})
}

func TestOversizedRepliesAreRedirectedOrRefused(t *testing.T) {
	t.Parallel()
	big := &Reply{Status: 200, Header: http.Header{"Content-Type": {"text/csv"}}, Body: make([]byte, 100)}
	cfg := Config{}.WithDefaults()
	if got := cfg.Fit(t.Context(), big, 100, 100, "X"); got != big {
		t.Errorf("a reply of the limit's size became %d", got.Status)
	}
	got := cfg.Fit(t.Context(), big, 101, 100, "Lambda")
	var e errorBody
	if err := json.Unmarshal(got.Body, &e); err != nil || got.Status != 413 || e.Code != 413 || !strings.Contains(e.Message, "Lambda") || !strings.Contains(e.Message, "presigned") {
		t.Errorf("reply = %d %s, want 413 that names the way out", got.Status, got.Body)
	}
	cfg.Spill = func(_ context.Context, ct string, body []byte) (string, error) {
		if ct != "text/csv" || len(body) != 100 {
			t.Errorf("Spill(%q, %d bytes)", ct, len(body))
		}
		return "https://bucket/export/x?sig=1", nil
	}
	if got := cfg.Fit(t.Context(), big, 101, 100, "X"); got.Status != 303 || got.Header.Get("Location") != "https://bucket/export/x?sig=1" {
		t.Errorf("reply = %d %v, want a redirect", got.Status, got.Header)
	}
	cfg.Spill = func(context.Context, string, []byte) (string, error) { return "", errors.New("down") }
	if got := cfg.Fit(t.Context(), big, 101, 100, "X"); got.Status != 413 {
		t.Errorf("reply = %d, want 413 when the store is down", got.Status)
	}
}

func TestAReplyPastWhatMemoryHoldsIsCut(t *testing.T) {
	t.Parallel()
	chunk := make([]byte, 1<<20)
	var last error
	rep := RunBuffered(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 70 {
			if _, last = w.Write(chunk); last != nil {
				return
			}
		}
	}), get(t), quiet)
	if !errors.Is(last, ErrTooLarge) {
		t.Errorf("Write = %v, want ErrTooLarge", last)
	}
	cfg := Config{Spill: func(context.Context, string, []byte) (string, error) {
		t.Error("half a body was stored")
		return "", nil
	}}.WithDefaults()
	if got := cfg.Fit(t.Context(), rep, len(rep.Body), maxSpill*2, "X"); got.Status != 413 {
		t.Errorf("reply = %d, want 413", got.Status)
	}
}

func TestBodiesThatAreNotTextAreBase64(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, contentType, encoding, body string
		want                              string
		b64                               bool
	}{
		{"JSON is text", "application/json; charset=utf-8", "", `{"a":"中"}`, `{"a":"中"}`, false},
		{"bytes that happen to be UTF-8 are bytes", "application/octet-stream", "", "\x00\x01\x02\x03", "AAECAw==", true},
		{"text that is not UTF-8 is bytes", "text/plain", "", "\xff", "/w==", true},
		{"compressed text is bytes", "text/plain", "gzip", "abc", "YWJj", true},
		{"nothing is nothing", "image/png", "", "", "", false},
		{"a broken type is bytes", "te xt", "", "abc", "YWJj", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &Reply{Header: http.Header{"Content-Type": {tt.contentType}}, Body: []byte(tt.body)}
			if tt.encoding != "" {
				r.Header.Set("Content-Encoding", tt.encoding)
			}
			if got, b64 := r.TextBody(); got != tt.want || b64 != tt.b64 {
				t.Errorf("TextBody = %q, %v, want %q, %v", got, b64, tt.want, tt.b64)
			}
		})
	}
}

func TestRecoverOnARealServer(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Half", "1")
		panic("boom")
	})
	mux.HandleFunc("/late", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		panic("boom")
	})
	srv := httptest.NewServer(Recover(mux, quiet))
	defer srv.Close()
	res, err := srv.Client().Get(srv.URL + "/early")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != 500 || string(body) != `{"code":500,"message":"internal error"}` || res.Header.Get("X-Half") != "" {
		t.Errorf("early = %d %q %v", res.StatusCode, body, res.Header)
	}
	res, err = srv.Client().Get(srv.URL + "/late")
	if err != nil {
		t.Fatal(err)
	}
	body, err = io.ReadAll(res.Body)
	res.Body.Close()
	if err == nil || !strings.HasPrefix(string(body), "data: 1\n\ndata: {\"type\":\"error\"") {
		t.Errorf("late = %q, %v, want an error event and a broken body", body, err)
	}
}

func TestMessagesOfObjectsComeBack(t *testing.T) {
	t.Parallel()
	want := ObjectEvent{Bucket: "b", Key: "inbox/acme/j1", Size: 7, ETag: "e", Source: SourceDirect}
	var m Marker
	if err := json.Unmarshal(want.Message(), &m); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Object(); err != nil || got != want || m.QA != "object" {
		t.Errorf("Object = %+v, %v, want %+v", got, err, want)
	}
	if _, err := (Marker{QA: "object"}).Object(); err == nil {
		t.Error("a continuation without a key is no error")
	}
}

func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	if err := (Config{Platform: Lambda, Mode: "streaming"}).Check(); kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), "serverless.invoke_mode") {
		t.Errorf("Check = %v, want Invalid that names the setting", err)
	}
	if err := (Config{Platform: "azure"}).Check(); kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), "serverless.platform") {
		t.Errorf("Check = %v, want Invalid that names the setting", err)
	}
	if err := (Config{Platform: FCCustom}).Check(); err != nil {
		t.Errorf("Check = %v", err)
	}
}
