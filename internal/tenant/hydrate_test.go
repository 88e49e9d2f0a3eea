package tenant

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/logvfs"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestWhatWasOpenedLazilyIsVerifiedOnceAndSleepersAreLeftAlone(t *testing.T) {
	t.Parallel()
	store := new(mem.Bucket)
	m := objstoretest.NewMeter(store, 0)
	schema := func(_ kb.TenantID, c *Conn) error { return c.Script(`CREATE TABLE x (v)`) }
	made := NewRegistry(Config{Bucket: store, Schema: schema})
	for i := range 3 {
		one(t, made, i)
	}
	made.Close()
	key := grow(t, store, "t1")

	var alarms []error
	r := NewRegistry(Config{Bucket: m, Schema: schema, wholeBytes: -1, Alarm: func(err error) { alarms = append(alarms, err) }})
	defer r.Close()
	if err := r.Hydrate(t.Context()); err != nil || m.Usage().Total() != 0 {
		t.Errorf("with nothing open: %v after %s, want no request", err, m.Usage())
	}
	h, err := r.Tenant(t.Context(), "t1")
	if err != nil {
		t.Fatal(err)
	}
	if got := value(t, h); got != 1 {
		t.Fatalf("tenant has %d", got)
	}
	e := r.entries["t1"]
	if e.db.Verified() {
		t.Fatal("it was read whole: nothing is tested")
	}
	m.Reset()
	if err := r.Hydrate(t.Context()); err != nil || !e.db.Verified() || m.Usage().Total() == 0 {
		t.Errorf("hydrate: %v after %s", err, m.Usage())
	}
	m.Reset()
	if err := r.Hydrate(t.Context()); err != nil || m.Usage().Total() != 0 || len(alarms) != 0 {
		t.Errorf("hydrate again: %v after %s, alarms %v; want no request", err, m.Usage(), alarms)
	}
	r.Forget("t1")

	// What is damaged is alarmed, and not answered from.
	raw, _, err := store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 0x20 // inside a page of random bytes
	if _, err := store.Put(t.Context(), key, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	value(t, h) // of a page that is good
	if err := r.Hydrate(t.Context()); err == nil || len(alarms) == 0 {
		t.Errorf("hydrating a damaged file: %v, alarms %v", err, alarms)
	}
	if err := h.Read(t.Context(), func(*Conn) error { return nil }); err == nil {
		t.Error("a database known to be damaged is read")
	}
}

// grow makes a tenant too large for its one file to be read whole, a snapshot
// without checksums beside it, and returns that file's key.
func grow(t *testing.T, b *mem.Bucket, id kb.TenantID) (key string) {
	t.Helper()
	db, err := logvfs.Open(t.Context(), b, prefix(id), logvfs.Config{Log: commitlog.Config{Layout: commitlog.Objects}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Commit(t.Context(), "", func(c *sqlite3.Conn) error {
		return c.Exec(`CREATE TABLE big (v); INSERT INTO big VALUES (randomblob(3000000))`)
	})
	if err != nil {
		t.Fatal(err)
	}
	head, err := db.Log().Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := db.Log().Snapshot(t.Context(), head.Lineage)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), fmt.Sprintf("%s/sums/%016x", db.Log().Root(head.Lineage), uint64(f.Max))); err != nil {
		t.Fatal(err)
	}
	return db.Log().Key(head.Lineage, f)
}
