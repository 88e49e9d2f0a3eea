package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Submit records a new document, a new version of one, or finds that the same
// bytes are there. A failed version does not count as being there.
func (s *Store) Submit(ctx context.Context, sub kb.Submission) (out kb.Submitted, err error) {
	metadata, err := json.Marshal(orEmpty(sub.Metadata))
	if err != nil {
		return out, fmt.Errorf("encode metadata: %w", err)
	}
	err = s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		out = kb.Submitted{}
		in := sub // decided anew in each run
		if in.Exact && in.Replaces == "" {
			err := c.Query(func(r *tenant.Row) error { in.Replaces = kb.DocumentID(r.Text(0)); return tenant.ErrStop },
				`SELECT id FROM documents WHERE name = ? ORDER BY id DESC LIMIT 1`, in.Name)
			if err != nil {
				return err
			}
		}
		if err := findBytes(c, in.SHA256, in.Replaces, &out); err != nil || out.Duplicate {
			return err
		}
		out = kb.Submitted{Document: in.Replaces, Job: in.Job, Version: 0, Status: kb.Pending}
		err := c.Query(func(r *tenant.Row) error { out.Version = r.Int(0); return nil },
			`SELECT newest FROM documents WHERE id = ?`, in.Replaces)
		if err != nil {
			return err
		}
		out.Version++
		if out.Version > 1 {
			err = c.Exec(`UPDATE documents SET newest = ?, name = ?, metadata = ?, updated_at = ? WHERE id = ?`,
				out.Version, in.Name, string(metadata), in.Now, out.Document)
		} else {
			out.Document = in.Document
			err = c.Exec(`INSERT INTO documents (id, name, metadata, newest, created_at, updated_at) VALUES (?, ?, ?, 1, ?, ?)`,
				out.Document, in.Name, string(metadata), in.Now, in.Now)
		}
		if err != nil {
			return err
		}
		return c.Exec(`INSERT INTO versions (document, version, sha256, bytes, mime, title, status, job, updated_at) VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?)`,
			out.Document, out.Version, in.SHA256, in.Bytes, in.MIME, in.Title, out.Job, in.Now)
	})
	if err != nil {
		return out, fmt.Errorf("submit document: %w", err)
	}
	return out, nil
}

// Named returns the newest versions of the documents of a name, the youngest
// document first, at most limit.
func (s *Store) Named(ctx context.Context, name string, limit int) (js []kb.Job, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		js = nil
		return c.Query(func(r *tenant.Row) error {
			js = append(js, scanJob(r))
			return nil
		}, `SELECT `+jobColumns+` FROM documents d JOIN versions v ON v.document = d.id AND v.version = d.newest WHERE d.name = ? ORDER BY d.id DESC LIMIT ?`, name, limit)
	})
	if err != nil {
		return nil, fmt.Errorf("find documents by name: %w", err)
	}
	return js, nil
}

// findBytes fills out if the newest version of a document has these bytes: of
// the one that is replaced, or of any if none is.
func findBytes(c *tenant.Conn, sha string, replaces kb.DocumentID, out *kb.Submitted) error {
	return c.Query(func(r *tenant.Row) error {
		*out = kb.Submitted{
			Document: kb.DocumentID(r.Text(0)), Version: r.Int(1), Job: kb.JobID(r.Text(2)),
			Status: kb.DocumentStatus(r.Text(3)), Duplicate: true,
		}
		return tenant.ErrStop
	}, `SELECT v.document, v.version, v.job, v.status FROM versions v JOIN documents d ON d.id = v.document AND d.newest = v.version
	    WHERE v.sha256 = ?1 AND v.status <> 'failed' AND (?2 = '' OR v.document = ?2) ORDER BY v.document LIMIT 1`, sha, replaces)
}

// Withdraw takes back a submission whose bytes could not be stored: nothing of
// it remains. A job that was begun is left alone.
func (s *Store) Withdraw(ctx context.Context, job kb.JobID) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		var doc kb.DocumentID
		var version int
		err := c.Query(func(r *tenant.Row) error {
			doc, version = kb.DocumentID(r.Text(0)), r.Int(1)
			return nil
		}, `SELECT v.document, v.version FROM versions v JOIN documents d ON d.id = v.document AND d.newest = v.version WHERE v.job = ? AND v.status = 'pending'`, job)
		if err != nil || doc == "" {
			return err
		}
		if err := c.Exec(`DELETE FROM versions WHERE document = ? AND version = ?`, doc, version); err != nil {
			return err
		}
		err = c.Exec(`UPDATE documents SET newest = (SELECT max(version) FROM versions WHERE document = ?1) WHERE id = ?1 AND EXISTS (SELECT 1 FROM versions WHERE document = ?1)`, doc)
		if err != nil || c.Changes() > 0 {
			return err
		}
		return c.Exec(`DELETE FROM documents WHERE id = ?`, doc)
	})
}

const documentColumns = `d.id, d.name, d.metadata, d.created_at, d.updated_at, v.title, v.mime, v.sha256, v.bytes, v.version, v.chunks, v.status, v.progress, v.error`

func scanDocument(r *tenant.Row) (kb.Document, error) {
	d := kb.Document{
		ID: kb.DocumentID(r.Text(0)), Name: r.Text(1), CreatedAt: r.Time(3), UpdatedAt: r.Time(4),
		Title: r.Text(5), MIME: r.Text(6), SHA256: r.Text(7), Bytes: r.Int64(8), Version: r.Int(9), Chunks: r.Int(10),
		Status: kb.DocumentStatus(r.Text(11)), Progress: r.Float(12), Error: r.Text(13),
	}
	if err := json.Unmarshal([]byte(r.Text(2)), &d.Metadata); err != nil {
		return d, fmt.Errorf("metadata of document %s: %w", d.ID, err)
	}
	return d, nil
}

// Document returns one document as its newest version stands.
func (s *Store) Document(ctx context.Context, id kb.DocumentID) (d kb.Document, err error) {
	found := false
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		return c.Query(func(r *tenant.Row) (err error) {
			found = true
			d, err = scanDocument(r)
			return err
		}, `SELECT `+documentColumns+` FROM documents d JOIN versions v ON v.document = d.id AND v.version = d.newest WHERE d.id = ?`, id)
	})
	if err == nil && !found {
		err = kb.E(kb.NotFound, nil, "no document %q", id)
	}
	return d, err
}

// Documents lists documents by id; next is "" at the end.
func (s *Store) Documents(ctx context.Context, p kb.Page) (ds []kb.Document, next string, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		return c.Query(func(r *tenant.Row) error {
			d, err := scanDocument(r)
			ds = append(ds, d)
			return err
		}, `SELECT `+documentColumns+` FROM documents d JOIN versions v ON v.document = d.id AND v.version = d.newest WHERE d.id > ? ORDER BY d.id LIMIT ?`,
			p.Cursor, limit(p)+1)
	})
	if err != nil {
		return nil, "", fmt.Errorf("list documents: %w", err)
	}
	if len(ds) > limit(p) {
		ds = ds[:limit(p)]
		next = string(ds[len(ds)-1].ID)
	}
	return ds, next, nil
}

// CountDocuments returns how many documents there are.
func (s *Store) CountDocuments(ctx context.Context) (n int, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		return c.Query(func(r *tenant.Row) error { n = r.Int(0); return nil }, `SELECT count(*) FROM documents`)
	})
	return n, err
}

// DeleteDocument removes a document, all its versions and their text. From
// this commit on no answer can quote it.
func (s *Store) DeleteDocument(ctx context.Context, id kb.DocumentID) error {
	return s.h.Commit(ctx, "", func(c *tenant.Conn) error {
		err := c.Exec(`DELETE FROM documents WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if c.Changes() == 0 {
			return kb.E(kb.NotFound, nil, "no document %q", id)
		}
		if err := bury(c, `SELECT first_chunk, chunks FROM versions WHERE document = ? AND chunks > 0`, id); err != nil {
			return err
		}
		if err := dropVectorsOf(c, id); err != nil {
			return err
		}
		err = c.Exec(`DELETE FROM chunks WHERE id IN (SELECT c.id FROM versions v JOIN chunks c ON c.id BETWEEN v.first_chunk AND v.first_chunk + v.chunks - 1 WHERE v.document = ?)`, id)
		if err != nil {
			return err
		}
		if err := c.Exec(`DELETE FROM versions WHERE document = ?`, id); err != nil {
			return err
		}
		return bump(c)
	})
}

// bury marks the chunk ranges that query returns (first, count) as dead.
func bury(c *tenant.Conn, query string, args ...any) error {
	type span struct{ first, n int64 }
	var spans []span
	err := c.Query(func(r *tenant.Row) error {
		spans = append(spans, span{r.Int64(0), r.Int64(1)})
		return nil
	}, query, args...)
	if err != nil {
		return err
	}
	for _, s := range spans {
		if err := c.Exec(`INSERT OR REPLACE INTO dead (first, last) VALUES (?, ?)`, s.first, s.first+s.n-1); err != nil {
			return err
		}
	}
	return nil
}

// Text returns the canonical text of one version that is or was live.
// kb.NotFound when the document is deleted or the version has no text.
func (s *Store) Text(ctx context.Context, id kb.DocumentID, version int) (t kb.Text, err error) {
	found := false
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		var tail []byte
		var first, n int64
		err := c.Query(func(r *tenant.Row) error {
			found = true
			t.Title, tail, first, n = r.Text(0), r.Blob(1), r.Int64(2), r.Int64(3)
			return nil
		}, `SELECT title, tail, first_chunk, chunks FROM versions WHERE document = ? AND version = ? AND status = 'ready'`, id, version)
		if err != nil || !found {
			return err
		}
		var body []byte
		err = c.Query(func(r *tenant.Row) error {
			body = append(append(body, r.Blob(0)...), r.Blob(1)...)
			return nil
		}, `SELECT lead, text FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id`, first, first+n-1)
		t.Body = string(append(body, tail...))
		return err
	})
	if err == nil && !found {
		err = kb.E(kb.NotFound, nil, "this document or version is gone")
	}
	return t, err
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
