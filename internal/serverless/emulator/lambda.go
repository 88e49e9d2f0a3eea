package emulator

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Lambda is one instance of a function on AWS Lambda.
type Lambda struct {
	runtimeAPI
	extension atomic.Bool
}

// StartLambda spawns the binary as Lambda's bootstrap.
func StartLambda(ctx context.Context, o Options) (*Lambda, error) {
	l := &Lambda{runtimeAPI: runtimeAPI{
		opts: o, version: "2018-06-01", accepted: http.StatusAccepted, idHeader: "Lambda-Runtime-Aws-Request-Id",
	}}
	mux := http.NewServeMux()
	// An extension is registered by who wants SIGTERM; it is asked for no events.
	mux.HandleFunc("POST /2020-01-01/extension/register", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		l.extension.Store(true)
		w.Header().Set("Lambda-Extension-Identifier", "ext-1")
		_, _ = io.WriteString(w, `{"functionName":"function","functionVersion":"$LATEST","handler":"bootstrap"}`)
	})
	mux.HandleFunc("GET /2020-01-01/extension/event/next", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-l.exited:
		}
	})
	if err := l.listen(ctx, mux); err != nil {
		return nil, err
	}
	if err := l.spawn(ctx, o, map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          l.addr,
		"AWS_LAMBDA_FUNCTION_NAME":        "function",
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/function",
		"AWS_LAMBDA_LOG_STREAM_NAME":      "emulator",
		"AWS_REGION":                      "us-east-1",
		"_HANDLER":                        "bootstrap",
		"LAMBDA_TASK_ROOT":                "/var/task",
		"TZ":                              ":UTC",
	}); err != nil {
		_ = l.server.Close()
		return nil, err
	}
	return l, nil
}

// Invoke sends one event and returns when its reply begins.
func (l *Lambda) Invoke(ctx context.Context, event []byte) (*Reply, error) {
	return l.InvokeUntil(ctx, event, time.Now().Add(l.opts.timeout()))
}

// InvokeUntil is Invoke with a deadline of the caller's choosing, for tests of
// deadlines that make no sense.
func (l *Lambda) InvokeUntil(ctx context.Context, event []byte, deadline time.Time) (*Reply, error) {
	h := http.Header{}
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:123456789012:function:function")
	h.Set("Lambda-Runtime-Trace-Id", "Root=1-5e9f0c65-1de4d666d4dd26aced652b6c;Sampled=0")
	return l.invoke(ctx, event, h)
}

// Extension reports whether the process asked for SIGTERM.
func (l *Lambda) Extension() bool { return l.extension.Load() }

// Shutdown ends the instance as Lambda does and returns its exit code:
// SIGTERM with 500 ms to live for who asked for it, SIGKILL for the others.
func (l *Lambda) Shutdown() int {
	defer l.Close()
	if !l.Extension() {
		l.Kill()
		return -1
	}
	return l.terminate(500 * time.Millisecond)
}
