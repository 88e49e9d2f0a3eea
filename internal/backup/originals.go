package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Originals of documents are objects t/<tenant>/blob/<sha256>, shared by all
// versions with the same bytes. One may go when no restore point names it any
// more, and nobody writes down when that is: so a full run notes those that
// the newest commit does not name, and throws away what was noted at or before
// the oldest commit that can still be restored, and was not stored again since
// (who publishes a document stores its original, also if it is there). Histories
// that were replaced need no look: a new one restores to its first commit until
// its first snapshot expires, and by then the old one was given up.
//
// Thrown away is moved, not deleted: a document with the same bytes may be
// published in that very moment, its original found and then taken from it. A
// later run sees that, and puts it back. Its order makes that safe for any
// number of runs, killed anywhere: list the bin, list the originals, read the
// newest commit. Who is not named by that and was in no list before it can only
// be named by somebody who stores the original again.

const (
	// justStored is for how long nothing is concluded from when an original
	// was stored: stores tell that by the second.
	justStored = time.Hour
	// mostUnnamed bounds the record; the others wait until these are gone.
	mostUnnamed = 10_000
)

// unnamed is an original that no document names.
type unnamed struct {
	Since  ltx.TXID  `json:"since"`  // the first commit a full run found so
	Stored time.Time `json:"stored"` // last, by the store's clock
}

// originals are the originals of a tenant and when each was stored, in their
// place and in the bin.
type originals struct {
	kept, thrown map[string]time.Time
}

func blobs(id kb.TenantID) string { return root + string(id) + "/blob/" }
func bin(id kb.TenantID) string   { return root + string(id) + "/bin/" }

// originals lists them, the bin first.
func (s *Service) originals(ctx context.Context, id kb.TenantID) (o originals, err error) {
	if o.thrown, err = s.sums(ctx, bin(id)); err != nil {
		return o, err
	}
	o.kept, err = s.sums(ctx, blobs(id))
	return o, err
}

func (s *Service) sums(ctx context.Context, prefix string) (map[string]time.Time, error) {
	found := map[string]time.Time{}
	for after, more := "", true; more; {
		infos, m, err := s.cfg.Bucket.List(ctx, prefix, after, 0)
		if err != nil {
			return nil, fmt.Errorf("list originals: %w", err)
		}
		for _, i := range infos {
			after = i.Key
			if sum := strings.TrimPrefix(i.Key, prefix); len(sum) == 64 && strings.Trim(sum, "0123456789abcdef") == "" {
				found[sum] = i.Modified.UTC()
			}
		}
		more = m && len(infos) > 0
	}
	return found, nil
}

// sift throws originals away that nobody can need, after o was listed and then
// the newest commit of the live history, at, was written to the file db in dir.
func (s *Service) sift(ctx context.Context, id kb.TenantID, l *commitlog.Log, lin commitlog.Lineage, o originals, at ltx.TXID, dir, db string, rec *record, r *Result) error {
	if len(o.kept) == 0 && len(o.thrown) == 0 {
		rec.Unnamed = nil
		return nil
	}
	sums, err := s.cfg.Originals(ctx, db)
	if err != nil {
		return err
	}
	named := make(map[string]bool, len(sums))
	for _, sum := range sums {
		named[sum] = true
	}
	if err := s.emptyBin(ctx, id, o, named, rec.At, dir); err != nil {
		return err
	}
	next := map[string]unnamed{}
	for sum, stored := range o.kept {
		if named[sum] || rec.At.Sub(stored) < justStored {
			continue
		}
		u, known := rec.Unnamed[sum]
		if !known || !u.Stored.Equal(stored) {
			u = unnamed{at, stored}
		}
		if known || len(next) < mostUnnamed {
			next[sum] = u
		}
	}
	rec.Unnamed = next
	if len(next) == 0 {
		return nil
	}
	points, err := l.Points(ctx, lin)
	if err != nil || len(points) == 0 {
		return err
	}
	for sum, u := range next {
		if u.Since > points[0].TXID {
			continue
		}
		if err := s.move(ctx, blobs(id)+sum, bin(id)+sum, dir); err != nil {
			return err
		}
		r.Deleted++
		delete(next, sum)
	}
	return nil
}

// emptyBin puts back what is named after all, and deletes what lay there for a
// window: a restore that began before it was thrown away has ended by then.
func (s *Service) emptyBin(ctx context.Context, id kb.TenantID, o originals, named map[string]bool, now time.Time, dir string) error {
	for sum, thrown := range o.thrown {
		var err error
		switch _, kept := o.kept[sum]; {
		case kept: // stored again, or another run is about to throw it away
		case named[sum]:
			s.cfg.Log.WarnContext(ctx, "an original was thrown away while its document was published again: it is put back", "tenant", string(id))
			err = s.move(ctx, bin(id)+sum, blobs(id)+sum, dir)
		case now.Sub(thrown) >= s.cfg.Window:
			err = s.cfg.Bucket.Delete(ctx, bin(id)+sum)
		}
		if err != nil {
			return fmt.Errorf("empty the bin: %w", err)
		}
	}
	return nil
}

// move copies an object and then deletes the first. One that is gone already
// was moved by another run.
func (s *Service) move(ctx context.Context, from, to, dir string) (err error) {
	in, _, err := s.cfg.Bucket.Open(ctx, from, 0)
	if errors.Is(err, objstore.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("move %s: %w", from, err)
	}
	defer in.Close()
	f, err := os.CreateTemp(dir, "original-")
	if err != nil {
		return fmt.Errorf("move %s: %w", from, err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := io.Copy(f, in); err != nil {
		return fmt.Errorf("move %s: %w", from, err)
	}
	if _, err := s.cfg.Bucket.Put(ctx, to, f); err != nil {
		return fmt.Errorf("move %s: %w", from, err)
	}
	return s.cfg.Bucket.Delete(ctx, from)
}
