package app

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/storage"
)

// openBucket opens what storage.url names and checks that it keeps its
// promises. folder tells a folder from object storage.
func openBucket(ctx context.Context, cfg config.Config) (b objstore.Bucket, folder bool, err error) {
	raw, folder, err := storage.Open(cfg, nil)
	if err != nil {
		return nil, false, err
	}
	if b, err = encrypted(cfg, raw); err != nil {
		return nil, false, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return sameEncryption(gctx, cfg, raw) })
	g.Go(func() error {
		if err := objstore.SelfTest(gctx, b, "selftest"); err != nil {
			return fmt.Errorf("storage.url: %w", err)
		}
		return nil
	})
	return b, folder, g.Wait()
}
