package logvfs

import (
	"context"
	"errors"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Position returns how far this instance has come; zero before the first load.
func (db *DB) Position() commitlog.Position {
	db.mu.Lock()
	im := db.im
	db.mu.Unlock()
	if im == nil {
		return commitlog.Position{}
	}
	return im.current().state.Position()
}

// Read runs fn on a snapshot that no commit changes. fn must not keep the
// connection. The snapshot is the newest this instance knows: it has every
// commit acknowledged by this DB, and after Refresh every commit acknowledged
// anywhere before that call. fn may leave prepared statements for the next
// use of the same connection, reset, and no blob handles. fn may run again on a newer snapshot if the old
// one expired from the store while it was being read.
func (db *DB) Read(ctx context.Context, fn func(*sqlite3.Conn) error) error {
	const tries = 3 // a snapshot expires once in hours
	var err error
	for range tries {
		var im *image
		if im, err = db.image(ctx); err != nil {
			return err
		}
		if err = db.readOn(ctx, im, fn); err == nil {
			return nil
		}
		switch {
		case errors.Is(err, commitlog.ErrStale):
			db.drop(im)
		case errors.Is(err, commitlog.ErrCorrupt):
			db.distrust(im)
			return classify(db.alarm(err))
		default:
			return err
		}
	}
	return classify(err)
}

// ReadFrom is Read on a snapshot at least as new as min: one that this
// instance has, or the newest of all.
func (db *DB) ReadFrom(ctx context.Context, min commitlog.Position, fn func(*sqlite3.Conn) error) error {
	if db.Position().Before(min) {
		if _, err := db.Refresh(ctx); err != nil {
			return err
		}
	}
	return db.Read(ctx, fn)
}

func (db *DB) alarm(err error) error {
	if f := db.log.Config().OnAlarm; f != nil {
		f(err)
	}
	return err
}

func (db *DB) readOn(ctx context.Context, im *image, fn func(*sqlite3.Conn) error) error {
	v := im.current()
	c, err := db.reader(ctx, im, v)
	if err != nil {
		return classify(err)
	}
	broken, err := c.read(ctx, v, fn)
	failed := c.f.err != nil
	db.giveBack(c, broken)
	switch {
	case err == nil:
		return nil
	case failed && !errors.Is(err, commitlog.ErrStale) && !errors.Is(err, commitlog.ErrCorrupt):
		return classify(err) // the store, not fn
	case ctx.Err() != nil && errors.Is(err, sqlite3.INTERRUPT):
		return kb.E(kb.Canceled, errors.Join(ctx.Err(), err), "canceled")
	}
	return err
}

func (db *DB) reader(ctx context.Context, im *image, v *view) (*conn, error) {
	db.mu.Lock()
	for n := len(db.idle); n > 0; n = len(db.idle) {
		c := db.idle[n-1]
		db.idle = db.idle[:n-1]
		if c.f.im == im {
			db.mu.Unlock()
			return c, nil
		}
		c.Close() // cannot block: it only frees memory
	}
	db.mu.Unlock()
	return db.open(ctx, im, v, false)
}

func (db *DB) giveBack(c *conn, broken bool) {
	db.mu.Lock()
	if !broken && !db.closed && c.f.im == db.im && len(db.idle) < db.cfg.Readers {
		c.f.ctx, c.f.pinned = nil, nil
		db.idle = append(db.idle, c)
		c = nil
	}
	db.mu.Unlock()
	c.Close()
}

// Refresh brings this instance up to date: when it returns nil, every commit
// that was acknowledged anywhere before the call is visible to Read, at the
// position returned. It costs two small reads if nothing happened; concurrent
// calls share them. Callers may overlap it with a Read and compare positions:
// a snapshot from before may miss commits, and in one rare case (a late write
// under the boundary) shows one that never counted.
func (db *DB) Refresh(ctx context.Context) (commitlog.Position, error) {
	if db.past != nil {
		return db.Position(), nil
	}
	err := db.refresh.do(ctx, func() error { return db.refreshOnce(ctx) })
	if err != nil {
		return commitlog.Position{}, classify(err)
	}
	return db.Position(), nil
}

func (db *DB) refreshOnce(ctx context.Context) error {
	const tries = 4 // a reload is strong itself; more only if heads move meanwhile
	var err error
	for range tries {
		db.mu.Lock()
		fresh := db.im == nil
		db.mu.Unlock()
		var im *image
		if im, err = db.image(ctx); err != nil || fresh {
			return err
		}
		if err = db.catchUp(ctx, im); err == nil {
			return nil
		}
		if !db.salvage(im, err) {
			return err
		}
	}
	return err
}

// catchUp applies what others committed.
func (db *DB) catchUp(ctx context.Context, im *image) error {
	v := im.current()
	base := im.stateOf(v)
	files, st, err := db.log.Catchup(ctx, base, nil)
	if err != nil {
		return err
	}
	if st, err = db.log.Confirm(ctx, base, st); err != nil {
		return err
	}
	im.publish(im.advance(v, files), st.Boundary)
	return nil
}

// salvage drops im if err says that it is of no use any more, and reports
// whether loading anew may help.
func (db *DB) salvage(im *image, err error) bool {
	switch {
	case errors.Is(err, commitlog.ErrStale), errors.Is(err, commitlog.ErrSealed):
		db.drop(im) // Load follows seals
		return true
	case errors.Is(err, commitlog.ErrFork), errors.Is(err, commitlog.ErrCorrupt):
		db.distrust(im) // reported; the next load may find the store repaired
	}
	return false
}

// Hydrate reads and verifies what a lazy open left out, until it is complete
// (true) or ctx ends. It resumes where the last call stopped. Call it within a
// request that has time to spare.
func (db *DB) Hydrate(ctx context.Context) (done bool, err error) {
	im, err := db.image(ctx)
	if err != nil {
		return false, err
	}
	done, err = im.hydrate(ctx)
	switch {
	case errors.Is(err, commitlog.ErrCorrupt):
		db.distrust(im)
		err = db.alarm(err)
	case errors.Is(err, commitlog.ErrStale):
		db.drop(im)
	}
	return done, classify(err)
}

// Verified reports whether every page that Read returns is compared with a
// checksum. It is not so of a large database that was opened and not hydrated,
// nor of one under suspicion, which is not served before it was: a request may
// not last as long as that takes. Any other that is not loaded reads nothing.
func (db *DB) Verified() bool {
	db.mu.Lock()
	im := db.im
	db.mu.Unlock()
	if im == nil {
		return !db.suspect.Load()
	}
	return im.verified()
}
