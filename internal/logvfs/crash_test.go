//go:build unix

package logvfs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

var (
	crashKills = flag.Int("crash.kills", 25, "kill -9 in each test of killed processes; make torture takes 1200")
	crashProcs = flag.Int("crash.procs", 4, "writing processes in these tests")
)

// TestProcessesMayBeKilled runs writers and two backups as processes on one
// folder, kills and stops them, and audits what is left.
func TestProcessesMayBeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	rounds(t, func(t *testing.T, kills int) *crash {
		return &crash{t: t, store: folderStore(t), want: kills, pause: 20 * time.Millisecond, spread: 120 * time.Millisecond}
	})
}

// TestProcessesAndTheirServerMayBeKilled does the same over S3: the server is
// killed and stopped like the others, and comes back on its data.
func TestProcessesAndTheirServerMayBeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	rounds(t, func(t *testing.T, kills int) *crash {
		c := &crash{t: t, want: kills, pause: 60 * time.Millisecond, spread: 240 * time.Millisecond}
		c.store, c.server = serverStore(t)
		return c
	})
}

// rounds plays as many rounds as crash.kills takes, each on a store of its own
// and with its own audit: a database that grows for ever would slow the two
// backups down until nothing expires.
func rounds(t *testing.T, open func(t *testing.T, kills int) *crash) {
	const atOnce = 150
	var sum crash
	acked := 0
	for left := max(*crashKills/slow, 1); left > 0 && !t.Failed(); {
		kills := min(left, atOnce)
		left -= kills
		t.Run(fmt.Sprintf("%d kills", kills), func(t *testing.T) {
			c := open(t, kills)
			c.play()
			sum.kills, sum.served, sum.stops = sum.kills+c.kills, sum.served+c.served, sum.stops+c.stops
			acked += len(c.acked)
		})
	}
	t.Logf("in all: %d kills of processes, %d of the server, %d stops, %d acknowledged commits", sum.kills, sum.served, sum.stops, acked)
}

func folderStore(t *testing.T) crashStore {
	t.Helper()
	root := t.TempDir()
	s := crashStore{Logs: filepath.Join(root, "logs"), Folder: filepath.Join(root, "bucket")}
	for _, d := range []string{s.Logs, s.Folder} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func serverStore(t *testing.T) (crashStore, *objstoretest.S3) {
	t.Helper()
	server := objstoretest.S3Server(t)
	s := crashStore{Logs: t.TempDir()}
	s.S3.Endpoint, s.S3.Bucket, s.S3.Region = server.Endpoint, server.Bucket(), server.Region
	s.S3.Key, s.S3.Secret = server.Key, server.Secret
	return s, server
}

// crash is one run: processes that are started again whenever they are killed.
type crash struct {
	t             *testing.T
	store         crashStore
	server        *objstoretest.S3 // nil for a folder
	want          int              // kills in all
	pause, spread time.Duration    // between two kills

	procs                 []*victim
	kills, served, stops  int // kill -9 of processes and of the server; SIGSTOPs
	wakes                 []wake
	frozen                bool // the server was stopped and is to be woken
	slots, acked, refused map[string]string
}

// victim is one process that is killed (kill -9), again and again.
type victim struct {
	crashChild
	cmd *osexec.Cmd
	in  io.Closer // its end tells an orphan to leave
	err bytes.Buffer
}

// wake is a SIGCONT to come.
type wake struct {
	at time.Time
	do func()
}

func (c *crash) start(p *victim) {
	raw, err := json.Marshal(p.crashChild)
	if err != nil {
		c.t.Fatal(err)
	}
	p.cmd = osexec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), crashEnv+"="+string(raw))
	p.cmd.Stderr = &p.err
	if p.in, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (p *victim) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may have ended

func (p *victim) kill() {
	p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait() // "killed" is what we want
	p.in.Close()
}

func (c *crash) play() {
	t := c.t
	b, err := c.store.open()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{}
	cfg.Log.Layout = c.store.layout()
	setup := openDB(t, b, cfg)
	commit(t, setup, simSchema)
	setup.Close()
	for i := range *crashProcs {
		c.procs = append(c.procs, &victim{crashChild: crashChild{Name: fmt.Sprintf("writer%d", i), Store: c.store}})
	}
	for i := range 2 {
		c.procs = append(c.procs, &victim{crashChild: crashChild{Name: fmt.Sprintf("backup%d", i), Store: c.store}})
	}
	for _, p := range c.procs {
		c.start(p)
	}
	t.Cleanup(func() {
		for _, p := range c.procs {
			p.kill()
		}
	})
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3)) // the kernel's scheduler has no seed anyway
	for c.kills+c.served < c.want {
		c.sleep(c.pause + rand.N(c.spread))
		if r.IntN(3) == 0 {
			c.stop(r)
		}
		if c.server != nil && r.IntN(4) == 0 {
			c.killServer(r)
			continue
		}
		p := c.procs[r.IntN(len(c.procs))]
		p.kill()
		c.start(p)
		c.kills++
	}
	c.sleep(time.Second) // who was started last has something to say, and all wake up
	for _, p := range c.procs {
		p.kill()
		if p.err.Len() > 0 {
			t.Errorf("%s: %s", p.Name, p.err.String())
		}
	}
	c.audit()
}

// sleep also wakes who is due.
func (c *crash) sleep(d time.Duration) {
	for until := time.Now().Add(d); ; {
		var later []wake
		next := until
		for _, w := range c.wakes {
			if time.Until(w.at) <= 0 {
				w.do()
				continue
			}
			later = append(later, w)
			if w.at.Before(next) {
				next = w.at
			}
		}
		c.wakes = later
		if time.Until(until) <= 0 {
			return
		}
		time.Sleep(time.Until(next))
	}
}

// stop freezes somebody for longer than single commits are kept, and sometimes
// the server with everybody's requests in it.
func (c *crash) stop(r *rand.Rand) {
	at := time.Now().Add(time.Duration(50+r.IntN(500)) * time.Millisecond)
	if c.server != nil && r.IntN(4) == 0 {
		if !c.frozen {
			c.frozen, c.stops = true, c.stops+1
			c.server.Signal(syscall.SIGSTOP)
			c.wakes = append(c.wakes, wake{at, func() { // started anew meanwhile, it does not mind
				c.frozen = false
				c.server.Signal(syscall.SIGCONT)
			}})
		}
		return
	}
	p := c.procs[r.IntN(len(c.procs))]
	c.stops++
	p.signal(syscall.SIGSTOP)
	c.wakes = append(c.wakes, wake{at, func() { p.signal(syscall.SIGCONT) }})
}

// killServer kills the server with whatever it was doing and starts it again
// on what that left.
func (c *crash) killServer(r *rand.Rand) {
	c.server.Kill()
	c.served++
	time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
	c.server.Restart()
}

// readLogs collects what the processes said, and the slots that had two contents.
func (c *crash) readLogs() (tried map[string]bool, twice []string) {
	t := c.t
	tried = map[string]bool{}
	c.slots, c.acked, c.refused = map[string]string{}, map[string]string{}, map[string]string{}
	for _, p := range c.procs {
		f, err := os.Open(filepath.Join(c.store.Logs, p.Name))
		if err != nil {
			t.Fatal(err)
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			w := strings.Fields(sc.Text())
			switch {
			case w[0] == "try":
				tried[w[1]] = true
			case w[0] == "ack":
				c.acked[w[1]] = p.Name
			case w[0] == "no":
				c.refused[w[1]] = p.Name
			case w[0] == "slot" && len(w) == 3:
				if old := c.slots[w[1]]; old != "" && old != w[2] {
					twice = append(twice, w[1])
				}
				c.slots[w[1]] = w[2]
			default:
				t.Errorf("%s: %s", p.Name, sc.Text())
			}
		}
		f.Close()
	}
	return tried, twice
}

// audit compares what the processes said with the database.
func (c *crash) audit() {
	t := c.t
	tried, twice := c.readLogs()
	b, err := c.store.open()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{}
	cfg.Log.Layout = c.store.layout()
	db := openDB(t, b, cfg)
	// A process that was stopped for longer than commits are kept (0.2 s here)
	// may fill a slot again that expired. It must be behind the boundary; that
	// nothing of it was acknowledged, the comparison below shows.
	bound, err := db.Log().Boundary(t.Context(), db.im.head.Lineage)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range twice {
		if _, id, err := ltx.ParseFilename(key[strings.LastIndexByte(key, '/')+1:]); err != nil || id > bound.TXID {
			t.Errorf("%s had two contents, boundary %d", key, bound.TXID)
		}
	}
	rows := c.rows(db)
	for id := range c.acked {
		if !rows[id] {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	for id := range rows {
		if !tried[id] {
			t.Errorf("%s was never tried", id)
		}
		if c.refused[id] != "" {
			t.Errorf("%s was refused and is there", id)
		}
	}
	var counter, n, total int
	fmt.Sscan(read(t, db, simSum), &counter, &n, &total)
	if counter != n || total != simTotal || n != len(rows) {
		t.Errorf("counter %d, rows %d, money %d", counter, n, total)
	}
	if got := read(t, db, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("integrity_check = %s", got)
	}
	if len(c.acked) == 0 {
		t.Error("nothing was acknowledged: the test proves nothing")
	}
	t.Logf("%d kills of processes, %d of the server, %d stops; %d commits tried, %d acknowledged, %d refused, %d rows at commit %d; %d slots, %d late writes behind the boundary at %d",
		c.kills, c.served, c.stops, len(tried), len(c.acked), len(c.refused), len(rows), db.Position().TXID, len(c.slots), len(twice), bound.TXID)
	compareStock(t, c.store, db, fmt.Sprintf("%d kills", c.kills+c.served))
}

// rows returns the ids that are there; the counter in each says that none was
// lost or made twice.
func (c *crash) rows(db *DB) map[string]bool {
	t := c.t
	rows := map[string]bool{}
	err := db.Read(t.Context(), func(conn *sqlite3.Conn) error {
		s, _, err := conn.Prepare("SELECT id, seen FROM oplog ORDER BY seen")
		if err != nil {
			return err
		}
		defer s.Close()
		for n := int64(1); s.Step(); n++ {
			if s.ColumnInt64(1) != n {
				t.Errorf("row %d has counter %d", n, s.ColumnInt64(1))
			}
			rows[s.ColumnText(0)] = true
		}
		return s.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
