package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Key is an API key as it is kept: its hash, never itself.
type Key struct {
	ID      string
	Hash    string // SHA-256, hex
	Scopes  []string
	Tenant  string // "" = any
	Created time.Time
	Expires time.Time // zero = never
	Name    string    // what its owner calls it
}

// Control is the SQL of the control database.
type Control struct{ h handle }

// NewControl returns the control store on h.
func NewControl(h handle) *Control { return &Control{h: guarded{h, schemaVersion}} }

// Bootstrap stores the first settings unless somebody did already, and root
// unless there is a root key that does not expire; won tells whether root is
// the one. A root without a hash is none.
func (s *Control) Bootstrap(ctx context.Context, root Key, settings map[string]string) (won bool, err error) {
	err = s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		done, rooted := false, false
		if err := c.Query(func(*tenant.Row) error { done = true; return nil }, `SELECT 1 FROM settings WHERE key = 'bootstrapped'`); err != nil {
			return err
		}
		if err := c.Query(func(*tenant.Row) error { rooted = true; return nil }, lastingRoot); err != nil {
			return err
		}
		if !done {
			if err := c.Exec(`INSERT INTO settings VALUES ('bootstrapped', ?)`, root.Created.UTC().Format(time.RFC3339)); err != nil {
				return err
			}
			for k, v := range settings {
				if err := c.Exec(`INSERT INTO settings VALUES (?, ?)`, k, v); err != nil {
					return err
				}
			}
		}
		if won = root.Hash != "" && !rooted; won {
			return putKey(c, root)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("bootstrap: %w", err)
	}
	return won, nil
}

// lastingRoot has a row for each stored root key that does not expire.
const lastingRoot = `SELECT 1 FROM keys WHERE scopes LIKE '%root%' AND expires_at = 0`

func putKey(c *tenant.Conn, k Key) error {
	var expires int64
	if !k.Expires.IsZero() {
		expires = k.Expires.UnixMilli()
	}
	return c.Exec(`INSERT INTO keys (id, hash, scopes, tenant, created_at, expires_at, name) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		k.ID, k.Hash, strings.Join(k.Scopes, " "), k.Tenant, k.Created, expires, k.Name)
}

// Load returns all keys and settings in one snapshot.
func (s *Control) Load(ctx context.Context) (keys []Key, settings map[string]string, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		keys, settings = nil, map[string]string{}
		err := c.Query(func(r *tenant.Row) error {
			keys = append(keys, Key{
				ID: r.Text(0), Hash: r.Text(1), Scopes: strings.Fields(r.Text(2)), Tenant: r.Text(3), Created: r.Time(4), Expires: r.Time(5), Name: r.Text(6),
			})
			return nil
		}, `SELECT id, hash, scopes, tenant, created_at, expires_at, name FROM keys ORDER BY id`)
		if err != nil {
			return err
		}
		return c.Query(func(r *tenant.Row) error {
			settings[r.Text(0)] = r.Text(1)
			return nil
		}, `SELECT key, value FROM settings`)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("load keys and settings: %w", err)
	}
	return keys, settings, nil
}
