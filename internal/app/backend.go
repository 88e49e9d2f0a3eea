package app

import (
	"context"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/retrieve"
)

// backend is the App as package api sees it.
type backend struct{ a *App }

var _ api.Backend = backend{}

func (b backend) Tenant(ctx context.Context, id kb.TenantID, create bool) (api.Tenant, error) {
	t, err := b.a.Tenant(ctx, id, create)
	if err != nil {
		return api.Tenant{}, err
	}
	var watched sync.WaitGroup
	watched.Go(func() { b.a.watch(ctx) }) // overlaps with what follows
	err = t.Store.Refresh(ctx)
	watched.Wait()
	if kb.KindOf(err) == kb.NotFound { // deleted since it was opened here, and perhaps made anew
		b.a.forget(id)
		t, err = b.a.Tenant(ctx, id, create)
	}
	if err != nil {
		return api.Tenant{}, err
	}
	return api.Tenant{
		ID: id, Chat: t.Chat, Ingester: b.a.intake.waking(t.Ingester), Documents: t.Store, Conversations: t.Store,
		Orders: t.Store, Handoffs: t.Store, Sessions: t.Store, Feedback: t.Store, Settings: t.Store, Receipts: t.Store,
	}, nil
}

// healthTime bounds one look at the parts.
const healthTime = 2 * time.Second

func (b backend) Health(ctx context.Context) (map[string]api.Health, bool) {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	parts := map[string]api.Health{}
	for _, f := range b.a.features() {
		h := api.Health{Status: "off", Message: f.Detail}
		if f.On {
			h = api.Health{Status: "up"}
		}
		parts[f.Name] = h
	}
	_, _, err := b.a.control.Load(ctx)
	if err != nil {
		parts["store"] = api.Health{Status: "down", Message: "the store does not answer"}
	}
	return parts, err == nil
}

// finder is a retriever as package chat sees it.
type finder struct {
	r     *retrieve.Retriever
	model bool // one writes the answers, and reads what stands beside the passages
}

func (f finder) Retrieve(ctx context.Context, question string, n int) (kb.Found, error) {
	res, err := f.r.Retrieve(ctx, question, n)
	if err != nil {
		return kb.Found{}, err
	}
	found := kb.Found{Passages: res.Passages, Answerable: res.Answerable, Abstain: !res.Answers(), Degraded: res.Degraded}
	if f.model {
		if found.Context, err = f.r.Context(ctx, found.Passages); err != nil {
			return kb.Found{}, err
		}
	}
	for i, q := range res.Quotes {
		if i > 0 && q.Score < leastQuote {
			continue
		}
		found.Quotes = append(found.Quotes, kb.Quote(q))
	}
	return found, nil
}

// leastQuote is the least confidence of a sentence quoted beside the best one.
const leastQuote = 0.05
