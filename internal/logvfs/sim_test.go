package logvfs

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

var (
	simSeeds = flag.Int("sim.seeds", 24, "how many seeds TestSimulation runs; make torture takes 2000")
	simSeed  = flag.Uint64("sim.seed", 0, "run only this seed, and print what happened")
)

const (
	simAccounts = 8
	simTotal    = simAccounts * 100
	simEvery    = 4 // commits in a level-1 file, so that boundaries move in short runs
)

// op is one commit of a client and what it was told.
type op struct {
	id      string
	started int // step
	ended   int
	outcome string // "ok", "no" or "unknown"
	detail  error
}

// look is one strong read.
type look struct {
	started int
	state   commitlog.State
	sum     string // "counter rows total", as SQL saw it
	pages   uint64 // checksum of all pages as read through the image
}

// sim is one run: clients on instances, two backups and somebody who swaps
// lineages, all on one tenant.
type sim struct {
	*world
	without commitlog.Guard
	ops     []*op
	looks   []look
	bad     []string
}

// fault reports a broken promise.
func (s *sim) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = append(s.bad, fmt.Sprintf(format, args...))
}

func (s *sim) now() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.step
}

// seeded is an endless source of bytes.
type seeded struct{ r *rand.ChaCha8 }

func (s seeded) Read(b []byte) (int, error) { return s.r.Read(b) }

func (s *sim) config(name string, i int) Config {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%d %s %d", s.seed, name, i))
	c := Config{Create: true, Cache: NewCache(8 * pageBytes)} // small: pages are evicted and read again
	if i%2 == 1 {
		c.WholeBytes = -1
	}
	c.Log = commitlog.Config{Layout: s.layout(), Rand: seeded{rand.NewChaCha8(key)}, CompactEvery: simEvery, Without: s.without}
	return c
}

// layout is that of a folder, where calls are made one after the other, or that
// of an object store.
func (s *sim) layout() commitlog.Layout { return commitlog.Layout(s.seed % 2) }

// commits is the name of the folder of single commits.
func (s *sim) commits() string {
	if s.layout() == commitlog.Objects {
		return "0000"
	}
	return "ltx/0"
}

// actor starts a goroutine that the run waits for.
func (s *sim) actor(f func(r *rand.Rand)) {
	s.mu.Lock()
	s.actors++
	n := uint64(s.actors)
	s.mu.Unlock()
	go func() {
		f(rand.New(rand.NewPCG(s.seed, 100+n)))
		s.mu.Lock()
		s.actors--
		s.mu.Unlock()
	}()
}

// process keeps a DB open for its clients over kills.
type process struct {
	s    *sim
	name string
	life int
	in   *instance
	db   *DB
}

// open returns the DB, a new one after a kill, nil if the store is too ill.
func (p *process) open() *DB {
	s := p.s
	for range 50 {
		s.mu.Lock()
		dead := p.in == nil || p.in.killed
		s.mu.Unlock()
		if !dead && p.db != nil {
			return p.db
		}
		if p.db != nil {
			p.db.Close()
		}
		p.life++
		p.in = &instance{w: s.world, name: fmt.Sprintf("%s.%d", p.name, p.life)}
		p.db = nil
		db, err := Open(context.Background(), p.in, tenant, s.config(p.name, p.life))
		if err == nil {
			p.db = db
			continue
		}
		if errors.Is(err, commitlog.ErrCorrupt) || errors.Is(err, commitlog.ErrFork) || errors.Is(err, commitlog.ErrNoPlan) {
			s.fault("%s: open: %v", p.in.name, err)
			return nil
		}
		time.Sleep(time.Second)
	}
	return nil
}

const simSchema = `
CREATE TABLE IF NOT EXISTS account(id INTEGER PRIMARY KEY, v INT);
CREATE TABLE IF NOT EXISTS n(v INT);
CREATE TABLE IF NOT EXISTS oplog(id TEXT PRIMARY KEY, seen INT, pad BLOB);
INSERT INTO account SELECT value, 100 FROM json_each('[1,2,3,4,5,6,7,8]') WHERE NOT EXISTS (SELECT 1 FROM account);
INSERT INTO n SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM n);`

func (s *sim) client(p *process, name string, ops int) func(*rand.Rand) {
	return func(r *rand.Rand) {
		for i := range ops {
			db := p.open()
			if db == nil {
				return
			}
			switch r.IntN(8) {
			case 0, 1:
				s.look(db)
			case 2:
				s.peek(db)
			default:
				s.write(db, r, fmt.Sprintf("%s-%d", name, i))
			}
			if r.IntN(3) == 0 {
				time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
			}
		}
	}
}

// write moves money and leaves a row; the row is the proof.
func (s *sim) write(db *DB, r *rand.Rand, id string) {
	from, to, amount, pad := 1+r.IntN(simAccounts), 1+r.IntN(simAccounts), r.IntN(20), r.IntN(3000)
	o := &op{id: id, started: s.now()}
	err := db.Commit(context.Background(), id, func(c *sqlite3.Conn) error {
		return c.Exec(simSchema + fmt.Sprintf(`
			UPDATE account SET v = v - %d WHERE id = %d; UPDATE account SET v = v + %d WHERE id = %d;
			UPDATE n SET v = v + 1;
			INSERT INTO oplog SELECT '%s', v, zeroblob(%d) FROM n;
			DELETE FROM oplog WHERE id = 'scratch-%s'`, amount, from, amount, to, id, pad, id))
	})
	o.ended, o.detail = s.now(), err
	switch {
	case err == nil:
		o.outcome = "ok"
	case errors.Is(err, commitlog.ErrUnknown), errors.Is(err, errKilled):
		o.outcome = "unknown"
	default:
		o.outcome = "no"
	}
	s.mu.Lock()
	s.ops = append(s.ops, o)
	s.note("%s: %s (%v)", id, o.outcome, err)
	s.mu.Unlock()
	s.judge("commit "+id, err)
}

// judge says which errors no fault of the store explains.
func (s *sim) judge(what string, err error) {
	if e, ok := errors.AsType[*kb.Error](err); err == nil || ok && e.Details["reason"] == ReasonStore {
		return // SQLite may call a page that could not be read a damaged one
	}
	if errors.Is(err, sqlite3.CONSTRAINT) || errors.Is(err, sqlite3.CORRUPT) || errors.Is(err, sqlite3.NOTADB) ||
		errors.Is(err, commitlog.ErrFork) || errors.Is(err, commitlog.ErrCorrupt) || errors.Is(err, commitlog.ErrPoisoned) ||
		kb.KindOf(err) == kb.Internal && !errors.Is(err, errKilled) && !errors.Is(err, errClosed) {
		s.fault("%s: %v", what, err)
	}
}

const simSum = `SELECT (SELECT v FROM n) || ' ' || (SELECT count(*) FROM oplog) || ' ' || (SELECT sum(v) FROM account)`

// look reads after a refresh and remembers what it saw.
func (s *sim) look(db *DB) {
	l := look{started: s.now()}
	if _, err := db.Refresh(context.Background()); err != nil {
		s.judge("refresh", err)
		return
	}
	err := db.Read(context.Background(), func(c *sqlite3.Conn) error {
		f, err := c.FileControl("main", sqlite3.FCNTL_FILE_POINTER)
		if err != nil {
			return err
		}
		v := unwrap(f).pinned
		im := unwrap(f).im
		l.state = v.state
		l.sum = ""
		if l.sum, err = simState(c); err != nil {
			return err
		}
		sum := uint64(0)
		for n := uint32(1); n <= v.commit; n++ {
			b, err := im.read(context.Background(), v, n)
			if err != nil {
				unwrap(f).err = err
				return err
			}
			if b != nil {
				sum ^= uint64(commitlog.ChecksumPage(commitlog.Page{Pgno: n, Data: b[:]})) &^ (1 << 63)
			}
		}
		l.pages = sum
		return nil
	})
	if err != nil {
		s.judge("strong read", err)
		return
	}
	s.mu.Lock()
	s.looks = append(s.looks, l)
	s.mu.Unlock()
}

func unwrap(f any) *file {
	for {
		switch v := f.(type) {
		case *file:
			return v
		case interface{ Unwrap() sqlVFSFile }:
			f = v.Unwrap()
		}
	}
}

// simState returns "counter rows total", or "" before the schema is there.
func simState(c *sqlite3.Conn) (string, error) {
	if n, err := queryText(c, "SELECT count(*) FROM sqlite_schema WHERE name = 'n'"); err != nil || n == "0" {
		return "", err
	}
	return queryText(c, simSum)
}

// peek reads without a refresh: maybe old, never inconsistent.
func (s *sim) peek(db *DB) {
	err := db.Read(context.Background(), func(c *sqlite3.Conn) error {
		sum, err := simState(c)
		if err != nil || sum == "" {
			return err
		}
		var counter, rows, total int
		fmt.Sscan(sum, &counter, &rows, &total)
		if counter != rows || total != simTotal {
			return fmt.Errorf("counter %d, rows %d, money %d: %w", counter, rows, total, sqlite3.CORRUPT)
		}
		ok, err := queryText(c, "PRAGMA integrity_check")
		if err == nil && ok != "ok" {
			err = fmt.Errorf("integrity_check: %s: %w", ok, sqlite3.CORRUPT)
		}
		return err
	})
	s.judge("read", err)
}

// headAt reads the pointer from what was first created there.
func (s *sim) headAt(g uint64) (h commitlog.Head, step int, ok bool) {
	key := fmt.Sprintf("%s/head/%016x", tenant, g)
	b, ok := s.first[key]
	if ok {
		json.Unmarshal(b, &h)
	}
	h.Generation = g
	return h, s.when[key], ok
}

// simulate runs one seed and returns what went wrong.
func simulate(t *testing.T, seed uint64, without commitlog.Guard, verbose bool) []string {
	var bad []string
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := &sim{without: without, world: newWorld(seed, rates{
			fail: r.IntN(40), applyFail: r.IntN(40), late: r.IntN(40), freeze: r.IntN(15), kill: r.IntN(8), jump: r.IntN(8),
		})}
		var ps []*process
		for i := range 3 {
			p := &process{s: s, name: fmt.Sprintf("p%d", i)}
			ps = append(ps, p)
			s.actor(s.client(p, fmt.Sprintf("c%d", i), 30))
		}
		s.actor(s.backup("b0", 6))
		s.actor(s.backup("b1", 6))
		s.actor(s.swapper(3))
		if err := s.run(200_000); err != nil {
			s.fault("%v", err)
		}
		for _, p := range ps {
			if p.db != nil {
				p.db.Close()
			}
		}
		s.audit(t)
		bad = s.bad
		if len(bad) > 0 && !verbose && without == 0 {
			name := filepath.Join(os.TempDir(), fmt.Sprintf("logvfs-sim-%d.log", seed))
			os.WriteFile(name, []byte(strings.Join(s.log, "\n")), 0o600)
			t.Logf("what happened: %s", name)
		}
		if verbose {
			t.Log("\n" + strings.Join(s.log, "\n"))
			n := map[string]int{}
			for _, o := range s.ops {
				n[o.outcome]++
			}
			t.Logf("seed %d: %d steps, ops %v, %d looks, %d slots", seed, s.step, n, len(s.looks), len(s.first))
		}
	})
	return bad
}

func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		for _, b := range simulate(t, *simSeed, 0, true) {
			t.Error(b)
		}
		return
	}
	for seed := uint64(1); seed <= uint64(max(*simSeeds/slow, 1)); seed++ {
		if bad := simulate(t, seed, 0, false); len(bad) > 0 {
			t.Fatalf("seed %d (go test -run TestSimulation -sim.seed=%d):\n%s", seed, seed, strings.Join(bad, "\n"))
		}
	}
}
