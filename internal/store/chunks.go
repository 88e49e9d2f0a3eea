package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

const chunkColumns = `c.id, c.document, c.version, c.ordinal, c.start, c.heading, c.prefix, c.text, v.title`

func scanChunk(r *tenant.Row) kb.Chunk {
	text := string(r.Blob(7))
	return kb.Chunk{
		ID: kb.ChunkID(r.Int64(0)), Document: kb.DocumentID(r.Text(1)), Version: r.Int(2), Ordinal: r.Int(3),
		Start: r.Int(4), End: r.Int(4) + len(text), Heading: r.Text(5), Prefix: r.Text(6), Text: text, Title: r.Text(8),
	}
}

// LiveChunks returns the chunks of ids that can be quoted in this snapshot, in
// the order of ids; others are left out.
func (s *Store) LiveChunks(ctx context.Context, ids []kb.ChunkID) (cs []kb.Chunk, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		cs = make([]kb.Chunk, 0, len(ids))
		for _, id := range ids {
			err := c.Query(func(r *tenant.Row) error {
				cs = append(cs, scanChunk(r))
				return nil
			}, `SELECT `+chunkColumns+` FROM chunks c
			    JOIN documents d ON d.id = c.document AND d.live = c.version
			    JOIN versions v ON v.document = c.document AND v.version = c.version AND v.status = 'ready' WHERE c.id = ?`, id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read chunks: %w", err)
	}
	return cs, nil
}

// ChunksOf lists the chunks of a document's live version in order.
func (s *Store) ChunksOf(ctx context.Context, id kb.DocumentID, p kb.Page) (cs []kb.Chunk, next string, err error) {
	after := -1
	if p.Cursor != "" {
		if after, err = strconv.Atoi(p.Cursor); err != nil {
			return nil, "", kb.E(kb.Invalid, err, "cursor: use the value of next")
		}
	}
	known := false
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		cs = nil
		err := c.Query(func(*tenant.Row) error { known = true; return nil }, `SELECT 1 FROM documents WHERE id = ?`, id)
		if err != nil || !known {
			return err
		}
		return c.Query(func(r *tenant.Row) error {
			cs = append(cs, scanChunk(r))
			return nil
		}, `SELECT `+chunkColumns+` FROM documents d JOIN versions v ON v.document = d.id AND v.version = d.live
		    JOIN chunks c ON c.id BETWEEN v.first_chunk AND v.first_chunk + v.chunks - 1 WHERE d.id = ? AND c.ordinal > ? ORDER BY c.id LIMIT ?`,
			id, after, limit(p)+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list chunks: %w", err)
	}
	if !known {
		return nil, "", kb.E(kb.NotFound, nil, "no document %q", id)
	}
	if len(cs) > limit(p) {
		cs = cs[:limit(p)]
		next = strconv.Itoa(cs[len(cs)-1].Ordinal)
	}
	return cs, next, nil
}
