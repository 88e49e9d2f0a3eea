package logvfs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// conn is one SQLite connection and its file.
type conn struct {
	*sqlite3.Conn
	f      *file
	opened *atomic.Int64 // of the DB
	inside bool          // a closure is running: it must not end the transaction
	asked  bool          // the authorizer was, since enter began
}

// connMemory bounds one connection's memory: large results and sorts live in
// it, pages do not (facts/storage.md §2: the library's default).
const connMemory = 256 << 20

// open makes a connection on im. v only has to be some view of im.
func (db *DB) open(ctx context.Context, im *image, v *view, writer bool) (*conn, error) {
	f := &file{im: im, writer: writer, ctx: ctx, pinned: v, onClose: db.cfg.OnClose}
	name := fmt.Sprintf("/%d", db.conns.Add(1))
	db.fs.announce(name, f)
	mode := "ro"
	if writer {
		mode = "rw"
	}
	sc, err := sqlite3.OpenContext(sqlite3.WithMaxMemory(ctx, connMemory), "file:"+name+"?vfs="+db.vfsName+"&mode="+mode)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", errors.Join(err, f.err))
	}
	db.opened.Add(1)
	c := &conn{Conn: sc, f: f, opened: &db.opened}
	if err := db.prepare(c); err != nil {
		c.Close()
		if f.err == nil && ctx.Err() == nil {
			return nil, kb.E(kb.Internal, err, "the database cannot be opened") // not the store's fault
		}
		return nil, fmt.Errorf("prepare connection: %w", errors.Join(err, f.err))
	}
	return c, nil
}

func (db *DB) prepare(c *conn) error {
	// Spilled pages would reach the file before the commit; scratch tables
	// have no file to be in.
	if err := c.Exec("PRAGMA temp_store=memory; PRAGMA cache_spill=off; PRAGMA foreign_keys=on"); err != nil {
		return err
	}
	c.Limit(sqlite3.LIMIT_ATTACHED, 0)
	if db.cfg.OnConnect != nil {
		if err := db.cfg.OnConnect(c.Conn); err != nil {
			return err
		}
	}
	return c.guard()
}

// guard installs the authorizer. That expires every prepared statement of the
// connection, so it is not repeated without need.
func (c *conn) guard() error {
	return c.SetAuthorizer(c.authorize)
}

// enter runs sql, which begins a transaction or a savepoint. SQLite asks the
// authorizer about these: if ours was not asked, a closure has put its own in
// its place, and what that one said does not count.
func (c *conn) enter(sql string) error {
	c.asked = false
	err := c.Exec(sql)
	if c.asked {
		return err
	}
	if gerr := c.guard(); gerr != nil || err == nil {
		return gerr
	}
	return c.Exec(sql)
}

func (c *conn) authorize(action sqlite3.AuthorizerActionCode, arg, value, _, _ string) sqlite3.AuthorizerReturnCode {
	c.asked = true
	switch action {
	case sqlite3.AUTH_ATTACH, sqlite3.AUTH_DETACH:
		return sqlite3.AUTH_DENY
	case sqlite3.AUTH_TRANSACTION: // BEGIN, COMMIT, ROLLBACK; savepoints are free
		if c.inside {
			return sqlite3.AUTH_DENY
		}
	case sqlite3.AUTH_PRAGMA:
		if value != "" && !settable(arg) {
			return sqlite3.AUTH_DENY
		}
	}
	return sqlite3.AUTH_OK
}

// settable lists the pragmas that take a value without changing how the
// database is stored. The three with a message of their own pass to
// file.Pragma, which refuses them.
func settable(name string) bool {
	switch strings.ToLower(name) {
	case "journal_mode", "locking_mode", "page_size",
		"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo",
		"foreign_key_list", "foreign_key_check", "integrity_check", "quick_check",
		"user_version", "application_id", "defer_foreign_keys", "foreign_keys", "recursive_triggers",
		"ignore_check_constraints", "optimize", "analysis_limit", "incremental_vacuum", "query_only",
		"cache_size", "reverse_unordered_selects", "busy_timeout", "trusted_schema", "cell_size_check":
		return true
	}
	return false
}

// transact runs body on v between BEGIN and ROLLBACK or COMMIT; see read and
// the writer. The connection must not be used again if broken.
func (c *conn) read(ctx context.Context, v *view, fn func(*sqlite3.Conn) error) (broken bool, err error) {
	c.f.begin(ctx, v)
	if err := c.enter("BEGIN"); err != nil {
		return true, c.cause(err)
	}
	old := c.SetInterrupt(ctx)
	err = c.call(fn)
	c.SetInterrupt(old)
	if rerr := c.Exec("ROLLBACK"); rerr != nil && !c.GetAutocommit() {
		broken = true
	}
	if c.f.lock != vfs.LOCK_NONE { // a statement that was left open holds the view
		broken = true
	}
	if c.f.err != nil {
		return true, c.cause(err)
	}
	return broken, err
}

// call runs fn so that it cannot end the transaction nor, by a panic, the
// process.
func (c *conn) call(fn func(*sqlite3.Conn) error) (err error) {
	c.inside = true
	defer func() {
		c.inside = false
		if r := recover(); r != nil {
			err = &PanicError{Value: r}
		}
	}()
	return fn(c.Conn)
}

// PanicError is what a closure panicked with.
type PanicError struct{ Value any }

func (e *PanicError) Error() string { return fmt.Sprintf("closure panicked: %v", e.Value) }

// cause adds the reason that SQLite's code hides.
func (c *conn) cause(err error) error {
	if c.f.err == nil {
		return err
	}
	if err == nil {
		return c.f.err
	}
	return fmt.Errorf("%w: %w", err, c.f.err)
}

// Close ends the connection with the statements that a closure left open. Its
// memory is not the garbage collector's, so it must be called.
func (c *conn) Close() {
	if c == nil {
		return
	}
	if c.f.onClose != nil {
		c.f.onClose(c.Conn)
	}
	for _, s := range slices.Collect(c.Stmts()) {
		_ = s.Close() // repeats the error of its last step
	}
	c.opened.Add(-1)
	_ = c.Conn.Close() // fails only for blobs left open, which the contract of Read forbids
}
