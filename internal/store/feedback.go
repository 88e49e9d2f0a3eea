package store

import (
	"context"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// PutFeedback records what the owner of a turn, or any reader of a public one,
// thought of it, in place of what was recorded before. Turns of others are
// kb.NotFound, as those that do not exist.
func (s *Store) PutFeedback(ctx context.Context, turn kb.TurnID, owner, rating, comment string, now time.Time) error {
	known := false
	err := s.commit(ctx, func(c *tenant.Conn) error {
		known = false
		err := c.Query(func(*tenant.Row) error { known = true; return nil }, `SELECT 1 FROM turns WHERE id = ? AND owner IN ('', ?)`, turn, owner)
		if err != nil || !known {
			return err
		}
		return c.Exec(`INSERT INTO feedback (turn, rating, comment, created_at) VALUES (?, ?, ?, ?)
		    ON CONFLICT (turn) DO UPDATE SET rating = excluded.rating, comment = excluded.comment, created_at = excluded.created_at`, turn, rating, comment, now)
	})
	if err != nil {
		return fmt.Errorf("put feedback: %w", err)
	}
	if !known {
		return kb.E(kb.NotFound, nil, "no turn %q", turn)
	}
	return nil
}

// Feedback lists feedback by turn, the youngest turn first; rating "" is all.
func (s *Store) Feedback(ctx context.Context, rating string, p kb.Page) (fs []kb.Feedback, next string, err error) {
	before := p.Cursor
	if before == "" {
		before = "~" // after every id
	}
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		fs = nil
		return c.Query(func(r *tenant.Row) error {
			fs = append(fs, kb.Feedback{
				Turn: kb.TurnID(r.Text(0)), Session: kb.SessionID(r.Text(1)), Rating: r.Text(2), Comment: r.Text(3),
				Query: r.Text(4), Answer: r.Text(5), CreatedAt: r.Time(6),
			})
			return nil
		}, `SELECT f.turn, t.session, f.rating, f.comment, t.query, t.answer, f.created_at FROM feedback f JOIN turns t ON t.id = f.turn
		    WHERE f.turn < ? AND (? = '' OR f.rating = ?) ORDER BY f.turn DESC LIMIT ?`, before, rating, rating, limit(p)+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list feedback: %w", err)
	}
	if len(fs) > limit(p) {
		fs = fs[:limit(p)]
		next = string(fs[len(fs)-1].Turn)
	}
	return fs, next, nil
}
