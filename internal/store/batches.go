package store

import (
	"context"
	"fmt"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// VectorBatches returns the batches of an index outside, oldest first, and the
// database's epoch: a batch of another epoch was counted before the database
// was restored, so it may not be there any more.
func (s *Store) VectorBatches(ctx context.Context, target string) (batches []kb.VectorBatch, epoch int64, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		batches = nil
		if epoch, err = meta(c, "epoch"); err != nil {
			return err
		}
		return c.Query(func(r *tenant.Row) error {
			batches = append(batches, kb.VectorBatch{
				ID: r.Text(0), Space: r.Text(1), Target: target, First: r.Int64(2), Last: r.Int64(3), N: r.Int(4),
				State: kb.BatchState(r.Text(5)), Epoch: r.Int64(6), Created: r.Time(7),
			})
			return nil
		}, `SELECT id, space, first, last, n, state, epoch, created_at FROM vector_batches WHERE target = ? ORDER BY created_at, id`, target)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read batches of vectors: %w", err)
	}
	return batches, epoch, nil
}

// BeginBatch records a pending batch before anything of it is sent; kb.Conflict
// if some of its blocks are in another one.
func (s *Store) BeginBatch(ctx context.Context, b kb.VectorBatch) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		err := c.Exec(`INSERT INTO vector_batches (id, space, target, first, last, n, state, epoch, created_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8
			WHERE NOT EXISTS (SELECT 1 FROM vector_batches WHERE space = ?2 AND target = ?3 AND first <= ?5 AND last >= ?4 AND state <> 'abandoned')`,
			b.ID, b.Space, b.Target, b.First, b.Last, b.N, b.Epoch, b.Created)
		if err == nil && c.Changes() == 0 {
			err = kb.E(kb.Conflict, nil, "another batch has some of these vectors")
		}
		return err
	})
}

// CountedBatch makes a batch live that was read back, if it is pending, or live
// already (it then counts in epoch); otherwise kb.Conflict: it was abandoned.
func (s *Store) CountedBatch(ctx context.Context, id string, epoch int64) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		err := c.Exec(`UPDATE vector_batches SET state = 'live', epoch = ? WHERE id = ? AND state <> 'abandoned'`, epoch, id)
		if err == nil && c.Changes() == 0 {
			err = kb.E(kb.Conflict, nil, "batch %s was abandoned meanwhile", id)
		}
		return err
	})
}

// AbandonBatches takes batches out of use, before their vectors are deleted.
func (s *Store) AbandonBatches(ctx context.Context, ids []string) error {
	return s.eachBatch(ctx, ids, `UPDATE vector_batches SET state = 'abandoned' WHERE id = ?`)
}

// DropBatches forgets abandoned batches whose vectors were deleted.
func (s *Store) DropBatches(ctx context.Context, ids []string) error {
	return s.eachBatch(ctx, ids, `DELETE FROM vector_batches WHERE id = ? AND state = 'abandoned'`)
}

func (s *Store) eachBatch(ctx context.Context, ids []string, sql string) error {
	if len(ids) == 0 {
		return nil
	}
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		for _, id := range ids {
			if err := c.Exec(sql, id); err != nil {
				return fmt.Errorf("batch %s: %w", id, err)
			}
		}
		return nil
	})
}
