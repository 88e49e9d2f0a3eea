package tenant

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ncruces/go-sqlite3"
)

// plain is a database in an ordinary SQLite file. It stands here until the
// commit log does; both offer the same two verbs.
type plain struct {
	path    string
	readers chan *Conn // idle connections; at most maxReaders are kept
	twice   bool

	mu    sync.Mutex
	queue []*waiter
	busy  bool
	w     *Conn // used only by the one who set busy
}

const (
	maxReaders = 4   // idle read connections kept for each open tenant: ~1 MB each
	maxBatch   = 128 // closures in one transaction (facts/storage.md §5)
)

type waiter struct {
	ctx  context.Context
	fn   func(*Conn) error
	err  error
	done chan bool // true: you lead the next batch; false: err is your result
}

func openPlain(path string, twice bool) (*plain, error) {
	w, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return &plain{path: path, w: w, twice: twice, readers: make(chan *Conn, maxReaders)}, nil
}

func openFile(path string) (*Conn, error) {
	db, err := sqlite3.Open("file:" + path + "?_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	// FULL: an acknowledged commit survives a power cut. 8 MB of cache serves
	// the sample sizes; pages beyond it come from the system's cache.
	err = db.Exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000; PRAGMA busy_timeout=10000`)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	return newConn(db), nil
}

func (p *plain) read(ctx context.Context, fn func(*Conn) error) (err error) {
	var c *Conn
	select {
	case c = <-p.readers:
	default:
		if c, err = openFile(p.path); err != nil {
			return err
		}
	}
	old := c.db.SetInterrupt(ctx)
	defer func() {
		c.db.SetInterrupt(old)
		select {
		case p.readers <- c:
		default:
			err = errors.Join(err, c.close())
		}
	}()
	if err := c.Exec("BEGIN"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.db.Exec("ROLLBACK")) }()
	return fn(c)
}

// commit runs fn with whatever else waits in one transaction: the first to
// come leads, the others wait for it.
func (p *plain) commit(ctx context.Context, fn func(*Conn) error) error {
	me := &waiter{ctx: ctx, fn: fn, done: make(chan bool, 1)}
	p.mu.Lock()
	p.queue = append(p.queue, me)
	lead := !p.busy
	p.busy = true
	p.mu.Unlock()
	if !lead && !<-me.done {
		return me.err
	}
	p.lead()
	return me.err
}

func (p *plain) lead() {
	p.mu.Lock()
	batch := p.queue
	if len(batch) > maxBatch {
		batch = batch[:maxBatch]
	}
	p.queue = p.queue[len(batch):]
	p.mu.Unlock()

	if err := p.transact(batch); err != nil {
		for _, w := range batch {
			w.err = err
		}
	}
	p.mu.Lock()
	if len(p.queue) > 0 {
		p.queue[0].done <- true
	} else {
		p.busy = false
	}
	p.mu.Unlock()
	for _, w := range batch {
		w.done <- false // the leader's own is never read
	}
}

func (p *plain) transact(batch []*waiter) (err error) {
	if err := p.w.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if !p.w.db.GetAutocommit() {
			err = errors.Join(err, p.w.db.Exec("ROLLBACK"))
		}
	}()
	for _, w := range batch {
		if w.err = p.savepoint(w); w.err != nil && p.w.db.GetAutocommit() {
			return fmt.Errorf("transaction was lost: %w", w.err)
		}
	}
	return p.w.Exec("COMMIT")
}

func (p *plain) savepoint(w *waiter) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if p.twice {
		if err := p.w.Exec("SAVEPOINT twice"); err != nil {
			return err
		}
		_ = w.fn(p.w) // discarded: a pure fn does the same again below
		if err := p.w.db.Exec("ROLLBACK TO twice; RELEASE twice"); err != nil {
			return err
		}
	}
	if err := p.w.Exec("SAVEPOINT one"); err != nil {
		return err
	}
	if err := w.fn(p.w); err != nil {
		return errors.Join(err, p.w.db.Exec("ROLLBACK TO one; RELEASE one"))
	}
	return p.w.Exec("RELEASE one")
}

func (p *plain) close() error {
	close(p.readers)
	var errs []error
	for c := range p.readers {
		errs = append(errs, c.close())
	}
	return errors.Join(append(errs, p.w.close())...)
}
