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

// arrival is the key of the moment, of tenant.Registry.Now, before which the
// request of a context arrived. Without it that is when a tenant is asked for.
type arrival struct{}

func arrived(ctx context.Context, at uint64) context.Context {
	return context.WithValue(ctx, arrival{}, at)
}

func (b backend) Tenant(ctx context.Context, id kb.TenantID, create bool) (api.Tenant, error) {
	begun, ok := ctx.Value(arrival{}).(uint64)
	if !ok {
		begun = b.a.tenants.Now()
	}
	t, err := b.a.Tenant(ctx, id, create)
	if err != nil {
		return api.Tenant{}, err
	}
	var watched sync.WaitGroup
	watched.Go(func() { b.a.watch(ctx) }) // overlaps with what follows
	err = t.Store.RefreshSince(ctx, begun)
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

// healthTime bounds one look at the store; healthEvery is how long it counts
// what the other parts answered.
const (
	healthTime  = 2 * time.Second
	healthEvery = 5 * time.Second
)

func (b backend) Ready(ctx context.Context) bool {
	_, ready := b.store(ctx)
	return ready
}

func (b backend) Health(ctx context.Context) (map[string]api.Health, bool) {
	var parts map[string]api.Health
	var asked sync.WaitGroup
	asked.Go(func() { parts = b.a.probes.Look(ctx, b.a.features()) })
	store, ready := b.store(ctx)
	asked.Wait()
	parts["store"] = store
	return parts, ready
}

// store says how the store is, and whether it reads.
func (b backend) store(ctx context.Context) (h api.Health, ready bool) {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	_, _, err := b.a.control.Load(ctx)
	switch complaint := b.a.vitals.Complaint(); {
	case err != nil:
		h = api.Health{Status: "down", Message: "the " + objstore.Complaint(err)}
	case complaint != "": // it reads, and perhaps only writing fails: what needs no write is still served
		h = api.Health{Status: "down", Message: "the " + complaint}
	default:
		h = api.Health{Status: "up"}
	}
	return h, err == nil
}
