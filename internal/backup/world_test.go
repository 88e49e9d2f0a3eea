package backup_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// world is a store with a server on it, which writes, and backups.
type world struct {
	t   *testing.T
	b   *mem.Bucket
	reg *tenant.Registry
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, b: new(mem.Bucket)}
	w.reg = tenant.NewRegistry(tenant.Config{Bucket: w.b, Schema: store.Schema})
	t.Cleanup(func() { w.reg.Close() })
	return w
}

const (
	window    = 24 * time.Hour
	retention = 7 * 24 * time.Hour
)

// service is a backup that reaches the store by way of b.
func (w *world) service(b objstore.Bucket) *backup.Service {
	return backup.New(backup.Config{
		Bucket: b, Layout: commitlog.Objects, SQL: sqlFiles{w.reg}, Window: window, Retention: retention, TempDir: w.t.TempDir(),
		Originals: store.OriginalsOf,
		Create: func(ctx context.Context, id kb.TenantID) error {
			w.reg.Forget(id)
			_, err := w.reg.Create(ctx, id)
			return err
		},
	})
}

// write makes n commits, each of which adds a document; it returns how many
// documents there are.
func (w *world) write(id kb.TenantID, n int) int {
	w.t.Helper()
	h, err := w.reg.Create(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	docs := w.documents(id)
	for range n {
		err := h.Commit(w.t.Context(), "", func(c *tenant.Conn) error {
			name := fmt.Sprintf("d%d", docs)
			return c.Exec(`INSERT INTO documents (id, name, newest, created_at, updated_at) VALUES (?, ?, 1, 1, 1)`, name, name)
		})
		if err != nil {
			w.t.Fatal(err)
		}
		docs++
	}
	return docs
}

func (w *world) documents(id kb.TenantID) (n int) {
	w.t.Helper()
	h, err := w.reg.Tenant(w.t.Context(), id)
	if err == nil {
		err = h.Refresh(w.t.Context())
	}
	if err == nil {
		err = h.Read(w.t.Context(), func(c *tenant.Conn) error {
			return c.Query(func(r *tenant.Row) error { n = r.Int(0); return nil }, `SELECT count(*) FROM documents`)
		})
	}
	if err != nil {
		w.t.Fatalf("read %s: %v", id, err)
	}
	return n
}

// points lists all restore points.
func (w *world) points(s *backup.Service, id kb.TenantID) (all []backup.Point) {
	w.t.Helper()
	for cursor := ""; ; {
		ps, next, err := s.Points(w.t.Context(), id, kb.Page{Limit: 100, Cursor: cursor})
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, ps...)
		if cursor = next; cursor == "" {
			return all
		}
	}
}

// at exports a commit and counts its documents.
func (w *world) at(s *backup.Service, id kb.TenantID, commit string) (int, error) {
	w.t.Helper()
	m, err := s.Export(w.t.Context(), id, backup.Target{Commit: commit}, filepath.Join(w.t.TempDir(), "x.db"))
	for _, tab := range m.Tables {
		if tab.Name == "documents" {
			return int(tab.Rows), err
		}
	}
	return 0, err
}

func (w *world) run(s *backup.Service, o backup.Options) backup.Report {
	w.t.Helper()
	rep, err := s.Run(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return rep
}

// sqlFiles is package store's knowledge of files.
type sqlFiles struct{ reg *tenant.Registry }

func (sqlFiles) Inspect(ctx context.Context, path string) (out backup.Facts, err error) {
	f, err := store.InspectFile(ctx, path)
	out = backup.Facts{Control: f.Control, Schema: f.Schema, MinReader: f.MinReader, MinWriter: f.MinWriter}
	for _, t := range f.Tables {
		out.Tables = append(out.Tables, backup.Table(t))
	}
	return out, err
}

func (sqlFiles) Compare(ctx context.Context, then, now string) (out []backup.Difference, err error) {
	ds, err := store.CompareFiles(ctx, then, now)
	for _, d := range ds {
		out = append(out, backup.Difference(d))
	}
	return out, err
}

func (sqlFiles) Normalize(ctx context.Context, src, dst string) error {
	return store.NormalizeFile(ctx, src, dst)
}

func (f sqlFiles) Advance(ctx context.Context, id kb.TenantID, path string) error {
	h, err := f.reg.Tenant(ctx, id)
	if err != nil {
		return err
	}
	s := store.New(h)
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	n, err := s.Counters(ctx)
	return errors.Join(err, store.AdvanceFile(ctx, path, n))
}

func body(s string) *strings.Reader { return strings.NewReader(s) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// killed is a way to the store on which everything fails from the n-th change
// of it on; with applied that one still happens. Being killed at a read is
// being killed before the change that follows it, so all there is are these.
// reached reports whether there was an n-th change.
func killed(b objstore.Bucket, n int, applied bool, cancel func()) (f *objstoretest.Fault, reached func() bool) {
	var mu sync.Mutex
	writes := 0
	return objstoretest.NewFault(b, func(c objstoretest.Call) objstoretest.Effect {
		mu.Lock()
		defer mu.Unlock()
		if c.Op.Writes() {
			writes++
		}
		switch {
		case writes < n:
			return objstoretest.Effect{}
		case c.Op.Writes() && writes == n && applied:
			cancel()
			return objstoretest.Effect{Action: objstoretest.ApplyThenFail, Err: objstoretest.ErrKilled}
		}
		cancel()
		return objstoretest.Effect{Action: objstoretest.Fail, Err: objstoretest.ErrKilled}
	}), func() bool { mu.Lock(); defer mu.Unlock(); return writes >= n }
}
