package app

import (
	"context"

	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/store"
)

// What follows is done by operators, on the command line or by the admin
// routes; all of it is in the audit.

func (a *App) restore(ctx context.Context, actor string, id kb.TenantID, t backup.Target, preview bool) (r backup.Restored, err error) {
	if preview {
		return a.backups().Restore(ctx, id, t, true)
	}
	err = a.audited(ctx, actor, "tenant.restore", id, t, func() (any, error) {
		r, err = a.backups().Restore(ctx, id, t, false)
		return r, err
	})
	return r, err
}

func (a *App) undo(ctx context.Context, actor string, id kb.TenantID) (r backup.Restored, err error) {
	err = a.audited(ctx, actor, "tenant.undo", id, nil, func() (any, error) {
		r, err = a.backups().Undo(ctx, id)
		return r, err
	})
	return r, err
}

func (a *App) export(ctx context.Context, actor string, id kb.TenantID, t backup.Target, path string) (m backup.Manifest, err error) {
	err = a.audited(ctx, actor, "tenant.export", id, t, func() (any, error) {
		m, err = a.backups().Export(ctx, id, t, path)
		return map[string]any{"commit": m.Commit, "sha256": m.SHA256, "bytes": m.Bytes}, err
	})
	return m, err
}

func (a *App) importFile(ctx context.Context, actor string, id kb.TenantID, path, sha256 string, replace bool) (im backup.Imported, err error) {
	err = a.audited(ctx, actor, "tenant.import", id, map[string]any{"sha256": sha256, "replace": replace}, func() (any, error) {
		im, err = a.backups().Import(ctx, id, path, sha256, replace)
		return map[string]any{"now": im.Now, "rows": im.Rows}, err
	})
	return im, err
}

// deleteTenant ends a tenant and forgets its keys: whoever has one is out.
func (a *App) deleteTenant(ctx context.Context, actor string, id kb.TenantID) error {
	var s *store.Store // as it was: afterwards nobody knows what is outside
	if a.vectors.on() {
		s, _ = a.openStore(ctx, id, false) // a tenant that is gone already is told below
	}
	return a.audited(ctx, actor, "tenant.delete", id, nil, func() (any, error) {
		if err := a.backups().Delete(ctx, id); err != nil {
			return nil, err
		}
		a.forget(id)
		a.vectors.leave(ctx, id, s)
		return nil, a.control.ForgetTenant(ctx, id, store.Entry{At: now(), Actor: actor, Action: "key.delete", Tenant: string(id), Outcome: "done"})
	})
}

// liveTenants lists the tenants that are not deleted.
func (a *App) liveTenants(ctx context.Context) (ids []kb.TenantID, err error) {
	s := a.backups()
	for cursor := ""; ; {
		ts, next, err := s.Tenants(ctx, kb.Page{Cursor: cursor, Limit: 200})
		if err != nil {
			return nil, err
		}
		for _, t := range ts {
			if t.Status == "live" {
				ids = append(ids, t.ID)
			}
		}
		if cursor = next; cursor == "" {
			return ids, nil
		}
	}
}
