package tenant

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/logvfs"
)

// Registry holds the open databases of this process: those in use, and the
// MaxOpen used last.
type Registry struct {
	cfg   Config
	cache *logvfs.Cache

	mu      sync.Mutex
	entries map[kb.TenantID]*entry
}

const (
	defaultCacheBytes = 64 << 20
	defaultMaxOpen    = 32
)

// NewRegistry returns a registry that has nothing open. It asks the store for
// nothing.
func NewRegistry(cfg Config) *Registry {
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = defaultCacheBytes
	}
	if cfg.MaxOpen == 0 {
		cfg.MaxOpen = defaultMaxOpen
	}
	return &Registry{cfg: cfg, cache: logvfs.NewCache(cfg.CacheBytes), entries: map[kb.TenantID]*entry{}}
}

// entry is one open database, or one that is being opened.
type entry struct {
	id    kb.TenantID
	ready chan struct{} // closed when db or err is set
	db    *logvfs.DB
	err   error

	refs int       // guarded by Registry.mu
	gone bool      // forgotten: the last user closes it; guarded by Registry.mu
	used time.Time // guarded by Registry.mu

	conns sync.Map // *sqlite3.Conn → *Conn
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
		e = &entry{id: id, ready: make(chan struct{})}
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
		Log:     commitlog.Config{Layout: layout, OnAlarm: r.cfg.Alarm},
		Cache:   r.cache,
		OnEvent: r.cfg.Event,
		OnClose: func(c *sqlite3.Conn) { e.conns.Delete(c) },
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
		if r.entries[e.id] == e {
			delete(r.entries, e.id)
		}
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

// release gives e back and closes what has been unused longest while too many
// are open.
func (r *Registry) release(e *entry) {
	r.mu.Lock()
	e.refs--
	e.used = time.Now()
	var closing []*entry
	if e.gone && e.refs == 0 && e.db != nil {
		closing = append(closing, e)
	}
	for len(r.entries) > r.cfg.MaxOpen {
		victim := r.oldest()
		if victim == nil {
			break
		}
		delete(r.entries, victim.id)
		closing = append(closing, victim)
	}
	r.mu.Unlock()
	for _, v := range closing {
		v.db.Close()
	}
}

// oldest is the entry that nobody uses and was used before all others.
func (r *Registry) oldest() (found *entry) {
	for _, e := range r.entries {
		if e.refs == 0 && (found == nil || e.used.Before(found.used)) {
			found = e
		}
	}
	return found
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
		delete(r.entries, id)
	}
	return nil
}
