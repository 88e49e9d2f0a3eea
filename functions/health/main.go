// Command health is the function that tells how the parts are: /health and
// below. It is one binary for AWS Lambda and Alibaba Function Compute, and
// starts in milliseconds because it links the clients of the store only.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/health"
	"github.com/eino-qa/eino-qa/internal/serverless"
)

// version is set by the linker.
var version = "dev"

func main() {
	src := config.Process()
	f, err := health.Open(src, os.Stdout)
	if err == nil {
		err = serverless.Serve(context.Background(), f.Config(), serverless.EnvFrom(src.Getenv), serverless.Handlers{HTTP: f.Handler(version)})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}
