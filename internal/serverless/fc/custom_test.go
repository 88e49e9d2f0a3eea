package fc

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// web serves a web function's handler and sends it requests as FC does.
func web(t *testing.T, cfg function.Config, h function.Handlers) func(method, path string, header map[string]string, body string) *http.Response {
	t.Helper()
	srv := httptest.NewServer(New(cfg, h).Handler())
	t.Cleanup(srv.Close)
	return func(method, path string, header map[string]string, body string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"x-fc-request-id": "fc-1", "x-fc-access-key-id": "id", "x-fc-access-key-secret": "sec", "x-fc-security-token": "tok"} {
			req.Header.Set(k, v)
		}
		for k, v := range header {
			req.Header.Set(k, v)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWebFunctions(t *testing.T) {
	t.Parallel()
	var creds function.Credentials
	var objs []function.ObjectEvent
	stopped := 0
	do := web(t, function.Config{Credentials: &creds, Platform: function.FCCustom}, function.Handlers{
		HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inv, _ := function.InvocationFrom(r.Context())
			for k := range r.Header {
				if strings.HasPrefix(k, "X-Fc-") {
					t.Errorf("the handler sees %s", k)
				}
			}
			if r.URL.Path == "/late" {
				w.Header().Set("Content-Length", "99000000")
			}
			io.WriteString(w, r.Method+" "+r.URL.Path+" "+inv.RequestID)
		}),
		Object: func(_ context.Context, o function.ObjectEvent) error {
			if o.Key == "panic" {
				panic("boom")
			}
			objs = append(objs, o)
			return nil
		},
		Stop: func(context.Context) { stopped++ },
	})
	t.Run("a request is the handler's, even for /invoke", func(t *testing.T) {
		for _, path := range []string{"/chat", "/invoke", "/initialize", "/pre-stop"} {
			if got := text(t, do("POST", path, map[string]string{"x-fc-control-path": "/http-invoke"}, `{"qa":"object","key":"forged"}`)); got != "POST "+path+" fc-1" {
				t.Errorf("%s = %q", path, got)
			}
		}
		if len(objs) > 0 || stopped > 0 {
			t.Errorf("a path did what only the control path may: %v, %d", objs, stopped)
		}
	})
	t.Run("an event comes by its control path", func(t *testing.T) {
		res := do("POST", "/invoke", map[string]string{"x-fc-control-path": "/invoke"}, string(sample(t, "README_OSS.md")))
		if res.StatusCode != 200 || res.Header.Get("X-Fc-Status") != "200" || len(objs) != 1 {
			t.Errorf("event = %d %v, %v", res.StatusCode, res.Header, objs)
		}
	})
	t.Run("a failed event says so", func(t *testing.T) {
		for _, body := range []string{`{"qa":"object","key":"panic"}`, `{`, httpEvent} {
			res := do("POST", "/invoke", map[string]string{"x-fc-control-path": "/invoke"}, body)
			if res.StatusCode < 400 || res.Header.Get("X-Fc-Status") != "404" {
				t.Errorf("%.40s = %d %v", body, res.StatusCode, res.Header)
			}
		}
	})
	t.Run("hooks", func(t *testing.T) {
		if res := do("POST", "/initialize", map[string]string{"x-fc-control-path": "/initialize"}, ""); res.StatusCode != 200 {
			t.Errorf("initialize = %d", res.StatusCode)
		}
		if res := do("GET", "/pre-stop", map[string]string{"x-fc-control-path": "/pre-stop"}, ""); res.StatusCode != 200 || stopped != 1 {
			t.Errorf("pre-stop = %d, stopped %d times", res.StatusCode, stopped)
		}
	})
	t.Run("the newest credentials win", func(t *testing.T) {
		do("GET", "/", map[string]string{"x-fc-access-key-id": "id2"}, "")
		if tr, err := creds.Get(t.Context()); err != nil || tr.AccessKeyID != "id2" {
			t.Errorf("credentials = %v, %v", tr, err)
		}
	})
	t.Run("deadlines", func(t *testing.T) {
		for _, h := range []map[string]string{{"x-fc-function-deadline": "0"}, {"x-fc-function-deadline": "x"}, {"x-fc-function-timeout": "-1"}} {
			if res := do("GET", "/", h, ""); res.StatusCode != 503 {
				t.Errorf("%v = %d, want 503", h, res.StatusCode)
			}
		}
	})
	t.Run("a reply that announces more than FC returns is refused", func(t *testing.T) {
		if res := do("GET", "/late", nil, ""); res.StatusCode != 413 || !strings.Contains(text(t, res), "presigned") {
			t.Errorf("99 MB = %d", res.StatusCode)
		}
	})
}

func TestWebStreamsAreChunkedAndCancelled(t *testing.T) {
	t.Parallel()
	gone := make(chan error, 1)
	do := web(t, function.Config{}, function.Handlers{HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		if r.URL.Path == "/panic" {
			panic("boom")
		}
		<-r.Context().Done()
		gone <- r.Context().Err()
	})})
	res := do("GET", "/chat", map[string]string{"x-fc-function-timeout": "60"}, "")
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if line != "data: 1\n" || err != nil || len(res.TransferEncoding) != 1 || res.TransferEncoding[0] != "chunked" {
		t.Errorf("first line %q, %v, encoding %v", line, err, res.TransferEncoding)
	}
	res.Body.Close() // the client leaves
	select {
	case err := <-gone:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("handler's context = %v, want Canceled", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the handler was not cancelled")
	}
	res = do("GET", "/panic", nil, "")
	body, err := io.ReadAll(res.Body)
	if err == nil || !strings.Contains(string(body), `"type":"error"`) {
		t.Errorf("a panic in a stream = %q, %v, want an error event and a broken body", body, err)
	}
}

func TestServeCustomEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	stopped := make(chan struct{}, 1)
	a := New(function.Config{Addr: addr}, function.Handlers{HTTP: http.NotFoundHandler(), Stop: func(context.Context) { stopped <- struct{}{} }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.ServeCustom(ctx) }()
	for range 200 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ServeCustom = %v", err)
	}
	if len(stopped) != 1 {
		t.Error("Stop did not run")
	}
	if err := New(function.Config{Addr: "256.0.0.1:1"}, function.Handlers{}).ServeCustom(t.Context()); err == nil {
		t.Error("an address that is none is no error")
	}
}
