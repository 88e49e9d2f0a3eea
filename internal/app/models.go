//go:build !nochat || !novectors

package app

import (
	"context"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/llm"
)

// openModels returns the client of the models that settings name, nil without
// any. It asks nobody.
func openModels(cfg config.Config, m meter) (*llm.Client, error) {
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
	dims := 0 // the model's
	if cfg.Run.Origin["dashscope.embedding_dimension"] != "" {
		dims = d.EmbeddingDimension
	}
	return llm.New(llm.Config{
		Dimensions: dims,
		BaseURL:    d.BaseURL, APIKey: d.APIKey.Reveal(), Timeout: d.Timeout, MaxRetries: retries,
		Observe: func(_ context.Context, u llm.Usage) {
			m.Model(string(u.Op), ending(u.Err), u.Duration, u.Prompt, u.Completion)
		},
		Chat: endpoint(d.Chat(), d.ChatModel), Embedding: endpoint(d.Embed(), d.EmbedModel), Rerank: endpoint(d.Rerank(), d.RerankModel),
	})
}
