package store

import (
	"context"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// partBytes is the size of one stored piece of a segment: a range read costs
// whole pieces, and SQLite reads a piece's overflow pages one after another.
const partBytes = 64 << 10

// Reserve gives each job, in order, its number of consecutive chunk ids, all in
// one range, and forgets what an earlier try of the same jobs wrote. It
// returns the first id of each; 0 for a job that has ended meanwhile or whose
// document was deleted.
func (s *Store) Reserve(ctx context.Context, jobs []kb.JobID, counts []int) (firsts []kb.ChunkID, err error) {
	err = s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		firsts = make([]kb.ChunkID, len(jobs))
		next, err := meta(c, "next_chunk")
		if err != nil {
			return err
		}
		for i, job := range jobs {
			if err := discard(c, job); err != nil {
				return err
			}
			err = c.Exec(`UPDATE versions SET first_chunk = ?, chunks = ? WHERE job = ? AND status IN ('pending', 'processing')`, next, counts[i], job)
			if err != nil {
				return err
			}
			if c.Changes() > 0 {
				firsts[i] = kb.ChunkID(next)
				next += int64(counts[i])
			}
		}
		return c.Exec(`UPDATE meta SET value = ? WHERE key = 'next_chunk'`, next)
	})
	if err != nil {
		return nil, fmt.Errorf("reserve chunk ids: %w", err)
	}
	return firsts, nil
}

// Resume returns the first chunk id that an earlier try of a job reserved, and
// how many of rows that try stored, exactly as they are and from the first one
// on. 0, 0 if it reserved none, or another number of them.
func (s *Store) Resume(ctx context.Context, job kb.JobID, rows []kb.ChunkRow) (first kb.ChunkID, stored int, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		first, stored = 0, 0
		err := c.Query(func(r *tenant.Row) error { first = kb.ChunkID(r.Int64(0)); return nil },
			`SELECT first_chunk FROM versions WHERE job = ? AND status = 'processing' AND chunks = ?`, job, len(rows))
		if err != nil || first == 0 {
			return err
		}
		return c.Query(func(r *tenant.Row) error {
			row := rows[stored]
			got := kb.ChunkRow{Lead: string(r.Blob(6)), Chunk: kb.Chunk{
				Document: kb.DocumentID(r.Text(1)), Version: r.Int(2), Ordinal: r.Int(3), Start: r.Int(4), Heading: r.Text(5), Prefix: r.Text(7), Text: string(r.Blob(8)),
			}}
			row.ID, row.Title, row.End = 0, "", 0
			if r.Int64(0) != int64(first)+int64(stored) || got != row {
				return tenant.ErrStop
			}
			stored++
			return nil
		}, `SELECT id, document, version, ordinal, start, heading, lead, prefix, text FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id`, first, int64(first)+int64(len(rows))-1)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("resume job %s: %w", job, err)
	}
	return first, stored, nil
}

// PutChunks stores chunks of reserved ranges and how far (0 to 1) their
// versions are. They are invisible until Publish. Rows of versions that were
// deleted, ended or reserved again meanwhile are left out.
func (s *Store) PutChunks(ctx context.Context, rows []kb.ChunkRow, progress float64) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		for i, r := range rows {
			err := c.Exec(`INSERT OR REPLACE INTO chunks (id, document, version, ordinal, start, heading, prefix, lead, text) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?
				WHERE EXISTS (SELECT 1 FROM versions WHERE document = ?2 AND version = ?3 AND status = 'processing' AND ?1 BETWEEN first_chunk AND first_chunk + chunks - 1)`,
				r.ID, r.Document, r.Version, r.Ordinal, r.Start, r.Heading, r.Prefix, []byte(r.Lead), []byte(r.Text))
			if err != nil {
				return fmt.Errorf("put chunk %d: %w", r.ID, err)
			}
			if i+1 < len(rows) && rows[i+1].Document == r.Document {
				continue
			}
			err = c.Exec(`UPDATE versions SET progress = ? WHERE document = ? AND version = ? AND status = 'processing'`, progress, r.Document, r.Version)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// PutSegment stores a segment invisibly, in commits of at most 1 MB, and
// returns its id.
func (s *Store) PutSegment(ctx context.Context, seg kb.Segment, data []byte, now time.Time) (id int64, err error) {
	err = s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		err := c.Exec(`INSERT INTO segments (level, docs, bytes, first_chunk, last_chunk, live, created_at) VALUES (?, ?, ?, ?, ?, 0, ?)`,
			seg.Level, seg.Docs, len(data), seg.First, seg.Last, now)
		id = c.LastInsertID()
		return err
	})
	const perCommit = 15 // × 64 KiB stays below the 1 MB of DESIGN §4
	for part := 0; err == nil && part*partBytes < len(data); part += perCommit {
		err = s.h.Commit(ctx, "", func(c *tenant.Conn) error {
			for i := part; i < part+perCommit && i*partBytes < len(data); i++ {
				end := min((i+1)*partBytes, len(data))
				if err := c.Exec(`INSERT OR REPLACE INTO segment_parts (segment, part, data) VALUES (?, ?, ?)`, id, i, data[i*partBytes:end]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return 0, fmt.Errorf("put segment: %w", err)
	}
	return id, nil
}

// Publish makes versions and the segment that holds their chunks live in one
// commit: before it nothing of them is found, after it everything. A version
// whose document was deleted, or overtaken by a newer one, is left dead. It
// returns the jobs that became ready.
func (s *Store) Publish(ctx context.Context, segment int64, versions []kb.Published, now time.Time) (ready []kb.JobID, err error) {
	err = s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		ready = ready[:0]
		if err := c.Exec(`UPDATE segments SET live = 1 WHERE id = ?`, segment); err != nil {
			return err
		}
		if c.Changes() == 0 {
			return kb.E(kb.Conflict, nil, "segment %d was swept away; run the job again", segment)
		}
		for _, v := range versions {
			ok, err := publishOne(c, v, now)
			if err != nil {
				return fmt.Errorf("publish job %s: %w", v.Job, err)
			}
			if ok {
				ready = append(ready, v.Job)
			}
		}
		// What the segment holds of jobs that are gone must not be found.
		if err := buryOrphans(c, segment); err != nil {
			return err
		}
		return bump(c)
	})
	return ready, err
}

func publishOne(c *tenant.Conn, v kb.Published, now time.Time) (bool, error) {
	var doc kb.DocumentID
	var version, live int
	var first, n int64
	found := false
	err := c.Query(func(r *tenant.Row) error {
		found = true
		doc, version, live, first, n = kb.DocumentID(r.Text(0)), r.Int(1), r.Int(2), r.Int64(3), r.Int64(4)
		return nil
	}, `SELECT v.document, v.version, d.live, v.first_chunk, v.chunks FROM versions v JOIN documents d ON d.id = v.document
	    WHERE v.job = ? AND v.status = 'processing' AND v.first_chunk = ?`, v.Job, v.First)
	if err != nil || !found {
		return false, err
	}
	err = c.Exec(`UPDATE versions SET status = 'ready', progress = 1, error = '', title = ?, tail = ?, updated_at = ? WHERE job = ?`, v.Title, []byte(v.Tail), now, v.Job)
	if err != nil {
		return false, err
	}
	if live > version { // a newer version was faster
		return true, c.Exec(`INSERT OR REPLACE INTO dead (first, last) VALUES (?, ?)`, first, first+n-1)
	}
	if live > 0 {
		if err := bury(c, `SELECT first_chunk, chunks FROM versions WHERE document = ? AND version = ? AND chunks > 0`, doc, live); err != nil {
			return false, err
		}
	}
	return true, c.Exec(`UPDATE documents SET live = ?, updated_at = ? WHERE id = ?`, version, now, doc)
}

// buryOrphans marks chunk ids of the segment's range that belong to no version
// that is ready.
func buryOrphans(c *tenant.Conn, segment int64) error {
	var first, last int64
	err := c.Query(func(r *tenant.Row) error { first, last = r.Int64(0), r.Int64(1); return nil },
		`SELECT first_chunk, last_chunk FROM segments WHERE id = ?`, segment)
	if err != nil {
		return err
	}
	type span struct{ first, last int64 }
	var gaps []span
	next := first
	err = c.Query(func(r *tenant.Row) error {
		if f := r.Int64(0); f > next {
			gaps = append(gaps, span{next, f - 1})
		}
		next = max(next, r.Int64(0)+r.Int64(1))
		return nil
	}, `SELECT first_chunk, chunks FROM versions WHERE status = 'ready' AND chunks > 0 AND first_chunk BETWEEN ? AND ? ORDER BY first_chunk`, first, last)
	if err != nil {
		return err
	}
	if next <= last {
		gaps = append(gaps, span{next, last})
	}
	for _, g := range gaps {
		if err := c.Exec(`INSERT OR REPLACE INTO dead (first, last) VALUES (?, ?)`, g.first, g.last); err != nil {
			return err
		}
	}
	return nil
}

// IndexVersion returns Index.Version alone.
func (s *Store) IndexVersion(ctx context.Context) (v int64, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		v, err = meta(c, "kb_version")
		return err
	})
	return v, err
}

// Index returns what can be searched.
func (s *Store) Index(ctx context.Context) (x kb.Index, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		x = kb.Index{}
		if x.Version, err = meta(c, "kb_version"); err != nil {
			return err
		}
		if x.Synonyms, err = synonyms(c); err != nil {
			return err
		}
		err = c.Query(func(r *tenant.Row) error {
			x.Segments = append(x.Segments, kb.Segment{
				ID: r.Int64(0), Level: r.Int(1), Docs: r.Int(2), Bytes: r.Int64(3), First: kb.ChunkID(r.Int64(4)), Last: kb.ChunkID(r.Int64(5)),
			})
			return nil
		}, `SELECT id, level, docs, bytes, first_chunk, last_chunk FROM segments WHERE live = 1 ORDER BY id`)
		if err != nil {
			return err
		}
		return c.Query(func(r *tenant.Row) error {
			x.Dead = append(x.Dead, kb.Span{First: kb.ChunkID(r.Int64(0)), Last: kb.ChunkID(r.Int64(1))})
			return nil
		}, `SELECT first, last FROM dead ORDER BY first`)
	})
	if err != nil {
		return kb.Index{}, fmt.Errorf("read index: %w", err)
	}
	return x, nil
}

// ReadSegment returns n bytes of a segment from off; kb.NotFound when it was
// merged away: read the Index again.
func (s *Store) ReadSegment(ctx context.Context, id, off, n int64) (data []byte, err error) {
	if n <= 0 || off < 0 {
		return nil, nil
	}
	first, last := off/partBytes, (off+n-1)/partBytes
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		data = make([]byte, 0, n)
		skip := off - first*partBytes
		return c.Query(func(r *tenant.Row) error {
			part := r.RawBlob(0)
			part = part[min(skip, int64(len(part))):]
			data = append(data, part[:min(n-int64(len(data)), int64(len(part)))]...)
			skip = 0
			return nil
		}, `SELECT data FROM segment_parts WHERE segment = ? AND part BETWEEN ? AND ? ORDER BY part`, id, first, last)
	})
	if err != nil {
		return nil, fmt.Errorf("read segment %d: %w", id, err)
	}
	if int64(len(data)) < n {
		return nil, kb.E(kb.NotFound, nil, "segment %d has no bytes %d to %d", id, off, off+n)
	}
	return data, nil
}

// Replace makes a merged segment live and its inputs gone, if they are all
// still live; otherwise kb.Conflict, and nothing changes. dropped are the dead
// ranges that the merged segment left out: they need no mark any more.
func (s *Store) Replace(ctx context.Context, merged int64, inputs []int64, dropped []kb.Span) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		for _, id := range inputs {
			if err := c.Exec(`DELETE FROM segments WHERE id = ? AND live = 1`, id); err != nil {
				return err
			}
			if c.Changes() == 0 {
				return kb.E(kb.Conflict, nil, "segment %d was merged by another", id)
			}
			if err := c.Exec(`DELETE FROM segment_parts WHERE segment = ?`, id); err != nil {
				return err
			}
		}
		if err := c.Exec(`UPDATE segments SET live = 1 WHERE id = ?`, merged); err != nil {
			return err
		}
		if c.Changes() == 0 {
			return kb.E(kb.Conflict, nil, "merged segment %d was swept away", merged)
		}
		for _, d := range dropped {
			if err := c.Exec(`DELETE FROM dead WHERE first = ? AND last = ?`, d.First, d.Last); err != nil {
				return err
			}
		}
		return bump(c)
	})
}

// DropSegment removes a segment that was never made live.
func (s *Store) DropSegment(ctx context.Context, id int64) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		if err := c.Exec(`DELETE FROM segments WHERE id = ? AND live = 0`, id); err != nil || c.Changes() == 0 {
			return err
		}
		return c.Exec(`DELETE FROM segment_parts WHERE segment = ?`, id)
	})
}

// SweepSegments removes segments that were begun before then and never made
// live: leftovers of jobs that were killed. A job that is only slow meets
// kb.Conflict in Publish and runs again, so the clock decides nothing.
func (s *Store) SweepSegments(ctx context.Context, then time.Time) error {
	var ids []int64
	err := s.h.Read(ctx, func(c *tenant.Conn) error {
		ids = ids[:0]
		return c.Query(func(r *tenant.Row) error {
			ids = append(ids, r.Int64(0))
			return nil
		}, `SELECT id FROM segments WHERE live = 0 AND created_at < ?`, then)
	})
	for _, id := range ids {
		if err == nil {
			err = s.DropSegment(ctx, id)
		}
	}
	return err
}
