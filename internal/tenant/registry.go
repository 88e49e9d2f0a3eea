package tenant

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/logvfs"
)

// Registry holds the open databases of this process: those in use, and of the
// others those used last, as far as OpenBytes goes. It has no goroutine: what
// sleeps asks the store for nothing.
type Registry struct {
	cfg   Config
	cache *logvfs.Cache
	now   atomic.Uint64 // see Now

	mu      sync.Mutex
	entries map[kb.TenantID]*entry
	order   list.List // of those that are open, the one used last in front
	bytes   int64     // that they take
	idle    int64     // of these, the connections
}

const (
	defaultCacheBytes = 64 << 20
	// Half of what BenchmarkSleepingTenants may take, less what a process
	// takes anyway: some 40 small tenants in use, 150 at rest.
	defaultOpenBytes = 24 << 20
)

// NewRegistry returns a registry that has nothing open. It asks the store for
// nothing.
func NewRegistry(cfg Config) *Registry {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = defaultCacheBytes
	}
	if cfg.OpenBytes == 0 {
		cfg.OpenBytes = defaultOpenBytes
	}
	return &Registry{cfg: cfg, cache: logvfs.NewCache(cfg.CacheBytes), entries: map[kb.TenantID]*entry{}}
}

// entry is one open database, or one that is being opened.
type entry struct {
	id    kb.TenantID
	since uint64        // Now, before it was opened
	ready chan struct{} // closed when db or err is set
	db    *logvfs.DB
	err   error

	// Guarded by Registry.mu.
	refs        int
	gone        bool          // forgotten: the last user closes it
	place       *list.Element // in Registry.order; nil before the first release
	bytes, idle int64         // that it took when it was last used; idle is the part of its connections

	conns sync.Map // *sqlite3.Conn → *Conn
}

// opened reports whether e.db can be used.
func (e *entry) opened() bool {
	select {
	case <-e.ready:
		return e.db != nil
	default:
		return false
	}
}

// conn is what is kept for one connection.
func (e *entry) conn(c *sqlite3.Conn) *Conn {
	if known, ok := e.conns.Load(c); ok {
		return known.(*Conn)
	}
	made := newConn(c)
	e.conns.Store(c, made)
	return made
}

// Now is a moment of this registry, for Handle.RefreshSince. Moments count
// calls, no clock.
func (r *Registry) Now() uint64 { return r.now.Add(1) }

// Tenant returns the handle of an existing tenant, or kb.NotFound.
func (r *Registry) Tenant(ctx context.Context, id kb.TenantID) (*Handle, error) {
	e, err := r.acquire(ctx, id, false)
	if err != nil {
		return nil, err
	}
	r.release(e)
	return &Handle{id: id, reg: r}, nil
}

// Create returns the handle of a tenant, making the tenant if it is new.
func (r *Registry) Create(ctx context.Context, id kb.TenantID) (*Handle, error) {
	err := r.create(ctx, id)
	if kb.KindOf(err) == kb.NotFound { // deleted while it was open here
		r.Forget(id)
		err = r.create(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	return &Handle{id: id, reg: r}, nil
}

func (r *Registry) create(ctx context.Context, id kb.TenantID) error {
	e, err := r.acquire(ctx, id, true)
	if err != nil {
		return err
	}
	defer r.release(e)
	return r.commit(ctx, e, "", r.bootstrap(id))
}

// acquire returns the open database of a tenant and keeps it from being
// closed until release. Of many that want one that is not open, one opens it.
func (r *Registry) acquire(ctx context.Context, id kb.TenantID, create bool) (*entry, error) {
	r.mu.Lock()
	e := r.entries[id]
	opens := e == nil
	if opens {
		e = &entry{id: id, since: r.Now(), ready: make(chan struct{})}
		r.entries[id] = e
	}
	e.refs++
	r.mu.Unlock()
	if opens {
		r.open(ctx, e, create)
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		r.release(e)
		return nil, ctx.Err()
	}
	if e.err == nil {
		return e, nil
	}
	r.release(e)
	if !opens && (create && kb.KindOf(e.err) == kb.NotFound || errors.Is(e.err, context.Canceled)) {
		return r.acquire(ctx, id, create) // the one who opened wanted less than we do, or left
	}
	return nil, e.err
}

// open fills e. If it fails, e is forgotten, so that the next one tries anew.
func (r *Registry) open(ctx context.Context, e *entry, create bool) {
	defer close(e.ready)
	layout := commitlog.Objects
	if r.cfg.Folder {
		layout = commitlog.Folder
	}
	cfg := logvfs.Config{
		WholeBytes: r.cfg.wholeBytes,
		Log:        commitlog.Config{Layout: layout, OnAlarm: r.cfg.Alarm},
		Cache:      r.cache,
		OnEvent:    r.cfg.Event,
		OnClose:    func(c *sqlite3.Conn) { e.conns.Delete(c) },
	}
	e.db, e.err = logvfs.Open(ctx, r.cfg.Bucket, prefix(e.id), cfg)
	if create && (errors.Is(e.err, commitlog.ErrNoTenant) || errors.Is(e.err, commitlog.ErrDeleted)) {
		// Not by logvfs.Config.Create: that would make the tenant anew, without
		// a schema, whenever it is deleted while it is open here.
		if e.err = r.begin(ctx, e.id, cfg.Log); e.err == nil {
			e.db, e.err = logvfs.Open(ctx, r.cfg.Bucket, prefix(e.id), cfg)
		}
	}
	if e.err != nil {
		e.err = notFound(e.id, e.err)
		r.mu.Lock()
		r.drop(e)
		r.mu.Unlock()
	}
}

// begin makes the empty log of a new tenant.
func (r *Registry) begin(ctx context.Context, id kb.TenantID, cfg commitlog.Config) error {
	l, err := commitlog.New(r.cfg.Bucket, prefix(id), cfg)
	if err != nil {
		return err
	}
	_, err = l.Create(ctx)
	return err
}

// release gives e back, and memory where there is too much in use.
func (r *Registry) release(e *entry) {
	r.mu.Lock()
	e.refs--
	var resting, closing []*entry
	switch {
	case !e.opened():
	case e.gone && e.refs == 0:
		closing = append(closing, e)
	case !e.gone:
		r.weigh(e)
		resting, closing = r.shrink()
	}
	r.mu.Unlock()
	for _, v := range resting {
		v.db.Rest()
	}
	for _, v := range closing {
		v.db.Close()
	}
}

// Hydrate verifies the large databases that are open and were read lazily, one
// after the other, until ctx ends. It asks the store for nothing else: what is
// verified, small or closed costs a look. What it finds is told to Config.Alarm;
// the error is the store's.
func (r *Registry) Hydrate(ctx context.Context) error {
	r.mu.Lock()
	var lazy []*entry
	for _, e := range r.entries {
		if e.opened() && !e.gone && !e.db.Verified() {
			e.refs++
			lazy = append(lazy, e)
		}
	}
	r.mu.Unlock()
	var errs []error
	for _, e := range lazy {
		if _, err := e.db.Hydrate(ctx); err != nil {
			errs = append(errs, fmt.Errorf("hydrate tenant %s: %w", e.id, err))
		}
		r.giveBack(e)
	}
	return errors.Join(errs...)
}

// giveBack is release of what was not used by anybody: it does not count as
// used now.
func (r *Registry) giveBack(e *entry) {
	r.mu.Lock()
	e.refs--
	last := e.gone && e.refs == 0
	r.mu.Unlock()
	if last {
		e.db.Close()
	}
}

// weigh notes that e was used now and what it takes; r.mu is held.
func (r *Registry) weigh(e *entry) {
	if e.place == nil {
		e.place = r.order.PushFront(e)
	} else {
		r.order.MoveToFront(e.place)
	}
	bytes, idle := e.db.Bytes()
	r.count(e, bytes, idle)
}

// shrink chooses what has to rest and what has to be closed; r.mu is held.
// Connections may take half of the budget, so that many at rest do not cost
// those at work theirs.
func (r *Registry) shrink() (resting, closing []*entry) {
	for at := r.order.Back(); at != nil && r.idle > r.cfg.OpenBytes/2; at = at.Prev() {
		if e := at.Value.(*entry); e.refs == 0 && e.idle > 0 {
			r.count(e, e.bytes-e.idle, 0)
			resting = append(resting, e)
		}
	}
	for at := r.order.Back(); at != nil && r.bytes > r.cfg.OpenBytes; {
		e := at.Value.(*entry)
		at = at.Prev() // of e, before it leaves
		if e.refs == 0 {
			r.drop(e)
			closing = append(closing, e)
		}
	}
	return resting, closing
}

// count notes what e takes; r.mu is held.
func (r *Registry) count(e *entry, bytes, idle int64) {
	r.bytes, r.idle = r.bytes-e.bytes+bytes, r.idle-e.idle+idle
	e.bytes, e.idle = bytes, idle
}

// drop takes e out of the registry; r.mu is held. Who has it still may use it.
func (r *Registry) drop(e *entry) {
	if r.entries[e.id] == e {
		delete(r.entries, e.id)
	}
	if e.place != nil {
		r.order.Remove(e.place)
		e.place = nil
		r.count(e, 0, 0)
	}
}

// Close closes every database. Nothing may use a handle after it.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, e := range r.entries {
		<-e.ready
		if e.db != nil {
			e.db.Close()
		}
		r.drop(r.entries[id])
	}
	return nil
}
