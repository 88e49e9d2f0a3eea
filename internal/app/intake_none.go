//go:build noingest

package app

import (
	"context"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/store"
)

// ingester stands for the part that this build was made without.
type ingester = api.Ingester

type intake struct{}

func newIntake(*App) intake { return intake{} }

func (intake) of(kb.TenantID, *store.Store) ingester { return closed{} }

func (intake) run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (intake) waking(in ingester) api.Ingester { return in }

// closed answers a request that was sent to the wrong function.
type closed struct{}

func (closed) Submit(context.Context, kb.File) (kb.Submitted, error) {
	return kb.Submitted{}, kb.E(kb.NotFound, nil, "this function takes no documents: send them to the function admin")
}
