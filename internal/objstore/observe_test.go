package objstore_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestObservedChangesNothing(t *testing.T) {
	t.Parallel()
	objstoretest.Run(t, func(*testing.T) objstore.Bucket {
		return objstore.Observed(new(mem.Bucket), func(string, string, time.Duration) {})
	})
}

func TestObservedTellsEveryRequestAndItsEnd(t *testing.T) {
	t.Parallel()
	var got []string
	fault := objstoretest.NewFault(new(mem.Bucket), nil)
	b := objstore.Observed(fault, func(op, outcome string, _ time.Duration) { got = append(got, op+" "+outcome) })
	ctx := context.Background()
	body := func() *bytes.Reader { return bytes.NewReader([]byte("x")) }
	_, _, _ = b.Get(ctx, "a")
	_, _ = b.Create(ctx, "a", body())
	_, _ = b.Create(ctx, "a", body())
	_, _, _ = b.GetRange(ctx, "a", 0, 1)
	_, _, _ = b.List(ctx, "", "", 1)
	_ = b.Delete(ctx, "a")
	want := []string{"get absent", "create ok", "create exists", "range ok", "list ok", "delete ok"}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	for word, err := range map[string]error{
		"throttled": objstore.ErrThrottled, "full": fmt.Errorf("put: %w", objstore.ErrFull), "timeout": context.DeadlineExceeded, "error": fmt.Errorf("new"),
	} {
		if got := objstore.Outcome(err); got != word {
			t.Errorf("outcome of %v is %q, want %q", err, got, word)
		}
	}
}
