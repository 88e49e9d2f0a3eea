//go:build !nochat

package app

import (
	"log/slog"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/chat"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
)

// answers is what answers questions. Functions that answer none are built with
// the tag nochat and link neither the graph nor the models: those cost 5 ms of
// every cold start.
type answers struct {
	models *llm.Client // nil without models
	engine *chat.Engine
}

func openAnswers(cfg config.Config, log *slog.Logger) (x answers, err error) {
	if x.models, err = openModels(cfg); err != nil {
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
	return x.engine.For(chat.Tenant{ID: id, Memory: t.Store, Retriever: finder{t.Retrieve}})
}

func (x answers) close() {
	if x.models != nil {
		x.models.Close()
	}
}

// openModels returns the client of the models that settings name, nil without
// any. It asks nobody.
func openModels(cfg config.Config) (*llm.Client, error) {
	d := cfg.DashScope
	if !d.Models() {
		return nil, nil //nolint:nilnil // no models is no error
	}
	endpoint := func(on bool, model string) llm.Endpoint {
		if !on {
			return llm.Endpoint{Provider: llm.OpenAI} // which has no default model
		}
		return llm.Endpoint{Model: model}
	}
	retries := d.MaxRetries
	if retries == 0 {
		retries = -1 // package llm takes 0 for its default
	}
	return llm.New(llm.Config{
		BaseURL: d.BaseURL, APIKey: d.APIKey.Reveal(), Timeout: d.Timeout, MaxRetries: retries,
		Chat: endpoint(d.Chat(), d.ChatModel), Embedding: endpoint(d.Embed(), d.EmbedModel), Rerank: endpoint(d.Rerank(), d.RerankModel),
	})
}
