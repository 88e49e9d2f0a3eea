// Package logvfs runs SQLite on a commitlog: pages are read from its files,
// and one transaction is one commit in object storage. A DB is one tenant's
// database in one process; any number of processes may have it open. It
// assumes nothing about them: whoever loses a race catches up and runs again.
// Its design is in DESIGN.md beside this file.
package logvfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

const (
	defaultCacheBytes = 64 << 20
	defaultWholeBytes = 64 << 20 // facts/storage.md §4.5: full download pays up to about 100 MB
	defaultReaders    = 4        // connections kept for reading; each takes 1 to 3 MB
)

// Config shapes a DB. The zero value means the documented defaults.
type Config struct {
	Log        commitlog.Config
	Cache      *Cache // shared over databases; nil = its own of 64 MiB
	Disk       *Disk  // blocks of large databases on disk, shared too; nil = none
	WholeBytes int64  // logs up to this size are read whole at open, larger ones lazily; 0 = 64 MiB, < 0 = never whole
	Readers    int    // idle connections kept for reading; 0 = 4
	Create     bool   // make the tenant's database if there is none
	// OnConnect prepares every new connection: functions, virtual tables,
	// pragmas. It must not write. May be nil.
	OnConnect func(*sqlite3.Conn) error
	// OnClose is told that a connection of OnConnect ends, so that what was
	// kept for it (prepared statements) can be forgotten. Statements are
	// closed by the DB. May be nil.
	OnClose func(*sqlite3.Conn)
	// OnEvent counts what happens; it must not block. May be nil.
	OnEvent func(Event)
}

// Event is something to count.
type Event string

// Events of a DB.
const (
	EventCommit   Event = "commit"   // a commit became durable
	EventConflict Event = "conflict" // a commit lost its slot and ran again
	EventReload   Event = "reload"   // the local state was dropped and loaded anew
	EventUnknown  Event = "unknown"  // a commit's outcome stayed unknown
	EventUntidy   Event = "untidy"   // compaction on the way failed; the next one repairs it
	EventAlarm    Event = "alarm"    // an operator must look; Config.Log.OnAlarm has the error
)

// DB is one tenant's database. It is safe for concurrent use, has no
// goroutine of its own and does nothing between calls.
type DB struct {
	log     *commitlog.Log
	cfg     Config
	past    *Past // nil: the present
	fs      *fileSystem
	vfsName string
	conns   atomic.Uint64
	tidied  atomic.Uint64 // the last commit that was compacted on the way
	suspect atomic.Bool   // damage was found: nothing is served before everything was verified
	opened  atomic.Int64  // connections

	mu     sync.Mutex
	im     *image // nil: to be loaded
	idle   []*conn
	closed bool

	loading turn          // loads one at a time
	refresh turns         // shares strong reads
	queue   queue         // waiting commits
	writer  *conn         // of the leader
	rtt     time.Duration // moving average; of the leader
	foreign time.Time     // when another instance's commit was last met; of the leader
	resume  time.Time     // the next commit waits until then; of the leader
}

// turn is a lock that can be waited for with a context.
type turn chan struct{}

func (t turn) lock(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) unlock() { <-t }

// Open opens the tenant's database under prefix (as in commitlog.New) and
// reads its newest state. The result is strong: it has every commit that was
// acknowledged anywhere before Open was called.
func Open(ctx context.Context, b objstore.Bucket, prefix string, cfg Config) (*DB, error) {
	return open(ctx, b, prefix, nil, cfg)
}

// Past is a database as it was: commit TXID of the lineage that Head names.
type Past struct {
	Head commitlog.Head
	TXID ltx.TXID // 0 = the lineage's newest
}

// OpenPast opens what a tenant was, for looking and comparing: Commit is
// refused, Refresh does nothing.
func OpenPast(ctx context.Context, b objstore.Bucket, prefix string, p Past, cfg Config) (*DB, error) {
	cfg.Create = false
	return open(ctx, b, prefix, &p, cfg)
}

func open(ctx context.Context, b objstore.Bucket, prefix string, past *Past, cfg Config) (*DB, error) {
	if cfg.Cache == nil {
		cfg.Cache = NewCache(defaultCacheBytes)
	}
	switch {
	case cfg.WholeBytes == 0:
		cfg.WholeBytes = defaultWholeBytes
	case cfg.WholeBytes < 0:
		cfg.WholeBytes = 0
	}
	if cfg.Readers == 0 {
		cfg.Readers = defaultReaders
	}
	db := &DB{past: past, cfg: cfg, fs: &fileSystem{waiting: map[string]*file{}}, loading: make(turn, 1)}
	alarm := cfg.Log.OnAlarm
	cfg.Log.OnAlarm = func(err error) {
		db.event(EventAlarm)
		if alarm != nil {
			alarm(err)
		}
	}
	log, err := commitlog.New(b, prefix, cfg.Log)
	if err != nil {
		return nil, err
	}
	db.log = log
	db.vfsName = fmt.Sprintf("logvfs-%p", db) // the registry is the process's; the address is unique while db lives
	vfs.Register(db.vfsName, db.fs)
	if _, err := db.image(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func (db *DB) event(e Event) {
	if db.cfg.OnEvent != nil {
		db.cfg.OnEvent(e)
	}
}

// Log is the log below, for backup and maintenance.
func (db *DB) Log() *commitlog.Log { return db.log }

// errClosed is returned by every call after Close.
var errClosed = errors.New("database is closed")

// image returns the current image, and loads one if there is none.
func (db *DB) image(ctx context.Context) (*image, error) {
	for {
		db.mu.Lock()
		im, closed := db.im, db.closed
		db.mu.Unlock()
		if closed {
			return nil, errClosed
		}
		if im != nil {
			return im, nil
		}
		if err := db.loading.lock(ctx); err != nil {
			return nil, classify(err)
		}
		err := db.load(ctx)
		db.loading.unlock()
		if err != nil {
			return nil, classify(err)
		}
	}
}

// load loads an image unless there is one; the caller has the turn.
func (db *DB) load(ctx context.Context) error {
	db.mu.Lock()
	have := db.im != nil
	db.mu.Unlock()
	if have {
		return nil
	}
	ld, err := db.loadLog(ctx)
	if db.cfg.Create && (errors.Is(err, commitlog.ErrNoTenant) || errors.Is(err, commitlog.ErrDeleted)) {
		if _, err = db.log.Create(ctx); err == nil {
			ld, err = db.log.Load(ctx, db.cfg.WholeBytes)
		}
	}
	if err != nil {
		return err
	}
	im, err := newImage(db.log, db.cfg.Cache, db.cfg.Disk, ld)
	if err == nil && db.suspect.Load() {
		err = db.trust(ctx, im)
	}
	if err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		im.close()
		return errClosed
	}
	db.im = im
	return nil
}

// trust verifies all of an image before anybody uses it.
func (db *DB) trust(ctx context.Context, im *image) error {
	done, err := im.hydrate(ctx)
	if err == nil && !done {
		err = ctx.Err()
	}
	if err != nil {
		im.close()
		return err
	}
	db.suspect.Store(false)
	return nil
}

// distrust drops im, a page or file of which is damaged. A lazy image would be
// loaded without anybody noticing.
func (db *DB) distrust(im *image) {
	if im.lazy {
		db.suspect.Store(true)
	}
	db.drop(im)
}

func (db *DB) loadLog(ctx context.Context) (*commitlog.Loaded, error) {
	if db.past == nil {
		return db.log.Load(ctx, db.cfg.WholeBytes)
	}
	ld, err := db.log.LoadAt(ctx, db.past.Head, db.past.TXID, db.cfg.WholeBytes)
	if _, ok := errors.AsType[*commitlog.SealedError](err); ok {
		err = nil // a seal changes no page
	}
	return ld, err
}

// drop forgets im, so that the next call loads anew. Connections on it are
// closed when they come back.
func (db *DB) drop(im *image) {
	db.mu.Lock()
	if db.im != im {
		db.mu.Unlock()
		return
	}
	db.im = nil
	idle := db.idle
	db.idle = nil
	db.mu.Unlock()
	db.event(EventReload)
	for _, c := range idle {
		c.Close()
	}
	im.close()
}

// Close gives the memory back. Calls under way end with what they have; no
// commit is lost by it, because none waits for anything in memory.
func (db *DB) Close() error {
	db.mu.Lock()
	im, idle := db.im, db.idle
	db.im, db.idle, db.closed = nil, nil, true
	db.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
	if im != nil {
		im.close()
	}
	if db.queue.shut() {
		db.closeWriter()
	}
	vfs.Unregister(db.vfsName)
	return nil
}

// What an open database takes. With the service's schema 195 KiB at rest and
// 315 KiB for each of two connections were measured with few statements
// prepared (BenchmarkSleepingTenants of package tenant, 200 tenants).
const (
	connBytes   = 384 << 10 // a connection with its prepared statements
	handleBytes = 32 << 10  // the rest, without pages
	// smallPages is up to how many pages count: those of a larger database are
	// the cache's business, and loading them again would cost too much.
	smallPages = 256
)

// Bytes estimates what closing db would give back: all of it for a small
// database, not more than a mebibyte of the pages of a large one. Conns is how
// much of that Rest would.
func (db *DB) Bytes() (all, conns int64) {
	db.mu.Lock()
	im := db.im
	db.mu.Unlock()
	conns = db.opened.Load() * connBytes
	all = handleBytes + conns
	if im != nil {
		all += int64(min(im.current().commit, smallPages)) * pageBytes
	}
	return all, conns
}

// Rest closes the connections that nobody uses, which are most of what an idle
// tenant takes; they are opened again, in a millisecond, when they are needed.
// Pages stay as long as the cache keeps them.
func (db *DB) Rest() {
	db.mu.Lock()
	im, idle := db.im, db.idle
	db.idle = nil
	db.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
	if im != nil {
		im.near.rest()
	}
	if db.queue.claim() {
		db.closeWriter()
		db.queue.leave()
	}
}
