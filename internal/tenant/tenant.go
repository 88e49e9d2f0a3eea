// Package tenant opens one database per tenant and hands out the two verbs
// everything else uses: Read on a pinned snapshot, and Commit with a pure
// function. The handle, not a parameter, carries the tenant: who holds one
// cannot name another. The databases are logs in object storage (package
// logvfs), so any number of processes may have the same tenant open.
package tenant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/logvfs"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// ErrCommitted is returned by Commit when its key was committed before; fn
// did not run.
var ErrCommitted = errors.New("this key was committed before")

// Config says where databases are and how they begin.
type Config struct {
	Bucket objstore.Bucket
	// Folder says that Bucket is a folder, where stock Litestream expects
	// other names than in S3 and OSS.
	Folder bool
	// Schema is run once, in the commit that creates a tenant.
	Schema func(kb.TenantID, *Conn) error
	// CacheBytes bounds the pages of all open databases together; 0 = 64 MiB.
	CacheBytes int64
	// OpenBytes bounds what the open databases take with their connections,
	// and with the pages of small ones; 0 = 24 MiB. Beyond it those used
	// longest ago lose their connections, which are back in a millisecond,
	// and then are closed: a few round trips bring one back. What is in use
	// stays, whatever it takes.
	OpenBytes int64
	// Event counts what happens beneath; may be nil.
	Event func(logvfs.Event)
	// Committed is told of every finished Commit: ok, or how it failed, and how
	// long it took; may be nil.
	Committed func(outcome string, took time.Duration)
	// Alarm is told what must never happen; may be nil.
	Alarm func(error)
	// RunTwice runs every Commit function twice and discards the first run: a
	// function with side effects shows itself. For tests.
	RunTwice bool

	wholeBytes int64 // as in logvfs.Config; tests set it
}

// Handle is one tenant. It stays good for the life of the registry, also when
// its database was closed meanwhile to save memory.
type Handle struct {
	id  kb.TenantID
	reg *Registry
}

// ID is the tenant this handle stands for.
func (h *Handle) ID() kb.TenantID { return h.id }

// Read calls fn on one snapshot: nothing that fn reads changes while it runs.
// The snapshot has every commit of this process and those of others that
// Refresh saw. fn may run again, like that of Commit.
func (h *Handle) Read(ctx context.Context, fn func(*Conn) error) error {
	e, err := h.reg.acquire(ctx, h.id, false)
	if err != nil {
		return err
	}
	defer h.reg.release(e)
	return e.db.Read(ctx, func(c *sqlite3.Conn) error { return fn(e.conn(c)) })
}

// Refresh makes the next Read see every commit that was acknowledged anywhere
// before now. It costs two small reads of the store.
func (h *Handle) Refresh(ctx context.Context) error { return h.RefreshSince(ctx, h.reg.Now()) }

// RefreshSince is Refresh for what was acknowledged before since, a moment of
// Registry.Now. A database that was opened later has all of that: the first
// request after a cold start asks the store once, not twice.
func (h *Handle) RefreshSince(ctx context.Context, since uint64) error {
	e, err := h.reg.acquire(ctx, h.id, false)
	if err != nil {
		return err
	}
	defer h.reg.release(e)
	if e.since > since {
		return nil
	}
	_, err = e.db.Refresh(ctx)
	return err
}

// Commit runs fn in a transaction, together with other waiting ones, and
// returns when it is durable. fn must be pure (it may run again): it changes
// nothing but the database and its own results, which it sets anew each run.
// A non-empty key makes the commit happen once: see ErrCommitted.
func (h *Handle) Commit(ctx context.Context, key string, fn func(*Conn) error) error {
	e, err := h.reg.acquire(ctx, h.id, false)
	if err != nil {
		return err
	}
	defer h.reg.release(e)
	began := time.Now()
	err = h.reg.commit(ctx, e, key, fn)
	if told := h.reg.cfg.Committed; told != nil {
		told(outcome(err), time.Since(began))
	}
	return err
}

// outcome is a word for how a commit ended, for metrics.
func outcome(err error) string {
	switch kind := kb.KindOf(err); {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrCommitted):
		return "repeated"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "canceled"
	case kind == kb.Internal, kind == kb.Unavailable:
		return "error"
	}
	return "refused" // by the function itself
}

func (r *Registry) commit(ctx context.Context, e *entry, key string, fn func(*Conn) error) error {
	now := time.Now()
	return e.db.Commit(ctx, key, func(raw *sqlite3.Conn) error {
		c := e.conn(raw)
		if r.cfg.RunTwice {
			if err := rehearse(c, fn); err != nil {
				return err
			}
		}
		if key == "" {
			return fn(c)
		}
		err := c.Exec(`INSERT OR IGNORE INTO commit_keys (key, at) VALUES (?, ?)`, key, now)
		if err != nil {
			return err
		}
		if c.Changes() == 0 {
			return ErrCommitted
		}
		return fn(c)
	})
}

// rehearse runs fn and takes it back.
func rehearse(c *Conn, fn func(*Conn) error) error {
	if err := c.db.Exec("SAVEPOINT rehearsal"); err != nil {
		return err
	}
	_ = fn(c) // a pure fn does the same again
	return c.db.Exec("ROLLBACK TO rehearsal; RELEASE rehearsal")
}

// bootstrap makes the tables of a new database; on an old one it does nothing.
func (r *Registry) bootstrap(id kb.TenantID) func(*Conn) error {
	return func(c *Conn) error {
		known := false
		err := c.Query(func(*Row) error { known = true; return nil }, `SELECT 1 FROM sqlite_schema WHERE name = 'commit_keys'`)
		if err != nil || known {
			return err
		}
		if err := c.Script(`CREATE TABLE commit_keys (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID`); err != nil {
			return err
		}
		return r.cfg.Schema(id, c)
	}
}

// prefix is where a tenant's log lies.
func prefix(id kb.TenantID) string { return tenantsPrefix + string(id) }

const tenantsPrefix = "t/"

// List returns the tenants there are, in order; internal ones, whose names
// begin with '_', are left out. It costs one list call for each.
func (r *Registry) List(ctx context.Context) ([]kb.TenantID, error) {
	var ids []kb.TenantID
	for after := tenantsPrefix; ; {
		infos, _, err := r.cfg.Bucket.List(ctx, tenantsPrefix, after, 1)
		if err != nil {
			return nil, fmt.Errorf("list tenants: %w", err)
		}
		if len(infos) == 0 {
			return ids, nil
		}
		name, _, _ := strings.Cut(infos[0].Key[len(tenantsPrefix):], "/")
		if id, err := kb.ParseTenant(name); err == nil {
			ids = append(ids, id)
		}
		after = tenantsPrefix + name + "0" // '0' follows '/': behind every key of this tenant
	}
}

// notFound translates the log's word for a tenant that does not exist.
func notFound(id kb.TenantID, err error) error {
	if errors.Is(err, commitlog.ErrNoTenant) || errors.Is(err, commitlog.ErrDeleted) {
		return kb.E(kb.NotFound, err, "tenant %q does not exist", id)
	}
	return fmt.Errorf("open tenant %s: %w", id, err)
}
