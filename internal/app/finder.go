//go:build !nochat

package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
	"github.com/eino-qa/eino-qa/internal/retrieve"
	"github.com/eino-qa/eino-qa/internal/store"
)

// finder is a retriever as package chat sees it.
type finder struct {
	r        *retrieve.Retriever
	meter    meter
	vectors  *tenantVectors
	reranker *reranker
	spent    *spending // by this answer; nil: nobody counts
	model    bool      // one writes the answers, and reads what stands beside the passages
}

// counting is f for one answer.
func (f finder) counting(s *spending) finder {
	f.spent = s
	return f
}

func (f finder) Retrieve(ctx context.Context, question string, n int) (kb.Found, error) {
	began := time.Now()
	res, err := f.r.Retrieve(ctx, question, n)
	f.meter.Retrieval("all", time.Since(began))
	said := f.vectors.note(question)
	f.spent.add(said.Spent, f.reranker.took(question))
	if err != nil {
		return kb.Found{}, err
	}
	found := kb.Found{Passages: res.Passages, Answerable: res.Answerable, Abstain: !res.Answers(), Fits: res.Fits, Degraded: res.Degraded}
	for _, mode := range said.Degraded {
		if !slices.Contains(found.Degraded, mode) {
			found.Degraded = append(found.Degraded, mode)
		}
	}
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

// spending is what models took for one answer beside writing it.
type spending struct {
	mu   sync.Mutex
	held []kb.Spent
}

func (s *spending) add(more ...kb.Spent) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range more {
		if u != (kb.Spent{}) {
			s.held = append(s.held, u)
		}
	}
}

// counting remembers a turn together with what was spent on it.
type counting struct {
	*store.Store
	spent *spending
}

// SaveTurn implements chat.Memory.
func (c counting) SaveTurn(ctx context.Context, t kb.Turn, owner string, before, after kb.SessionState, reason string) error {
	c.spent.mu.Lock()
	defer c.spent.mu.Unlock()
	err := c.SaveTurnSpent(ctx, t, owner, before, after, reason, c.spent.held)
	if err == nil {
		c.spent.held = nil
	}
	return err
}

// reranker is the rerank model for one tenant. It is safe for concurrent use.
type reranker struct {
	models *llm.Client
	tenant kb.TenantID

	mu    sync.Mutex
	spent map[string]kb.Spent // by question, until somebody takes it
}

var _ retrieve.Reranker = (*reranker)(nil)

// reranker returns the rerank model for a tenant, nil without one.
func (x answers) reranker(id kb.TenantID) *reranker {
	if x.models == nil || !x.models.HasRerank() {
		return nil
	}
	return &reranker{models: x.models, tenant: id, spent: map[string]kb.Spent{}}
}

// into adds the reranker to how a tenant is searched.
func (r *reranker) into(cfg retrieve.Config) retrieve.Config {
	if r != nil {
		cfg.Rerank = r
	}
	return cfg
}

// Rerank implements retrieve.Reranker.
func (r *reranker) Rerank(ctx context.Context, query string, docs []string) ([]float64, error) {
	scores, u, err := r.models.Rerank(ctx, query, docs, llm.RerankOptions{Tenant: r.tenant})
	r.mu.Lock()
	defer r.mu.Unlock()
	if u.Prompt+u.Completion > 0 {
		r.spent[query] = r.spent[query].Add(kb.Spent{Model: r.models.RerankModel(), Tokens: u.Prompt + u.Completion, CostMicro: u.CostMicro})
	}
	return scores, err
}

// took returns what reranking for a question took, once.
func (r *reranker) took(question string) kb.Spent {
	if r == nil {
		return kb.Spent{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.spent[question]
	delete(r.spent, question)
	return u
}
