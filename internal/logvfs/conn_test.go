package logvfs

import (
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/objstore/mem"
)

func TestPreparedStatementsStayPrepared(t *testing.T) {
	t.Parallel()
	db := openDB(t, new(mem.Bucket), Config{})
	commit(t, db, "CREATE TABLE k(v)")
	for _, use := range []struct {
		name string
		run  func(func(*sqlite3.Conn) error) error
	}{
		{"reader", func(fn func(*sqlite3.Conn) error) error { return db.Read(t.Context(), fn) }},
		{"writer", func(fn func(*sqlite3.Conn) error) error { return db.Commit(t.Context(), "", fn) }},
	} {
		var kept *sqlite3.Stmt
		for range 3 {
			err := use.run(func(c *sqlite3.Conn) (err error) {
				if kept == nil {
					if kept, _, err = c.PrepareFlags("SELECT count(*) FROM k", sqlite3.PREPARE_PERSISTENT); err != nil {
						return err
					}
				}
				if !kept.Step() {
					return kept.Err()
				}
				return kept.Reset()
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if n := kept.Status(sqlite3.STMTSTATUS_REPREPARE, false); n != 0 {
			t.Errorf("%s: the statement was prepared anew %d times, want 0", use.name, n)
		}
	}
}

func TestAnAuthorizerOfAClosureEndsWithIt(t *testing.T) {
	t.Parallel()
	db := openDB(t, new(mem.Bucket), Config{})
	commit(t, db, "CREATE TABLE k(v)")
	for _, theirs := range []sqlite3.AuthorizerReturnCode{sqlite3.AUTH_OK, sqlite3.AUTH_DENY} {
		install := func(c *sqlite3.Conn) error {
			return c.SetAuthorizer(func(sqlite3.AuthorizerActionCode, string, string, string, string) sqlite3.AuthorizerReturnCode {
				return theirs
			})
		}
		if err := db.Read(t.Context(), install); err != nil {
			t.Fatal(err)
		}
		if err := db.Read(t.Context(), exec("ROLLBACK")); err == nil {
			t.Errorf("after an authorizer that says %d: a closure ended the transaction", theirs)
		}
		if err := db.Read(t.Context(), install); err != nil {
			t.Fatal(err)
		}
		if got := read(t, db, "SELECT count(*) FROM k"); got != "0" {
			t.Errorf("after an authorizer that says %d: read %q, want 0", theirs, got)
		}
	}
}
