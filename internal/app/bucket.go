package app

import (
	"context"
	"fmt"

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
	// Before the first write: that makes data keys, by which a store is known
	// to be encrypted from then on.
	if err := sameEncryption(ctx, cfg, raw); err != nil {
		return nil, false, err
	}
	if err := objstore.SelfTest(ctx, b, "selftest"); err != nil {
		return nil, false, fmt.Errorf("storage.url: %w", err)
	}
	return b, folder, nil
}
