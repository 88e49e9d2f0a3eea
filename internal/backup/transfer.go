package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Manifest describes an exported file.
type Manifest struct {
	Format  int         `json:"format"` // 1
	Tenant  kb.TenantID `json:"tenant"`
	Commit  string      `json:"commit"` // the file holds the tenant as of this commit
	Time    time.Time   `json:"time"`   // of that commit
	Lineage string      `json:"lineage"`
	Bytes   int64       `json:"bytes"`
	SHA256  string      `json:"sha256"` // of the file
	Made    time.Time   `json:"exported_at"`
	Facts
}

// Export writes a tenant, verified, as one plain SQLite file to a new file at
// path. The zero Target means now. Keys are in no export.
func (s *Service) Export(ctx context.Context, id kb.TenantID, t Target, path string) (m Manifest, err error) {
	l, h, err := s.live(ctx, id)
	if err != nil {
		return m, err
	}
	m = Manifest{Format: 1, Tenant: id, Made: time.Now().UTC().Truncate(time.Second)}
	var at Point
	if t == (Target{}) {
		if h.Deleted {
			return m, kb.E(kb.NotFound, commitlog.ErrDeleted, "tenant %q is deleted; name a restore point, or undo the deletion", id)
		}
		st, end, err := tip(ctx, l, h)
		if err != nil {
			return m, classify(id, err)
		}
		at = Point{Commit: pointID(end.Generation, st.TXID), Time: time.UnixMilli(st.Millis).UTC(), head: end, p: commitlog.Point{TXID: st.TXID}}
	} else if at, err = s.resolve(ctx, id, l, t); err != nil {
		return m, err
	}
	m.Commit, m.Time, m.Lineage = at.Commit, at.Time, string(at.head.Lineage)
	defer func() {
		if err != nil {
			_ = os.Remove(path) // half a file is no export
		}
	}()
	if m.Facts, err = s.verified(ctx, l, at.head.Lineage, at.p.TXID, path); err != nil {
		return m, classify(id, err)
	}
	m.SHA256, m.Bytes, err = hashFile(ctx, path)
	return m, err
}

func hashFile(ctx context.Context, path string) (sum string, n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, kb.E(kb.Invalid, err, "%s cannot be read", path)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return "", 0, err
		}
		c, err := io.CopyN(h, f, 1<<20)
		n += c
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), n, nil
		}
		if err != nil {
			return "", 0, fmt.Errorf("read %s: %w", path, err)
		}
	}
}

// Imported is what an import did.
type Imported struct {
	Tenant kb.TenantID `json:"tenant"`
	Now    string      `json:"now"` // the first commit with the imported data
	Rows   int64       `json:"rows"`
	Facts
}

// Import makes the plain SQLite file at path the database of a tenant: a new
// one, or with replace an existing one, which Undo brings back. want is the
// manifest's SHA-256, or "". The file is verified first and only read.
func (s *Service) Import(ctx context.Context, id kb.TenantID, path, want string, replace bool) (im Imported, err error) {
	l, err := s.log(id)
	if err != nil {
		return im, err
	}
	h, err := l.Head(ctx)
	fresh := errors.Is(err, commitlog.ErrNoTenant) || err == nil && h.Deleted
	if err != nil && !fresh {
		return im, classify(id, err)
	}
	if !fresh && !replace {
		return im, kb.E(kb.Conflict, nil, "tenant %q exists; say replace to put the file in its place (undo brings it back)", id)
	}
	dir, done, err := s.scratch()
	if err != nil {
		return im, err
	}
	defer done()
	file, facts, err := s.accept(ctx, dir, path, want)
	if err != nil {
		return im, err
	}
	if facts.Control {
		return im, kb.E(kb.Unprocessable, nil, "the file is a control database, not that of a tenant")
	}
	// Also where it exists: its maker may have been killed before it had tables.
	if err := s.cfg.Create(ctx, id); err != nil {
		return im, err
	}
	if h, err = l.Head(ctx); err != nil {
		return im, classify(id, err)
	}
	im = Imported{Tenant: id, Rows: facts.Rows(), Facts: facts}
	im.Now, err = s.replace(ctx, id, l, h, file)
	return im, err
}

// accept copies a foreign file into dir and checks everything about it.
func (s *Service) accept(ctx context.Context, dir, path, want string) (file string, f Facts, err error) {
	if want != "" {
		sum, _, err := hashFile(ctx, path)
		if err != nil {
			return "", f, err
		}
		if sum != want {
			return "", f, kb.E(kb.Unprocessable, nil, "the file is not the one that its manifest describes: its SHA-256 is %s, the manifest says %s", sum, want)
		}
	}
	file = scratchFile(dir, "import.db")
	if err := s.cfg.SQL.Normalize(ctx, path, file); err != nil {
		return "", f, err
	}
	f, err = s.cfg.SQL.Inspect(ctx, file)
	return file, f, err
}

// Verified is what Verify found.
type Verified struct {
	Tenant   kb.TenantID `json:"tenant"`
	Commit   string      `json:"commit"`             // the newest, which was read whole
	Snapshot string      `json:"snapshot,omitempty"` // the newest, which was read back
	Facts
}

// Verify reads a tenant's database as a restore would, and its newest
// snapshot, and checks both: checksums of every page, SQLite's integrity
// check, schema. It changes nothing.
func (s *Service) Verify(ctx context.Context, id kb.TenantID) (v Verified, err error) {
	l, h, err := s.current(ctx, id)
	if err != nil {
		return v, err
	}
	st, h, err := tip(ctx, l, h)
	if err != nil {
		return v, classify(id, err)
	}
	v = Verified{Tenant: id, Commit: pointID(h.Generation, st.TXID)}
	snaps, err := l.Files(ctx, h.Lineage, commitlog.LevelSnapshot)
	if err != nil {
		return v, classify(id, err)
	}
	if n := len(snaps); n > 0 {
		err := l.VerifySnapshot(ctx, h.Lineage, snaps[n-1])
		// Ranges do not end at every snapshot: one whose commit expired is
		// checked by its own checksums, which came first.
		if err != nil && !errors.Is(err, commitlog.ErrStale) {
			return v, classify(id, err)
		}
		v.Snapshot = pointID(h.Generation, snaps[n-1].Max)
	}
	dir, done, err := s.scratch()
	if err != nil {
		return v, err
	}
	defer done()
	v.Facts, err = s.verified(ctx, l, h.Lineage, st.TXID, scratchFile(dir, "now.db"))
	return v, classify(id, err)
}

// VerifyFile checks an exported file: integrity, schema, and with a manifest
// that it is the very file which that describes.
func (s *Service) VerifyFile(ctx context.Context, path string, m Manifest, described bool) (Facts, error) {
	if described {
		sum, n, err := hashFile(ctx, path)
		if err != nil {
			return Facts{}, err
		}
		if sum != m.SHA256 || n != m.Bytes {
			return Facts{}, kb.E(kb.Unprocessable, nil, "%s has %d bytes with SHA-256 %s, its manifest says %d with %s", path, n, sum, m.Bytes, m.SHA256)
		}
	}
	f, err := s.cfg.SQL.Inspect(ctx, path)
	if err == nil && described && !slices.Equal(f.Tables, m.Tables) {
		err = kb.E(kb.Unprocessable, nil, "%s does not hold the rows that its manifest describes", path)
	}
	return f, err
}
