package tenant

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Conn is one connection inside Read or Commit. It keeps its prepared
// statements for the next call (preparing costs more than most of our
// queries), so callers pass constant SQL and bind every value. It must not be
// kept or used from another goroutine after the function returns.
type Conn struct {
	db    *sqlite3.Conn
	stmts map[string]*sqlite3.Stmt
}

func newConn(db *sqlite3.Conn) *Conn {
	return &Conn{db: db, stmts: map[string]*sqlite3.Stmt{}}
}

// Exec runs one statement that returns no rows.
func (c *Conn) Exec(sql string, args ...any) error {
	return c.Query(func(*Row) error { return nil }, sql, args...)
}

// Script runs several statements without arguments: schema, not data.
func (c *Conn) Script(sql string) error { return c.db.Exec(sql) }

// Changes is the number of rows the last statement changed.
func (c *Conn) Changes() int64 { return c.db.Changes() }

// LastInsertID is the row id of the last insert.
func (c *Conn) LastInsertID() int64 { return c.db.LastInsertRowID() }

// Query calls row for each row of the result, in order, until row returns an
// error, which Query returns as it is. ErrStop ends it without an error.
func (c *Conn) Query(row func(*Row) error, sql string, args ...any) (err error) {
	st, err := c.prepare(sql)
	if err != nil {
		return err
	}
	defer func() {
		// Reset reports the error of the last step again; the first one counts.
		err = errors.Join(err, ignoreIf(err != nil, st.Reset()), st.ClearBindings())
	}()
	for i, a := range args {
		if err := bind(st, i+1, a); err != nil {
			return fmt.Errorf("bind argument %d of %q: %w", i+1, sql, err)
		}
	}
	r := &Row{st: st}
	for st.Step() {
		if err := row(r); errors.Is(err, ErrStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := st.Err(); err != nil {
		return fmt.Errorf("%q: %w", sql, err)
	}
	return nil
}

// ErrStop, returned by a row function, ends Query early.
var ErrStop = errors.New("stop")

func ignoreIf(ignore bool, err error) error {
	if ignore {
		return nil
	}
	return err
}

func (c *Conn) prepare(sql string) (*sqlite3.Stmt, error) {
	if st := c.stmts[sql]; st != nil {
		if !st.Busy() {
			return st, nil
		}
		return nil, fmt.Errorf("%q: used inside its own rows", sql)
	}
	st, tail, err := c.db.PrepareFlags(sql, sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", sql, err)
	}
	if tail != "" {
		return nil, errors.Join(fmt.Errorf("%q: one statement at a time", sql), st.Close())
	}
	c.stmts[sql] = st
	return st, nil
}

func bind(st *sqlite3.Stmt, i int, a any) error {
	switch v := a.(type) {
	case nil:
		return st.BindNull(i)
	case int:
		return st.BindInt64(i, int64(v))
	case int64:
		return st.BindInt64(i, v)
	case float64:
		return st.BindFloat(i, v)
	case string:
		return st.BindText(i, v)
	case bool:
		return st.BindBool(i, v)
	case time.Time:
		return st.BindInt64(i, v.UnixMilli()) // times are milliseconds since 1970, UTC
	case []byte:
		if v == nil {
			v = []byte{}
		}
		return st.BindBlob(i, v)
	}
	switch v := reflect.ValueOf(a); v.Kind() {
	case reflect.String:
		return st.BindText(i, v.String())
	case reflect.Int, reflect.Int64:
		return st.BindInt64(i, v.Int())
	}
	return fmt.Errorf("type %T cannot be bound", a)
}

// Row is the current row of a query; columns count from 0.
type Row struct{ st *sqlite3.Stmt }

// Text returns column i, "" for NULL.
func (r *Row) Text(i int) string { return r.st.ColumnText(i) }

// Int returns column i, 0 for NULL.
func (r *Row) Int(i int) int { return int(r.st.ColumnInt64(i)) }

// Int64 returns column i, 0 for NULL.
func (r *Row) Int64(i int) int64 { return r.st.ColumnInt64(i) }

// Float returns column i, 0 for NULL.
func (r *Row) Float(i int) float64 { return r.st.ColumnFloat(i) }

// Bool reports whether column i is a number other than 0.
func (r *Row) Bool(i int) bool { return r.st.ColumnBool(i) }

// Blob returns a copy of column i.
func (r *Row) Blob(i int) []byte { return r.st.ColumnBlob(i, nil) }

// RawBlob returns column i without copying: it is good until the row function
// returns and must not be changed.
func (r *Row) RawBlob(i int) []byte { return r.st.ColumnRawBlob(i) }

// Time returns column i, milliseconds since 1970, as UTC; zero for NULL and 0.
func (r *Row) Time(i int) time.Time {
	ms := r.st.ColumnInt64(i)
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
