//go:build !function

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// objectLevel is a level's folder in object storage: stock Litestream expects
// it under another name in a folder.
var objectLevel = regexp.MustCompile(`^(t/[^/]+/[0-9a-f]{32})/000([0-9])/`)

// copyReplica copies everything under t/ (or of one tenant) out of the store,
// decrypted, to a folder that stock `litestream restore` reads. Files that are
// there with the right size are left out, so that it can be run again.
func copyReplica(ctx context.Context, from objstore.Bucket, prefix, to string, progress func(files int, bytes int64)) (files int, bytes int64, err error) {
	for after, more := "", true; more; {
		infos, m, err := from.List(ctx, prefix, after, 0)
		if err != nil {
			return files, bytes, err
		}
		for _, i := range infos {
			after = i.Key
			name := objectLevel.ReplaceAllString(i.Key, "$1/ltx/$2/")
			path := filepath.Join(to, filepath.FromSlash(name))
			if info, err := os.Stat(path); err == nil && info.Size() == i.Size {
				continue
			}
			if err := copyObject(ctx, from, i.Key, path); errors.Is(err, objstore.ErrNotExist) {
				continue // it expired since it was listed
			} else if err != nil {
				return files, bytes, fmt.Errorf("%s: %w", i.Key, err)
			}
			files, bytes = files+1, bytes+i.Size
			progress(files, bytes)
		}
		more = m && len(infos) > 0
	}
	return files, bytes, nil
}

func copyObject(ctx context.Context, from objstore.Bucket, key, path string) (err error) {
	r, _, err := from.Open(ctx, key, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(part) // half a file must not look like one
		return err
	}
	return os.Rename(part, path)
}

// inTenant is the prefix of one tenant's objects, or of all.
func inTenant(id string) string {
	if id == "" {
		return "t/"
	}
	return "t/" + strings.TrimSuffix(id, "/") + "/"
}
