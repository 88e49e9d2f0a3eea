package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Entry is one row of the audit: who did what to which tenant.
type Entry struct {
	Seq     int64
	At      time.Time
	Actor   string // id of the key, or "cli:" and the account
	Action  string
	Tenant  string
	Outcome string // begun, done, failed
	Detail  string // JSON; never a key
}

// Refresh makes what follows see every commit acknowledged before now.
func (s *Control) Refresh(ctx context.Context) error { return s.h.Refresh(ctx) }

// CreateKey keeps a key. With replaces, the id of one of the same tenant, that
// one expires at until if it would live longer. The audit row is part of the
// commit.
func (s *Control) CreateKey(ctx context.Context, k Key, replaces string, until time.Time, e Entry) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		if replaces != "" {
			err := c.Exec(`UPDATE keys SET expires_at = CASE WHEN expires_at = 0 THEN ?3 ELSE min(expires_at, ?3) END WHERE id = ?1 AND tenant = ?2`,
				replaces, k.Tenant, until)
			if err != nil {
				return err
			}
			if c.Changes() == 0 {
				return kb.E(kb.NotFound, nil, "no key %q to replace here", replaces).With("field", "replaces")
			}
		}
		if err := putKey(c, k); err != nil {
			return err
		}
		return putEntry(c, e)
	})
}

// DeleteKey forgets a key of a tenant ("" = one bound to none). The last
// stored root key that does not expire is kept unless spare says that there is
// another one outside the database.
func (s *Control) DeleteKey(ctx context.Context, id, of string, spare bool, e Entry) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		if err := c.Exec(`DELETE FROM keys WHERE id = ? AND tenant = ?`, id, of); err != nil {
			return err
		}
		if c.Changes() == 0 {
			return kb.E(kb.NotFound, nil, "no key %q here", id)
		}
		left := spare
		err := c.Query(func(*tenant.Row) error { left = true; return nil }, lastingRoot)
		if err != nil {
			return err
		}
		if !left {
			return kb.E(kb.Conflict, nil, "this is the last root key: make another one first")
		}
		return putEntry(c, e)
	})
}

// SetSetting keeps one setting for all instances.
func (s *Control) SetSetting(ctx context.Context, key, value string, e Entry) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		err := c.Exec(`INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2`, key, value)
		if err != nil {
			return err
		}
		return putEntry(c, e)
	})
}

// ForgetTenant removes what belongs to a deleted tenant: its keys.
func (s *Control) ForgetTenant(ctx context.Context, id kb.TenantID, e Entry) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		if err := c.Exec(`DELETE FROM keys WHERE tenant = ?`, id); err != nil {
			return err
		}
		return putEntry(c, e)
	})
}

// Note writes one audit row.
func (s *Control) Note(ctx context.Context, e Entry) error {
	err := s.h.Commit(ctx, "", func(c *tenant.Conn) error { return putEntry(c, e) })
	if err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	return nil
}

func putEntry(c *tenant.Conn, e Entry) error {
	return c.Exec(`INSERT INTO audit (at, actor, action, tenant, outcome, detail) VALUES (?, ?, ?, ?, ?, ?)`,
		e.At, e.Actor, e.Action, e.Tenant, e.Outcome, e.Detail)
}

// Audit lists audit rows, newest first; of one tenant if of is not "".
func (s *Control) Audit(ctx context.Context, of string, p kb.Page) (es []Entry, next string, err error) {
	before := int64(1) << 62
	if p.Cursor != "" {
		if before, err = strconv.ParseInt(p.Cursor, 10, 64); err != nil {
			return nil, "", kb.E(kb.Invalid, err, "cursor: use the value of next").With("field", "cursor")
		}
	}
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		es = nil
		return c.Query(func(r *tenant.Row) error {
			es = append(es, Entry{
				Seq: r.Int64(0), At: r.Time(1), Actor: r.Text(2), Action: r.Text(3), Tenant: r.Text(4), Outcome: r.Text(5), Detail: r.Text(6),
			})
			return nil
		}, `SELECT seq, at, actor, action, tenant, outcome, detail FROM audit WHERE seq < ?1 AND (?2 = '' OR tenant = ?2) ORDER BY seq DESC LIMIT ?3`,
			before, of, limit(p)+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("read audit: %w", err)
	}
	if n := limit(p); len(es) > n {
		es = es[:n]
		next = strconv.FormatInt(es[n-1].Seq, 10)
	}
	return es, next, nil
}
