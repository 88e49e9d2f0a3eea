//go:build !nochat

package app

import (
	"context"
	"iter"
	"log/slog"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/aside"
	"github.com/eino-qa/eino-qa/internal/chat"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
	"github.com/eino-qa/eino-qa/internal/store"
)

// answering tells builds that answer questions from those that do not.
const answering = true

// answers is what answers questions. Functions that answer none are built with
// the tag nochat and link neither the graph nor the models: those cost 5 ms of
// every cold start.
type answers struct {
	models *llm.Client // nil without models
	engine *chat.Engine
	meter  meter
}

func openAnswers(cfg config.Config, m meter, log *slog.Logger) (x answers, err error) {
	x.meter = m
	if x.models, err = openModels(cfg, m); err != nil {
		return x, err
	}
	x.engine = chat.New(chat.Config{
		TopK: cfg.RAG.TopK, HistoryTurns: cfg.Session.MaxHistory, SessionTimeout: cfg.Session.Timeout, HandoffTimeout: cfg.Handoff.Timeout,
		IntentConfidence: cfg.Intent.ConfidenceThreshold, ScoreThreshold: cfg.RAG.ScoreThreshold,
	}, x.models, log)
	return x, nil
}

// of returns the chat of one tenant.
func (x answers) of(id kb.TenantID, t *Tenant) api.Chat {
	found := finder{r: t.Retrieve, meter: x.meter, vectors: t.vectors, reranker: t.reranker, model: x.models != nil && x.models.HasChat()}
	return choosing{x, t.Store, found, chat.Tenant{ID: id, Memory: t.Store, Orders: t.Store}}
}

// choosing answers with the model that the tenant chose: it is one row of the
// tenant's database, read again for each question, so a switch counts for
// every instance from its next one on.
type choosing struct {
	answers
	store  *store.Store
	finder finder
	tenant chat.Tenant
}

func (c choosing) Answer(ctx context.Context, q kb.Question) iter.Seq2[kb.Event, error] {
	return func(yield func(kb.Event, error) bool) {
		var bound *chat.Chat
		var err error
		aside.Do(func() { bound, err = c.chosen(ctx) })
		if err != nil {
			yield(kb.Event{}, err)
			return
		}
		bound.Answer(ctx, q)(yield)
	}
}

// chosen is the engine for one question to this tenant.
func (c *choosing) chosen(ctx context.Context) (*chat.Chat, error) {
	t := c.tenant
	if c.models != nil {
		model, err := c.store.Setting(ctx, api.ChatModel)
		if err != nil {
			return nil, err
		}
		// One that the provider of today does not offer was chosen before the
		// settings changed: theirs counts.
		if model != "" && c.models.CheckModel(llm.OpChat, model) == nil {
			t.Model = model
		}
	}
	spent := new(spending)
	t.Memory, t.Retriever = counting{c.store, spent}, c.finder.counting(spent)
	return c.engine.For(t), nil
}

// catalogue lists the models for package api, nil without any.
func (x answers) catalogue() api.Models {
	if x.models == nil {
		return nil
	}
	return catalogue{x.models}
}

type catalogue struct{ models *llm.Client }

func (c catalogue) CheckModel(kind, id string) error { return c.models.CheckModel(llm.Op(kind), id) }

func (c catalogue) Models() (out []api.Model) {
	seen := map[llm.Op]bool{}
	for _, m := range c.models.Models() {
		out = append(out, api.Model{
			ID: m.ID, Type: string(m.Op), Provider: string(m.Provider), Context: m.Context, MaxInput: m.MaxInput, MaxOutput: m.MaxOutput,
			Dimensions: m.Dimensions, BatchRows: m.BatchRows, Price: api.Price(m.Price), Default: !seen[m.Op],
		})
		seen[m.Op] = true
	}
	return out
}

func (x answers) close() {
	if x.models != nil {
		x.models.Close()
	}
}
