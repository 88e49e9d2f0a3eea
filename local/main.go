// Command server is the whole product as one long-running process: the same
// handlers as the functions, with the worker and the schedule beside them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/eino-qa/eino-qa/internal/app"
	"github.com/eino-qa/eino-qa/internal/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := app.Main(ctx, config.Process(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
