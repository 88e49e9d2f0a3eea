package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/retrieve"
	"github.com/eino-qa/eino-qa/internal/store"
)

// Tenant is the parts that work for one tenant. They stay good when they are
// no longer kept: only what they remember is lost.
type Tenant struct {
	Store    *store.Store
	Ingester ingester
	Chat     api.Chat
	Retrieve *retrieve.Retriever
	vectors  *tenantVectors // nil without an embedding model
	reranker *reranker      // nil without a rerank model
}

// memory is the bytes that the parts hold to be faster.
func (t *Tenant) memory() int64 { return t.Retrieve.Memory() + t.vectors.memory() }

// Tenant returns the parts of a tenant, making the tenant if create is set.
func (a *App) Tenant(ctx context.Context, id kb.TenantID, create bool) (*Tenant, error) {
	if t := a.lately.get(id, time.Now()); t != nil {
		return t, nil
	}
	s, err := a.openStore(ctx, id, create)
	if err != nil {
		return nil, err
	}
	t := &Tenant{Store: s, Ingester: a.intake.of(id, s), vectors: a.vectors.of(id, s), reranker: a.answers.reranker(id)}
	t.Retrieve = retrieve.New(s, t.reranker.into(t.vectors.into(retrieve.Config{Patience: a.cfg.RAG.VectorTimeout})))
	t.Chat = a.answers.of(id, t)
	return a.lately.keep(id, t, time.Now()), nil
}

func (a *App) openStore(ctx context.Context, id kb.TenantID, create bool) (*store.Store, error) {
	h, err := a.tenants.Tenant(ctx, id)
	if errors.Is(err, commitlog.ErrDeleted) { // using its name does not undo that
		return nil, kb.E(kb.NotFound, err, "tenant %q was deleted; an operator can undo that, or make it anew", id)
	}
	if err == nil {
		s := store.New(h)
		if err = s.Check(ctx); err == nil {
			return s, nil
		}
	}
	if !create {
		return nil, err
	}
	// It is new, or who made it died before its tables were there.
	if h, err = a.tenants.Create(ctx, id); err != nil {
		return nil, err
	}
	s := store.New(h)
	return s, s.Check(ctx)
}

// tenantSet keeps the parts of the tenants used last: a sleeping tenant costs
// nothing. It is safe for concurrent use.
type tenantSet struct {
	most   int   // tenants
	budget int64 // bytes of all of them

	mu      sync.Mutex
	held    map[kb.TenantID]*heldTenant
	weighed time.Time
}

type heldTenant struct {
	*Tenant
	used time.Time
}

// mostTenants is how many tenants are kept, and tenantMemory how much they may
// remember together; the one used last is kept whatever it holds.
const (
	mostTenants  = 32 // like the databases that tenant.Registry keeps open
	tenantMemory = 96 << 20
)

func newTenantSet() *tenantSet {
	return &tenantSet{most: mostTenants, budget: tenantMemory, held: map[kb.TenantID]*heldTenant{}}
}

// get returns a tenant that is kept, or nil.
func (s *tenantSet) get(id kb.TenantID, now time.Time) *Tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.held[id]
	if h == nil {
		return nil
	}
	h.used = now
	// What they hold grows with each question: weighing it now and then is
	// enough, and cheaper.
	if now.Sub(s.weighed) >= time.Second {
		s.weighed = now
		s.evict()
	}
	return h.Tenant
}

// keep keeps t, or returns the one that another request was first to keep.
func (s *tenantSet) keep(id kb.TenantID, t *Tenant, now time.Time) *Tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.held[id]; h != nil {
		h.used = now
		return h.Tenant
	}
	s.held[id] = &heldTenant{t, now}
	s.evict()
	return t
}

// forget drops what is kept of a tenant.
func (s *tenantSet) forget(id kb.TenantID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, id)
}

// evict drops the tenants unused longest while there are too many or they
// hold too much.
func (s *tenantSet) evict() {
	var held int64
	for _, h := range s.held {
		held += h.memory()
	}
	for len(s.held) > 1 && (len(s.held) > s.most || held > s.budget) {
		var victim kb.TenantID
		for id, h := range s.held {
			if v := s.held[victim]; v == nil || h.used.Before(v.used) {
				victim = id
			}
		}
		held -= s.held[victim].memory()
		delete(s.held, victim)
	}
}
