package logvfs

import (
	"context"
	"slices"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// maxBatch is how many closures share a commit (facts/storage.md §5: 128
// clients reach 2,600 commits a second with it).
const maxBatch = 128

// request is one closure that waits for its commit.
type request struct {
	ctx  context.Context
	fn   func(*sqlite3.Conn) error
	bulk bool
	lead chan struct{} // its caller is to run the next batch
	done chan error    // its outcome
	err  error         // what the closure returned in the current attempt
}

// queue holds the requests in order. One of their callers at a time is the
// leader and commits a batch; there is no goroutine of our own, because a
// frozen instance would freeze it between a commit and its answer.
type queue struct {
	mu      sync.Mutex
	waiting []*request
	leading bool
	closed  bool
}

// enter queues r; its caller leads if nobody does.
func (q *queue) enter(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.waiting = append(q.waiting, r)
	if !q.leading {
		q.leading = true
		r.lead <- struct{}{}
	}
	return nil
}

// remove takes r out if no batch has it yet. If r was to lead, the next leads.
func (q *queue) remove(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, r)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	select {
	case <-r.lead:
		q.pass()
	default:
	}
	return true
}

// pass makes the first in the queue the leader; q.mu is held.
func (q *queue) pass() {
	if q.leading = len(q.waiting) > 0; q.leading {
		q.waiting[0].lead <- struct{}{}
	}
}

// take returns the next batch. A bulk request is always alone: what it
// carries is large, and nobody should wait for its transfer.
func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for n < len(q.waiting) && n < maxBatch && !(n > 0 && (q.waiting[n].bulk || q.waiting[0].bulk)) {
		n++
	}
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return batch
}

// leave ends a leader's turn. last means that nobody will come after him.
func (q *queue) leave() (last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pass()
	return q.closed && !q.leading
}

// busy reports whether somebody waits.
func (q *queue) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) > 0
}

// claim makes the caller the leader if nobody is, without a batch; leave ends it.
func (q *queue) claim() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.leading || q.closed {
		return false
	}
	q.leading = true
	return true
}

// shut refuses new requests; those in the queue are still led to their end.
// last means that there are none.
func (q *queue) shut() (last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last = !q.closed && !q.leading
	q.closed = true
	return last
}

// Commit runs fn in a transaction that is one commit in the store, together
// with the closures of other callers that wait at the same time. nil means
// that the changes are durable and that every instance will see them. An
// error of fn's own comes back as it is, with nothing of fn saved, and was
// decided on the newest state.
//
// fn may run any number of times, on newer states; it must have no effect but
// on the connection, and hand its results out only after Commit returned nil.
// It may use savepoints, not BEGIN, COMMIT or ROLLBACK, and must not call
// Commit, which would wait for itself. ctx ends the waiting
// and interrupts fn; a commit on its way to the store is waited for.
//
// Errors of kind Unavailable have a "reason" in their details; after
// ReasonUnknown the changes may exist. key is the caller's idempotency key: a
// hook for logs and tests, rows that make a retry harmless are fn's business.
func (db *DB) Commit(ctx context.Context, key string, fn func(*sqlite3.Conn) error) error {
	return db.commit(ctx, &request{ctx: ctx, fn: fn})
}

// CommitBulk is Commit for imports: fn gets a commit of its own, and the next
// commit waits a few round trips, so that other instances get a word in.
func (db *DB) CommitBulk(ctx context.Context, key string, fn func(*sqlite3.Conn) error) error {
	return db.commit(ctx, &request{ctx: ctx, fn: fn, bulk: true})
}

func (db *DB) commit(ctx context.Context, r *request) error {
	if db.past != nil {
		return kb.E(kb.Invalid, nil, "the past cannot be changed: restore it first")
	}
	r.lead, r.done = make(chan struct{}, 1), make(chan error, 1)
	if err := db.queue.enter(r); err != nil {
		return err
	}
	for {
		select {
		case err := <-r.done:
			return err
		case <-r.lead:
			db.lead(r)
		case <-ctx.Done():
			if db.queue.remove(r) {
				return kb.E(kb.Canceled, ctx.Err(), "canceled")
			}
			// A batch has it: its outcome is on the way, at most
			// CommitTimeout from now.
			ctx = context.WithoutCancel(ctx)
		}
	}
}

// lead runs one batch, which has r as its first.
func (db *DB) lead(r *request) {
	db.leadBatch(r)
	db.tidy(r.ctx) // the next leader is at work already
}

func (db *DB) leadBatch(r *request) {
	defer func() {
		if db.queue.leave() {
			db.closeWriter()
		}
	}()
	if err := db.pause(r.ctx); err != nil {
		if db.queue.take1(r) {
			r.done <- kb.E(kb.Canceled, err, "canceled")
		}
		return
	}
	db.runBatch(db.queue.take())
}

// take1 takes r alone out of the queue.
func (q *queue) take1(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, r)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}
