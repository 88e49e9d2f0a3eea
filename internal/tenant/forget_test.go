package tenant

import (
	"errors"
	"testing"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
)

func newRegistry(t *testing.T, b *mem.Bucket) *Registry {
	t.Helper()
	r := NewRegistry(Config{Bucket: b, Schema: func(_ kb.TenantID, c *Conn) error { return c.Script(`CREATE TABLE x (v)`) }})
	t.Cleanup(func() { r.Close() })
	return r
}

func TestADeletedTenantComesBackOnlyWhenSomebodyMakesIt(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	here, there := newRegistry(t, b), newRegistry(t, b)
	h, err := here.Create(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	other, err := there.Create(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	l, err := commitlog.New(b, "t/acme", commitlog.Config{Layout: commitlog.Objects})
	if err != nil {
		t.Fatal(err)
	}
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Delete(t.Context(), head); err != nil {
		t.Fatal(err)
	}
	// Both have it open and made it, or would have.
	for _, h := range []*Handle{h, other} {
		if err := h.Refresh(t.Context()); kb.KindOf(err) != kb.NotFound {
			t.Errorf("refresh: %v, want not found", err)
		}
		if err := h.Commit(t.Context(), "", func(c *Conn) error { return c.Exec(`INSERT INTO x VALUES (1)`) }); kb.KindOf(err) != kb.NotFound {
			t.Errorf("commit: %v, want not found", err)
		}
	}
	h, err = here.Create(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Commit(t.Context(), "", func(c *Conn) error { return c.Exec(`INSERT INTO x VALUES (1)`) }); err != nil {
		t.Errorf("made anew: %v", err)
	}
}

func TestForgetClosesADatabaseThatIsInUseOnlyAfterwards(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, new(mem.Bucket))
	h, err := r.Create(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	err = h.Read(t.Context(), func(c *Conn) error {
		r.Forget("acme")
		r.Forget("acme")
		return c.Query(func(*Row) error { return errors.New("no row") }, `SELECT v FROM x`)
	})
	if err != nil {
		t.Errorf("a read that was under way: %v", err)
	}
	if err := h.Commit(t.Context(), "", func(c *Conn) error { return c.Exec(`INSERT INTO x VALUES (1)`) }); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
