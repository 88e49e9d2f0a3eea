package llm

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func straightTo(t *testing.T, h http.HandlerFunc) (*http.Response, context.CancelFunc, error) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL, strings.NewReader("question"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := straight((&net.Dialer{}).DialContext).RoundTrip(req)
	if err == nil {
		t.Cleanup(func() { _ = res.Body.Close() })
	}
	return res, cancel, err
}

func TestStraightSkipsWhatIsNoAnswerYet(t *testing.T) {
	t.Parallel()
	res, _, err := straightTo(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(append(body, " and answer"...))
	})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); res.StatusCode != http.StatusOK || string(body) != "question and answer" || err != nil {
		t.Errorf("%d %q, %v", res.StatusCode, body, err)
	}
}

func TestStraightBoundsTheHeadAndNotTheAnswer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 2*maxHead)
	res, _, err := straightTo(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, long) })
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); string(body) != long || err != nil {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	_, _, err = straightTo(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", long) })
	if err == nil {
		t.Error("a head of 128 KiB was read")
	}
}

func TestStraightEndsWithItsContextOrItsBody(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.CancelFunc, *http.Response){
		"context": func(cancel context.CancelFunc, _ *http.Response) { cancel() },
		"body":    func(_ context.CancelFunc, res *http.Response) { _ = res.Body.Close() },
	} {
		left := make(chan struct{})
		res, cancel, err := straightTo(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			close(left)
		})
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() {
			_, err := res.Body.Read(make([]byte, 1))
			read <- err
		}()
		time.Sleep(10 * time.Millisecond) // until it waits
		end(cancel, res)
		if err := <-read; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: Read = %v", name, err)
		}
		<-left
	}
}

func TestStraightDoesNotWaitForAHeadAfterItsContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.Addr().String(), strings.NewReader("question"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := straight((&net.Dialer{}).DialContext).RoundTrip(req); err == nil {
		t.Error("a silent server answered")
	}
}

func TestOnlyStreamsOverPlainHTTPGoStraight(t *testing.T) {
	t.Parallel()
	direct, err := newRoad(Config{})
	if err != nil {
		t.Fatal(err)
	}
	proxied, err := newRoad(Config{Proxy: "http://proxy.example.com:3128"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		road     *road
		url      string
		streams  bool
		straight bool
	}{
		{direct, "http://models.example.com/v1", true, true},
		{direct, "http://models.example.com/v1", false, false},
		{direct, "https://models.example.com/v1", true, false},
		{proxied, "http://models.example.com/v1", true, false},
		{direct, "http://[::1]:8000/v1", true, true},
		{direct, "http://模型.example.com/v1", true, false}, // the transport knows how that is asked for
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := tt.road.of(req, tt.streams).(straight); got != tt.straight {
			t.Errorf("%+v goes straight: %v", tt, got)
		}
	}
}

func TestStraightReadsAnAnswerThatCameBeforeItsRequestWasSent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.ReadFull(conn, make([]byte, 1)) // the rest of the request is refused
		_ = conn.Close()
	}()
	long := strings.NewReader(strings.Repeat("x", 16<<20))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+l.Addr().String(), long)
	if err != nil {
		t.Fatal(err)
	}
	res, err := straight((&net.Dialer{}).DialContext).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); res.StatusCode != http.StatusRequestEntityTooLarge || string(body) != "no" || err != nil {
		t.Errorf("%d %q, %v", res.StatusCode, body, err)
	}
}
