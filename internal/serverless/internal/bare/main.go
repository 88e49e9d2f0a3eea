// Command bare is the smallest function there is on each platform, the
// measure for cold starts: nothing but the platform's own client, or net/http.
package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	port := os.Getenv("FC_CUSTOM_LISTEN_PORT") //nolint:forbidigo // a bare function has no settings
	if port == "" {
		lambda.Start(func(context.Context, json.RawMessage) (any, error) {
			return map[string]any{"statusCode": 200, "body": "ok"}, nil
		})
		return
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	srv := &http.Server{Addr: ":" + port, Handler: h, ReadHeaderTimeout: 1e9}
	if err := srv.ListenAndServe(); err != nil {
		os.Exit(1)
	}
}
