package internal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloudwego/eino/schema"
	cockroach "github.com/cockroachdb/errors"
	oldproto "github.com/golang/protobuf/proto"
	"github.com/grpc-ecosystem/go-grpc-middleware/retry"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// TestErrorsOfMilvus holds the functions that stand for cockroachdb/errors to
// what the Milvus SDK expects of them.
func TestErrorsOfMilvus(t *testing.T) {
	t.Parallel()
	inner := cockroach.Newf("row %d", 7)
	err := cockroach.Wrap(fmt.Errorf("insert: %w", inner), "client")
	if got, want := err.Error(), "client: insert: row 7"; got != want {
		t.Errorf("Wrap = %q, want %q", got, want)
	}
	if cockroach.Wrap(nil, "client") != nil {
		t.Error("Wrap makes an error of none")
	}
	if got := cockroach.Cause(err); got != inner { //nolint:errorlint // the very one
		t.Errorf("Cause = %v, want %v", got, inner)
	}
	if !cockroach.Is(err, inner) || cockroach.Is(err, cockroach.New("row 7")) || cockroach.Unwrap(inner) != nil {
		t.Error("Is and Unwrap are not those of the standard library")
	}
	if !cockroach.IsAny(err, context.Canceled, inner) || cockroach.IsAny(err, context.Canceled) {
		t.Error("IsAny does not look at each")
	}
	if got := cockroach.Errorf("%w", inner); !errors.Is(got, inner) {
		t.Errorf("Errorf = %v, want %v inside", got, inner)
	}
}

// TestCallsOfMilvusAreMadeOnce: the interceptor that the SDK asks for repeats
// nothing.
func TestCallsOfMilvusAreMadeOnce(t *testing.T) {
	t.Parallel()
	calls := 0
	call := retry.UnaryClientInterceptor(retry.WithMax(6), retry.WithCodes(codes.Unavailable), retry.WithBackoff(nil))
	err := call(t.Context(), "/m", "in", "out", nil, func(_ context.Context, method string, req, reply any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		calls++
		if method != "/m" || req != "in" || reply != "out" {
			t.Errorf("called %s with %v and %v", method, req, reply)
		}
		return status.Error(codes.Unavailable, "away")
	})
	if status.Code(err) != codes.Unavailable || calls != 1 {
		t.Errorf("%d calls, %v, want one and its error", calls, err)
	}
}

// TestOldNamesOfProtocolBuffers holds the two functions of the first
// implementation to what the SDK makes with them.
func TestOldNamesOfProtocolBuffers(t *testing.T) {
	t.Parallel()
	raw, err := oldproto.Marshal(&commonpb.KeyValuePair{Key: "dim", Value: "8"})
	if want := "\n\x03dim\x12\x018"; err != nil || string(raw) != want {
		t.Errorf("Marshal = %q, %v, want %q", raw, err, want)
	}
	var back commonpb.KeyValuePair
	if err := oldproto.Unmarshal(raw, &back); err != nil || back.GetKey() != "dim" || back.GetValue() != "8" {
		t.Errorf("Unmarshal = %v, %v", &back, err)
	}
	if err := oldproto.Unmarshal(raw[:3], &back); err == nil {
		t.Error("half a message was read")
	}
}

// TestNoPromptsInJinja: who writes one is told, and not given an empty prompt.
func TestNoPromptsInJinja(t *testing.T) {
	t.Parallel()
	out, err := schema.UserMessage("{{ name }}").Format(t.Context(), map[string]any{"name": "x"}, schema.Jinja2)
	if err == nil || !strings.Contains(err.Error(), "not part of this build") {
		t.Errorf("Format = %v, %v, want an error", out, err)
	}
}
