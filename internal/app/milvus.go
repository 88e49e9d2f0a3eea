//go:build !novectors && !nomilvus

package app

import (
	"context"
	"log/slog"
	"time"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/dense"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/milvus"
)

// milvusIndex is the Milvus server, if there is one. A build with the tag
// nomilvus does without its SDK.
type milvusIndex struct {
	client *milvus.Client
	target string
}

// openMilvus connects to nothing: the first search does.
func openMilvus(cfg config.Config, m meter, log *slog.Logger) (milvusIndex, error) {
	s := cfg.Milvus
	if !s.Enabled() {
		return milvusIndex{}, nil
	}
	c, err := milvus.New(milvus.Config{
		Address: s.Address(), Username: s.Username, Password: s.Password.Reveal(), Database: s.Database,
		TLS: s.TLS.Enabled, CAFile: s.TLS.CAFile,
		Timeout: s.Timeout, ConnectTimeout: s.ConnectionTimeout, MaxCalls: s.MaxConnections, CloseIdle: s.MaxIdleConnections == 0,
		Metric: s.Metric, M: s.HNSW.M, EfConstruction: s.HNSW.EfConstruction, Ef: s.HNSW.Ef,
		Log: log, Meter: func(op string, took time.Duration, _ error) { m.Milvus(op, took) },
	})
	return milvusIndex{c, s.Address() + "/" + s.Database + "/" + s.Metric}, err
}

// of returns one tenant's part of it.
func (x milvusIndex) of(id kb.TenantID) dense.Index {
	if x.client == nil {
		return dense.Index{}
	}
	return dense.Index{Target: x.target, Of: func(space string, dims int) dense.Remote { return x.client.Index(id, space, dims) }}
}

// rebuild drops a space of all tenants, whoever made it. Each tenant's next
// pass fills it again.
func (x milvusIndex) rebuild(ctx context.Context, space string, dims int) error {
	if x.client == nil {
		return nil
	}
	return x.client.Rebuild(ctx, space, dims)
}

// holds asks the server how many rows of a tenant it has in a space.
func (x milvusIndex) holds(ctx context.Context, id kb.TenantID, space string, dims int) (collection string, rows int, err error) {
	if x.client == nil {
		return "", 0, nil
	}
	part := x.client.Index(id, space, dims)
	rows, err = part.Rows(ctx)
	return part.Collection(), rows, err
}

func (x milvusIndex) on() bool { return x.client != nil }

func (x milvusIndex) close() {
	if x.client != nil {
		_ = x.client.Close() // nothing is under way, and nobody could do anything about it
	}
}
