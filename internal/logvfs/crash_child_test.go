//go:build unix

package logvfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/dir"
	"github.com/eino-qa/eino-qa/internal/objstore/s3"
)

// crashEnv makes the test binary one of the processes that are killed; it
// holds a crashChild.
const crashEnv = "LOGVFS_CRASH"

// TestMain lets the test binary be the process that is killed.
func TestMain(m *testing.M) {
	if raw := os.Getenv(crashEnv); raw != "" {
		var c crashChild
		err := json.Unmarshal([]byte(raw), &c)
		if err == nil {
			err = c.run()
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashStore is what the processes share.
type crashStore struct {
	Logs   string // folder of what they say they did
	Folder string // the bucket is this folder, or S3 if it is empty
	S3     struct{ Endpoint, Bucket, Region, Key, Secret string }
}

func (s crashStore) open() (objstore.Bucket, error) {
	if s.Folder != "" {
		return dir.Open(s.Folder)
	}
	return s3.Open(s3.Config{
		Endpoint: s.S3.Endpoint, Bucket: s.S3.Bucket, Region: s.S3.Region, PathStyle: true,
		Credentials: s3.Static(s.S3.Key, s.S3.Secret, ""),
	})
}

func (s crashStore) layout() commitlog.Layout {
	if s.Folder != "" {
		return commitlog.Folder
	}
	return commitlog.Objects
}

// replica is how stock litestream is told where the folder root of the bucket is.
func (s crashStore) replica(root string) (location string, env []string) {
	if s.Folder != "" {
		return "file://" + filepath.Join(s.Folder, root), nil
	}
	q := url.Values{"endpoint": {s.S3.Endpoint}, "region": {s.S3.Region}, "forcePathStyle": {"true"}}
	return "s3://" + s.S3.Bucket + "/" + root + "?" + q.Encode(),
		[]string{"LITESTREAM_ACCESS_KEY_ID=" + s.S3.Key, "LITESTREAM_SECRET_ACCESS_KEY=" + s.S3.Secret}
}

// excused reports whether the store may have failed like that: a folder never
// does, a server does while it is down.
func (s crashStore) excused(err error) bool {
	if s.Folder != "" {
		return false
	}
	switch objstore.Reason(err) {
	case "down", "throttled", "conflict":
		return true
	case "":
		return errors.Is(err, context.DeadlineExceeded)
	}
	return false
}

// recorder notes a hash of every slot that this process created or read, for
// the audit that no slot that counts ever had two contents.
type recorder struct {
	objstore.Bucket
	log  *os.File
	seen sync.Map // key and hash
}

func (r *recorder) note(key string, data []byte) {
	if !strings.Contains(key, "/ltx/0/") && !strings.Contains(key, "/0000/") {
		return
	}
	line := fmt.Sprintf("slot %s %x\n", key, sha256.Sum256(data))
	if _, known := r.seen.LoadOrStore(line, true); !known {
		fmt.Fprint(r.log, line)
	}
}

func (r *recorder) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return objstore.Info{}, err
	}
	i, err := r.Bucket.Create(ctx, key, bytes.NewReader(data))
	if err == nil {
		r.note(key, data)
	}
	return i, err
}

func (r *recorder) Get(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	data, i, err := r.Bucket.Get(ctx, key)
	if err == nil {
		r.note(key, data)
	}
	return data, i, err
}

// crashChild is one process: a writer or a backup, until it is killed. Every
// line of its log is one write(2): what the kernel has, a kill cannot take
// back.
//
//	try ID   before a commit      ack ID   it was acknowledged
//	no ID    it was refused, and must not exist
//	slot KEY HASH                 bad …    what must never happen
type crashChild struct {
	Name  string
	Store crashStore

	log *os.File
	db  *DB
}

func (c *crashChild) run() error {
	go func() { // without a parent nobody would end us
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	var err error
	if c.log, err = os.OpenFile(filepath.Join(c.Store.Logs, c.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	b, err := c.Store.open()
	if err != nil {
		return err
	}
	cfg := Config{}
	cfg.Log.Layout = c.Store.layout()
	cfg.Log.CompactEvery = crashEvery
	cfg.Log.OnAlarm = func(err error) { c.say("bad alarm %q", err) }
	ctx := context.Background()
	for c.db == nil {
		c.db, err = Open(ctx, &recorder{Bucket: b, log: c.log}, tenant, cfg)
		if err != nil && !c.Store.excused(err) {
			return err
		}
	}
	if strings.HasPrefix(c.Name, "backup") {
		c.backup(ctx)
	}
	r := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(time.Now().UnixNano())))
	var wg sync.WaitGroup
	for n := range 3 {
		seed := r.Uint64()
		wg.Go(func() { c.client(ctx, n, rand.New(rand.NewPCG(seed, 2))) })
	}
	wg.Wait()
	return nil
}

// crashEvery is how many commits make a level-1 file here: boundaries and
// compaction move within a second.
const crashEvery = simEvery * 4

func (c *crashChild) say(format string, args ...any) { fmt.Fprintf(c.log, format+"\n", args...) }

// client moves money and leaves a row under an id of its own, for ever.
func (c *crashChild) client(ctx context.Context, n int, r *rand.Rand) {
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%d-%x-%d-%d", c.Name, os.Getpid(), r.Uint32(), n, i)
		sql := fmt.Sprintf(`UPDATE account SET v = v - %[1]d WHERE id = %[2]d; UPDATE account SET v = v + %[1]d WHERE id = %[3]d;
			UPDATE n SET v = v + 1; INSERT INTO oplog SELECT '%[4]s', v, zeroblob(%[5]d) FROM n`,
			r.IntN(20), 1+r.IntN(simAccounts), 1+r.IntN(simAccounts), id, r.IntN(2000))
		c.say("try %s", id)
		switch err := c.db.Commit(ctx, id, exec(sql)); {
		case err == nil:
			c.say("ack %s", id)
		case errors.Is(err, commitlog.ErrUnknown):
		case c.Store.excused(err):
			c.say("no %s", id)
		default:
			c.say("bad %s %q", id, err)
		}
		if r.IntN(5) == 0 {
			if _, err := c.db.Refresh(ctx); err != nil && !c.Store.excused(err) {
				c.say("bad refresh %q", err)
			}
			c.audit(ctx)
		}
	}
}

// audit checks the bank from within: a reader sees whole commits only.
func (c *crashChild) audit(ctx context.Context) {
	err := c.db.Read(ctx, func(conn *sqlite3.Conn) error {
		sum, err := simState(conn)
		var counter, rows, total int
		fmt.Sscan(sum, &counter, &rows, &total)
		if err == nil && (counter != rows || total != simTotal) {
			err = fmt.Errorf("counter, rows, money = %s", sum)
		}
		return err
	})
	if err != nil && !c.Store.excused(err) {
		c.say("bad audit %q", err)
	}
}

// backup does what the scheduled backup does, all the time. Two of them run
// at once, and single commits are kept so shortly that whoever was stopped
// wakes up behind the boundary.
func (c *crashChild) backup(ctx context.Context) {
	l := c.db.Log()
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
		if err != nil && !errors.Is(err, commitlog.ErrStale) && !errors.Is(err, commitlog.ErrUnknown) && !c.Store.excused(err) {
			c.say("bad backup %q", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
