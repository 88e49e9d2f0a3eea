//go:build !function

package app

import (
	"context"
	"log/slog"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/telemetry/metrics"
)

// Open opens the store and makes the first root key if nobody has. It makes no
// connection that it does not need at once.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	b, folder, err := openBucket(ctx, cfg)
	if err != nil {
		return nil, err
	}
	m := metrics.New(Version)
	a, err := openOn(ctx, cfg, log, m, b, folder, true, "")
	if err != nil {
		return nil, err
	}
	a.scrape = m.Handler()
	return a, nil
}
