// Command testfn is a small function for the tests of the adapters and
// emulators: it echoes, streams, fails and panics on request. It is not
// deployed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/serverless"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	creds := new(serverless.Credentials)
	cfg := serverless.Config{
		Mode:        serverless.Mode(os.Getenv("SERVERLESS_INVOKE_MODE")), //nolint:forbidigo // stands in for package config
		MaxStream:   2 * time.Second,
		Credentials: creds,
		Log:         log,
	}
	env := serverless.EnvFrom(os.Getenv) //nolint:forbidigo // stands in for package config
	h := serverless.Handlers{HTTP: routes(creds), Object: object(log), Schedule: schedule(log)}
	if os.Getenv("TESTFN_STOP") != "" { //nolint:forbidigo // stands in for package config
		h.Stop = func(context.Context) { log.Info("stopped") }
	}
	if err := serverless.Serve(context.Background(), cfg, env, h); err != nil {
		log.Error("not served", "err", err.Error())
		os.Exit(1)
	}
}

func routes(creds *serverless.Credentials) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/sse", sse)
	mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, strings.Repeat("x", n))
	})
	mux.HandleFunc("/credentials", func(w http.ResponseWriter, r *http.Request) {
		t, err := creds.Get(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, t.AccessKeyID)
	})
	mux.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	return mux
}

// echo answers with the request: method, URI, body, and each header on a line.
func echo(w http.ResponseWriter, r *http.Request) {
	inv, _ := function.InvocationFrom(r.Context())
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Kind", inv.Kind)
	http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "%s %s %s\n%s\n", r.Method, r.RequestURI, r.RemoteAddr, body)
	_ = r.Header.Write(w)
}

// sse sends n events, every apart, and panics after the panic-th.
func sse(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.FormValue("n"))
	every, _ := time.ParseDuration(r.FormValue("every"))
	boom, _ := strconv.Atoi(r.FormValue("panic"))
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(w, "data: {\"n\":%d}\n\n", i)
		if err := http.NewResponseController(w).Flush(); err != nil {
			panic(err)
		}
		if i == boom {
			panic("boom")
		}
		select {
		case <-time.After(every):
		case <-r.Context().Done():
			fmt.Fprintf(os.Stderr, "sse ended: %v\n", r.Context().Err())
			_, _ = io.WriteString(w, "data: {\"ended\":true}\n\n")
			return
		}
	}
}

// object logs a key; one with "fail", "panic" or "exit" in it does that.
func object(log *slog.Logger) func(context.Context, serverless.ObjectEvent) error {
	return func(ctx context.Context, o serverless.ObjectEvent) error {
		log.InfoContext(ctx, "object", "key", o.Key, "source", o.Source, "attempt", o.Attempt)
		switch {
		case strings.Contains(o.Key, "fail"):
			return errors.New("asked to fail")
		case strings.Contains(o.Key, "panic"):
			panic("boom")
		case strings.Contains(o.Key, "exit"):
			os.Exit(3)
		}
		return nil
	}
}

func schedule(log *slog.Logger) func(context.Context, serverless.ScheduleEvent) error {
	return func(ctx context.Context, s serverless.ScheduleEvent) error {
		log.InfoContext(ctx, "tick", "task", s.Task, "source", s.Source)
		return nil
	}
}
