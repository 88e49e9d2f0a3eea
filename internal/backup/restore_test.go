package backup_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestRestoreAndUndo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.service(w.b)
		w.write("acme", 2) // commits 3 and 4
		time.Sleep(time.Hour)
		between := time.Now()
		time.Sleep(time.Hour)
		w.write("acme", 3) // up to 7
		ctx := t.Context()

		p, err := s.Restore(ctx, "acme", backup.Target{Time: between}, true)
		want := []backup.Difference{{Table: "documents", Then: 2, Now: 5, Gone: 3}}
		if diff := cmp.Diff(want, p.Differences); err != nil || diff != "" || p.Commit != "1.4" || p.Now != "" {
			t.Errorf("preview %+v, %v\n%s", p, err, diff)
		}
		if n := w.documents("acme"); n != 5 {
			t.Errorf("the preview changed something: %d documents", n)
		}
		if r, err := s.Restore(ctx, "acme", backup.Target{Time: between}, false); err != nil || r.Commit != "1.4" || r.Now != "2.1" {
			t.Fatalf("restore %+v, %v", r, err)
		}
		if n := w.documents("acme"); n != 2 {
			t.Errorf("%d documents after the restore, want 2", n)
		}
		if n := w.write("acme", 1); n != 3 {
			t.Errorf("%d documents, want 3: the restored tenant takes writes", n)
		}
		// Of both histories everything can be restored.
		for commit, docs := range map[string]int{"1.3": 1, "1.7": 5, "2.1": 2, "2.2": 3} {
			if n, err := w.at(s, "acme", commit); err != nil || n != docs {
				t.Errorf("commit %s: %d documents, %v, want %d", commit, n, err, docs)
			}
		}
		if r, err := s.Undo(ctx, "acme"); err != nil || r.Commit != "1.7" {
			t.Errorf("undo: %+v, %v", r, err)
		}
		if n := w.documents("acme"); n != 5 {
			t.Errorf("%d documents after undo, want 5", n)
		}
		if _, err := s.Undo(ctx, "acme"); err != nil {
			t.Error(err)
		}
		if n := w.documents("acme"); n != 3 {
			t.Errorf("%d documents after undoing the undo, want 3", n)
		}
	})
}

func TestWhatCannotBeRestored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.service(w.b)
	w.write("acme", 1)
	for name, tt := range map[string]struct {
		id   kb.TenantID
		at   backup.Target
		kind kb.Kind
	}{
		"no tenant":             {"nobody", backup.Target{Commit: "1.2"}, kb.NotFound},
		"a commit to come":      {"acme", backup.Target{Commit: "1.99"}, kb.NotFound},
		"the empty database":    {"acme", backup.Target{Commit: "1.1"}, kb.NotFound},
		"another history":       {"acme", backup.Target{Commit: "7.2"}, kb.NotFound},
		"no commit at all":      {"acme", backup.Target{Commit: "latest"}, kb.Invalid},
		"nothing named":         {"acme", backup.Target{}, kb.Invalid},
		"both named":            {"acme", backup.Target{Commit: "1.2", Time: time.Now()}, kb.Invalid},
		"before the beginning":  {"acme", backup.Target{Time: time.Now().Add(-time.Hour)}, kb.NotFound},
		"a negative commit":     {"acme", backup.Target{Commit: "1.-2"}, kb.Invalid},
		"a commit beyond int64": {"acme", backup.Target{Commit: "1.99999999999999999999"}, kb.Invalid},
	} {
		if _, err := s.Restore(t.Context(), tt.id, tt.at, true); kb.KindOf(err) != tt.kind {
			t.Errorf("%s: %v, want kind %d", name, err, tt.kind)
		}
	}
	if _, err := s.Undo(t.Context(), "acme"); kb.KindOf(err) != kb.Conflict {
		t.Errorf("undo of nothing: %v, want a conflict", err)
	}
}

func TestARestoreMayBeKilledAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.write("acme", 3)
		n := 1
		for more := true; more; n++ {
			for _, applied := range []bool{false, true} {
				before := w.write("acme", 2)
				ps := w.points(w.service(w.b), "acme")
				ctx, cancel := context.WithCancel(t.Context())
				f, reached := killed(w.b, n, applied, cancel)
				_, err := w.service(f).Restore(ctx, "acme", backup.Target{Commit: ps[1].Commit}, false) // one document less
				cancel()
				more = reached()
				got := w.documents("acme")
				if got != before && got != before-1 || err == nil && got != before-1 || more && err == nil {
					t.Fatalf("killed at change %d, applied %t (%v): %d documents, want %d or %d", n, applied, err, got, before, before-1)
				}
				if after := w.write("acme", 1); after != got+1 {
					t.Fatalf("killed at change %d: the tenant takes no writes", n)
				}
				if _, err := w.service(w.b).Verify(t.Context(), "acme"); err != nil {
					t.Fatalf("killed at change %d: %v", n, err)
				}
			}
		}
		if n < 5 { // origin, first commit, seal, pointer
			t.Errorf("a restore changes the store %d times only: nothing was tried", n-2)
		}
	})
}

func TestADeletedTenantComesBackUntilItsDataExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.service(w.b)
		ctx := t.Context()
		docs := w.write("acme", 3)
		w.write("other", 1)
		if _, err := w.b.Create(ctx, "t/acme/blob/abc", body("original")); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, "acme"); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, "acme"); kb.KindOf(err) != kb.NotFound {
			t.Errorf("a second deletion: %v", err)
		}
		if _, err := w.reg.Tenant(ctx, "acme"); err == nil {
			if h, _ := w.reg.Tenant(ctx, "acme"); h.Refresh(ctx) == nil {
				t.Error("the deleted tenant can be read")
			}
		}
		ts, _, err := s.Tenants(ctx, kb.Page{})
		if err != nil || len(ts) != 2 || ts[0].Status != "deleted" || !ts[0].Undo || ts[1].Status != "live" {
			t.Errorf("%+v, %v", ts, err)
		}
		time.Sleep(retention - time.Hour)
		w.run(s, backup.Options{})
		if _, err := s.Undo(ctx, "acme"); err != nil {
			t.Fatal(err)
		}
		w.reg.Forget("acme")
		if n := w.documents("acme"); n != docs {
			t.Errorf("%d documents after undo, want %d", n, docs)
		}
		if err := s.Delete(ctx, "acme"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retention + time.Hour)
		w.run(s, backup.Options{})
		w.run(s, backup.Options{})
		infos, _, err := w.b.List(ctx, "t/acme/", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range infos {
			if filepath.Base(filepath.Dir(i.Key)) != "head" && filepath.Base(filepath.Dir(i.Key)) != "gc" && filepath.Base(i.Key) != "origin" {
				t.Errorf("left of the deleted tenant: %s", i.Key)
			}
		}
		if _, err := s.Undo(ctx, "acme"); kb.KindOf(err) != kb.Conflict {
			t.Errorf("undo after expiry: %v, want a conflict", err)
		}
		if n := w.write("acme", 1); n != 1 {
			t.Errorf("made anew it has %d documents, want 1", n)
		}
	})
}

func TestExportAndImportElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.service(w.b)
	ctx := t.Context()
	docs := w.write("acme", 5)
	path := filepath.Join(t.TempDir(), "acme.db")
	m, err := s.Export(ctx, "acme", backup.Target{}, path)
	if err != nil || m.Commit != "1.7" || m.Bytes == 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, err := s.VerifyFile(ctx, path, m, true); err != nil {
		t.Error(err)
	}
	elsewhere := newWorld(t)
	there := elsewhere.service(elsewhere.b)
	im, err := there.Import(ctx, "copy", path, m.SHA256, false)
	if err != nil || elsewhere.documents("copy") != docs {
		t.Fatalf("%+v, %v", im, err)
	}
	if _, err := there.Import(ctx, "copy", path, m.SHA256, false); kb.KindOf(err) != kb.Conflict {
		t.Errorf("over a tenant that exists: %v, want a conflict", err)
	}
	elsewhere.write("copy", 1)
	if _, err := there.Import(ctx, "copy", path, "", true); err != nil || elsewhere.documents("copy") != docs {
		t.Errorf("replacing: %v", err)
	}
	if _, err := there.Undo(ctx, "copy"); err != nil || elsewhere.documents("copy") != docs+1 {
		t.Errorf("undo of the import: %v", err)
	}
	if err := os.WriteFile(path, append(must(os.ReadFile(path)), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := there.Import(ctx, "copy2", path, m.SHA256, false); kb.KindOf(err) != kb.Unprocessable {
		t.Errorf("a file that is not the manifest's: %v, want unprocessable", err)
	}
	if _, err := there.VerifyFile(ctx, path, m, true); kb.KindOf(err) != kb.Unprocessable {
		t.Errorf("verify: %v, want unprocessable", err)
	}
}

func TestAPlainFileIsImportedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.service(w.b)
	ctx := t.Context()
	docs := w.write("acme", 2)
	path := filepath.Join(t.TempDir(), "acme.db")
	if _, err := s.Export(ctx, "acme", backup.Target{}, path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ImportOnce(ctx, "acme", path); kb.KindOf(err) != kb.Conflict {
		t.Errorf("over a tenant in use: %v, want a conflict", err)
	}
	if _, again, err := s.ImportOnce(ctx, "fresh", path); err != nil || again || w.documents("fresh") != docs {
		t.Fatalf("again %t, %v", again, err)
	}
	w.write("fresh", 1)
	if _, again, err := s.ImportOnce(ctx, "fresh", path); err != nil || !again || w.documents("fresh") != docs+1 {
		t.Errorf("a second time: again %t, %v, %d documents", again, err, w.documents("fresh"))
	}
}

// TestAFirstImportMayBeKilledAnywhere starts over after each kill, as a server
// does, and must end with one import.
func TestAFirstImportMayBeKilledAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		docs := w.write("acme", 2)
		path := filepath.Join(t.TempDir(), "acme.db")
		if _, err := w.service(w.b).Export(t.Context(), "acme", backup.Target{}, path); err != nil {
			t.Fatal(err)
		}
		for n, more := 1, true; more; n++ {
			for _, applied := range []bool{false, true} {
				w := newWorld(t)
				ctx, cancel := context.WithCancel(t.Context())
				f, reached := killed(w.b, n, applied, cancel)
				_, _, _ = w.service(f).ImportOnce(ctx, "new", path)
				cancel()
				more = reached()
				w.reg.Forget("new")
				if _, _, err := w.service(w.b).ImportOnce(t.Context(), "new", path); err != nil {
					t.Fatalf("killed at change %d, applied %t: the next start says %v", n, applied, err)
				}
				if got := w.documents("new"); got != docs {
					t.Fatalf("killed at change %d, applied %t: %d documents, want %d", n, applied, got, docs)
				}
			}
		}
	})
}
