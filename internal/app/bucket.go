package app

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
	"github.com/eino-qa/eino-qa/internal/objstore/oss"
	"github.com/eino-qa/eino-qa/internal/objstore/s3"
)

// openBucket opens what storage.url names and checks that it keeps its
// promises. folder tells a folder from object storage.
func openBucket(ctx context.Context, cfg config.Config) (b objstore.Bucket, folder bool, err error) {
	raw, folder, err := openRaw(cfg)
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

// openRaw opens what storage.url names, as it is stored. It sends nothing.
func openRaw(cfg config.Config) (b objstore.Bucket, folder bool, err error) {
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
	case "oss":
		b, err = openOSS(cfg)
	default:
		err = kb.E(kb.Invalid, nil, "storage.url: %q is not a store we know; use file://, s3:// or oss://", u.Scheme)
	}
	return b, folder, err
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

func openOSS(cfg config.Config) (objstore.Bucket, error) {
	c, err := oss.ParseURL(withRegion(cfg.Storage))
	if err != nil {
		return nil, err
	}
	c.Credentials = oss.Static(cfg.Storage.AccessKeyID.Reveal(), cfg.Storage.SecretAccessKey.Reveal(), cfg.Storage.SessionToken.Reveal())
	return oss.Open(c)
}

// withRegion is storage.url with storage.region where it names none: an OSS
// location without an endpoint is none without it.
func withRegion(s config.Storage) string {
	u, err := url.Parse(s.URL)
	if err != nil || s.Region == "" {
		return s.URL
	}
	q := u.Query()
	if q.Has("region") || q.Has("endpoint") && strings.HasSuffix(q.Get("endpoint"), ".aliyuncs.com") {
		return s.URL
	}
	q.Set("region", s.Region)
	u.RawQuery = q.Encode()
	return u.String()
}
