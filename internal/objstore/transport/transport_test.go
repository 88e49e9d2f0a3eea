package transport_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore/transport"
)

const stall = 250 * time.Millisecond

// trickle is a body that takes longer than stall, and never stalls.
type trickle struct{ left int }

func (r *trickle) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(stall / 5)
	r.left--
	return copy(p, strings.Repeat("x", 1000)), nil
}

func send(t *testing.T, c *http.Client, url string, body io.Reader) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return string(data), err
}

func TestOnlyAStandstillEndsARequest(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/up", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n == 10_000 {
			io.WriteString(w, "all")
		}
	})
	mux.HandleFunc("/down", func(w http.ResponseWriter, _ *http.Request) {
		for range 10 {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(stall / 5)
		}
	})
	mux.HandleFunc("/silent", func(http.ResponseWriter, *http.Request) { <-hold })
	mux.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		<-hold
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/down", http.StatusTemporaryRedirect)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(hold) })
	c := transport.New(stall)
	if got, err := send(t, c, srv.URL+"/up", &trickle{left: 10}); got != "all" || err != nil {
		t.Errorf("slow upload = %q, %v", got, err)
	}
	if got, err := send(t, c, srv.URL+"/down", nil); len(got) != 10 || err != nil {
		t.Errorf("slow download = %q, %v", got, err)
	}
	for _, path := range []string{"/silent", "/half"} {
		start := time.Now()
		_, err := send(t, c, srv.URL+path, strings.NewReader("x"))
		if d := time.Since(start); err == nil || d < stall/2 || d > 8*stall {
			t.Errorf("%s = %v after %v, want an error after %v", path, err, d, stall)
		}
		if ne, ok := err.(net.Error); ok && !ne.Timeout() {
			t.Errorf("%s = %v, want a timeout", path, err)
		}
	}
	if got, err := send(t, c, srv.URL+"/away", nil); len(got) == 10 || err != nil {
		t.Errorf("a redirect was followed: %q, %v", got, err)
	}
	// A connection that idled longer than stall is no trouble.
	time.Sleep(stall + stall/2)
	if got, err := send(t, c, srv.URL+"/up", &trickle{left: 10}); got != "all" || err != nil {
		t.Errorf("after idling = %q, %v", got, err)
	}
}
