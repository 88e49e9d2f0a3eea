// Package storage opens the bucket that settings name: a folder, S3 or OSS. It
// links the clients of these and nothing else, because the smallest function
// uses it.
package storage

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
	"github.com/eino-qa/eino-qa/internal/objstore/oss"
	"github.com/eino-qa/eino-qa/internal/objstore/s3"
)

// Keys returns credentials and when to ask again.
type Keys func(context.Context) (key, secret, token string, expires time.Time, err error)

// Open opens what storage.url names. keys, if not nil, is asked instead of the
// keys that settings name. folder tells a folder from object storage. It sends
// nothing.
func Open(cfg config.Config, keys Keys) (b objstore.Bucket, folder bool, err error) {
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
		b, err = openS3(cfg, keys)
	case "oss":
		b, err = openOSS(cfg, keys)
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

func openS3(cfg config.Config, keys Keys) (objstore.Bucket, error) {
	c, err := s3.ParseURL(cfg.Storage.URL)
	if err != nil {
		return nil, err
	}
	if c.Region == "" {
		c.Region = cfg.Storage.Region
	}
	c.Credentials = s3.Static(cfg.Storage.AccessKeyID.Reveal(), cfg.Storage.SecretAccessKey.Reveal(), cfg.Storage.SessionToken.Reveal())
	if keys != nil {
		c.Credentials = func(ctx context.Context) (s3.Credentials, error) {
			key, secret, token, expires, err := keys(ctx)
			return s3.Credentials{Key: key, Secret: secret, Token: token, Expires: expires}, err
		}
	}
	return s3.Open(c)
}

func openOSS(cfg config.Config, keys Keys) (objstore.Bucket, error) {
	c, err := oss.ParseURL(withRegion(cfg.Storage))
	if err != nil {
		return nil, err
	}
	c.Credentials = oss.Static(cfg.Storage.AccessKeyID.Reveal(), cfg.Storage.SecretAccessKey.Reveal(), cfg.Storage.SessionToken.Reveal())
	if keys != nil {
		c.Credentials = func(ctx context.Context) (oss.Credentials, error) {
			key, secret, token, expires, err := keys(ctx)
			return oss.Credentials{Key: key, Secret: secret, Token: token, Expires: expires}, err
		}
	}
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
