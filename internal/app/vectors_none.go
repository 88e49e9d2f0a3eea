//go:build novectors

package app

import (
	"context"
	"log/slog"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/retrieve"
	"github.com/eino-qa/eino-qa/internal/store"
)

// vectors stands for the part that this build was made without.
type vectors struct{ index milvusIndex }

type milvusIndex struct{}

func (milvusIndex) on() bool { return false }

func openVectors(config.Config, answers, meter, *slog.Logger) (vectors, error) {
	return vectors{}, nil
}

func (vectors) on() bool { return false }

func (vectors) close() {}

// tenantVectors is the dense arm of one tenant; there is none.
type tenantVectors struct{}

func (vectors) of(kb.TenantID, *store.Store) *tenantVectors { return nil }

func (vectors) wake(kb.TenantID) {}

func (vectors) embedOne(context.Context, kb.TenantID, *Tenant, kb.Span) (int, error) { return 0, nil }

func (vectors) sweep(context.Context, *App, kb.TenantID, any) {}

func (vectors) walkDue() bool { return false }

func (vectors) walk(context.Context, *App) error { return nil }

func (vectors) leave(context.Context, kb.TenantID, *store.Store) {}

func (vectors) run(ctx context.Context, _ *App) error {
	<-ctx.Done()
	return ctx.Err()
}

func (*tenantVectors) into(cfg retrieve.Config) retrieve.Config { return cfg }

// note is what the dense arm has to say about a search: nothing.
type note struct {
	Degraded []string
	Spent    kb.Spent
}

func (*tenantVectors) note(string) note { return note{} }

func (*tenantVectors) memory() int64 { return 0 }
