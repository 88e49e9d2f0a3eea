package transport

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

const stall = 10 * time.Second

// pipe is a connection as the client sees it, and its other end.
func pipe(t *testing.T) (client, server net.Conn) {
	t.Helper()
	a, server := net.Pipe()
	client = &conn{Conn: a, stall: stall}
	if err := client.SetDeadline(time.Now().Add(stall)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

func TestProgressInEitherDirectionKeepsAConnection(t *testing.T) {
	t.Parallel()
	t.Run("a slow upload while the answer is awaited", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := pipe(t)
			go func() {
				_, _ = io.CopyN(io.Discard, server, 10)
				_, _ = server.Write([]byte("!"))
			}()
			answer := make(chan error)
			go func() { // as net/http reads from the start
				_, err := client.Read(make([]byte, 1))
				answer <- err
			}()
			for range 10 {
				time.Sleep(stall * 9 / 10)
				if _, err := client.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-answer; err != nil {
				t.Errorf("the answer = %v", err)
			}
		})
	})
	t.Run("a slow download", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := pipe(t)
			go func() {
				for range 10 {
					time.Sleep(stall * 9 / 10)
					_, _ = server.Write([]byte("x"))
				}
			}()
			if _, err := io.ReadFull(client, make([]byte, 10)); err != nil {
				t.Errorf("read = %v", err)
			}
		})
	})
	t.Run("a connection that idled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := pipe(t)
			time.Sleep(3 * stall)
			go func() { _, _ = io.Copy(io.Discard, server) }()
			if _, err := client.Write([]byte("x")); err != nil {
				t.Errorf("write = %v", err)
			}
		})
	})
}

func TestAStandstillEndsAConnection(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(net.Conn) error{
		"nothing comes": func(c net.Conn) error {
			_, err := io.ReadFull(c, make([]byte, 2)) // one byte comes
			return err
		},
		"nothing is taken": func(c net.Conn) error {
			_, err := c.Write([]byte("x"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := pipe(t)
				go func() {
					time.Sleep(stall / 2)
					_, _ = server.Write([]byte("x"))
				}()
				start := time.Now()
				err := do(client)
				if d := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || d < stall || d > 2*stall {
					t.Errorf("%v after %v, want a timeout after %v without progress", err, d, stall)
				}
			})
		})
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) })
	mux.HandleFunc("/silent", func(http.ResponseWriter, *http.Request) { <-hold })
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(hold) })
	c := New(200 * time.Millisecond)
	get := func(path string) (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if code, err := get("/away"); code != http.StatusFound || err != nil {
		t.Errorf("a redirect = %d, %v, want it not to be followed", code, err)
	}
	_, err := get("/silent")
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("a silent server = %v, want a timeout", err)
	}
}
