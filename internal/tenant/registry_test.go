package tenant

import (
	"fmt"
	"sync"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

// one is a tenant with one row.
func one(t *testing.T, r *Registry, i int) *Handle {
	t.Helper()
	h, err := r.Create(t.Context(), kb.TenantID(fmt.Sprintf("t%d", i)))
	if err == nil {
		err = h.Commit(t.Context(), "", func(c *Conn) error { return c.Exec(`INSERT INTO x VALUES (?)`, i) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func value(t *testing.T, h *Handle) (v int) {
	t.Helper()
	err := h.Read(t.Context(), func(c *Conn) error {
		return c.Query(func(r *Row) error { v = r.Int(0); return nil }, `SELECT v FROM x`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTenantsUsedLongestAgoRestThenCloseAndComeBack(t *testing.T) {
	t.Parallel()
	const budget, n = 4 << 20, 100
	m := objstoretest.NewMeter(new(mem.Bucket), 0)
	r := NewRegistry(Config{Bucket: m, OpenBytes: budget, Schema: func(_ kb.TenantID, c *Conn) error { return c.Script(`CREATE TABLE x (v)`) }})
	defer r.Close()
	var all []*Handle
	for i := range n {
		all = append(all, one(t, r, i))
	}
	if r.bytes > budget {
		t.Errorf("open databases take %d bytes, want at most %d", r.bytes, budget)
	}
	open := r.order.Len()
	if open < 10 || open >= n || len(r.entries) != open {
		t.Errorf("%d are open, %d in the map; want some closed, and many at rest", open, len(r.entries))
	}
	resting := 0
	for at := r.order.Front(); at != nil; at = at.Next() {
		if _, conns := at.Value.(*entry).db.Bytes(); conns == 0 {
			resting++
		}
	}
	if resting == 0 || resting == open {
		t.Errorf("%d of %d open ones rest, want those used longest ago", resting, open)
	}
	m.Reset()
	if got := value(t, all[n-20]); got != n-20 || m.Usage().Total() != 0 {
		t.Errorf("one at rest has %d, after %s; want no request", got, m.Usage())
	}
	for i, h := range all {
		if got := value(t, h); got != i {
			t.Errorf("tenant %d has %d", i, got)
		}
	}
	if r.bytes > budget {
		t.Errorf("afterwards they take %d bytes, want at most %d", r.bytes, budget)
	}
}

func TestWhatIsInUseStaysOpen(t *testing.T) {
	t.Parallel()
	r := NewRegistry(Config{Bucket: new(mem.Bucket), OpenBytes: 1, Schema: func(_ kb.TenantID, c *Conn) error { return c.Script(`CREATE TABLE x (v)`) }})
	defer r.Close()
	h := one(t, r, 1)
	err := h.Read(t.Context(), func(c *Conn) error {
		for i := range 3 {
			one(t, r, 10+i)
		}
		if r.entries["t1"] == nil || r.entries["t1"].db.Position().TXID == 0 {
			t.Error("a database was closed under its reader")
		}
		return c.Query(func(*Row) error { return nil }, `SELECT v FROM x`)
	})
	if err != nil {
		t.Error(err)
	}
	if got := value(t, h); got != 1 || len(r.entries) != 0 {
		t.Errorf("read %d; %d databases stay open within one byte", got, len(r.entries))
	}
}

func TestTheBudgetSurvivesManyAtOnce(t *testing.T) {
	t.Parallel()
	const budget = 2 << 20
	r := NewRegistry(Config{Bucket: new(mem.Bucket), OpenBytes: budget, Schema: func(_ kb.TenantID, c *Conn) error { return c.Script(`CREATE TABLE x (v)`) }})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				h, err := r.Create(t.Context(), kb.TenantID(fmt.Sprintf("t%d", (w*7+i)%12)))
				if err == nil {
					err = h.Commit(t.Context(), "", func(c *Conn) error { return c.Exec(`INSERT INTO x VALUES (1)`) })
				}
				if err != nil {
					t.Errorf("commit: %v", err)
				}
				if i%5 == 0 {
					r.Forget(kb.TenantID(fmt.Sprintf("t%d", i%12)))
				}
			}
		})
	}
	wg.Wait()
	var sum int64
	for _, e := range r.entries {
		sum += e.bytes
	}
	if sum != r.bytes || r.bytes > budget || len(r.entries) != r.order.Len() {
		t.Errorf("%d bytes are counted, %d are there in %d databases, %d in order; want at most %d", r.bytes, sum, len(r.entries), r.order.Len(), budget)
	}
	rows := 0
	for i := range 12 {
		h, err := r.Tenant(t.Context(), kb.TenantID(fmt.Sprintf("t%d", i)))
		if err == nil {
			err = h.Refresh(t.Context()) // a forgotten database may have committed beside this one
		}
		if err != nil {
			t.Fatal(err)
		}
		err = h.Read(t.Context(), func(c *Conn) error {
			n := 0
			err := c.Query(func(r *Row) error { n = r.Int(0); return nil }, `SELECT count(*) FROM x`)
			rows += n
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if rows != 8*20 {
		t.Errorf("%d rows, want 160", rows)
	}
	if err := r.Close(); err != nil || r.bytes != 0 || r.order.Len() != 0 {
		t.Errorf("Close = %v, %d bytes in %d databases left", err, r.bytes, r.order.Len())
	}
}

func TestADatabaseOpenedWithinARequestIsNotReadTwice(t *testing.T) {
	t.Parallel()
	schema := func(_ kb.TenantID, c *Conn) error { return c.Script(`CREATE TABLE x (v)`) }
	b := new(mem.Bucket)
	other := NewRegistry(Config{Bucket: b, Schema: schema})
	defer other.Close()
	theirs := one(t, other, 1)
	set := func(v int) {
		t.Helper()
		if err := theirs.Commit(t.Context(), "", func(c *Conn) error { return c.Exec(`UPDATE x SET v = ?`, v) }); err != nil {
			t.Fatal(err)
		}
	}
	m := objstoretest.NewMeter(b, 0)
	r := NewRegistry(Config{Bucket: m, Schema: schema})
	defer r.Close()
	begun := r.Now()
	set(2)
	h, err := r.Tenant(t.Context(), "t1")
	if err != nil {
		t.Fatal(err)
	}
	opened := r.Now()
	set(3)
	m.Reset()
	if err := h.RefreshSince(t.Context(), begun); err != nil || m.Usage().Total() > 0 {
		t.Errorf("a request that opened the database asks the store: %v, %v", m.Usage(), err)
	}
	if v := value(t, h); v != 2 {
		t.Errorf("a request that opened the database reads %d, want 2", v)
	}
	if err := h.RefreshSince(t.Context(), opened); err != nil {
		t.Fatal(err)
	}
	if v := value(t, h); v != 3 {
		t.Errorf("a request that found it open reads %d, want 3", v)
	}
}
