package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/vfs" // files of the operating system

	"github.com/eino-qa/eino-qa/internal/kb"
)

// FileFacts is what a plain SQLite file of ours holds.
type FileFacts struct {
	Control                      bool // it is a control database, not a tenant's
	Schema, MinReader, MinWriter int
	Tables                       []TableFacts // by name
}

// TableFacts is one table's content. Two tables with the same rows in the same
// order of their keys have the same digest, wherever they lie in the file.
type TableFacts struct {
	Name   string
	Rows   int64
	Digest string // SHA-256 of every row, hex
}

// openFile opens a plain SQLite file that may come from anywhere. mode is that
// of a SQLite URI; immutable files are read without a look at their journals.
func openFile(ctx context.Context, path, mode string, immutable bool) (*sqlite3.Conn, error) {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "mode=" + mode}
	if immutable {
		u.RawQuery += "&immutable=1"
	}
	c, err := sqlite3.OpenContext(ctx, u.String())
	if err != nil {
		return nil, kb.E(kb.Unprocessable, err, "the file cannot be opened as a SQLite database")
	}
	// The schema of a foreign file is data, not a program: no function in it
	// runs, and damaged cells are found before they are followed.
	if err := c.Exec(`PRAGMA trusted_schema=off; PRAGMA cell_size_check=on; PRAGMA temp_store=memory`); err != nil {
		return nil, errors.Join(damaged(err), c.Close())
	}
	c.SetInterrupt(ctx)
	return c, nil
}

func damaged(err error) error {
	if errors.Is(err, sqlite3.INTERRUPT) {
		return err
	}
	return kb.E(kb.Unprocessable, err, "the file is no SQLite database, or a damaged one")
}

// InspectFile checks that the file at path is whole (integrity_check), is one
// of our databases, and can be written by this program; then it counts and
// digests every table. Whatever is wrong with the file is kb.Unprocessable.
func InspectFile(ctx context.Context, path string) (f FileFacts, err error) {
	c, err := openFile(ctx, path, "ro", true)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := integrity(c); err != nil {
		return f, err
	}
	tables, err := tablesOf(c)
	if err != nil {
		return f, err
	}
	f.Control = tables["settings"] != nil && tables["documents"] == nil
	if err := checkShape(ctx, tables, f.Control); err != nil {
		return f, err
	}
	if f.Schema, f.MinReader, f.MinWriter, err = fileVersions(c); err != nil {
		return f, err
	}
	if v := max(f.MinReader, f.MinWriter); v > schemaVersion {
		return f, kb.E(kb.Unprocessable, nil, "the database needs a program that knows schema %d, this one knows %d; update the program", v, schemaVersion)
	}
	for _, name := range sorted(tables) {
		t, err := digest(c, name)
		if err != nil {
			return f, err
		}
		f.Tables = append(f.Tables, t)
	}
	return f, nil
}

func integrity(c *sqlite3.Conn) error {
	var found []string
	err := rows(c, `PRAGMA integrity_check(5)`, func(s *sqlite3.Stmt) error {
		found = append(found, s.ColumnText(0))
		return nil
	})
	if err != nil {
		return damaged(err)
	}
	if len(found) != 1 || found[0] != "ok" {
		return kb.E(kb.Unprocessable, fmt.Errorf("integrity_check: %s", strings.Join(found, "; ")), "the database is damaged: SQLite's integrity check fails")
	}
	return nil
}

// rows runs sql and calls row for each row.
func rows(c *sqlite3.Conn, sql string, row func(*sqlite3.Stmt) error) (err error) {
	st, _, err := c.Prepare(sql)
	if err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	for st.Step() {
		if err := row(st); err != nil {
			return err
		}
	}
	if err := st.Err(); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// column is one column of a table; pk counts from 1, 0 = not in the key.
type column struct {
	name string
	pk   int
}

// tablesOf lists tables with their columns. Views, triggers and virtual tables
// are refused: we make none, so somebody else did.
func tablesOf(c *sqlite3.Conn) (map[string][]column, error) {
	tables := map[string][]column{}
	err := rows(c, `SELECT type, name, coalesce(sql, '') FROM sqlite_schema`, func(s *sqlite3.Stmt) error {
		kind, name, sql := s.ColumnText(0), s.ColumnText(1), s.ColumnText(2)
		virtual := len(sql) > 14 && strings.EqualFold(sql[:14], "CREATE VIRTUAL")
		switch {
		case kind == "table" && !virtual:
			if !strings.HasPrefix(name, "sqlite_") {
				tables[name] = nil
			}
		case kind == "index":
		default:
			return kb.E(kb.Unprocessable, nil, "the file has a %s %q, which no database of ours has", kind, name)
		}
		return nil
	})
	if err != nil {
		if kb.KindOf(err) == kb.Internal {
			err = damaged(err)
		}
		return nil, err
	}
	for name := range tables {
		cols, err := columns(c, "main", name)
		if err != nil {
			return nil, err
		}
		tables[name] = cols
	}
	return tables, nil
}

// columns lists the columns of a table; schema is main or the name of an
// attached database.
func columns(c *sqlite3.Conn, schema, table string) (cols []column, err error) {
	err = rows(c, `PRAGMA `+schema+`.table_xinfo(`+quote(table)+`)`, func(s *sqlite3.Stmt) error {
		if s.ColumnInt(6) != 0 {
			return kb.E(kb.Unprocessable, nil, "table %q has a computed column, which no table of ours has", table)
		}
		cols = append(cols, column{s.ColumnText(1), s.ColumnInt(5)})
		return nil
	})
	return cols, err
}

// quote makes an SQL identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// checkShape compares tables with those that the oldest program makes which
// may still meet this database. More tables and columns are fine: a newer
// program may have expanded it.
func checkShape(ctx context.Context, tables map[string][]column, control bool) (err error) {
	c, err := sqlite3.OpenContext(ctx, ":memory:")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Exec(baseSchema(control) + `; CREATE TABLE commit_keys (key TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID`); err != nil {
		return err
	}
	want, err := tablesOf(c)
	if err != nil {
		return err
	}
	for _, name := range sorted(want) {
		if tables[name] == nil {
			return kb.E(kb.Unprocessable, nil, "this is no database of this product: table %q is missing", name)
		}
		for _, col := range want[name] {
			if !slices.Contains(tables[name], col) {
				return kb.E(kb.Unprocessable, nil, "this is no database of this product: column %q of table %q is missing, or is not in the same place of the key", col.name, name)
			}
		}
	}
	return nil
}

func fileVersions(c *sqlite3.Conn) (schema, reader, writer int, err error) {
	err = rows(c, `SELECT key, value FROM meta WHERE key IN ('schema', 'min_reader', 'min_writer')`, func(s *sqlite3.Stmt) error {
		v := s.ColumnInt64(1)
		if v < 1 || v > math.MaxInt32 {
			return kb.E(kb.Unprocessable, nil, "%s in table meta is %d", s.ColumnText(0), v)
		}
		switch s.ColumnText(0) {
		case "schema":
			schema = int(v)
		case "min_reader":
			reader = int(v)
		default:
			writer = int(v)
		}
		return nil
	})
	if err == nil && (schema == 0 || reader == 0 || writer == 0) {
		err = kb.E(kb.Unprocessable, nil, "this is no database of this product: its version is missing in table meta")
	}
	return schema, reader, writer, err
}

// digest hashes every row of a table in the order of its key.
func digest(c *sqlite3.Conn, table string) (TableFacts, error) {
	t := TableFacts{Name: table}
	h := sha256.New()
	// NOT INDEXED: the table's own order, whatever indexes there are.
	err := rows(c, `SELECT * FROM `+quote(table)+` NOT INDEXED`, func(s *sqlite3.Stmt) error {
		t.Rows++
		for i := range s.ColumnCount() {
			hashValue(h, s, i)
		}
		return nil
	})
	t.Digest = hex.EncodeToString(h.Sum(nil))
	if err != nil {
		return t, damaged(err)
	}
	return t, nil
}

// hashValue adds type, length and bytes, so that no two rows look the same.
func hashValue(h hash.Hash, s *sqlite3.Stmt, i int) {
	var b [9]byte
	kind := s.ColumnType(i)
	b[0] = byte(kind)
	switch kind {
	case sqlite3.INTEGER:
		binary.BigEndian.PutUint64(b[1:], uint64(s.ColumnInt64(i)))
		h.Write(b[:])
	case sqlite3.FLOAT:
		binary.BigEndian.PutUint64(b[1:], math.Float64bits(s.ColumnFloat(i)))
		h.Write(b[:])
	case sqlite3.TEXT, sqlite3.BLOB:
		raw := s.ColumnRawText(i)
		if kind == sqlite3.BLOB {
			raw = s.ColumnRawBlob(i)
		}
		binary.BigEndian.PutUint64(b[1:], uint64(len(raw)))
		h.Write(b[:])
		h.Write(raw)
	default:
		h.Write(b[:1])
	}
}
