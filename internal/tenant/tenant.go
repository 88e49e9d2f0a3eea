// Package tenant opens one database per tenant and hands out the two verbs
// everything else uses: Read on a pinned snapshot, and Commit with a pure
// function. The handle, not a parameter, carries the tenant: who holds one
// cannot name another. It assumes that one process at a time owns the folder
// until the commit log stands behind it (docs/ARCHITECTURE.md).
package tenant

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// ErrCommitted is returned by Commit when its key was committed before; fn
// did not run.
var ErrCommitted = errors.New("this key was committed before")

// Config says where databases are and how they begin.
type Config struct {
	Dir    string                         // folder of the databases
	Schema func(kb.TenantID, *Conn) error // run once, in the commit that creates a tenant
	// RunTwice runs every Commit function twice and discards the first run: a
	// function with side effects shows itself. For tests.
	RunTwice bool
}

// Registry holds the open databases of this process.
type Registry struct {
	cfg  Config
	mu   sync.Mutex
	open map[kb.TenantID]*plain
}

// NewRegistry makes the folder if it is missing and checks that it can be
// written.
func NewRegistry(cfg Config) (*Registry, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, kb.E(kb.Unavailable, err, "database folder %s cannot be made; set database.base_path to a folder this user may write", cfg.Dir)
	}
	f, err := os.CreateTemp(cfg.Dir, ".write-probe-*")
	if err != nil {
		return nil, kb.E(kb.Unavailable, err, "database folder %s cannot be written; give it to this user or set database.base_path", cfg.Dir)
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return nil, fmt.Errorf("probe %s: %w", cfg.Dir, err)
	}
	return &Registry{cfg: cfg, open: map[kb.TenantID]*plain{}}, nil
}

// Handle is one tenant. It stays good for the life of the registry.
type Handle struct {
	id  kb.TenantID
	reg *Registry
	db  *plain
}

// Tenant returns the handle of an existing tenant, or kb.NotFound.
func (r *Registry) Tenant(ctx context.Context, id kb.TenantID) (*Handle, error) {
	return r.get(ctx, id, false)
}

// Create returns the handle of a tenant, making the tenant if it is new.
func (r *Registry) Create(ctx context.Context, id kb.TenantID) (*Handle, error) {
	return r.get(ctx, id, true)
}

func (r *Registry) get(ctx context.Context, id kb.TenantID, create bool) (*Handle, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if db := r.open[id]; db != nil {
		return &Handle{id: id, reg: r, db: db}, nil
	}
	path := filepath.Join(r.cfg.Dir, string(id)+".db")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) && !create {
		return nil, kb.E(kb.NotFound, err, "tenant %q does not exist", id)
	}
	db, err := openPlain(path, r.cfg.RunTwice)
	if err != nil {
		return nil, err
	}
	if err := db.commit(ctx, func(c *Conn) error { return r.bootstrap(id, c) }); err != nil {
		return nil, errors.Join(fmt.Errorf("create tenant %s: %w", id, err), db.close())
	}
	r.open[id] = db
	return &Handle{id: id, reg: r, db: db}, nil
}

// bootstrap makes the tables of a new database; on an old one it does nothing.
func (r *Registry) bootstrap(id kb.TenantID, c *Conn) error {
	known := false
	err := c.Query(func(*Row) error { known = true; return nil },
		`SELECT 1 FROM sqlite_schema WHERE name = 'commit_keys'`)
	if err != nil || known {
		return err
	}
	if err := c.Script(`CREATE TABLE commit_keys (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID`); err != nil {
		return err
	}
	return r.cfg.Schema(id, c)
}

// List returns the tenants there are, in order. Internal ones begin with '_'
// and are left out.
func (r *Registry) List(context.Context) ([]kb.TenantID, error) {
	es, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	var ids []kb.TenantID
	for _, e := range es {
		name, ok := strings.CutSuffix(e.Name(), ".db")
		if id, err := kb.ParseTenant(name); ok && err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Close closes every database. Nothing may use a handle after it.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for id, db := range r.open {
		errs = append(errs, db.close())
		delete(r.open, id)
	}
	return errors.Join(errs...)
}

// ID is the tenant this handle stands for.
func (h *Handle) ID() kb.TenantID { return h.id }

// Read calls fn on one snapshot: nothing that fn reads changes while it runs.
func (h *Handle) Read(ctx context.Context, fn func(*Conn) error) error {
	return h.db.read(ctx, fn)
}

// Commit runs fn in a transaction, together with other waiting ones, and
// returns when it is durable. fn must be pure (it may run again): it changes
// nothing but the database and its own results, which it sets anew each run.
// A non-empty key makes the commit happen once: see ErrCommitted.
func (h *Handle) Commit(ctx context.Context, key string, fn func(*Conn) error) error {
	if key == "" {
		return h.db.commit(ctx, fn)
	}
	return h.db.commit(ctx, func(c *Conn) error {
		err := c.Exec(`INSERT OR IGNORE INTO commit_keys (key, at) VALUES (?, ?)`, key, time.Now())
		if err != nil {
			return err
		}
		if c.Changes() == 0 {
			return ErrCommitted
		}
		return fn(c)
	})
}
