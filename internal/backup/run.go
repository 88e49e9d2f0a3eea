package backup

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

func bytesReader(b []byte) io.ReadSeeker { return bytes.NewReader(b) }

// Options say what a run does.
type Options struct {
	Tenants []kb.TenantID // nil = all, the control database too
	// Full takes and verifies a snapshot of everything that changed, also
	// where the last one is young.
	Full bool
	// Keep deletes nothing and gives no history up: whoever runs it may have no
	// right to. What is due waits for the next run without it.
	Keep     bool
	Deadline time.Time // no tenant is begun after it; zero = none
	// Recent skips tenants that another run finished since; zero = none.
	Recent   time.Duration
	Progress func(done, of int, r Result) // called in turn; may be nil
}

// Status says what became of one tenant.
type Status string

// Statuses of a Result.
const (
	Done     Status = "done"     // compacted, and what was due of the rest
	Idle     Status = "idle"     // nothing happened since the last run
	Deferred Status = "deferred" // no time was left; the next run begins with it
	Failed   Status = "failed"
	Gone     Status = "deleted" // its data is kept until the retention is over
)

// Result is what a run did to one tenant.
type Result struct {
	Tenant    kb.TenantID `json:"tenant"`
	Status    Status      `json:"status"`
	Commit    string      `json:"commit,omitempty"`    // the newest
	Snapshot  string      `json:"snapshot,omitempty"`  // newest, if this run verified it
	Compacted int         `json:"compacted,omitempty"` // files written
	Deleted   int         `json:"deleted,omitempty"`   // objects
	Retired   int         `json:"retired,omitempty"`   // histories given up for ever
	Rows      int64       `json:"rows,omitempty"`
	Took      string      `json:"took"`
	Err       error       `json:"-"`
	Error     string      `json:"error,omitempty"` // Err for people
}

// Report is what a run did.
type Report struct {
	Started time.Time `json:"started_at"`
	Ended   time.Time `json:"ended_at"`
	Results []Result  `json:"tenants"`
}

// Count is how many tenants ended so.
func (r Report) Count(s Status) (n int) {
	for _, t := range r.Results {
		if t.Status == s {
			n++
		}
	}
	return n
}

// atOnce is how many tenants are worked on together: most wait for the store,
// and each may have a whole database in the temporary folder.
const atOnce = 2

// Run backs tenants up, those first that waited longest. It goes on after a
// tenant that fails; the error is that of all of them, or of listing them.
func (s *Service) Run(ctx context.Context, o Options) (Report, error) {
	rep := Report{Started: time.Now().UTC()}
	s.sweep(ctx)
	ids := o.Tenants
	if ids == nil {
		names, err := commitlog.Names(ctx, s.cfg.Bucket, root)
		if err != nil {
			return rep, err
		}
		for _, n := range names {
			ids = append(ids, kb.TenantID(n))
		}
	}
	queue := s.byAge(ctx, ids)
	rep.Results = make([]Result, len(queue))
	var mu sync.Mutex
	done := 0
	g := new(errgroup.Group)
	g.SetLimit(atOnce)
	for i, q := range queue {
		g.Go(func() error {
			r := s.one(ctx, q.id, q.rec, o)
			mu.Lock()
			defer mu.Unlock()
			rep.Results[i] = r
			done++
			if o.Progress != nil {
				o.Progress(done, len(queue), r)
			}
			return nil
		})
	}
	_ = g.Wait() // errors are in the results
	rep.Ended = time.Now().UTC()
	var errs []error
	for _, r := range rep.Results {
		if r.Err != nil {
			errs = append(errs, fmt.Errorf("back up %s: %w", r.Tenant, r.Err))
		}
	}
	return rep, errors.Join(errs...)
}

// sweep removes temporary folders of runs that were killed: each may hold a
// whole tenant.
func (s *Service) sweep(ctx context.Context) {
	const dead = 24 * time.Hour // no run works on one tenant that long
	dir := cmp.Or(s.cfg.TempDir, os.TempDir())
	old, err := filepath.Glob(filepath.Join(dir, scratchName+"*"))
	for _, path := range old {
		if info, serr := os.Lstat(path); serr == nil && time.Since(info.ModTime()) > dead {
			err = errors.Join(err, os.RemoveAll(path))
		}
	}
	if err != nil {
		s.cfg.Log.DebugContext(ctx, "old temporary folders stay", "error", err) // best effort
	}
}

type queued struct {
	id  kb.TenantID
	rec record
}

// byAge reads the tenants' records and orders them, the longest unattended
// first: a run that never has time for all still comes to each.
func (s *Service) byAge(ctx context.Context, ids []kb.TenantID) []queued {
	queue := make([]queued, len(ids))
	g := new(errgroup.Group)
	g.SetLimit(16) // small reads
	for i, id := range ids {
		g.Go(func() error {
			r, err := s.record(ctx, id)
			if err != nil {
				s.cfg.Log.DebugContext(ctx, "backup record unreadable", "tenant", string(id), "error", err) // a hint only
			}
			queue[i] = queued{id, r}
			return nil
		})
	}
	_ = g.Wait() // none fails
	slices.SortStableFunc(queue, func(a, b queued) int { return a.rec.At.Compare(b.rec.At) })
	return queue
}

func (s *Service) one(ctx context.Context, id kb.TenantID, rec record, o Options) (r Result) {
	began := time.Now()
	r = Result{Tenant: id}
	defer func() {
		r.Took = time.Since(began).Round(time.Millisecond).String()
		if r.Err != nil {
			r.Status, r.Error = Failed, r.Err.Error()
			if e, ok := errors.AsType[*kb.Error](r.Err); ok {
				r.Error = e.Msg
			}
		}
	}()
	switch {
	case ctx.Err() != nil || !o.Deadline.IsZero() && began.After(o.Deadline):
		r.Status = Deferred
		return r
	case o.Recent > 0 && began.Sub(rec.At) < o.Recent:
		r.Status = Idle
		return r
	}
	if !o.Deadline.IsZero() {
		var cancel context.CancelFunc
		// A tenant that was begun may take longer than what is left: better
		// to be cut than to be killed.
		ctx, cancel = context.WithDeadline(ctx, o.Deadline)
		defer cancel()
	}
	err := s.tenant(ctx, id, rec, o, &r)
	if err != nil && ctx.Err() != nil {
		r.Status = Deferred
		return r
	}
	r.Err = classify(id, err)
	return r
}

// tenant is the run for one tenant.
func (s *Service) tenant(ctx context.Context, id kb.TenantID, rec record, o Options, r *Result) error {
	l, err := s.log(id)
	if err != nil {
		return err
	}
	if idle, err := s.idle(ctx, l, rec, o); err != nil || idle {
		r.Status, r.Commit = Idle, pointID(rec.Generation, rec.TXID)
		return err
	}
	h, err := l.Head(ctx)
	if err != nil {
		return err
	}
	now := s.storeNow(ctx, id)
	var waiting int // histories to be given up by later runs
	if !o.Keep {
		if r.Retired, waiting, err = s.retire(ctx, l, now); err != nil {
			return err
		}
	}
	if h.Deleted {
		r.Status = Gone
		if o.Keep {
			return nil
		}
		n, err := s.purge(ctx, id, l, h, now)
		r.Deleted = n
		return err
	}
	commits, err := l.Files(ctx, h.Lineage, commitlog.LevelCommit)
	if err != nil || len(commits) == 0 {
		return errors.Join(err, noCommits(len(commits)))
	}
	newest := commits[len(commits)-1]
	r.Commit = pointID(h.Generation, newest.Max)
	if rec.Lineage != h.Lineage { // a restore came in between: everything is due
		rec = record{At: rec.At}
	}
	same := rec.TXID == newest.Max
	r.Status = Done
	if r.Compacted, err = l.CompactAll(ctx, h.Lineage); err != nil {
		return err
	}
	rec.At, rec.Generation, rec.TXID, rec.Lineage, rec.Settled = now, h.Generation, newest.Max, h.Lineage, false
	if !o.Full && now.Sub(rec.Full) < s.fullEvery() {
		return s.putRecord(ctx, id, rec)
	}
	if err := s.full(ctx, id, l, h, o, &rec, r); err != nil {
		return err
	}
	// The window opens for the newest commit, too: later runs find nothing.
	rec.Settled = !o.Keep && same && now.Sub(newest.Modified) > s.cfg.Window && r.Deleted == 0 && waiting == 0
	return s.putRecord(ctx, id, rec)
}

// idle reports, for two small requests, that a tenant sleeps: nothing was
// committed since the last run, which left nothing to be done. A swap would
// show, for it ends the lineage with a commit.
func (s *Service) idle(ctx context.Context, l *commitlog.Log, rec record, o Options) (bool, error) {
	if !rec.Settled || o.Full || time.Since(rec.Full) >= reverify {
		return false, nil
	}
	files, err := l.Files(ctx, rec.Lineage, commitlog.LevelCommit)
	return len(files) > 0 && files[len(files)-1].Max == rec.TXID, err
}

func noCommits(n int) error {
	if n > 0 {
		return nil
	}
	return fmt.Errorf("no commit is there: %w", commitlog.ErrCorrupt)
}

// reverify is after how long the snapshot of a tenant that sleeps is read
// back again: once a week finds a store that loses objects, and costs little.
const reverify = 7 * 24 * time.Hour

// fullEvery is how often a tenant that changes gets a snapshot: often enough
// that expiry keeps up with the window, seldom enough that a large tenant is
// not copied every hour.
func (s *Service) fullEvery() time.Duration { return min(s.cfg.Window/4, 24*time.Hour) }

// full takes a snapshot, verifies it and expires what it allows. Nothing
// expires when anything is wrong.
func (s *Service) full(ctx context.Context, id kb.TenantID, l *commitlog.Log, h commitlog.Head, o Options, rec *record, r *Result) error {
	sifts := s.cfg.Originals != nil && !o.Keep && !rec.Facts.Control
	var stock originals
	var err error
	if sifts { // before the newest commit is read: see originals.go
		if stock, err = s.originals(ctx, id); err != nil {
			return err
		}
	}
	var snap commitlog.FileInfo
	err = retryStale(ctx, func() (err error) { snap, err = l.Snapshot(ctx, h.Lineage); return err })
	if errors.Is(err, commitlog.ErrSealed) {
		// Replaced meanwhile, or the swap was killed before its last step.
		// That is done here; the next run has the successor.
		_, _, err := tip(ctx, l, h)
		if errors.Is(err, commitlog.ErrDeleted) {
			err = nil
		}
		return err
	}
	if err != nil {
		return err
	}
	if err := l.VerifySnapshot(ctx, h.Lineage, snap); err != nil {
		return err
	}
	dir, done, err := s.scratch()
	if err != nil {
		return err
	}
	defer done()
	// The same commit by way of a plain file: what a restore would give.
	facts, err := s.verified(ctx, l, h.Lineage, snap.Max, scratchFile(dir, "snapshot.db"))
	if err != nil {
		return err
	}
	if rec.Snapshot == snap.Max && len(rec.Facts.Tables) > 0 && !slices.Equal(rec.Facts.Tables, facts.Tables) {
		return fmt.Errorf("snapshot %d of %s has other rows than when it was taken: %w", snap.Max, id, commitlog.ErrCorrupt)
	}
	r.Snapshot, r.Rows = pointID(h.Generation, snap.Max), facts.Rows()
	rec.Snapshot, rec.Facts = snap.Max, facts
	if o.Keep {
		rec.Full = time.Time{} // the next run without it is due
		return nil
	}
	e, err := l.Expire(ctx, h.Lineage, snap, commitlog.Retention{Commits: s.cfg.Window, Snapshots: s.cfg.Retention})
	if err != nil {
		return err
	}
	r.Deleted += e.Deleted
	if sifts {
		if err := s.sift(ctx, id, l, h.Lineage, stock, snap.Max, dir, scratchFile(dir, "snapshot.db"), rec, r); err != nil {
			return err
		}
	}
	rec.Full = rec.At
	return nil
}

func pointID(generation uint64, id ltx.TXID) string {
	return fmt.Sprintf("%d.%d", generation, uint64(id))
}
