//go:build !novectors && nomilvus

package app

import (
	"context"
	"log/slog"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/dense"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// milvusIndex stands for the part that this build was made without: vectors
// are searched in memory, whatever the settings say.
type milvusIndex struct{}

func openMilvus(cfg config.Config, _ meter, log *slog.Logger) (milvusIndex, error) {
	if cfg.Milvus.Enabled() {
		log.Warn("this build has no Milvus: vectors are searched in memory")
	}
	return milvusIndex{}, nil
}

func (milvusIndex) of(kb.TenantID) dense.Index { return dense.Index{} }

func (milvusIndex) rebuild(context.Context, string, int) error { return nil }

func (milvusIndex) holds(context.Context, kb.TenantID, string, int) (string, int, error) {
	return "", 0, nil
}

func (milvusIndex) on() bool { return false }

func (milvusIndex) close() {}
