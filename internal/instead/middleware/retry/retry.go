// Package retry stands for github.com/grpc-ecosystem/go-grpc-middleware/retry,
// by which the Milvus SDK makes a call again, six times within 22 s. Package
// milvus does that itself and within the caller's deadline, so here nothing is
// repeated. The original links the pages of golang.org/x/net/trace, and with
// their templates every method of every type
// (docs/adr/0005-what-nobody-calls-is-not-linked.md).
package retry

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// BackoffFuncContext says how long to wait before a try.
type BackoffFuncContext func(ctx context.Context, attempt uint) time.Duration

// CallOption says how to repeat, which nobody does.
type CallOption struct{}

// WithMax is no option.
func WithMax(uint) CallOption { return CallOption{} }

// WithBackoff is no option.
func WithBackoff(func(attempt uint) time.Duration) CallOption { return CallOption{} }

// WithCodes is no option.
func WithCodes(...codes.Code) CallOption { return CallOption{} }

// UnaryClientInterceptor makes the call, once.
func UnaryClientInterceptor(...CallOption) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
}
