//go:build nochat && !novectors

package app

import (
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/llm"
)

// embeddingModels are models of their own: nothing answers in this build.
func embeddingModels(cfg config.Config, _ answers, m meter) (c *llm.Client, own bool, err error) {
	c, err = openModels(cfg, m)
	return c, true, err
}
