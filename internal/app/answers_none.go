//go:build nochat

package app

import (
	"context"
	"iter"
	"log/slog"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/retrieve"
)

// answering tells builds that answer questions from those that do not.
const answering = false

// answers stands for the parts that this build was made without.
type answers struct{}

func openAnswers(config.Config, meter, *slog.Logger) (answers, error) { return answers{}, nil }

func (answers) of(kb.TenantID, *Tenant) api.Chat { return silent{} }

func (answers) catalogue() api.Models { return nil }

func (answers) close() {}

// reranker stands for the rerank model, which only answers need.
type reranker struct{}

func (answers) reranker(kb.TenantID) *reranker { return nil }

func (*reranker) into(cfg retrieve.Config) retrieve.Config { return cfg }

// silent answers a request that was sent to the wrong function.
type silent struct{}

func (silent) Answer(context.Context, kb.Question) iter.Seq2[kb.Event, error] {
	return func(yield func(kb.Event, error) bool) {
		yield(kb.Event{}, kb.E(kb.NotFound, nil, "this function answers no questions: send them to the function chat"))
	}
}
