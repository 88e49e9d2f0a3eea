package logvfs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
)

var (
	errInjected = errors.New("injected store failure")
	errKilled   = errors.New("instance was killed")
)

// world is a simulated store with everybody who uses it. It runs inside a
// synctest bubble: every store call waits until the scheduler picks it, so the
// seed decides the order of calls, what fails, and how the clock moves.
type world struct {
	seed  uint64
	rnd   *rand.Rand // of the scheduler
	store *mem.Bucket
	rates rates

	mu      sync.Mutex
	pending []*call
	nextID  map[string]int // calls made by each instance
	step    int
	actors  int
	log     []string

	first map[string][]byte // what every level-0 slot held first
	when  map[string]int    // at which step
}

// rates are chances in a thousand, for each call.
type rates struct{ fail, applyFail, late, freeze, kill, jump int }

type call struct {
	in    *instance
	order int // of this instance's calls, by key: not by arrival
	op    string
	key   string
	apply func() error
	done  chan error // buffered
	gone  bool       // nobody waits for it any more
	write bool
}

// instance is one process's way to the store.
type instance struct {
	w      *world
	name   string
	frozen int // not before this step
	killed bool
}

func newWorld(seed uint64, r rates) *world {
	return &world{
		seed: seed, rnd: rand.New(rand.NewPCG(seed, 1)), store: new(mem.Bucket), rates: r,
		nextID: map[string]int{}, first: map[string][]byte{}, when: map[string]int{},
	}
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%5d ", w.step)+fmt.Sprintf(format, args...))
}

// do waits for the scheduler to carry the call out.
func (in *instance) do(ctx context.Context, op, key string, write bool, apply func() error) error {
	w := in.w
	w.mu.Lock()
	if in.killed {
		w.mu.Unlock()
		return errKilled
	}
	if err := ctx.Err(); err != nil {
		w.mu.Unlock()
		return err
	}
	id := in.name + op + key
	w.nextID[id]++
	c := &call{in: in, order: w.nextID[id], op: op, key: key, apply: apply, done: make(chan error, 1), write: write}
	w.pending = append(w.pending, c)
	w.mu.Unlock()
	// Calls that began together must not time out at the same instant: which
	// of them is heard first would depend on the machine.
	var early <-chan time.Time
	if at, ok := ctx.Deadline(); ok {
		h := fnv.New32a()
		fmt.Fprintf(h, "%s %d", id, c.order)
		t := time.NewTimer(time.Until(at) - time.Duration(1+h.Sum32()%5000)*time.Microsecond)
		defer t.Stop()
		early = t.C
	}
	var err error
	select {
	case err := <-c.done:
		return err
	case <-early:
		err = context.DeadlineExceeded
	case <-ctx.Done():
		err = ctx.Err()
	}
	w.mu.Lock()
	c.gone = true // it may still arrive
	w.mu.Unlock()
	return err
}

// run steps until every actor has ended.
func (w *world) run(maxSteps int) error {
	for {
		synctest.Wait()
		w.mu.Lock()
		if w.actors == 0 {
			w.mu.Unlock()
			return nil
		}
		if w.step++; w.step > maxSteps {
			w.mu.Unlock()
			return fmt.Errorf("no end after %d steps", maxSteps)
		}
		c := w.pick()
		w.mu.Unlock()
		switch {
		case w.rnd.IntN(1000) < w.rates.jump:
			time.Sleep(time.Duration(w.rnd.IntN(90)) * time.Second) // everybody's timeouts pass
		case c == nil || w.rnd.IntN(4) == 0:
			time.Sleep(time.Duration(1+w.rnd.IntN(20)) * time.Millisecond)
		}
		if c != nil {
			w.carry(c)
		}
	}
}

// pick takes one of the calls whose instance is awake, in an order that does
// not depend on who came first.
func (w *world) pick() *call {
	slices.SortFunc(w.pending, func(a, b *call) int {
		return cmp.Or(strings.Compare(a.in.name, b.in.name), strings.Compare(a.key, b.key), strings.Compare(a.op, b.op), cmp.Compare(a.order, b.order))
	})
	var awake []int
	for i, c := range w.pending {
		if c.in.frozen <= w.step {
			awake = append(awake, i)
		}
	}
	if len(awake) == 0 {
		return nil
	}
	i := awake[w.rnd.IntN(len(awake))]
	c := w.pending[i]
	w.pending = slices.Delete(w.pending, i, i+1)
	return c
}

// carry decides what becomes of c.
func (w *world) carry(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch n := w.rnd.IntN(1000); {
	case c.gone: // its caller left: it arrives or it does not
		if c.write && w.rnd.IntN(2) == 0 {
			w.note("%s: %s %s arrives late: %v", c.in.name, c.op, c.key, c.apply())
		}
		return
	case n < w.rates.freeze:
		c.in.frozen = w.step + 20 + w.rnd.IntN(300)
		w.note("%s: frozen until %d", c.in.name, c.in.frozen)
		w.pending = append(w.pending, c)
		return
	case n < w.rates.freeze+w.rates.kill:
		w.kill(c)
		return
	}
	n := w.rnd.IntN(1000)
	r := w.rates
	switch {
	case n < r.fail, !c.write && n < r.fail+r.applyFail+r.late:
		w.note("%s: %s %s fails", c.in.name, c.op, c.key)
		c.done <- errInjected
	case c.write && n < r.fail+r.applyFail:
		w.note("%s: %s %s applied (%v), but fails", c.in.name, c.op, c.key, c.apply())
		c.done <- errInjected
	case c.write && n < r.fail+r.applyFail+r.late:
		w.note("%s: %s %s fails, but is on its way", c.in.name, c.op, c.key)
		late := *c
		late.gone = true
		w.pending = append(w.pending, &late)
		c.done <- errInjected
	default:
		err := c.apply()
		if c.write {
			w.note("%s: %s %s: %v", c.in.name, c.op, c.key, err)
		}
		c.done <- err
	}
}

// kill ends c's instance while its calls are under way.
func (w *world) kill(c *call) {
	w.note("%s: killed at %s %s", c.in.name, c.op, c.key)
	c.in.killed = true
	all := append([]*call{c}, w.pending...)
	w.pending = nil
	for _, p := range all {
		if p.in != c.in {
			w.pending = append(w.pending, p)
			continue
		}
		if !p.gone {
			p.done <- errKilled
		}
		if p.write {
			late := *p
			late.gone, late.in = true, &instance{w: w, name: p.in.name} // half of them arrive
			w.pending = append(w.pending, &late)
		}
	}
}

func (in *instance) Get(ctx context.Context, key string) (b []byte, i objstore.Info, err error) {
	derr := in.do(ctx, "get", key, false, func() error { b, i, err = in.w.store.Get(context.Background(), key); return err })
	if derr != nil {
		return nil, objstore.Info{}, derr
	}
	return b, i, nil
}

func (in *instance) GetRange(ctx context.Context, key string, off, n int64) (b []byte, i objstore.Info, err error) {
	derr := in.do(ctx, "range", key, false, func() error {
		b, i, err = in.w.store.GetRange(context.Background(), key, off, n)
		return err
	})
	if derr != nil {
		return nil, objstore.Info{}, derr
	}
	return b, i, nil
}

func (in *instance) Open(ctx context.Context, key string, off int64) (r io.ReadCloser, i objstore.Info, err error) {
	derr := in.do(ctx, "open", key, false, func() error { r, i, err = in.w.store.Open(context.Background(), key, off); return err })
	if derr != nil {
		return nil, objstore.Info{}, derr
	}
	return r, i, nil
}

func (in *instance) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return objstore.Info{}, err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return objstore.Info{}, err
	}
	derr := in.do(ctx, "create", key, true, func() error {
		_, err := in.w.store.Create(context.Background(), key, bytes.NewReader(data))
		if err == nil && in.w.first[key] == nil {
			in.w.first[key], in.w.when[key] = data, in.w.step
		}
		return err
	})
	return objstore.Info{Key: key, Date: time.Now()}, derr
}

func (in *instance) Put(context.Context, string, io.ReadSeeker) (objstore.Info, error) {
	panic("the commit log never overwrites")
}

func (in *instance) List(ctx context.Context, prefix, after string, limit int) (is []objstore.Info, more bool, err error) {
	derr := in.do(ctx, "list", prefix+" "+after, false, func() error {
		is, more, err = in.w.store.List(context.Background(), prefix, after, limit)
		return err
	})
	if derr != nil {
		return nil, false, derr
	}
	return is, more, nil
}

func (in *instance) Delete(ctx context.Context, keys ...string) error {
	return in.do(ctx, "delete", keys[0], true, func() error { return in.w.store.Delete(context.Background(), keys...) })
}
