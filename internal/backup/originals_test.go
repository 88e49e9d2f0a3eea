package backup_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// exec commits one statement.
func (w *world) exec(id kb.TenantID, sql string, args ...any) {
	w.t.Helper()
	h, err := w.reg.Create(w.t.Context(), id)
	if err == nil {
		err = h.Commit(w.t.Context(), "", func(c *tenant.Conn) error { return c.Exec(sql, args...) })
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// name makes a version that names text as its original; keep stores it.
func (w *world) name(doc, text string) {
	w.t.Helper()
	w.exec("acme", `INSERT INTO versions (document, version, sha256, bytes, mime, title, status, job, updated_at) VALUES (?, 1, ?, 1, '', '', 'ready', ?, 1)`,
		doc, sum(text), doc+fmt.Sprint(time.Now().UnixNano()))
}

func (w *world) keep(text string) {
	w.t.Helper()
	if _, err := w.b.Put(w.t.Context(), "t/acme/blob/"+sum(text), body(text)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) publish(doc, text string) {
	w.t.Helper()
	w.name(doc, text)
	w.keep(text)
}

func (w *world) remove(doc string) {
	w.t.Helper()
	w.exec("acme", `DELETE FROM versions WHERE document = ?`, doc)
}

// where says in which places the original is: "blob", "bin", "blob bin", "".
func (w *world) where(text string) string {
	w.t.Helper()
	var in []string
	for _, place := range []string{"blob", "bin"} {
		got, _, err := w.b.Get(w.t.Context(), "t/acme/"+place+"/"+sum(text))
		switch {
		case err == nil && string(got) == text:
			in = append(in, place)
		case !errors.Is(err, objstore.ErrNotExist):
			w.t.Errorf("%s of %q: %q, %v", place, text, got, err)
		}
	}
	return strings.Join(in, " ")
}

func (w *world) full(s *backup.Service) backup.Result {
	w.t.Helper()
	return w.run(s, backup.Options{Full: true, Tenants: []kb.TenantID{"acme"}}).Results[0]
}

// named fails for a restorable commit that names an original which is neither
// in its place nor in the bin. Of the single commits it looks at the oldest.
func (w *world) named(s *backup.Service, when string) {
	w.t.Helper()
	have := map[string]bool{}
	for _, place := range []string{"blob", "bin"} {
		infos, _, err := w.b.List(w.t.Context(), "t/acme/"+place+"/", "", 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, i := range infos {
			have[filepath.Base(i.Key)] = true
		}
	}
	points, singles := w.points(s, "acme"), 0
	for _, p := range slices.Backward(points) { // the oldest first
		if p.Kind == "commit" {
			if singles++; singles > 2 {
				continue
			}
		}
		path := filepath.Join(w.t.TempDir(), "p.db")
		if _, err := s.Export(w.t.Context(), "acme", backup.Target{Commit: p.Commit}, path); err != nil {
			w.t.Fatal(err)
		}
		sums, err := store.OriginalsOf(w.t.Context(), path)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, sum := range sums {
			if !have[sum] {
				w.t.Errorf("%s: commit %s names an original that is gone", when, p.Commit)
			}
		}
	}
}

func TestOriginalsGoWhenNoRestorePointNamesThem(t *testing.T) {
	t.Parallel()
	if underRace {
		t.Skip("slow under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.service(w.b)
		for _, doc := range []string{"kept", "deleted", "twice", "again"} {
			w.publish(doc, doc)
		}
		w.publish("twin", "twice") // the same bytes
		for _, doc := range []string{"deleted", "twice", "again"} {
			w.remove(doc)
		}
		gone := time.Duration(0)
		for day := range 14 {
			w.write("acme", 130) // a busy tenant: its ranges and snapshots expire
			w.full(s)
			w.named(s, fmt.Sprintf("day %d", day))
			if day == 3 { // uploaded and deleted between two runs: nobody sees that but the store
				w.publish("again", "again")
				w.write("acme", 130) // and a range ends there, which stays restorable
				w.remove("again")
			}
			if gone == 0 && w.where("deleted") == "" {
				gone = time.Duration(day) * window
			}
			if day == 6 && (w.where("deleted") != "blob" || w.where("again") != "blob") {
				t.Errorf("day 6: originals are in %q and %q; restore points name them", w.where("deleted"), w.where("again"))
			}
			time.Sleep(window)
		}
		if gone < retention || gone > 2*retention {
			t.Errorf("the original was gone after %v, want soon after %v", gone, retention)
		}
		for doc, want := range map[string]string{"kept": "blob", "twice": "blob", "deleted": "", "again": ""} {
			if got := w.where(doc); got != want {
				t.Errorf("%s: in %q, want %q", doc, got, want)
			}
		}
	})
}

func TestAnOriginalThatIsNamedAgainComesBackFromTheBin(t *testing.T) {
	t.Parallel()
	if underRace {
		t.Skip("slow under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.publish("a", "text")
		w.remove("a")
		raced := false
		f := objstoretest.NewFault(w.b, func(c objstoretest.Call) objstoretest.Effect {
			if c.Op == objstoretest.Delete && strings.HasPrefix(c.Key, "t/acme/blob/") && !raced {
				raced = true
				w.publish("b", "text") // in that very moment, and found to be there
			}
			return objstoretest.Effect{}
		})
		s := w.service(f)
		for range 20 {
			w.write("acme", 130)
			w.full(s)
			if raced {
				break
			}
			time.Sleep(window)
		}
		if got := w.where("text"); !raced || got != "bin" {
			t.Fatalf("raced %t, in %q; the test wants it thrown away", raced, got)
		}
		w.full(s)
		if got := w.where("text"); got != "blob" {
			t.Errorf("after the next run it is in %q, want its place", got)
		}
		for range 3 {
			time.Sleep(window)
			w.full(s)
		}
		if got := w.where("text"); got != "blob" {
			t.Errorf("later it is in %q, want its place", got)
		}
	})
}

func TestOriginalsOfAHistoryThatMayComeBackStay(t *testing.T) {
	t.Parallel()
	if underRace {
		t.Skip("slow under the race detector")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.service(w.b)
		w.write("acme", 3)
		before := w.points(s, "acme")[0].Commit
		w.publish("a", "text")
		if _, err := s.Restore(t.Context(), "acme", backup.Target{Commit: before}, false); err != nil {
			t.Fatal(err)
		}
		for day := range 7 {
			w.write("acme", 130)
			w.full(s)
			w.named(s, fmt.Sprintf("day %d", day))
			time.Sleep(window)
		}
		if _, err := s.Undo(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if got := w.where("text"); got != "blob" {
			t.Errorf("after undo the original is in %q", got)
		}
	})
}

// TestSiftingMayBeKilledAnywhere kills full runs, and lets two of them overlap,
// while documents come, go and come again.
func TestSiftingMayBeKilledAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		quiet := w.service(w.b)
		thrown, rounds := 0, 20
		if underRace {
			rounds = 3
		}
		for n := 1; n <= rounds; n++ {
			for _, text := range []string{"a", "b", "c"} {
				switch (n + int(text[0])) % 9 {
				case 0:
					w.publish(text, text)
				case 1:
					w.remove(text)
				}
			}
			w.write("acme", 130)
			ctx, cancel := context.WithCancel(t.Context())
			f, _ := killed(w.b, 1+n%24, n%2 == 0, cancel)
			o := backup.Options{Full: true, Tenants: []kb.TenantID{"acme"}}
			other := make(chan error, 1)
			go func() { _, err := quiet.Run(t.Context(), o); other <- err }()
			_, _ = w.service(f).Run(ctx, o) // killed
			if err := <-other; err != nil {
				t.Errorf("round %d: the run that lives: %v", n, err)
			}
			cancel()
			w.named(quiet, fmt.Sprintf("round %d", n))
			for _, text := range []string{"a", "b", "c"} {
				if strings.Contains(w.where(text), "bin") {
					thrown++
				}
			}
			time.Sleep(window)
		}
		if thrown == 0 && !underRace {
			t.Error("nothing was thrown away: the test proves nothing")
		}
	})
}
