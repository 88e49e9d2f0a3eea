package ingest

import (
	"context"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// segments is what merging needs of a tenant's store.
type segments interface {
	Index(ctx context.Context) (kb.Index, error)
	ReadSegment(ctx context.Context, id, off, n int64) ([]byte, error)
	Replace(ctx context.Context, merged int64, inputs []int64) error
}

func (in *Ingester) mergeSegments(ctx context.Context) error { return nil }
