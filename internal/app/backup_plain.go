//go:build !function

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// importPlain takes in what earlier programs left in database.base_path: one
// plain SQLite file per tenant, TENANT.db. A file that was taken in is renamed
// to TENANT.db.imported; any other is named with the reason and left alone,
// and the server starts without it.
func (a *App) importPlain(ctx context.Context, out io.Writer) error {
	paths, err := filepath.Glob(filepath.Join(globEscape(a.cfg.Database.BasePath), "*.db"))
	if err != nil {
		return fmt.Errorf("look for plain databases: %w", err)
	}
	for _, path := range paths {
		err := a.importOnce(ctx, path, out)
		switch {
		case err == nil:
		case ctx.Err() != nil || kb.KindOf(err) == kb.Unavailable || kb.KindOf(err) == kb.Internal:
			return fmt.Errorf("import %s: %w", path, err)
		default:
			e, _ := errors.AsType[*kb.Error](err)
			fmt.Fprintf(out, "%s was not imported and is left as it is: %s\n", path, e.Msg)
			a.log.WarnContext(ctx, "a plain database was not imported", "path", path, "error", err)
		}
	}
	return nil
}

func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func (a *App) importOnce(ctx context.Context, path string, out io.Writer) error {
	id, err := kb.ParseTenant(strings.TrimSuffix(filepath.Base(path), ".db"))
	if err != nil {
		return err
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		return kb.E(kb.Invalid, err, "it is no regular file")
	}
	rows, before := int64(0), false
	err = a.audited(ctx, actor(), "tenant.import", id, map[string]string{"file": filepath.Base(path)}, func() (any, error) {
		im, again, err := a.backups().ImportOnce(ctx, id, path)
		rows, before = im.Rows, again
		return map[string]any{"now": im.Now, "rows": im.Rows, "again": again}, err
	})
	if err != nil {
		return err
	}
	// What belongs to the database keeps belonging to it.
	for _, ext := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(path+ext, path+".imported"+ext); err != nil && !(ext != "" && errors.Is(err, os.ErrNotExist)) {
			return kb.E(kb.Unavailable, err, "%s was imported and cannot be renamed; rename it to %s.imported", path, path)
		}
	}
	if before {
		fmt.Fprintf(out, "%s was imported as tenant %s before; the file is %s.imported now\n", path, id, path)
		return nil
	}
	fmt.Fprintf(out, "%s is imported as tenant %s (%d rows); the file is %s.imported now\n", path, id, rows, path)
	return nil
}
