// Package commitlog orders the commits of one SQLite database on an
// objstore.Bucket: commit N+1 is whoever creates slot N+1 first. It assumes a
// bucket with create-if-absent and read-after-write, and nothing else: no
// leader, no lease, no clock. DESIGN.md beside this file has the proofs;
// docs/commitlog-format.md the bytes.
package commitlog

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Sentinels that callers branch on.
var (
	ErrConflict = errors.New("another commit has the slot")               // catch up and run again
	ErrStale    = errors.New("position is behind the boundary")           // drop the local state and load again
	ErrSealed   = errors.New("lineage is sealed")                         // follow the seal; see SealedError
	ErrUnknown  = errors.New("outcome of the commit is unknown")          // drop the local state, tell the client
	ErrPoisoned = errors.New("slot refuses to be created and to be read") // "412 but 404": a defect of the store
	ErrFork     = errors.New("commit does not continue this database")    // checksum chain broken
	ErrCorrupt  = errors.New("log file is corrupt")
	ErrNoTenant = errors.New("no such tenant")
	ErrDeleted  = errors.New("tenant is deleted")
	ErrTooLarge = errors.New("commit is too large")
)

// Guard is one of the safety measures that the mutation tests remove one at a
// time to prove that the suite notices.
type Guard uint

// The guards of DESIGN §4. Config.Without names those that are switched off;
// nothing but a test may set it (TestGuardsAreOnOutsideTests).
const (
	GuardBoundary Guard = 1 << iota // gc/<known+1> after a won slot and before a strong read
	GuardLineage                    // a new lineage gets a new prefix
	GuardProbe                      // SQLite's page cache is invalidated by position (package logvfs)
	GuardBusy                       // a lost race is BUSY_SNAPSHOT (package logvfs)
	GuardSeal                       // a swap wins the old lineage's next slot first
	GuardReadBack                   // an unknown outcome is read back and compared
	GuardChain                      // pre-apply checksum equals the local post-apply checksum
)

const (
	// PageSize is the size of every database page in bytes: SQLite's default.
	PageSize = 4096
	// MaxCommitBytes bounds one commit's file (DESIGN §4).
	MaxCommitBytes = 16 << 20

	defaultCompactEvery  = 128              // commits in a level-1 file (DESIGN §4)
	defaultCallTimeout   = 10 * time.Second // one store call; a 16 MiB put at 2 MB/s takes 8 s
	defaultCommitTimeout = 30 * time.Second // a commit with its retries; API gateways give up at 29-30 s
	fetchParallel        = 32               // facts/storage.md §4.5: 500 commits in 395 ms with 32
)

// Layout is how level folders are named, so that stock `litestream restore`
// reads the store: it differs between a folder and an object store.
type Layout int

// Layouts of Litestream v0.5 (facts/storage.md §1).
const (
	Folder  Layout = iota // ltx/0/…, ltx/9/…
	Objects               // 0000/…, 0009/…
)

// Config shapes a Log. The zero value means the documented defaults.
type Config struct {
	Layout        Layout
	NodeID        uint64        // identifies this instance in its commits; 0 = random
	CallTimeout   time.Duration // of one store call; 0 = 10 s
	CommitTimeout time.Duration // of one commit with its retries; 0 = 30 s
	CompactEvery  ltx.TXID      // commits in a level-1 file; 0 = 128. All instances of a tenant must agree
	TempDir       string        // for snapshots that do not fit into memory; "" = os.TempDir
	Rand          io.Reader     // 0 = crypto/rand; tests pass a seeded one
	// OnAlarm is told what must never happen and needs an operator: a
	// poisoned slot, a fork, a corrupt file. It must not block. May be nil.
	OnAlarm func(err error)
	// Without switches guards off; only the mutation tests set it.
	Without Guard
}

// Log is the log of one tenant. It holds no position: every method takes the
// State it works from, so one Log serves any number of goroutines.
type Log struct {
	bucket objstore.Bucket
	prefix string
	cfg    Config

	randMu sync.Mutex // cfg.Rand need not be safe for concurrent use

	clockMu sync.Mutex
	date    time.Time // newest Date the store told
	seen    time.Time // when it told that, by the local monotonic clock
}

// New returns the log under prefix, which has no slash at its end. It does no I/O.
func New(b objstore.Bucket, prefix string, cfg Config) (*Log, error) {
	if prefix == "" || prefix[len(prefix)-1] == '/' {
		return nil, fmt.Errorf("commit log prefix %q: must not be empty or end in a slash", prefix)
	}
	if cfg.CallTimeout == 0 {
		cfg.CallTimeout = defaultCallTimeout
	}
	if cfg.CommitTimeout == 0 {
		cfg.CommitTimeout = defaultCommitTimeout
	}
	if cfg.CompactEvery == 0 {
		cfg.CompactEvery = defaultCompactEvery
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	l := &Log{bucket: b, prefix: prefix, cfg: cfg}
	if l.cfg.NodeID == 0 {
		l.cfg.NodeID = l.rand64() | 1
	}
	return l, nil
}

// Has reports whether a guard is on.
func (c Config) Has(g Guard) bool { return c.Without&g == 0 }

// Config returns the configuration with its defaults filled in.
func (l *Log) Config() Config { return l.cfg }

// State is where a reader or writer of the log stands: the database after
// commit TXID of Lineage, known not to be behind Boundary.
type State struct {
	Generation uint64 // of the head pointer that names Lineage
	Lineage    Lineage
	TXID       ltx.TXID
	Checksum   ltx.Checksum // rolling checksum of the database after TXID
	Millis     int64        // commit time of TXID, ms since 1970 by the store's clock
	Boundary   Boundary     // the newest this state was checked against
}

// Position orders states over lineages: later in time is greater.
type Position struct {
	Generation uint64
	TXID       ltx.TXID
}

// Position returns s's place in the tenant's history.
func (s State) Position() Position { return Position{s.Generation, s.TXID} }

// Before reports whether p is older than q.
func (p Position) Before(q Position) bool {
	return p.Generation < q.Generation || p.Generation == q.Generation && p.TXID < q.TXID
}

// SealedError carries the seal that was met. It is ErrSealed.
type SealedError struct {
	Seal Seal
}

func (e *SealedError) Error() string { return fmt.Sprintf("%v: by %s", ErrSealed, e.Seal) }

// Is makes errors.Is(err, ErrSealed) true.
func (e *SealedError) Is(target error) bool { return target == ErrSealed }

// alarm reports err to the operator and returns it.
func (l *Log) alarm(err error) error {
	if l.cfg.OnAlarm != nil {
		l.cfg.OnAlarm(err)
	}
	return err
}

func (l *Log) rand64() uint64 {
	var b [8]byte
	l.randBytes(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func (l *Log) randBytes(b []byte) {
	l.randMu.Lock()
	defer l.randMu.Unlock()
	if _, err := io.ReadFull(l.cfg.Rand, b); err != nil {
		panic("commitlog: no randomness: " + err.Error()) // crypto/rand never fails since Go 1.24
	}
}

// Jitter returns a random duration in [0, d). It depends on this instance and
// the moment only, not on who asked before: a simulation repeats.
func (l *Log) Jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	x := l.cfg.NodeID ^ uint64(time.Now().UnixNano()) // then splitmix64's finalizer (Steele et al., OOPSLA 2014)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return time.Duration((x ^ x>>31) % uint64(d))
}

// noteDate remembers the store's clock from one of its answers.
func (l *Log) noteDate(i objstore.Info) {
	if i.Date.IsZero() {
		return
	}
	l.clockMu.Lock()
	l.date, l.seen = i.Date, time.Now()
	l.clockMu.Unlock()
}

// storeMillis is the store's clock now, as far as we know: its last Date plus
// what passed here since. It is used for commit times only, never to decide.
func (l *Log) storeMillis() int64 {
	l.clockMu.Lock()
	defer l.clockMu.Unlock()
	if l.date.IsZero() {
		return time.Now().UnixMilli()
	}
	return l.date.Add(time.Since(l.seen)).UnixMilli()
}

// backoff waits before try n (from 1): 25 ms doubling to 1.6 s, half of it
// random. It returns ctx's error if that comes first.
func (l *Log) backoff(ctx context.Context, n int) error {
	d := 25 * time.Millisecond << min(n-1, 6) // first retry about one round trip of a slow store later
	t := time.NewTimer(d/2 + l.Jitter(d/2))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
