// Command chat is the function that answers questions, streamed where the
// platform streams: /chat, /v1 and the sessions. It is one binary for AWS
// Lambda and Alibaba Function Compute. Build it with the tags function,
// noingest and grpcnotrace (make package does), which leave out what it does
// not run; with nomilvus it does without the Milvus SDK.
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
		err = serverless.Serve(context.Background(), f.Config(), serverless.EnvFrom(src.Getenv), serverless.Handlers{HTTP: f.Handler()})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}
