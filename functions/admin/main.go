// Command admin is the function of everything that is not streamed: documents,
// tenants, keys, orders, handoffs, backups and the console. It is one binary
// for AWS Lambda and Alibaba Function Compute. Build it with the tags function,
// nochat and novectors (make package does), which leave out what it does not
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
		err = serverless.Serve(context.Background(), f.Config(), serverless.EnvFrom(src.Getenv), serverless.Handlers{HTTP: f.Handler()})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}
