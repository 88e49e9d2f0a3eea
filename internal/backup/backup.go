// Package backup keeps tenants restorable and brings them back: the scheduled
// run (compact, snapshot, verify, expire), restore points, restore with a
// preview, undo, export as one plain SQLite file, import, deletion. It works
// on the logs in the store, beside any number of servers that use them, and
// needs none of them to stop: whatever changes a tenant's history is a swap to
// a new lineage (package commitlog). Everything here may be killed at any
// instruction and run twice at once.
package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// SQL is what backup needs to know about a database as a plain file.
type SQL interface {
	// Inspect checks a file (integrity, schema) and digests its tables. What
	// is wrong with the file is kb.Unprocessable.
	Inspect(ctx context.Context, path string) (Facts, error)
	// Compare counts the rows that would change if now became then.
	Compare(ctx context.Context, then, now string) ([]Difference, error)
	// Normalize copies a foreign file, with its write-ahead log, to dst in the
	// form that a log takes.
	Normalize(ctx context.Context, src, dst string) error
	// Advance makes the file at path fit to replace the live database of a
	// tenant: no number that was given out is given out again.
	Advance(ctx context.Context, id kb.TenantID, path string) error
}

// Facts is what a database file holds.
type Facts struct {
	Control   bool    `json:"control,omitempty"` // it is the control database
	Schema    int     `json:"schema"`
	MinReader int     `json:"min_reader"`
	MinWriter int     `json:"min_writer"`
	Tables    []Table `json:"tables"`
}

// Rows is the number of rows of all tables.
func (f Facts) Rows() (n int64) {
	for _, t := range f.Tables {
		n += t.Rows
	}
	return n
}

// Table is one table's content; equal digests mean equal rows.
type Table struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Digest string `json:"sha256"`
}

// Difference is what a restore would do to one table.
type Difference struct {
	Table   string `json:"table"`
	Then    int64  `json:"rows_then"`
	Now     int64  `json:"rows_now"`
	Back    int64  `json:"come_back"` // rows that are gone now
	Gone    int64  `json:"go_away"`   // rows that were not there then
	Changed int64  `json:"change"`
}

// Config shapes a Service.
type Config struct {
	Bucket objstore.Bucket
	Layout commitlog.Layout
	SQL    SQL
	// Originals lists the SHA-256 of the originals that the database in a plain
	// file names. nil: originals are kept for ever.
	Originals func(ctx context.Context, path string) ([]string, error)
	// Create makes a tenant that does not exist, with its schema.
	Create func(context.Context, kb.TenantID) error
	// Window is how far back every commit stays restorable, Retention how far
	// anything does, and the data of what was replaced or deleted is kept.
	Window, Retention time.Duration
	TempDir           string // for whole databases; "" = os.TempDir
	Log               *slog.Logger
	Alarm             func(error) // may be nil
}

// Service is backup over one store. It holds no state; it is safe for
// concurrent use.
type Service struct{ cfg Config }

// New returns the service. It asks the store for nothing.
func New(cfg Config) *Service {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{cfg: cfg}
}

const (
	scratchName = "eino-qa-backup-" // of temporary folders
	root        = "t/"
	recordsRoot = "control/backup/"
)

func (s *Service) log(id kb.TenantID) (*commitlog.Log, error) {
	return commitlog.New(s.cfg.Bucket, root+string(id), commitlog.Config{Layout: s.cfg.Layout, OnAlarm: s.cfg.Alarm, TempDir: s.cfg.TempDir})
}

// live returns a tenant's log and its newest pointer, kb.NotFound without one.
// It completes what a swap that was killed left undone.
func (s *Service) live(ctx context.Context, id kb.TenantID) (*commitlog.Log, commitlog.Head, error) {
	l, err := s.log(id)
	if err != nil {
		return nil, commitlog.Head{}, err
	}
	h, err := l.Head(ctx)
	if err == nil && !h.Deleted {
		if _, h, err = tip(ctx, l, h); errors.Is(err, commitlog.ErrDeleted) {
			err = nil
		}
	}
	return l, h, classify(id, err)
}

// current is live for what needs a tenant that is not deleted.
func (s *Service) current(ctx context.Context, id kb.TenantID) (*commitlog.Log, commitlog.Head, error) {
	l, h, err := s.live(ctx, id)
	if err == nil && h.Deleted {
		err = kb.E(kb.Conflict, commitlog.ErrDeleted, "tenant %q is deleted; undo brings it back until its data expires", id)
	}
	return l, h, err
}

// classify gives errors of the log their kind.
func classify(id kb.TenantID, err error) error {
	switch {
	case err == nil, kb.KindOf(err) != kb.Internal:
		return err
	case errors.Is(err, commitlog.ErrNoTenant):
		return kb.E(kb.NotFound, err, "tenant %q does not exist", id)
	case errors.Is(err, commitlog.ErrDeleted):
		return kb.E(kb.NotFound, err, "tenant %q is deleted", id)
	case errors.Is(err, commitlog.ErrNoPlan):
		return kb.E(kb.NotFound, err, "this point of tenant %q cannot be restored any more; list what can", id)
	case errors.Is(err, commitlog.ErrSealed), errors.Is(err, commitlog.ErrConflict):
		return kb.E(kb.Conflict, err, "tenant %q was replaced by somebody else meanwhile; look at it, then try again", id)
	case errors.Is(err, commitlog.ErrCorrupt), errors.Is(err, commitlog.ErrFork), errors.Is(err, commitlog.ErrPoisoned):
		return kb.E(kb.Unavailable, err, "the stored data of tenant %q is damaged: an operator must restore it", id).With("reason", "corrupt")
	case errors.Is(err, commitlog.ErrStale), errors.Is(err, commitlog.ErrUnknown):
		return kb.E(kb.Unavailable, err, "tenant %q changed while it was read; try again", id)
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("tenant %s: %w", id, err)
}

// scratch is a folder for whole databases, gone after done.
func (s *Service) scratch() (dir string, done func(), err error) {
	dir, err = os.MkdirTemp(s.cfg.TempDir, scratchName)
	if err != nil {
		return "", nil, kb.E(kb.Unavailable, err, "no temporary folder: set TMPDIR to one with room for the largest database")
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
}

// write writes the database of a lineage as of commit at to a new file.
func write(ctx context.Context, l *commitlog.Log, lin commitlog.Lineage, at ltx.TXID, path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return retryStale(ctx, func() error {
		if err := f.Truncate(0); err != nil {
			return err
		}
		if _, err := f.Seek(0, 0); err != nil {
			return err
		}
		return l.WriteDatabase(ctx, lin, at, f)
	})
}

// retryStale repeats what was overtaken by an expiry, which comes once in
// hours, so three in a row are something else.
func retryStale(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		if n == 3 || !errors.Is(err, commitlog.ErrStale) || ctx.Err() != nil {
			return err
		}
	}
}

// tip is the newest commit of h's lineage before a seal. A sealed lineage is
// followed to its successor.
func tip(ctx context.Context, l *commitlog.Log, h commitlog.Head) (commitlog.State, commitlog.Head, error) {
	for {
		st, err := l.Tip(ctx, h)
		sealed, ok := errors.AsType[*commitlog.SealedError](err)
		if !ok {
			return st, h, err
		}
		if h, err = l.Follow(ctx, h.Generation, h.Lineage, st.TXID, sealed.Seal); err != nil {
			return st, h, err
		}
		if h.Deleted {
			return st, h, commitlog.ErrDeleted
		}
	}
}

// verified writes the database of lin at commit at to path and inspects it.
func (s *Service) verified(ctx context.Context, l *commitlog.Log, lin commitlog.Lineage, at ltx.TXID, path string) (Facts, error) {
	if err := write(ctx, l, lin, at, path); err != nil {
		return Facts{}, err
	}
	return s.cfg.SQL.Inspect(ctx, path)
}

// record is what the last backups of a tenant did, so that a run that was cut
// short goes on where it stopped. It is a hint: without it, or with that of
// another run, more is done than needed, never less.
type record struct {
	At         time.Time         `json:"at"`      // of the last run that ended well
	Full       time.Time         `json:"full"`    // of the last one with a snapshot that was verified
	Lineage    commitlog.Lineage `json:"lineage"` // of both
	Generation uint64            `json:"generation"`
	TXID       ltx.TXID          `json:"txid"` // the newest commit then
	Snapshot   ltx.TXID          `json:"snapshot"`
	Settled    bool              `json:"settled"` // nothing was left that a later run could expire
	Facts      Facts             `json:"facts"`   // of the snapshot
	// Unnamed are originals, by SHA-256, that full runs found in no document.
	Unnamed map[string]unnamed `json:"unnamed,omitempty"`
}

func recordKey(id kb.TenantID) string { return recordsRoot + string(id) + ".json" }

func (s *Service) record(ctx context.Context, id kb.TenantID) (r record, err error) {
	b, _, err := s.cfg.Bucket.Get(ctx, recordKey(id))
	if errors.Is(err, objstore.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, nil //nolint:nilerr // a hint that cannot be read is none
	}
	return r, nil
}

func (s *Service) putRecord(ctx context.Context, id kb.TenantID, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.cfg.Bucket.Put(ctx, recordKey(id), bytesReader(b))
	return err
}

func scratchFile(dir, name string) string { return filepath.Join(dir, name) }
