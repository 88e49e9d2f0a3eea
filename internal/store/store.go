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
	Commit(ctx context.Context, key string, fn func(*tenant.Conn) error) error
}

var _ handle = (*tenant.Handle)(nil)

// Store is the SQL of one tenant. It is safe for concurrent use.
type Store struct{ h handle }

// New returns the store on h. It reads nothing.
func New(h handle) *Store { return &Store{h: h} }

// Refresh makes what follows see every commit acknowledged before now, also
// those of other processes.
func (s *Store) Refresh(ctx context.Context) error { return s.h.Refresh(ctx) }

// Check returns kb.Unavailable when the database was written by a newer
// program that says this one must not read or write it.
func (s *Store) Check(ctx context.Context) error {
	return s.h.Read(ctx, func(c *tenant.Conn) error {
		return c.Query(func(r *tenant.Row) error {
			if r.Int(1) > schemaVersion {
				return kb.E(kb.Unavailable, nil, "tenant %s needs a newer program: its %s is %d, this program knows %d; update the program",
					s.h.ID(), r.Text(0), r.Int(1), schemaVersion)
			}
			return nil
		}, `SELECT key, value FROM meta WHERE key IN ('min_reader', 'min_writer')`)
	})
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
