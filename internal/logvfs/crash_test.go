package logvfs

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
)

var (
	crashKills = flag.Int("crash.kills", 25, "kill -9 in TestProcessesMayBeKilled; make torture takes 2000")
	crashProcs = flag.Int("crash.procs", 4, "writing processes in TestProcessesMayBeKilled")
)

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if root := os.Getenv("LOGVFS_CRASH_ROOT"); root != "" {
		crashChild(root)
		return
	}
	os.Exit(m.Run())
}

// recorder remembers a hash of every slot it created, for the audit that no
// slot that counts ever had two contents.
type recorder struct {
	objstore.Bucket
	log *os.File
}

func (r *recorder) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return objstore.Info{}, err
	}
	i, err := r.Bucket.Create(ctx, key, bytes.NewReader(data))
	if err == nil && strings.Contains(key, "/ltx/0/") {
		fmt.Fprintf(r.log, "slot %s %x\n", key, sha256.Sum256(data))
	}
	return i, err
}

// crashChild writes until it is killed. Every line of its log is one write(2):
// what the kernel has, a kill cannot take back.
func crashChild(root string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	name := os.Getenv("LOGVFS_CRASH_NAME")
	log, err := os.OpenFile(filepath.Join(root, "acks", name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		fail(err)
	}
	b, err := dir.Open(filepath.Join(root, "bucket"))
	if err != nil {
		fail(err)
	}
	ctx := context.Background()
	cfg := Config{}
	cfg.Log.CompactEvery = simEvery * 4
	db, err := Open(ctx, &recorder{b, log}, tenant, cfg)
	if err != nil {
		fail(err)
	}
	if strings.HasPrefix(name, "backup") {
		fail(crashBackup(ctx, db, log))
	}
	r := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	var wg sync.WaitGroup
	for c := range 3 {
		seed := r.Uint64()
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 2))
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d-%d", name, os.Getpid(), c, i)
				sql := fmt.Sprintf(`UPDATE account SET v = v - %[1]d WHERE id = %[2]d; UPDATE account SET v = v + %[1]d WHERE id = %[3]d;
					UPDATE n SET v = v + 1; INSERT INTO oplog SELECT '%[4]s', v, zeroblob(%[5]d) FROM n`,
					r.IntN(20), 1+r.IntN(simAccounts), 1+r.IntN(simAccounts), id, r.IntN(2000))
				fmt.Fprintf(log, "try %s\n", id)
				switch err := db.Commit(ctx, id, exec(sql)); {
				case err == nil:
					fmt.Fprintf(log, "ack %s\n", id)
				case errors.Is(err, commitlog.ErrUnknown):
				default:
					fmt.Fprintf(log, "bad %s %q\n", id, err)
				}
				if r.IntN(5) == 0 {
					if _, err := db.Refresh(ctx); err != nil {
						fmt.Fprintf(log, "bad refresh %q\n", err)
					}
					crashAuditor(ctx, db, log)
				}
			}
		})
	}
	wg.Wait()
}

// crashAuditor checks the bank from within.
func crashAuditor(ctx context.Context, db *DB, log *os.File) {
	err := db.Read(ctx, func(c *sqlite3.Conn) error {
		sum, err := simState(c)
		var counter, rows, total int
		fmt.Sscan(sum, &counter, &rows, &total)
		if err == nil && (counter != rows || total != simTotal) {
			err = fmt.Errorf("counter, rows, money = %s", sum)
		}
		return err
	})
	if err != nil {
		fmt.Fprintf(log, "bad audit %q\n", err)
	}
}

func crashBackup(ctx context.Context, db *DB, log *os.File) error {
	l := db.Log()
	for {
		err := func() error {
			h, err := l.Head(ctx)
			if err != nil {
				return err
			}
			if _, err := l.CompactAll(ctx, h.Lineage); err != nil {
				return err
			}
			f, err := l.Snapshot(ctx, h.Lineage)
			if err != nil {
				return err
			}
			if err := l.VerifySnapshot(ctx, h.Lineage, f); err != nil {
				return err
			}
			_, err = l.Expire(ctx, h.Lineage, f, commitlog.Retention{Commits: 200 * time.Millisecond, Snapshots: time.Second})
			return err
		}()
		if err != nil && !errors.Is(err, commitlog.ErrStale) {
			fmt.Fprintf(log, "bad backup %q\n", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// child is a process that is started again whenever it is killed.
type child struct {
	name string
	root string
	mu   sync.Mutex
	cmd  *osexec.Cmd
	err  bytes.Buffer
}

func (c *child) start(t *testing.T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cmd = osexec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), "LOGVFS_CRASH_ROOT="+c.root, "LOGVFS_CRASH_NAME="+c.name)
	c.cmd.Stderr = &c.err
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (c *child) signal(s syscall.Signal) { _ = c.cmd.Process.Signal(s) }

// TestProcessesMayBeKilled runs writers and two backups as processes on one
// folder, kills and stops them, and audits what is left.
func TestProcessesMayBeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	root := t.TempDir()
	for _, d := range []string{"acks", "bucket"} {
		if err := os.Mkdir(filepath.Join(root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b, err := dir.Open(filepath.Join(root, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	setup := openDB(t, b, Config{})
	commit(t, setup, simSchema)
	setup.Close()
	var children []*child
	for i := range *crashProcs {
		children = append(children, &child{name: fmt.Sprintf("writer%d", i), root: root})
	}
	children = append(children, &child{name: "backup0", root: root}, &child{name: "backup1", root: root})
	for _, c := range children {
		c.start(t)
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 3))
	for range max(*crashKills/slow, 1) {
		time.Sleep(time.Duration(20+r.IntN(120)) * time.Millisecond)
		c := children[r.IntN(len(children))]
		if r.IntN(3) == 0 {
			other := children[r.IntN(len(children))]
			other.signal(syscall.SIGSTOP)
			time.AfterFunc(time.Duration(50+r.IntN(300))*time.Millisecond, func() {
				other.mu.Lock()
				defer other.mu.Unlock()
				other.signal(syscall.SIGCONT)
			})
		}
		c.signal(syscall.SIGKILL)
		_ = c.cmd.Wait() // it was killed
		c.start(t)
	}
	time.Sleep(400 * time.Millisecond)
	for _, c := range children {
		c.signal(syscall.SIGKILL)
		_ = c.cmd.Wait()
		if c.err.Len() > 0 {
			t.Errorf("%s: %s", c.name, c.err.String())
		}
	}
	crashAudit(t, root, b)
}

// crashAudit reads the logs of all processes and compares them with the database.
func crashAudit(t *testing.T, root string, b objstore.Bucket) {
	tried, acked, slots := map[string]bool{}, map[string]bool{}, map[string]string{}
	var twice []string
	logs, err := filepath.Glob(filepath.Join(root, "acks", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			w := strings.Fields(sc.Text())
			switch {
			case w[0] == "bad":
				t.Errorf("%s: %s", filepath.Base(name), sc.Text())
			case w[0] == "try":
				tried[w[1]] = true
			case w[0] == "ack":
				acked[w[1]] = true
			case w[0] == "slot" && len(w) == 3:
				if old := slots[w[1]]; old != "" && old != w[2] {
					twice = append(twice, w[1])
				}
				slots[w[1]] = w[2]
			}
		}
		f.Close()
	}
	db := openDB(t, b, Config{})
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
	rows := map[string]bool{}
	err = db.Read(t.Context(), func(c *sqlite3.Conn) error {
		s, _, err := c.Prepare("SELECT id, seen FROM oplog ORDER BY seen")
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
	for id := range acked {
		if !rows[id] {
			t.Errorf("%s was acknowledged and is lost", id)
		}
	}
	for id := range rows {
		if !tried[id] {
			t.Errorf("%s was never tried", id)
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
	if len(acked) == 0 {
		t.Error("nothing was acknowledged: the test proves nothing")
	}
	t.Logf("%d kills, %d tried, %d acknowledged, %d rows, %d slots, %d late writes behind the boundary", *crashKills, len(tried), len(acked), len(rows), len(slots), len(twice))
	compareStock(t, root, db, strconv.Itoa(*crashKills)+" kills")
}

// litestreamEnv names a built stock litestream; see tools/litestream.
const litestreamEnv = "LITESTREAM"

// compareStock restores with the stock tool, if there is one, and compares
// every byte with what we write as a plain file.
func compareStock(t *testing.T, root string, db *DB, what string) {
	t.Helper()
	tool := os.Getenv(litestreamEnv)
	if tool == "" {
		t.Logf("%s: not compared with stock litestream (%s is not set)", what, litestreamEnv)
		return
	}
	h, err := db.Log().Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compareLineage(t, tool, root, db, h, what)
}

func compareLineage(t *testing.T, tool, root string, db *DB, h commitlog.Head, what string) {
	t.Helper()
	var want bytes.Buffer
	if err := db.Log().WriteDatabase(t.Context(), h.Lineage, 0, &want); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "stock.db")
	replica := "file://" + filepath.Join(root, "bucket", db.Log().Root(h.Lineage))
	msg, err := osexec.CommandContext(t.Context(), tool, "restore", "-integrity-check", "full", "-o", out, replica).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: stock restore: %v\n%s", what, err, msg)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s: stock restore gave %d bytes that differ from our %d", what, len(got), want.Len())
	} else {
		t.Logf("%s: stock restore is identical, %d bytes", what, len(got))
	}
}

// TestStockLitestreamRestores compares with the stock tool after everything
// that shapes a log: spills, shrinking, compaction, expiry, a seal at the end.
func TestStockLitestreamRestores(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "bucket"), 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := dir.Open(filepath.Join(root, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{}
	cfg.Log.CompactEvery = simEvery
	db := openDB(t, b, cfg)
	compareStock(t, root, db, "empty tenant")
	commit(t, db, "CREATE TABLE k(id INTEGER PRIMARY KEY, v BLOB); CREATE INDEX kv ON k(v)")
	for range 6 {
		commit(t, db, "INSERT INTO k(v) SELECT randomblob(900) FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]')")
	}
	compareStock(t, root, db, "commits and ranges")
	commit(t, db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT `+fmt.Sprint(8000/slow)+`) INSERT INTO k(v) SELECT randomblob(800) FROM n`)
	compareStock(t, root, db, "one large commit")
	commit(t, db, "DELETE FROM k WHERE id > 30")
	commit(t, db, "DROP INDEX kv")
	expire(t, db.Log())
	compareStock(t, root, db, "after expiry")
	for range 5 {
		commit(t, db, "INSERT INTO k(v) VALUES(randomblob(5000))")
	}
	compareStock(t, root, db, "commits after a snapshot")
	h, err := db.Log().Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	points, err := db.Log().Points(t.Context(), h.Lineage)
	if err != nil {
		t.Fatal(err)
	}
	to, err := db.Log().Fork(t.Context(), h.Generation, h.Lineage, points[len(points)-2].TXID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Log().Swap(t.Context(), h, to); err != nil {
		t.Fatal(err)
	}
	compareStock(t, root, db, "after a swap")
	if tool := os.Getenv(litestreamEnv); tool != "" {
		compareLineage(t, tool, root, db, h, "a sealed lineage")
	}
	old := openPast(t, b, Past{Head: h})
	if got := read(t, old, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("sealed lineage: integrity_check = %s", got)
	}
	commit(t, db, "INSERT INTO k(v) VALUES(1)")
	compareStock(t, root, db, "commits after a swap")
}

func openPast(t testing.TB, b objstore.Bucket, p Past) *DB {
	t.Helper()
	db, err := OpenPast(t.Context(), b, tenant, p, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
