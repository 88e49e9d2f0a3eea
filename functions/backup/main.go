// Command backup is the function that compacts, snapshots, verifies and
// expires all tenants, called by a schedule. It is one binary for AWS Lambda
// and Alibaba Function Compute. Build it with the tags function, nochat,
// noingest and novectors (make package does), which leave out what it does not
// run.
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
	f, err := app.OpenFunction(src, os.Stdout, app.Prepares)
	if err == nil {
		err = serverless.Serve(context.Background(), f.Config(), serverless.EnvFrom(src.Getenv), serverless.Handlers{Schedule: f.Backup})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "backup:", err)
		os.Exit(1)
	}
}
