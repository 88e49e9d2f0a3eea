package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/store"
)

var _ api.Operator = backend{}

func (b backend) Tenants(ctx context.Context, p kb.Page) ([]api.TenantInfo, string, error) {
	ts, next, err := b.a.backups().Tenants(ctx, p)
	out := make([]api.TenantInfo, len(ts))
	for i, t := range ts {
		out[i] = api.TenantInfo{ID: t.ID, Status: t.Status, Commit: t.Commit, Changed: t.Changed, LastBackup: orNil(t.LastBackup), Undo: t.Undo}
	}
	return out, next, err
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (b backend) CreateTenant(ctx context.Context, actor string, id kb.TenantID) error {
	return b.a.audited(ctx, actor, "tenant.create", id, nil, func() (any, error) {
		b.a.forget(id) // it may be a deleted one that is open here
		_, err := b.a.tenants.Create(ctx, id)
		return nil, err
	})
}

func (b backend) DeleteTenant(ctx context.Context, actor string, id kb.TenantID) error {
	return b.a.deleteTenant(ctx, actor, id)
}

func (b backend) BackUp(ctx context.Context, actor string, id kb.TenantID) (out api.BackedUp, err error) {
	err = b.a.audited(ctx, actor, "tenant.backup", id, nil, func() (any, error) {
		// A deployed function that takes requests may delete nothing
		// (template.yaml, s.yaml); the function backup does.
		function := b.a.cfg.Run.Platform != "local"
		rep, err := b.a.backups().Run(ctx, backup.Options{Tenants: []kb.TenantID{id}, Full: true, Keep: function})
		if err != nil {
			return nil, err
		}
		r := rep.Results[0]
		if r.Status == backup.Gone {
			return nil, kb.E(kb.NotFound, nil, "tenant %q is deleted", id)
		}
		out = api.BackedUp{Commit: r.Commit, Snapshot: r.Snapshot, Rows: r.Rows, Compacted: r.Compacted, Deleted: r.Deleted}
		return out, nil
	})
	return out, err
}

func (b backend) RestorePoints(ctx context.Context, id kb.TenantID, p kb.Page) ([]api.RestorePoint, string, error) {
	ps, next, err := b.a.backups().Points(ctx, id, p)
	out := make([]api.RestorePoint, len(ps))
	for i, p := range ps {
		out[i] = api.RestorePoint{Commit: p.Commit, Time: p.Time, Kind: p.Kind, Replaced: p.Replaced}
	}
	return out, next, err
}

func (b backend) Restore(ctx context.Context, actor string, id kb.TenantID, at api.Moment, preview bool) (api.Restored, error) {
	r, err := b.a.restore(ctx, actor, id, backup.Target{Time: at.Time, Commit: at.Commit}, preview)
	return restored(r), err
}

func (b backend) Undo(ctx context.Context, actor string, id kb.TenantID) (api.Restored, error) {
	r, err := b.a.undo(ctx, actor, id)
	return restored(r), err
}

func restored(r backup.Restored) api.Restored {
	out := api.Restored{Preview: r.Preview, Commit: r.Commit, Time: orNil(r.Time), Now: r.Now}
	for _, d := range r.Differences {
		out.Differences = append(out.Differences, api.Difference(d))
	}
	return out
}

func (b backend) Export(ctx context.Context, actor string, id kb.TenantID, at api.Moment, send func(api.Exported) error) (err error) {
	dir, err := os.MkdirTemp("", "eino-qa-backup-")
	if err != nil {
		return kb.E(kb.Unavailable, err, "no temporary folder on the server")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "export.db")
	m, err := b.a.export(ctx, actor, id, backup.Target{Time: at.Time, Commit: at.Commit}, path)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open export: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	sum, err := hex.DecodeString(m.SHA256)
	if err != nil {
		return fmt.Errorf("hash of export: %w", err)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	name := fmt.Sprintf("%s-%s.db", id, m.Time.UTC().Format("20060102T150405Z"))
	return send(api.Exported{Name: name, Bytes: m.Bytes, SHA256: sum, Manifest: manifest, File: f})
}

func (b backend) Import(ctx context.Context, actor string, id kb.TenantID, file io.Reader, sha256 string, replace bool) (out api.Imported, err error) {
	dir, err := os.MkdirTemp("", "eino-qa-backup-")
	if err != nil {
		return out, kb.E(kb.Unavailable, err, "no temporary folder on the server")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "upload.db")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return out, fmt.Errorf("receive import: %w", err)
	}
	_, err = io.Copy(f, file)
	if err = errors.Join(err, f.Close()); err != nil {
		return out, fmt.Errorf("receive import: %w", err)
	}
	im, err := b.a.importFile(ctx, actor, id, path, strings.ToLower(sha256), replace)
	return api.Imported{Tenant: im.Tenant, Now: im.Now, Rows: im.Rows}, err
}

func (b backend) Keys(ctx context.Context, of kb.TenantID) ([]api.KeyInfo, error) {
	if err := b.a.control.Refresh(ctx); err != nil {
		return nil, err
	}
	ks, _, err := b.a.control.Load(ctx)
	var out []api.KeyInfo
	for _, k := range ks {
		if k.Tenant == string(of) {
			out = append(out, keyInfo(k))
		}
	}
	return out, err
}

func keyInfo(k store.Key) api.KeyInfo {
	return api.KeyInfo{ID: k.ID, Name: k.Name, Scopes: k.Scopes, Tenant: kb.TenantID(k.Tenant), Created: k.Created.UTC(), Expires: orNil(k.Expires)}
}

func (b backend) CreateKey(ctx context.Context, actor string, of kb.TenantID, n api.NewKey) (api.MadeKey, error) {
	if of != "" { // a key of a tenant that nobody made would be a trap
		if _, err := b.a.tenants.Tenant(ctx, of); err != nil {
			return api.MadeKey{}, err
		}
	}
	at := now()
	k := store.Key{ID: kb.NewID("key", at), Name: n.Name, Scopes: n.Scopes, Tenant: string(of), Created: at}
	if n.Replaces != "" {
		if err := b.inherit(ctx, &k, n.Replaces); err != nil {
			return api.MadeKey{}, err
		}
	}
	if n.Life > 0 {
		k.Expires = at.Add(n.Life)
	}
	kind := "eqa_"
	if k.Scopes[0] == string(auth.Root) {
		kind = "eqa_root_"
	}
	key := kind + strings.ToLower(rand.Text()) + strings.ToLower(rand.Text()) // 260 bits
	k.Hash = auth.HashKey(key)
	e := store.Entry{At: at, Actor: actor, Action: "key.create", Tenant: string(of), Outcome: "done", Detail: toJSON(map[string]any{
		"key": k.ID, "scopes": k.Scopes, "expires_at": orNil(k.Expires), "replaces": n.Replaces,
	})}
	if err := b.a.control.CreateKey(ctx, k, n.Replaces, at.Add(n.Overlap), e); err != nil {
		return api.MadeKey{}, err
	}
	b.a.keys.Forget()
	return api.MadeKey{KeyInfo: keyInfo(k), Key: key}, nil
}

// inherit gives k the scopes and the name of the key it replaces where it has
// none of its own.
func (b backend) inherit(ctx context.Context, k *store.Key, replaces string) error {
	if err := b.a.control.Refresh(ctx); err != nil {
		return err
	}
	ks, _, err := b.a.control.Load(ctx)
	if err != nil {
		return err
	}
	for _, old := range ks {
		if old.ID == replaces && old.Tenant == k.Tenant {
			if len(k.Scopes) == 0 {
				k.Scopes = old.Scopes
			}
			if k.Name == "" {
				k.Name = old.Name
			}
			return nil
		}
	}
	return kb.E(kb.NotFound, nil, "replaces: there is no key %q here", replaces).With("field", "replaces")
}

func (b backend) DeleteKey(ctx context.Context, actor string, of kb.TenantID, id string) error {
	e := store.Entry{At: now(), Actor: actor, Action: "key.delete", Tenant: string(of), Outcome: "done", Detail: toJSON(map[string]string{"key": id})}
	spare := b.a.cfg.Security.RootKey.IsSet()
	if err := b.a.control.DeleteKey(ctx, id, string(of), spare, e); err != nil {
		return err
	}
	b.a.keys.Forget()
	return nil
}

func (b backend) Audit(ctx context.Context, of kb.TenantID, p kb.Page) ([]api.AuditEntry, string, error) {
	if err := b.a.control.Refresh(ctx); err != nil {
		return nil, "", err
	}
	es, next, err := b.a.control.Audit(ctx, string(of), p)
	out := make([]api.AuditEntry, len(es))
	for i, e := range es {
		out[i] = api.AuditEntry{At: e.At, Actor: e.Actor, Action: e.Action, Tenant: e.Tenant, Outcome: e.Outcome}
		if json.Valid([]byte(e.Detail)) {
			out[i].Detail = json.RawMessage(e.Detail)
		}
	}
	return out, next, err
}
