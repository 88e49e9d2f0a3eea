package app

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
	"github.com/eino-qa/eino-qa/internal/objstore/s3"
)

// openBucket opens what storage.url names and checks that it keeps its
// promises. folder tells a folder from object storage.
func openBucket(ctx context.Context, cfg config.Config) (b objstore.Bucket, folder bool, err error) {
	u, err := url.Parse(cfg.Storage.URL)
	if err != nil {
		return nil, false, kb.E(kb.Invalid, err, "storage.url: not a URL")
	}
	switch u.Scheme {
	case "":
		b, err = openFolder(cfg.Database.BasePath, "database.base_path (DATABASE_BASE_PATH)")
		folder = true
	case "file":
		b, err = openFolder(filepath.FromSlash(u.Path), "storage.url (STORAGE_URL)")
		folder = true
	case "s3":
		b, err = openS3(cfg)
	default:
		err = kb.E(kb.Invalid, nil, "storage.url: %q is not a store we know; use file://, s3:// or oss://", u.Scheme)
	}
	if err != nil {
		return nil, false, err
	}
	if err := objstore.SelfTest(ctx, b, "selftest"); err != nil {
		return nil, false, fmt.Errorf("storage.url: %w", err)
	}
	return b, folder, nil
}

func openFolder(path, setting string) (objstore.Bucket, error) {
	b, err := dir.Open(path)
	if err != nil {
		return nil, kb.E(kb.Unavailable, err, "the folder %s cannot be used as a store: make it a folder that this user may write, or set %s", path, setting)
	}
	return b, nil
}

func openS3(cfg config.Config) (objstore.Bucket, error) {
	c, err := s3.ParseURL(cfg.Storage.URL)
	if err != nil {
		return nil, err
	}
	if c.Region == "" {
		c.Region = cfg.Storage.Region
	}
	c.Credentials = s3.Static(cfg.Storage.AccessKeyID.Reveal(), cfg.Storage.SecretAccessKey.Reveal(), cfg.Storage.SessionToken.Reveal())
	return s3.Open(c)
}
