//go:build unix

package logvfs

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

// stockTool is the stock litestream: the one that LITESTREAM names, or the one
// of tools/litestream, which takes minutes to build once on a machine.
func stockTool(t *testing.T) string {
	t.Helper()
	if tool := os.Getenv("LITESTREAM"); tool != "" {
		return tool
	}
	return objstoretest.Tool(t, "litestream", "github.com/benbjohnson/litestream/cmd/litestream")
}

// compareStock restores the live lineage with the stock tool and compares
// every byte with what we write as a plain file.
func compareStock(t *testing.T, s crashStore, db *DB, what string) {
	t.Helper()
	h, err := db.Log().Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	compareLineage(t, s, db, h, what)
}

func compareLineage(t *testing.T, s crashStore, db *DB, h commitlog.Head, what string) {
	t.Helper()
	tool := stockTool(t)
	out := filepath.Join(t.TempDir(), "stock.db")
	replica, env := s.replica(db.Log().Root(h.Lineage))
	cmd := osexec.CommandContext(t.Context(), tool, "restore", "-integrity-check", "full", "-o", out, replica)
	cmd.Env = append(slices.DeleteFunc(cmd.Environ(), func(kv string) bool { // settings of this machine, like AWS_CA_BUNDLE
		return strings.HasPrefix(kv, "AWS_")
	}), env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: stock restore: %v\n%s", what, err, msg)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	same := &comparer{with: bufio.NewReader(f)}
	if err := db.Log().WriteDatabase(t.Context(), h.Lineage, 0, same); err != nil {
		t.Fatalf("%s: the file of stock restore and ours: %v", what, err)
	}
	if more, _ := io.Copy(io.Discard, same.with); more > 0 {
		t.Errorf("%s: stock restore gave %d bytes more than our %d", what, more, same.n)
	}
	t.Logf("%s: stock restore is identical, %d bytes", what, same.n)
}

// comparer is a writer that wants the bytes of another file.
type comparer struct {
	with *bufio.Reader
	buf  []byte
	n    int64
}

func (c *comparer) Write(b []byte) (int, error) {
	c.buf = slices.Grow(c.buf[:0], len(b))[:len(b)]
	if _, err := io.ReadFull(c.with, c.buf); err != nil {
		return 0, fmt.Errorf("ours is longer, at %d: %w", c.n, err)
	}
	if !bytes.Equal(c.buf, b) {
		return 0, fmt.Errorf("they differ within %d bytes from %d", len(b), c.n)
	}
	c.n += int64(len(b))
	return len(b), nil
}

// TestStockLitestreamRestores compares with the stock tool after everything
// that shapes a log: spills, shrinking, compaction, expiry, a seal at the end.
func TestStockLitestreamRestores(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	t.Run("from a folder", func(t *testing.T) { restoreStock(t, folderStore(t)) })
	t.Run("from S3", func(t *testing.T) {
		s, _ := serverStore(t)
		restoreStock(t, s)
	})
}

func restoreStock(t *testing.T, s crashStore) {
	b, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{}
	cfg.Log.Layout, cfg.Log.CompactEvery = s.layout(), simEvery
	db := openDB(t, b, cfg)
	compareStock(t, s, db, "empty tenant")
	commit(t, db, "CREATE TABLE k(id INTEGER PRIMARY KEY, v BLOB); CREATE INDEX kv ON k(v)")
	for range 6 {
		commit(t, db, "INSERT INTO k(v) SELECT randomblob(900) FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]')")
	}
	compareStock(t, s, db, "commits and ranges")
	commit(t, db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT `+fmt.Sprint(8000/slow)+`) INSERT INTO k(v) SELECT randomblob(800) FROM n`)
	compareStock(t, s, db, "one large commit")
	commit(t, db, "DELETE FROM k WHERE id > 30")
	commit(t, db, "DROP INDEX kv")
	expire(t, db.Log())
	compareStock(t, s, db, "after expiry")
	for range 5 {
		commit(t, db, "INSERT INTO k(v) VALUES(randomblob(5000))")
	}
	compareStock(t, s, db, "commits after a snapshot")
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
	compareStock(t, s, db, "after a swap")
	compareLineage(t, s, db, h, "a sealed lineage")
	old := openPast(t, b, Past{Head: h}, cfg)
	if got := read(t, old, "PRAGMA integrity_check"); got != "ok" {
		t.Errorf("sealed lineage: integrity_check = %s", got)
	}
	commit(t, db, "INSERT INTO k(v) VALUES(1)")
	compareStock(t, s, db, "commits after a swap")
}

func openPast(t testing.TB, b objstore.Bucket, p Past, cfg Config) *DB {
	t.Helper()
	db, err := OpenPast(t.Context(), b, tenant, p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
