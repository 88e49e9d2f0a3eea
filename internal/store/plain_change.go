package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

func escape(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// NormalizeFile copies the database at src, with what its write-ahead log
// holds, to dst as one file of 4 KiB pages. src is only read. dst and its
// folder belong to the caller.
func NormalizeFile(ctx context.Context, src, dst string) (err error) {
	if err := copyFile(ctx, src, dst); err != nil {
		return err
	}
	// A hot journal or a log belongs to the content: without it the file is
	// one of another moment, or a damaged one.
	for _, ext := range []string{"-wal", "-journal"} {
		if err := copyFile(ctx, src+ext, dst+ext); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		defer func() { _ = os.Remove(dst + ext) }() // SQLite removed it already if all went well
	}
	c, err := openFile(ctx, dst, "rw", false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	// Exclusive: the log's index is then in memory, which works everywhere.
	if err := c.Exec(`PRAGMA locking_mode=exclusive; PRAGMA journal_mode=delete`); err != nil {
		return damaged(err)
	}
	size, mode := 0, ""
	err = errors.Join(
		rows(c, `PRAGMA page_size`, func(s *sqlite3.Stmt) error { size = s.ColumnInt(0); return nil }),
		rows(c, `PRAGMA journal_mode`, func(s *sqlite3.Stmt) error { mode = s.ColumnText(0); return nil }))
	if err != nil {
		return damaged(err)
	}
	if mode != "delete" {
		return kb.E(kb.Unprocessable, nil, "the database cannot leave journal mode %q; close the program that uses it", mode)
	}
	if size == pageSize {
		return nil
	}
	if err := c.Exec(fmt.Sprintf(`PRAGMA page_size=%d; VACUUM`, pageSize)); err != nil {
		return damaged(err)
	}
	return nil
}

const pageSize = 4096 // of every database in the log (package commitlog)

func copyFile(ctx context.Context, src, dst string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return kb.E(kb.Invalid, err, "%s cannot be read", src)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, 1<<20); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("copy %s: %w", src, err)
		}
	}
}

// Counters are the numbers that a database gives out in order and that others
// remember (caches, segments, citations): those of table meta by their key,
// those of AUTOINCREMENT by "seq:" and their table. "schema" is among them.
type Counters map[string]int64

// Counters returns the newest of each.
func (s *Store) Counters(ctx context.Context) (n Counters, err error) {
	err = s.h.Read(ctx, func(c *tenant.Conn) error {
		n = Counters{}
		return c.Query(func(r *tenant.Row) error { n[r.Text(0)] = r.Int64(1); return nil }, countersSQL)
	})
	if err != nil {
		return nil, fmt.Errorf("read counters: %w", err)
	}
	return n, nil
}

const countersSQL = `SELECT key, value FROM meta UNION ALL SELECT 'seq:' || name, seq FROM sqlite_sequence`

// counterGap is put between what was given out before a database is replaced
// and what is given out afterwards. Commits between reading the counters and
// the swap, seconds later, use some of it: 2^20 chunks are 15 of our largest
// knowledge bases.
const counterGap = 1 << 20

// AdvanceFile makes a tenant's file fit to follow the database that has the
// counters live: what it gives out next was never given out, so nobody who
// remembers a number from before takes it for a new one; and its schema is
// brought up to the live one.
func AdvanceFile(ctx context.Context, path string, live Counters) (err error) {
	return advanceFile(ctx, path, live, steps())
}

func advanceFile(ctx context.Context, path string, live Counters, all []step) (err error) {
	c, err := openFile(ctx, path, "rw", false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	own := Counters{}
	if err := rows(c, countersSQL, func(s *sqlite3.Stmt) error { own[s.ColumnText(0)] = s.ColumnInt64(1); return nil }); err != nil {
		return damaged(err)
	}
	var sql strings.Builder
	sql.WriteString("BEGIN IMMEDIATE;\n")
	for _, s := range all {
		if int64(s.schema) > own["schema"] && int64(s.schema) <= live["schema"] {
			sql.WriteString(s.expandSQL(false) + ";\n")
		}
	}
	both := maps.Clone(own)
	for k, v := range live {
		both[k] = max(both[k], v)
	}
	for _, k := range sorted(both) {
		text, v := "'"+strings.ReplaceAll(k, "'", "''")+"'", both[k]+counterGap
		switch table, seq := strings.CutPrefix(text, "'seq:"); {
		case k == "schema" || k == "min_reader" || k == "min_writer":
		case seq:
			sql.WriteString(fmt.Sprintf("DELETE FROM sqlite_sequence WHERE name = '%s; INSERT INTO sqlite_sequence (name, seq) VALUES ('%s, %d);\n", table, table, v))
		default:
			sql.WriteString(fmt.Sprintf("UPDATE meta SET value = %d WHERE key = %s;\n", v, text))
		}
	}
	if err := c.Exec(sql.String() + "COMMIT"); err != nil {
		return damaged(err)
	}
	return nil
}
