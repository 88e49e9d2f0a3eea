package store

import (
	"context"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// VectorsVersion returns what tells whether vectors have to be looked at
// again: the version of what can be found, and the id of the newest block.
func (s *Store) VectorsVersion(ctx context.Context) (index, block int64, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		index, block = 0, 0
		if index, err = meta(c, "kb_version"); err != nil {
			return err
		}
		return c.Query(func(r *tenant.Row) error { block = r.Int64(0); return nil }, `SELECT max(id) FROM vector_blocks`)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read version of vectors: %w", err)
	}
	return index, block, nil
}

// LiveSpans returns the chunk ids of each version that can be found, in order.
func (s *Store) LiveSpans(ctx context.Context) (spans []kb.Span, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		spans, err = liveSpans(c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read live chunks: %w", err)
	}
	return spans, nil
}

// VersionSpan returns the chunk ids of a version; kb.NotFound if it has none.
func (s *Store) VersionSpan(ctx context.Context, id kb.DocumentID, version int) (span kb.Span, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		span = kb.Span{}
		return c.Query(func(r *tenant.Row) error {
			span.First, span.Last = kb.ChunkID(r.Int64(0)), kb.ChunkID(r.Int64(0)+r.Int64(1)-1)
			return nil
		}, `SELECT first_chunk, chunks FROM versions WHERE document = ? AND version = ? AND chunks > 0`, id, version)
	})
	if err == nil && span.First == 0 {
		err = kb.E(kb.NotFound, nil, "this document or version is gone")
	}
	return span, err
}

func liveSpans(c *tenant.Conn) (spans []kb.Span, err error) {
	err = c.Query(func(r *tenant.Row) error {
		first := r.Int64(0)
		spans = append(spans, kb.Span{First: kb.ChunkID(first), Last: kb.ChunkID(first + r.Int64(1) - 1)})
		return nil
	}, `SELECT v.first_chunk, v.chunks FROM documents d JOIN versions v ON v.document = d.id AND v.version = d.live WHERE v.chunks > 0 ORDER BY v.first_chunk`)
	return spans, err
}

// VectorSpans returns the chunk ids of each block of a space in order, without
// the vectors.
func (s *Store) VectorSpans(ctx context.Context, space string) (blocks []kb.VectorBlock, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		blocks = nil
		return c.Query(func(r *tenant.Row) error {
			blocks = append(blocks, kb.VectorBlock{ID: r.Int64(0), First: kb.ChunkID(r.Int64(1)), Last: kb.ChunkID(r.Int64(2))})
			return nil
		}, `SELECT id, first, last FROM vector_blocks WHERE space = ? ORDER BY first`, space)
	})
	if err != nil {
		return nil, fmt.Errorf("read spans of vectors: %w", err)
	}
	return blocks, nil
}

// VectorBlocks returns the blocks of a space that were committed after the
// block with id after, in order of commit, as many as begin within most bytes;
// none at the end.
func (s *Store) VectorBlocks(ctx context.Context, space string, after int64, most int) (blocks []kb.VectorBlock, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		blocks = nil
		left := most
		return c.Query(func(r *tenant.Row) error {
			b := scanBlock(r)
			blocks = append(blocks, b)
			if left -= len(b.Data); left <= 0 {
				return tenant.ErrStop
			}
			return nil
		}, `SELECT id, first, last, data FROM vector_blocks WHERE id > ? AND space = ? ORDER BY id`, after, space)
	})
	if err != nil {
		return nil, fmt.Errorf("read vectors: %w", err)
	}
	return blocks, nil
}

func scanBlock(r *tenant.Row) kb.VectorBlock {
	return kb.VectorBlock{ID: r.Int64(0), First: kb.ChunkID(r.Int64(1)), Last: kb.ChunkID(r.Int64(2)), Data: r.Blob(3)}
}

// VectorBlocksOf returns the blocks of a space that hold any of ids, each once.
func (s *Store) VectorBlocksOf(ctx context.Context, space string, ids []kb.ChunkID) (blocks []kb.VectorBlock, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		blocks = nil
		seen := map[int64]bool{}
		for _, id := range ids {
			var at, last int64
			err := c.Query(func(r *tenant.Row) error { at, last = r.Int64(0), r.Int64(1); return nil },
				`SELECT id, last FROM vector_blocks WHERE space = ? AND first <= ? ORDER BY first DESC LIMIT 1`, space, id)
			if err != nil {
				return err
			}
			if last < int64(id) || seen[at] {
				continue
			}
			seen[at] = true
			err = c.Query(func(r *tenant.Row) error { blocks = append(blocks, scanBlock(r)); return nil },
				`SELECT id, first, last, data FROM vector_blocks WHERE id = ?`, at)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read vectors of chunks: %w", err)
	}
	return blocks, nil
}

// PutVectors stores blocks of a space and counts what they took. Blocks of
// versions that cannot be found any more, and of chunks that have a vector
// already, are left out: it returns how many were stored. Callers keep a
// commit below 1 MB.
func (s *Store) PutVectors(ctx context.Context, space string, blocks []kb.VectorBlock, spent kb.Spent, now time.Time) (stored int, err error) {
	err = s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		stored = 0
		for _, b := range blocks {
			err := c.Exec(`INSERT INTO vector_blocks (space, first, last, data) SELECT ?1, ?2, ?3, ?4
				WHERE EXISTS (SELECT 1 FROM chunks a JOIN chunks z ON z.id = ?3 AND z.document = a.document AND z.version = a.version
				    JOIN documents d ON d.id = a.document AND d.live = a.version WHERE a.id = ?2)
				  AND NOT EXISTS (SELECT 1 FROM (SELECT last FROM vector_blocks WHERE space = ?1 AND first <= ?3 ORDER BY first DESC LIMIT 1) WHERE last >= ?2)`,
				space, b.First, b.Last, b.Data)
			if err != nil {
				return fmt.Errorf("put vectors of chunk %d: %w", b.First, err)
			}
			stored += int(c.Changes())
		}
		if err := c.Exec(`INSERT OR IGNORE INTO vector_spaces (space, since, used_at) VALUES (?1, ?2, ?2)`, space, now); err != nil {
			return err
		}
		return addSpent(c, spent, now)
	})
	if err != nil {
		return 0, fmt.Errorf("put vectors: %w", err)
	}
	return stored, nil
}

// addSpent counts what was no turn.
func addSpent(c *tenant.Conn, u kb.Spent, now time.Time) error {
	if u == (kb.Spent{}) {
		return nil
	}
	return c.Exec(`INSERT INTO usage (day, model, turns, abstained, prompt, completion, cost_micro) VALUES (?, ?, 0, 0, ?, 0, ?)
	    ON CONFLICT (day, model) DO UPDATE SET prompt = prompt + excluded.prompt, cost_micro = cost_micro + excluded.cost_micro`,
		now.UTC().Format(dayLayout), u.Model, u.Tokens, u.CostMicro)
}

// VectorSpaces lists the spaces that have, or had, blocks.
func (s *Store) VectorSpaces(ctx context.Context) (out []kb.VectorSpace, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		out = nil
		return c.Query(func(r *tenant.Row) error {
			out = append(out, kb.VectorSpace{Space: r.Text(0), Since: r.Time(1), Used: r.Time(2)})
			return nil
		}, `SELECT space, since, used_at FROM vector_spaces ORDER BY space`)
	})
	if err != nil {
		return nil, fmt.Errorf("read spaces of vectors: %w", err)
	}
	return out, nil
}

// UseVectorSpace notes that a server uses a space.
func (s *Store) UseVectorSpace(ctx context.Context, space string, now time.Time) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		return c.Exec(`UPDATE vector_spaces SET used_at = max(used_at, ?) WHERE space = ?`, now, space)
	})
}

// sweepAtOnce is how many blocks one commit deletes: each frees some pages of
// 4 KiB and touches the two that name it, below the 1 MB of DESIGN §4.
const sweepAtOnce = 64

// DropVectors removes blocks by their ids.
func (s *Store) DropVectors(ctx context.Context, ids []int64) error {
	for len(ids) > 0 {
		part := ids[:min(len(ids), sweepAtOnce)]
		ids = ids[len(part):]
		err := s.h.Commit(ctx, "", func(c *tenant.Conn) error {
			for _, id := range part {
				if err := c.Exec(`DELETE FROM vector_blocks WHERE id = ?`, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("drop vectors: %w", err)
		}
	}
	return nil
}

// DropVectorSpace forgets a space that has no blocks any more.
func (s *Store) DropVectorSpace(ctx context.Context, space string) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		return c.Exec(`DELETE FROM vector_spaces WHERE space = ?1 AND NOT EXISTS (SELECT 1 FROM vector_blocks WHERE space = ?1)`, space)
	})
}

// dropVectorsOf removes the blocks of a document's versions, of every space.
func dropVectorsOf(c *tenant.Conn, id kb.DocumentID) error {
	return c.Exec(`DELETE FROM vector_blocks WHERE id IN (SELECT b.id FROM versions v CROSS JOIN vector_spaces s
	    CROSS JOIN vector_blocks b ON b.space = s.space AND b.first BETWEEN v.first_chunk AND v.first_chunk + v.chunks - 1 WHERE v.document = ? AND v.chunks > 0)`, id)
}
