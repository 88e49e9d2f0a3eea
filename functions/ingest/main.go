// Command ingest is the function that reads, chunks and indexes what lies in
// the inbox: called for each created object, and by a schedule for what
// stalled. It is one binary for AWS Lambda and Alibaba Function Compute. Build
// it with the tags function, nochat and grpcnotrace (make package does), which
// leave out what it does not run.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/eino-qa/eino-qa/internal/app"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/serverless"
)

func main() {
	src := config.Process()
	f, err := app.OpenFunction(src, os.Stdout, app.Uses)
	if err == nil {
		err = serverless.Serve(context.Background(), f.Config(), serverless.EnvFrom(src.Getenv), serverless.Handlers{Object: f.Ingest, Schedule: f.Sweep})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ingest:", err)
		os.Exit(1)
	}
}
