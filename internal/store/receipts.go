package store

import (
	"context"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// receiptLife is how long a request may be repeated without happening twice
// (DESIGN §4).
const receiptLife = 7 * 24 * time.Hour

// commit runs fn in one transaction, and notes in the same one the receipt of
// the request it is for. A request that was noted before gets kb.ErrRepeated,
// and nothing changes.
func (s *Store) commit(ctx context.Context, fn func(*tenant.Conn) error) error {
	rc := kb.ReceiptOf(ctx)
	if rc == nil || rc.Noted {
		return s.h.Commit(ctx, "", fn)
	}
	err := s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		if err := noteReceipt(c, rc); err != nil {
			return err
		}
		return fn(c)
	})
	rc.Noted = err == nil
	return err
}

// noteReceipt writes rc down, or returns kb.ErrRepeated.
func noteReceipt(c *tenant.Conn, rc *kb.Receipt) error {
	if err := c.Exec(`DELETE FROM receipts WHERE at < ?`, rc.At.Add(-receiptLife)); err != nil {
		return err
	}
	err := c.Exec(`INSERT OR IGNORE INTO receipts (id, body, turn, status, type, answer, at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		rc.ID, rc.Body, rc.Turn, rc.Status, rc.Type, rc.Answer, rc.At)
	if err == nil && c.Changes() == 0 {
		err = kb.E(kb.Conflict, kb.ErrRepeated, "a request with this Idempotency-Key was carried out before")
	}
	return err
}

// Receipt returns what is known of an earlier request, or kb.NotFound.
func (s *Store) Receipt(ctx context.Context, id string, now time.Time) (rc kb.Receipt, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		rc = kb.Receipt{}
		return c.Query(func(r *tenant.Row) error {
			rc = kb.Receipt{
				ID: id, Noted: true, Body: r.Text(0), Turn: kb.TurnID(r.Text(1)), Status: r.Int(2), Type: r.Text(3),
				Answer: append([]byte(nil), r.Blob(4)...), At: r.Time(5),
			}
			return nil
		}, `SELECT body, turn, status, type, answer, at FROM receipts WHERE id = ? AND at >= ?`, id, now.Add(-receiptLife))
	})
	if err != nil {
		return rc, fmt.Errorf("read receipt: %w", err)
	}
	if !rc.Noted {
		return rc, kb.E(kb.NotFound, nil, "no such request")
	}
	return rc, nil
}

// KeepReceipt keeps the answer of a request: with the note that its commit
// left, or, if it committed nothing, with a note of its own.
func (s *Store) KeepReceipt(ctx context.Context, rc kb.Receipt) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		err := c.Exec(`UPDATE receipts SET status = ?, type = ?, answer = ? WHERE id = ? AND status = 0`, rc.Status, rc.Type, rc.Answer, rc.ID)
		if err != nil || c.Changes() > 0 || rc.Noted {
			return err
		}
		return noteReceipt(c, &rc)
	})
}
