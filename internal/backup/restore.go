package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Restored is what a restore did, or would do.
type Restored struct {
	Tenant      kb.TenantID  `json:"tenant"`
	Preview     bool         `json:"preview"` // nothing was changed
	Commit      string       `json:"commit"`  // what is restored
	Time        time.Time    `json:"time"`    // of that commit
	Differences []Difference `json:"differences,omitempty"`
	Now         string       `json:"now,omitempty"` // the first commit of the new history
}

// Restore makes a tenant what it was at a moment: its database is written out
// and verified, becomes a new lineage, and that replaces the live one, whose
// history is kept for Undo. With preview nothing changes and the differences
// are counted.
func (s *Service) Restore(ctx context.Context, id kb.TenantID, t Target, preview bool) (r Restored, err error) {
	l, h, err := s.current(ctx, id)
	if err != nil {
		return r, err
	}
	p, err := s.resolve(ctx, id, l, t)
	if err != nil {
		return r, err
	}
	r = Restored{Tenant: id, Preview: preview, Commit: p.Commit, Time: p.Time}
	dir, done, err := s.scratch()
	if err != nil {
		return r, err
	}
	defer done()
	then := scratchFile(dir, "then.db")
	if _, err := s.verified(ctx, l, p.head.Lineage, p.p.TXID, then); err != nil {
		return r, classify(id, err)
	}
	if preview {
		now := scratchFile(dir, "now.db")
		if err := write(ctx, l, h.Lineage, 0, now); err != nil {
			return r, classify(id, err)
		}
		r.Differences, err = s.cfg.SQL.Compare(ctx, then, now)
		return r, err
	}
	r.Now, err = s.replace(ctx, id, l, h, then)
	return r, err
}

// replace makes the database file at path, which was inspected, the tenant's.
func (s *Service) replace(ctx context.Context, id kb.TenantID, l *commitlog.Log, h commitlog.Head, path string) (string, error) {
	if err := s.cfg.SQL.Advance(ctx, id, path); err != nil {
		return "", err
	}
	lin, err := s.build(ctx, id, l, h, path)
	if err != nil {
		return "", err
	}
	next, err := l.Swap(ctx, h, lin)
	if err != nil {
		return "", classify(id, err)
	}
	return pointID(next.Generation, 1), nil
}

// build makes a lineage that may follow h of the file at path, and reads it
// back before anybody depends on it.
func (s *Service) build(ctx context.Context, id kb.TenantID, l *commitlog.Log, h commitlog.Head, path string) (lin commitlog.Lineage, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open database: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("open database: %w", err)
	}
	if lin, err = l.Import(ctx, h.Generation, f, info.Size()); err != nil {
		if errors.Is(err, commitlog.ErrNotDatabase) {
			return "", kb.E(kb.Unprocessable, err, "the file is no SQLite database that a log can hold")
		}
		return "", classify(id, err)
	}
	if err := l.WriteDatabase(ctx, lin, 1, io.Discard); err != nil {
		return "", classify(id, fmt.Errorf("read back: %w", err))
	}
	return lin, nil
}

// Undo brings back what the last restore, import or deletion replaced. It is
// itself a replacement, which the next Undo takes back.
func (s *Service) Undo(ctx context.Context, id kb.TenantID) (r Restored, err error) {
	l, h, err := s.live(ctx, id)
	if err != nil {
		return r, err
	}
	nothing := func(why string) error {
		return kb.E(kb.Conflict, nil, "tenant %q: %s", id, why)
	}
	if h.From == "" || h.Seal < 2 {
		return r, nothing("nothing was restored, imported over or deleted that could be undone")
	}
	b, err := l.Boundary(ctx, h.From)
	if err != nil {
		return r, classify(id, err)
	}
	if b.Retired() {
		return r, nothing("what was there before has expired")
	}
	r = Restored{Tenant: id, Commit: s.idOf(ctx, l, h.From, h.Seal-1)}
	if h.Deleted {
		next, err := l.Undo(ctx, h)
		r.Now = pointID(next.Generation, 1)
		return r, classify(id, err)
	}
	dir, done, err := s.scratch()
	if err != nil {
		return r, err
	}
	defer done()
	then := scratchFile(dir, "then.db")
	if _, err := s.verified(ctx, l, h.From, h.Seal-1, then); err != nil {
		return r, classify(id, err)
	}
	r.Now, err = s.replace(ctx, id, l, h, then)
	return r, err
}

// idOf names a commit of a lineage by the first pointer that names that.
func (s *Service) idOf(ctx context.Context, l *commitlog.Log, lin commitlog.Lineage, at ltx.TXID) string {
	heads, err := l.Heads(ctx)
	if err != nil {
		return "" // only a name
	}
	for _, h := range heads {
		if h.Lineage == lin {
			return pointID(h.Generation, at)
		}
	}
	return ""
}

// Delete ends a tenant. Its data is kept for Undo until the retention is over.
func (s *Service) Delete(ctx context.Context, id kb.TenantID) error {
	l, h, err := s.live(ctx, id)
	if err != nil {
		return err
	}
	if h.Deleted {
		return kb.E(kb.NotFound, commitlog.ErrDeleted, "tenant %q is deleted already", id)
	}
	next, err := l.Delete(ctx, h)
	if err == nil && !next.Deleted {
		err = commitlog.ErrSealed // a restore was faster: look again
	}
	return classify(id, err)
}
