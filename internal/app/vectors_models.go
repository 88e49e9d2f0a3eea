//go:build !nochat && !novectors

package app

import (
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/llm"
)

// embeddingModels are the models that answer: one limiter and one breaker
// guard both.
func embeddingModels(_ config.Config, x answers, _ meter) (c *llm.Client, own bool, err error) {
	return x.models, false, nil
}
