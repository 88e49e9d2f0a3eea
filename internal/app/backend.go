package app

import (
	"context"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
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
	switch complaint := b.a.vitals.Complaint(); {
	case err != nil:
		parts["store"] = api.Health{Status: "down", Message: "the " + objstore.Complaint(err)}
	case complaint != "": // it reads, and perhaps only writing fails: what needs no write is still served
		parts["store"] = api.Health{Status: "down", Message: "the " + complaint}
	}
	return parts, err == nil
}
