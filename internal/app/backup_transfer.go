//go:build !function

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/kb"
)

func (o *operator) export(ctx context.Context, a *App) error {
	if len(o.args) != 1 || o.all && (o.tenant != "" || o.when != "" || o.commit != "") || !o.all && o.tenant == "" {
		return o.bad("give -tenant ID and a file, or -all and a folder")
	}
	t, err := o.target()
	if err != nil {
		return err
	}
	if !o.all {
		id, err := o.id()
		if err != nil {
			return err
		}
		return o.exportOne(ctx, a, id, t, o.args[0])
	}
	ids, err := a.liveTenants(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.args[0], 0o700); err != nil {
		return kb.E(kb.Invalid, err, "%s cannot be made", o.args[0])
	}
	for _, id := range ids {
		if err := o.exportOne(ctx, a, id, t, filepath.Join(o.args[0], string(id)+".db")); err != nil {
			return err
		}
	}
	return nil
}

// exportOne writes path and path.json; both appear whole or not at all.
func (o *operator) exportOne(ctx context.Context, a *App, id kb.TenantID, t backup.Target, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return kb.E(kb.Conflict, nil, "%s is there already; name a file that is not", path)
	}
	part := path + ".part"
	_ = os.Remove(part) // of a run that was killed
	m, err := a.export(ctx, actor(), id, t, part)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".json", append(data, '\n'), 0o600); err != nil {
		return errors.Join(fmt.Errorf("write manifest: %w", err), os.Remove(part))
	}
	if err := syncFile(part); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("name export: %w", err)
	}
	fmt.Fprintf(o.out, "%s  %s  commit %s of %s, %d rows\n", m.SHA256, path, m.Commit, m.Time.Local().Format(time.DateTime), m.Rows())
	return nil
}

func syncFile(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// manifestOf reads the manifest beside an exported file; found is false if
// there is none.
func manifestOf(path string) (m backup.Manifest, found bool, err error) {
	data, err := readUpTo(path+".json", 1<<20)
	if errors.Is(err, os.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	if err := json.Unmarshal(data, &m); err != nil || m.Format != 1 || m.SHA256 == "" {
		return m, false, kb.E(kb.Unprocessable, err, "%s.json is no manifest of an export that this program knows", path)
	}
	return m, true, nil
}

func (o *operator) imports(ctx context.Context, a *App) error {
	if len(o.args) != 1 {
		return o.bad("give -tenant ID and one file")
	}
	id, err := kb.ParseTenant(o.tenant)
	if err != nil {
		return o.bad("%v", err)
	}
	m, _, err := manifestOf(o.args[0])
	if err != nil {
		return err
	}
	im, err := a.importFile(ctx, actor(), id, o.args[0], m.SHA256, o.replace)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.out, "tenant %s has the %d rows of %s, from commit %s on\n", id, im.Rows, o.args[0], im.Now)
	return nil
}

// verifyFile checks an exported file against itself and its manifest.
func (o *operator) verifyFile(ctx context.Context, path string) error {
	m, found, err := manifestOf(path)
	if err != nil {
		return err
	}
	f, err := backup.New(backup.Config{SQL: files{}}).VerifyFile(ctx, path, m, found)
	if err != nil {
		return err
	}
	against := "there is no manifest beside it"
	if found {
		against = fmt.Sprintf("as its manifest says: tenant %s, commit %s of %s", m.Tenant, m.Commit, m.Time.Local().Format(time.DateTime))
	}
	fmt.Fprintf(o.out, "ok   %s  %d rows, schema %d, %s\n", path, f.Rows(), f.Schema, against)
	return nil
}
