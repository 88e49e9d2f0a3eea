// Package store is the SQL of one tenant: documents and their versions,
// chunks, the segments of the lexical index, sessions and turns; and of the
// control database. Every method is one snapshot or one commit on the
// tenant's handle. Writers are pure functions of their arguments, so a commit
// may run them again.
package store

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

//go:embed schema.sql
var schemaSQL string

//go:embed control.sql
var controlSQL string

// ControlID is the database of keys and settings. It is no valid tenant id,
// so no request can name it.
const ControlID kb.TenantID = "_control"

// schemaVersion is the newest schema this program knows, and writes.
const schemaVersion = 1

// Schema makes the tables of a new database. It is tenant.Config.Schema.
func Schema(id kb.TenantID, c *tenant.Conn) error {
	if id == ControlID {
		return c.Script(controlSQL)
	}
	return c.Script(schemaSQL)
}

// handle is a tenant.Handle, or one that breaks on purpose.
type handle interface {
	ID() kb.TenantID
	Read(ctx context.Context, fn func(*tenant.Conn) error) error
	Refresh(ctx context.Context) error
	RefreshSince(ctx context.Context, since uint64) error
	Commit(ctx context.Context, key string, fn func(*tenant.Conn) error) error
}

var _ handle = (*tenant.Handle)(nil)

// Store is the SQL of one tenant. It is safe for concurrent use.
type Store struct{ h handle }

// New returns the store on h. It reads nothing.
func New(h handle) *Store { return &Store{h: guarded{h, schemaVersion}} }

// Refresh makes what follows see every commit acknowledged before now, also
// those of other processes.
func (s *Store) Refresh(ctx context.Context) error { return s.h.Refresh(ctx) }

// RefreshSince is Refresh for what was acknowledged before a moment of
// tenant.Registry.Now.
func (s *Store) RefreshSince(ctx context.Context, since uint64) error {
	return s.h.RefreshSince(ctx, since)
}

// Check returns kb.Unavailable when this program must not read the database:
// a newer one contracted it, or it is too old. Every transaction checks the
// same; Check is for saying so early.
func (s *Store) Check(ctx context.Context) error {
	return s.h.Read(ctx, func(*tenant.Conn) error { return nil })
}

// meta reads one number.
func meta(c *tenant.Conn, key string) (v int64, err error) {
	err = c.Query(func(r *tenant.Row) error { v = r.Int64(0); return nil }, `SELECT value FROM meta WHERE key = ?`, key)
	if err != nil {
		return 0, fmt.Errorf("read meta %s: %w", key, err)
	}
	return v, nil
}

// bump moves the knowledge base's version: everything derived from it is stale.
func bump(c *tenant.Conn) error {
	return c.Exec(`UPDATE meta SET value = value + 1 WHERE key = 'kb_version'`)
}

// limit is how many rows a page has: 1 to 200, 50 if it does not say.
func limit(p kb.Page) int {
	if p.Limit <= 0 {
		return 50
	}
	return min(p.Limit, 200)
}
