package store

import (
	"cmp"
	"context"
	"fmt"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Setting returns what the tenant chose under key, "" if nothing.
func (s *Store) Setting(ctx context.Context, key string) (value string, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		value, err = setting(c, key)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read setting %s: %w", key, err)
	}
	return value, nil
}

func setting(c *tenant.Conn, key string) (value string, err error) {
	err = c.Query(func(r *tenant.Row) error { value = r.Text(0); return nil }, `SELECT value FROM settings WHERE key = ?`, key)
	return value, err
}

// ChangeSetting puts what change makes of the value under key in its place; an
// empty value is removed. change must be pure.
func (s *Store) ChangeSetting(ctx context.Context, key string, change func(old string) (string, error)) error {
	err := s.commit(ctx, func(c *tenant.Conn) error {
		old, err := setting(c, key)
		if err != nil {
			return err
		}
		value, err := change(old)
		if err != nil || value == old {
			return err
		}
		return putSetting(c, key, value)
	})
	if err != nil {
		return fmt.Errorf("change setting %s: %w", key, err)
	}
	return nil
}

// putSetting puts value under key; an empty one is removed.
func putSetting(c *tenant.Conn, key, value string) error {
	if value == "" {
		return c.Exec(`DELETE FROM settings WHERE key = ?`, key)
	}
	return c.Exec(`INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
}

// addUsage counts a turn.
func addUsage(c *tenant.Conn, t kb.Turn) error {
	var u kb.Usage
	if t.Metadata.Usage != nil {
		u = *t.Metadata.Usage
	}
	return c.Exec(`INSERT INTO usage (day, model, turns, abstained, prompt, completion, cost_micro) VALUES (?, ?, 1, ?, ?, ?, ?)
	    ON CONFLICT (day, model) DO UPDATE SET turns = turns + 1, abstained = abstained + excluded.abstained, prompt = prompt + excluded.prompt,
	      completion = completion + excluded.completion, cost_micro = cost_micro + excluded.cost_micro`,
		t.CreatedAt.UTC().Format(dayLayout), cmp.Or(u.Model, t.Metadata.Model), t.Metadata.Abstained, u.Prompt, u.Completion, u.CostMicro)
}

// dayLayout is a day as the usage table has it.
const dayLayout = "2006-01-02"

// Usage returns what answers took from one day to another, both included, in
// order. Days are dates such as 2026-01-31.
func (s *Store) Usage(ctx context.Context, from, to string) (us []kb.UsageDay, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		us = nil
		return c.Query(func(r *tenant.Row) error {
			us = append(us, kb.UsageDay{
				Day: r.Text(0), Model: r.Text(1), Turns: r.Int64(2), Abstained: r.Int64(3), Prompt: r.Int64(4), Completion: r.Int64(5), CostMicro: r.Int64(6),
			})
			return nil
		}, `SELECT day, model, turns, abstained, prompt, completion, cost_micro FROM usage WHERE day BETWEEN ? AND ? ORDER BY day, model`, from, to)
	})
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	return us, nil
}
