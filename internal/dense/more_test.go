package dense

import (
	"context"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/store"
)

var day = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// pagedStore reads one block at a time and fails once.
type pagedStore struct {
	*store.Store
	failAt int // the call that fails
	asked  []int64
}

func (p *pagedStore) VectorBlocks(ctx context.Context, space string, after int64, _ int) ([]kb.VectorBlock, error) {
	p.asked = append(p.asked, after)
	if len(p.asked) == p.failAt {
		return nil, errRemote
	}
	return p.Store.VectorBlocks(ctx, space, after, 1)
}
