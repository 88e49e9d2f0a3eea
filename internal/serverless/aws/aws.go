// Package aws runs a function's handlers on AWS Lambda: raw events in (API
// Gateway REST and HTTP, ALB, function URL, S3, SQS, EventBridge), buffered or
// streamed replies out. It assumes the runtime API client of aws-lambda-go,
// built with the tag lambda.norpc. Requests are made by
// aws-lambda-go-api-proxy where it is right; what it gets wrong is corrected
// here and pinned by upstream_test.go.
package aws

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// Limits of what Lambda and its callers carry.
const (
	// maxPayload is the size over which Lambda answers "exceeded maximum
	// allowed payload size (6291556 bytes)", for requests and buffered
	// responses, base64 and JSON escapes included.
	maxPayload = 6291556
	// maxALB is the response JSON that an ALB target may send (ELB user guide,
	// "Lambda functions as targets").
	maxALB = 1 << 20
	// maxPrelude bounds status and headers of a streamed reply: API Gateway
	// wants them within the first 16 KB of the stream (developer guide,
	// "Lambda proxy integration with payload response streaming").
	maxPrelude = 16 << 10
	// stopTime is left for Handlers.Stop: SIGKILL follows SIGTERM after about
	// 500 ms (aws-lambda-go, WithEnableSIGTERM).
	stopTime = 300 * time.Millisecond
)

// Adapter turns Lambda's raw events into calls of handlers. It is safe for
// concurrent use (Lambda Managed Instances run several invocations at once).
type Adapter struct {
	cfg function.Config
	h   function.Handlers
}

// New returns an adapter for h.
func New(cfg function.Config, h function.Handlers) *Adapter {
	return &Adapter{cfg.WithDefaults(), h}
}

// Start serves invocations and does not return: when the runtime API fails
// the process exits, which is how Lambda gets a new one.
func (a *Adapter) Start() {
	var opts []lambda.Option
	if a.h.Stop != nil {
		// This registers an internal extension, one more round trip of cold
		// start, so it is done only for those who need it.
		opts = append(opts, lambda.WithEnableSIGTERM(a.stop))
	}
	lambda.StartWithOptions(a.Handle, opts...)
}

func (a *Adapter) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	_ = function.Guard(ctx, a.cfg.Log, func() error {
		a.h.Stop(ctx)
		return nil
	})
	cancel()
	os.Exit(0) // the signal handler took SIGTERM's default away
}

// Handle answers one invocation. What it returns is encoded by aws-lambda-go:
// a pointer to one of its streaming responses is streamed.
func (a *Adapter) Handle(ctx context.Context, raw json.RawMessage) (any, error) {
	var requestID string
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		requestID = lc.AwsRequestID
	}
	k, p, err := probe(raw)
	if err != nil {
		a.cfg.Log.ErrorContext(ctx, "event not understood", "err", err.Error(), "trace_id", requestID, "bytes", len(raw))
		return nil, err
	}
	inv := function.Invocation{Platform: function.Lambda, RequestID: requestID, Kind: k.String()}
	if k.http() {
		inv.Streamed = a.streams(k)
		return a.handleHTTP(function.WithInvocation(ctx, inv), k, p, len(raw))
	}
	out, err := a.handleEvent(function.WithInvocation(ctx, inv), k, p, raw)
	if err != nil {
		a.cfg.Log.ErrorContext(ctx, "event failed", "err", err.Error(), "trace_id", requestID)
	}
	return out, err
}

// streams reports whether replies to events of kind k are streamed: only REST
// APIs and function URLs can, and only when the integration is set up for it.
func (a *Adapter) streams(k kind) bool {
	return a.cfg.Mode == function.Stream && (k == kindREST || k == kindURL)
}
