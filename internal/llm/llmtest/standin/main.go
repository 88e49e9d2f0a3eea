// Command standin serves the DashScope stand-in on a loopback address, for
// trying the product without a key and for load tests:
//
//	go run ./internal/llm/llmtest/standin -addr 127.0.0.1:9099
//	DASHSCOPE_BASE_URL=http://127.0.0.1:9099/compatible-mode/v1 DASHSCOPE_API_KEY=any …
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9099", "where to listen")
	key := flag.String("key", "", "the accepted API key; empty accepts any")
	first := flag.Duration("first", 0, "delay before the first token")
	token := flag.Duration("token", 0, "delay between tokens")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := serve(ctx, *addr, &llmtest.Server{Key: *key, FirstDelay: *first, TokenDelay: *token, Forgetful: true})
	stop()
	if err != nil {
		slog.Error("standin stopped", "error", err)
		os.Exit(1)
	}
}

// serve serves s until ctx ends.
func serve(ctx context.Context, addr string, s *llmtest.Server) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	slog.Info("standin listens", "base_url", "http://"+l.Addr().String()+"/compatible-mode/v1")
	web := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	stopped := context.AfterFunc(ctx, func() {
		s.Close()
		_ = web.Close()
	})
	defer stopped()
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
