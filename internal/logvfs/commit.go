package logvfs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// pause gives other instances a turn when they write too: a random 0 to 4
// round trips, without which those who lose keep losing (facts/storage.md §5).
func (db *DB) pause(ctx context.Context) error {
	d := time.Until(db.resume)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pace decides how long the next batch waits. Imports wait longer: people wait
// for the others. A single caller who has nothing more has given way already.
func (db *DB) pace(bulk, many bool) {
	const (
		contended = 2 * time.Second // others who write commit several times in it
		trips     = 4
		least     = 6 // of an import beside others: TestChatIsAcknowledgedWhileAnotherInstanceIngests
		most      = 16
	)
	others := time.Since(db.foreign) < contended
	switch {
	case bulk && others:
		db.resume = time.Now().Add(least*db.rtt + db.log.Jitter((most-least)*db.rtt))
	case bulk || others && (many || db.queue.busy()):
		db.resume = time.Now().Add(db.log.Jitter(trips * db.rtt))
	}
}

// measure takes the duration of one append, two round trips, into the average.
func (db *DB) measure(d time.Duration) {
	if db.rtt == 0 {
		db.rtt = d / 2
	}
	db.rtt = (db.rtt*7 + d/2) / 8
}

// runBatch commits the closures of batch and delivers their outcomes. The
// caller is the leader.
func (db *DB) runBatch(batch []*request) {
	if len(batch) == 0 {
		return
	}
	// The batch belongs to many callers: one who leaves must not cut off the
	// others, nor the commit that may be on its way.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(batch[0].ctx), db.log.Config().CommitTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // a defect of ours must not leave the others waiting
			for _, r := range batch {
				select {
				case r.done <- &PanicError{Value: p}:
				default:
				}
			}
			panic(p)
		}
	}()
	err := db.tryBatch(ctx, batch)
	if _, ok := errors.AsType[*splitError](err); ok {
		for _, r := range batch {
			db.runBatch([]*request{r})
		}
		return
	}
	for _, r := range batch {
		if err != nil {
			r.done <- err
		} else {
			r.done <- r.err
		}
	}
}

// splitError says that closures of a batch cannot share a transaction.
type splitError struct{ cause error }

func (e *splitError) Error() string { return "closures cannot share a commit: " + e.cause.Error() }
func (e *splitError) Unwrap() error { return e.cause }

// tryBatch repeats the batch on newer states until it is committed. An error
// is everybody's.
func (db *DB) tryBatch(ctx context.Context, batch []*request) error {
	var on *image
	var v *view // what the next attempt works on; maybe ahead of the image, unconfirmed
	for {
		im, err := db.image(ctx)
		if err != nil {
			return err
		}
		if err = db.wake(ctx, im); err == nil {
			if cur := im.current(); on != im || v.state.TXID < cur.state.TXID {
				on, v = im, cur
			}
			v, err = db.attempt(ctx, im, v, batch)
		}
		switch {
		case err == nil && v == nil:
			return nil
		case err == nil: // others were faster
			db.event(EventConflict)
			db.foreign = time.Now()
		case errors.Is(err, commitlog.ErrUnknown): // also when it is stale: it may have counted
			db.event(EventUnknown)
			db.drop(im)
			return classify(err)
		case db.salvage(im, err):
			on = nil
		default:
			return classify(err)
		}
		if ctx.Err() != nil {
			return classify(commitlog.ErrConflict)
		}
	}
}

// wake catches up before the first commit after a sleep. Nothing depends on it,
// but a commit of somebody who slept through an expiry would end as unknown.
func (db *DB) wake(ctx context.Context, im *image) error {
	const nap = time.Minute // expiry keeps single commits for hours
	if im.age() < nap {
		return nil
	}
	return db.catchUp(ctx, im)
}

// attempt runs the batch once on v. It returns nil and no error when all
// outcomes stand; a view when the batch must run again on that; an error
// otherwise.
func (db *DB) attempt(ctx context.Context, im *image, v *view, batch []*request) (*view, error) {
	c, err := db.writerOn(ctx, im, v)
	if err != nil {
		return nil, err
	}
	c.f.begin(ctx, v)
	if err := c.enter("BEGIN IMMEDIATE"); err != nil {
		return nil, db.abandon(c, err)
	}
	for _, r := range batch {
		r.err = c.closure(r)
		switch {
		case c.f.err != nil:
			return nil, db.abandoned(c, batch)
		case c.GetAutocommit() && len(batch) > 1:
			return nil, &splitError{r.err}
		case c.GetAutocommit():
			return db.validate(ctx, im, v)
		}
	}
	c.f.armed = true
	err = c.Exec("COMMIT")
	c.f.armed = false
	if nv := c.f.committed; nv != nil {
		if err != nil { // SQLite stumbled after the commit counted
			db.closeWriter()
		}
		im.cache.add(c.f.brought)
		im.publish(nv, nv.state.Boundary)
		db.measure(c.f.took)
		db.event(EventCommit)
		db.pace(batch[0].bulk, len(batch) > 1)
		return nil, nil
	}
	if err == nil {
		return db.validate(ctx, im, v) // nothing was written
	}
	if !c.GetAutocommit() {
		if rerr := c.Exec("ROLLBACK"); rerr != nil {
			db.closeWriter()
		}
	}
	switch cause := c.f.err; {
	case errors.Is(cause, commitlog.ErrConflict):
		return db.behind(ctx, im, v, cause)
	case cause != nil:
		return nil, db.abandoned(c, batch)
	case len(batch) > 1: // a deferred constraint, or statements left open
		return nil, &splitError{err}
	}
	batch[0].err = err
	return db.validate(ctx, im, v)
}

// tidy compacts what the last commit made complete. The outcomes are delivered
// already; only the leader's caller waits for it. A failure is repaired by
// whoever completes the next range, or by the scheduled backup.
func (db *DB) tidy(ctx context.Context) {
	db.mu.Lock()
	im := db.im
	db.mu.Unlock()
	if im == nil {
		return
	}
	st := im.stateOf(im.current())
	if st.TXID%db.log.Config().CompactEvery != 0 || db.tidied.Swap(uint64(st.TXID)) == uint64(st.TXID) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), db.log.Config().CommitTimeout)
	defer cancel()
	if err := db.log.Tidy(ctx, st); err != nil {
		db.event(EventUntidy)
	}
}

// closure runs one request between savepoints: what it returns decides
// whether its changes stay in the batch.
func (c *conn) closure(r *request) error {
	if err := r.ctx.Err(); err != nil {
		return kb.E(kb.Canceled, err, "canceled")
	}
	if err := c.enter("SAVEPOINT logvfs_closure"); err != nil {
		return err
	}
	old := c.SetInterrupt(r.ctx)
	err := c.call(r.fn)
	c.SetInterrupt(old)
	if r.ctx.Err() != nil && errors.Is(err, sqlite3.INTERRUPT) {
		err = kb.E(kb.Canceled, errors.Join(r.ctx.Err(), err), "canceled")
	}
	if c.GetAutocommit() { // some errors end the whole transaction
		if err == nil {
			err = errors.New("SQLite rolled the transaction back and the closure did not report it")
		}
		return err
	}
	if err != nil {
		if rerr := c.Exec("ROLLBACK TO logvfs_closure"); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	if rerr := c.Exec("RELEASE logvfs_closure"); rerr != nil {
		return errors.Join(err, rerr)
	}
	return err
}

// validate makes outcomes stand that wrote nothing: refusals and no-ops were
// decided on v, so v must have been the newest state. Otherwise it returns the
// newer one, to run again.
func (db *DB) validate(ctx context.Context, im *image, v *view) (*view, error) {
	base := im.stateOf(im.current())
	files, st, err := db.log.Catchup(ctx, im.stateOf(v), nil)
	if err != nil {
		return nil, err
	}
	if len(files) > 0 {
		return im.advance(v, files), nil
	}
	if st, err = db.log.Confirm(ctx, base, st); err != nil {
		return nil, err
	}
	im.publish(v, st.Boundary)
	return nil, nil
}

// behind returns the view after the commits that v missed. It stays
// unconfirmed, and so unpublished, until the next append on it succeeds.
func (db *DB) behind(ctx context.Context, im *image, v *view, conflict error) (*view, error) {
	if cur := im.current(); cur.state.TXID > v.state.TXID {
		return cur, nil
	}
	var hint [][]byte
	if c, ok := errors.AsType[*commitlog.ConflictError](conflict); ok {
		hint = c.Winners
	}
	files, _, err := db.log.Catchup(ctx, im.stateOf(v), hint)
	if err != nil {
		return nil, err
	}
	return im.advance(v, files), nil
}

// writerOn returns the writing connection for im.
func (db *DB) writerOn(ctx context.Context, im *image, v *view) (*conn, error) {
	if db.writer != nil && db.writer.f.im == im {
		return db.writer, nil
	}
	db.closeWriter()
	c, err := db.open(ctx, im, v, true)
	db.writer = c
	return c, err
}

func (db *DB) closeWriter() {
	db.writer.Close()
	db.writer = nil
}

// abandon gives the connection up and returns what went wrong.
func (db *DB) abandon(c *conn, err error) error {
	err = c.cause(err)
	db.closeWriter()
	return err
}

// abandoned is abandon for a transaction whose file failed: the batch shares
// the error, unless it is too large together.
func (db *DB) abandoned(c *conn, batch []*request) error {
	err := c.f.err
	db.closeWriter()
	if errors.Is(err, commitlog.ErrTooLarge) && len(batch) > 1 {
		return &splitError{err}
	}
	return fmt.Errorf("commit: %w", err)
}
