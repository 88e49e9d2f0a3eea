package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestWhatIsListedCanBeRestoredAndNothingElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.service(w.b)
		docs := w.write("acme", 300) // commits 3 to 302; the second made the tables
		if ps := w.points(s, "acme"); len(ps) != 301 || ps[0].Commit != "1.302" || ps[300].Commit != "1.2" {
			t.Fatalf("%d points before expiry, the newest %v", len(ps), ps[0])
		}
		time.Sleep(window + time.Hour)
		rep := w.run(s, backup.Options{})
		r := rep.Results[0]
		if r.Status != backup.Done || r.Snapshot != "1.302" || r.Deleted != 256 || r.Rows < 300 {
			t.Fatalf("run: %+v; want the 256 commits of two ranges expired", r)
		}
		ps := w.points(s, "acme")
		var got []string
		for _, p := range ps {
			got = append(got, p.Commit+" "+p.Kind)
		}
		if len(ps) != 302-256+2 || got[len(got)-1] != "1.128 range" || got[len(got)-2] != "1.256 range" {
			t.Errorf("%d points: %v", len(ps), got)
		}
		for _, p := range []string{"1.302", "1.257", "1.256", "1.128"} {
			var n int
			fmt.Sscanf(p, "1.%d", &n)
			if rows, err := w.at(s, "acme", p); err != nil || rows != n-2 {
				t.Errorf("commit %s: %d documents, %v; want %d", p, rows, err, n-2)
			}
		}
		for _, p := range []string{"1.255", "1.127", "1.2", "1.303", "2.1"} {
			if _, err := w.at(s, "acme", p); kb.KindOf(err) != kb.NotFound {
				t.Errorf("commit %s, which is not listed: %v, want not found", p, err)
			}
		}
		if n := w.documents("acme"); n != docs {
			t.Errorf("%d documents, want %d", n, docs)
		}
	})
}

func TestASleepingTenantIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.write("acme", 3)
		s := w.service(w.b)
		time.Sleep(window + time.Hour)
		w.run(s, backup.Options{})
		time.Sleep(window)
		w.run(s, backup.Options{})
		f := objstoretest.NewFault(w.b, func(c objstoretest.Call) objstoretest.Effect {
			if c.Op.Writes() {
				t.Errorf("%s %s", c.Op, c.Key)
			}
			return objstoretest.Effect{}
		})
		if rep := w.run(w.service(f), backup.Options{}); rep.Results[0].Status != backup.Idle {
			t.Errorf("%+v", rep.Results[0])
		}
		if f.Calls() > 6 { // two to find it, two to list it, record and commits
			t.Errorf("%d calls for a tenant that sleeps", f.Calls())
		}
		time.Sleep(8 * 24 * time.Hour)
		if rep := w.run(s, backup.Options{}); rep.Results[0].Snapshot == "" {
			t.Errorf("after a week the snapshot must be read back: %+v", rep.Results[0])
		}
	})
}

// TestARunMayBeKilledAnywhere kills a run at its n-th change of the store, for
// every n, before and after it; the next run must find everything.
func TestARunMayBeKilledAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.write("acme", 260)
		n := 1
		for more := true; more; n++ {
			for _, applied := range []bool{false, true} {
				time.Sleep(window + time.Hour)
				docs := w.write("acme", 2)
				ctx, cancel := context.WithCancel(t.Context())
				f, reached := killed(w.b, n, applied, cancel)
				_, err := w.service(f).Run(ctx, backup.Options{Full: true, Tenants: []kb.TenantID{"acme"}})
				cancel()
				more = reached()
				if !more && err != nil {
					t.Errorf("nothing failed and yet: %v", err)
				}
				w.reg.Forget("acme") // what the server knew must not help
				if got := w.documents("acme"); got != docs {
					t.Fatalf("killed at change %d: %d documents, want %d", n, got, docs)
				}
				for _, p := range w.points(w.service(w.b), "acme")[:2] {
					if _, err := w.at(w.service(w.b), "acme", p.Commit); err != nil {
						t.Fatalf("killed at change %d: %s cannot be restored: %v", n, p.Commit, err)
					}
				}
			}
		}
		if n < 4 {
			t.Errorf("a run changes the store %d times only: nothing was tried", n-2)
		}
		if rep := w.run(w.service(w.b), backup.Options{Full: true}); rep.Results[0].Status != backup.Done {
			t.Errorf("%+v", rep.Results[0])
		}
		if v, err := w.service(w.b).Verify(t.Context(), "acme"); err != nil || v.Snapshot == "" {
			t.Errorf("verify: %+v, %v", v, err)
		}
	})
}

func TestTwoRunsAtOnceWhileTheServerWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("acme", 260)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 3 {
				if _, err := w.service(w.b).Run(t.Context(), backup.Options{Full: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	docs := w.write("acme", 40)
	wg.Wait()
	w.reg.Forget("acme")
	if got := w.documents("acme"); got != docs {
		t.Errorf("%d documents, want %d", got, docs)
	}
	if _, err := w.service(w.b).Verify(t.Context(), "acme"); err != nil {
		t.Error(err)
	}
}

func TestADeadlineLeavesTheRestToTheNextRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for i := range 6 {
			w.write(kb.TenantID(fmt.Sprintf("t%d", i)), 1)
		}
		slow := objstoretest.NewFault(w.b, func(objstoretest.Call) objstoretest.Effect {
			return objstoretest.Effect{Delay: 100 * time.Millisecond}
		})
		s := w.service(slow)
		seen := map[kb.TenantID]bool{}
		for runs := 0; len(seen) < 6; runs++ {
			if runs == 6 {
				t.Fatalf("after %d runs only %v were backed up", runs, seen)
			}
			rep := w.run(s, backup.Options{Deadline: time.Now().Add(8 * time.Second)})
			for _, r := range rep.Results {
				if r.Status == backup.Done {
					if seen[r.Tenant] && len(seen) < 6 {
						t.Errorf("run %d did %s again before others had their turn", runs, r.Tenant)
					}
					seen[r.Tenant] = true
				}
			}
			if runs == 0 && rep.Count(backup.Deferred) == 0 {
				t.Error("the deadline came too late to test anything")
			}
		}
	})
}

func TestADamagedSnapshotExpiresNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.write("acme", 260)
		time.Sleep(window + time.Hour)
		bad := objstoretest.NewFault(w.b, func(c objstoretest.Call) objstoretest.Effect {
			if strings.Contains(c.Key, "/0009/") && c.Op == objstoretest.Open {
				return objstoretest.Effect{Action: objstoretest.Corrupt}
			}
			if c.Op == objstoretest.Delete {
				t.Errorf("deleted %s", c.Key)
			}
			return objstoretest.Effect{}
		})
		rep, err := w.service(bad).Run(t.Context(), backup.Options{Full: true})
		if err == nil || rep.Results[0].Status != backup.Failed || !strings.Contains(rep.Results[0].Error, "damaged") {
			t.Errorf("%v, %+v", err, rep.Results)
		}
	})
}

func TestOneTenantsTroubleIsNotAnothers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("acme", 1)
	w.write("bad", 1)
	f := objstoretest.NewFault(w.b, func(c objstoretest.Call) objstoretest.Effect {
		if strings.HasPrefix(c.Key, "t/bad/") && c.Op.Writes() {
			return objstoretest.Effect{Action: objstoretest.Fail, Err: objstore.Trouble(objstore.ErrReadOnly, nil)}
		}
		return objstoretest.Effect{}
	})
	rep, err := w.service(f).Run(t.Context(), backup.Options{Full: true})
	i := slices.IndexFunc(rep.Results, func(r backup.Result) bool { return r.Tenant == "acme" })
	if !errors.Is(err, objstore.ErrReadOnly) || rep.Results[i].Status != backup.Done || rep.Count(backup.Failed) != 1 {
		t.Errorf("%v, %+v", err, rep.Results)
	}
}

func TestARunRemovesWhatKilledOnesLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	long := time.Now().Add(-48 * time.Hour)
	for name, at := range map[string]time.Time{"eino-qa-backup-old": long, "eino-qa-backup-young": time.Now(), "other": long} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Mkdir(path, 0o700), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	s := backup.New(backup.Config{Bucket: w.b, SQL: sqlFiles{w.reg}, TempDir: dir})
	w.run(s, backup.Options{})
	left := must(filepath.Glob(filepath.Join(dir, "*")))
	if len(left) != 2 || strings.Contains(fmt.Sprint(left), "old") {
		t.Errorf("left: %v", left)
	}
}
