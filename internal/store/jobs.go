package store

import (
	"context"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

const jobColumns = `v.job, v.document, v.version, d.name, v.title, v.mime, v.sha256, v.status, v.progress, v.error, v.chunks, v.updated_at`

func scanJob(r *tenant.Row) kb.Job {
	return kb.Job{
		ID: kb.JobID(r.Text(0)), Document: kb.DocumentID(r.Text(1)), Version: r.Int(2), Name: r.Text(3), Title: r.Text(4),
		MIME: r.Text(5), SHA256: r.Text(6), Status: kb.DocumentStatus(r.Text(7)), Progress: r.Float(8), Error: r.Text(9),
		Chunks: r.Int(10), Updated: r.Time(11),
	}
}

// Job returns one job, or kb.NotFound.
func (s *Store) Job(ctx context.Context, id kb.JobID) (j kb.Job, err error) {
	found := false
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		return c.Query(func(r *tenant.Row) error {
			found, j = true, scanJob(r)
			return nil
		}, `SELECT `+jobColumns+` FROM versions v JOIN documents d ON d.id = v.document WHERE v.job = ?`, id)
	})
	if err == nil && !found {
		err = kb.E(kb.NotFound, nil, "no job %q", id)
	}
	return j, err
}

// OpenJobs returns up to limit jobs that are neither ready nor failed.
func (s *Store) OpenJobs(ctx context.Context, limit int) (js []kb.Job, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		js = js[:0]
		return c.Query(func(r *tenant.Row) error {
			js = append(js, scanJob(r))
			return nil
		}, `SELECT `+jobColumns+` FROM versions v JOIN documents d ON d.id = v.document WHERE v.status IN ('pending', 'processing') ORDER BY v.updated_at LIMIT ?`, limit)
	})
	if err != nil {
		return nil, fmt.Errorf("list open jobs: %w", err)
	}
	return js, nil
}

// tryEvery is how far apart two tries of a job are at least: what begins sooner
// is another server that found the job at the same time, and no try of its own.
const tryEvery = time.Minute

// Begin marks jobs as being worked on and returns which try this is of each,
// 1 for the first; 0 for a job that has ended meanwhile. now says until when
// somebody had it.
func (s *Store) Begin(ctx context.Context, jobs []kb.JobID, now time.Time) (tries []int, err error) {
	err = s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		tries = make([]int, len(jobs))
		for i, id := range jobs {
			err := c.Query(func(r *tenant.Row) error { tries[i] = r.Int(0); return nil },
				`UPDATE versions SET status = 'processing', tries = tries + (tries = 0 OR updated_at <= ?2),
				 updated_at = CASE WHEN tries = 0 OR updated_at <= ?2 THEN ?1 ELSE updated_at END
				 WHERE job = ?3 AND status IN ('pending', 'processing') RETURNING tries`, now, now.Add(-tryEvery), id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("begin jobs: %w", err)
	}
	return tries, nil
}

// Fail ends a job; reason is for the user. What the job had written is
// invisible already and goes now.
func (s *Store) Fail(ctx context.Context, id kb.JobID, reason string, now time.Time) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		if err := discard(c, id); err != nil {
			return err
		}
		return c.Exec(`UPDATE versions SET status = 'failed', error = ?, updated_at = ?, chunks = 0, first_chunk = 0 WHERE job = ? AND status IN ('pending', 'processing')`,
			reason, now, id)
	})
}

// discard removes the invisible chunks of an unfinished job.
func discard(c *tenant.Conn, id kb.JobID) error {
	var first, n int64
	err := c.Query(func(r *tenant.Row) error {
		first, n = r.Int64(0), r.Int64(1)
		return nil
	}, `SELECT first_chunk, chunks FROM versions WHERE job = ? AND status IN ('pending', 'processing')`, id)
	if err != nil || n == 0 {
		return err
	}
	return c.Exec(`DELETE FROM chunks WHERE id BETWEEN ? AND ?`, first, first+n-1)
}
