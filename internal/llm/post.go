package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"
)

// post makes one JSON call of k and decodes the answer into out.
func (e *endpoint) post(ctx context.Context, k *call, address string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s request: %w", e.op, err)
	}
	req, err := http.NewRequestWithContext(withCall(ctx, k), http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make %s request: %w", e.op, err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if e.key != "" {
		req.Header.Set("Authorization", "Bearer "+e.key)
	}
	res, err := e.RoundTrip(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body) // in memory already, bounded by k.maxBody
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, out); err != nil {
		return e.lied("%v", err)
	}
	return nil
}

// lied is the error for an answer of status 200 that cannot be true.
func (e *endpoint) lied(format string, args ...any) error {
	return e.broken(context.Background(), context.Background(), fmt.Errorf("%w: "+format, append([]any{ErrBadReply}, args...)...)).err
}

// span is a batch: items from to to-1.
type span struct{ from, to int }

// inBatches runs do for every batch, a few at once, and sums what they took.
// The first error ends the others.
func inBatches(ctx context.Context, batches []span, do func(context.Context, span) (Usage, error)) (Usage, error) {
	const atOnce = 4 // of one call; the limiter bounds all of them
	var mu sync.Mutex
	var total Usage
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, b := range batches {
		g.Go(func() error {
			u, err := do(ctx, b)
			mu.Lock()
			defer mu.Unlock()
			total = total.Add(u)
			return err
		})
	}
	err := g.Wait()
	return total, err
}
