//go:build unix

package logvfs

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

var big = flag.Bool("big", false, "run TestADatabaseBeyondTheLockPage, which needs 5 GB of disk; make torture does")

// TestADatabaseBeyondTheLockPage crosses 1 GiB, where SQLite leaves a page
// out that no log file may hold.
func TestADatabaseBeyondTheLockPage(t *testing.T) {
	if !*big {
		t.Skip("needs -big")
	}
	s := folderStore(t)
	b, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "plain.db")
	c, err := sqlite3.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Exec(`PRAGMA journal_mode=off; PRAGMA synchronous=off; CREATE TABLE doc(id INTEGER PRIMARY KEY, body BLOB);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 1070) INSERT INTO doc SELECT i, zeroblob(1000000) FROM n`)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	importFile(t, b, remote, name)
	db := openDB(t, b, Config{Log: remote, Cache: NewCache(16 << 20)})
	for i := range 6 { // across page 262,145
		commit(t, db, fmt.Sprintf("INSERT INTO doc VALUES(%d, zeroblob(3000000))", 2000+i))
	}
	if got := read(t, db, "SELECT count(*) || ' ' || sum(length(body)) FROM doc"); got != "1076 1088000000" {
		t.Errorf("rows and bytes = %s", got)
	}
	if got := read(t, db, "PRAGMA page_count"); got < "262145" || len(got) != 6 {
		t.Errorf("%s pages: the lock page was not reached", got)
	}
	if got := read(t, db, "PRAGMA quick_check"); got != "ok" {
		t.Errorf("quick_check = %s", got)
	}
	if done, err := db.Hydrate(t.Context()); !done || err != nil {
		t.Errorf("hydrate: %t %v", done, err)
	}
	f, err := db.Log().Snapshot(t.Context(), db.im.head.Lineage)
	if err == nil {
		err = db.Log().VerifySnapshot(t.Context(), db.im.head.Lineage, f)
	}
	if err != nil {
		t.Errorf("snapshot: %v", err)
	}
	h := sha256.New()
	n := &counted{w: h}
	if err := db.Log().WriteDatabase(t.Context(), db.im.head.Lineage, 0, n); err != nil || n.n%pageSize != 0 || n.n < 1<<30 {
		t.Errorf("plain file of %d bytes, %v", n.n, err)
	}
	compareStock(t, s, db, "beyond the lock page")
}

type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return c.w.Write(b)
}
