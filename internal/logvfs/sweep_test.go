package logvfs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

// scenario is something that must survive the failure of any of its store
// calls: run returns what the user was told; after it, with a store that
// works, check must hold.
type scenario struct {
	name  string
	setup func(t *testing.T, b objstore.Bucket)
	run   func(ctx context.Context, b objstore.Bucket) error
	check func(t *testing.T, b objstore.Bucket, told error) error
}

func sweepConfig() Config {
	return Config{Create: true, Log: commitlog.Config{CompactEvery: simEvery}}
}

// filled makes a tenant of n+2 commits.
func filled(n int) func(*testing.T, objstore.Bucket) {
	return func(t *testing.T, b objstore.Bucket) {
		db, err := Open(context.Background(), b, tenant, sweepConfig())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		commit(t, db, "CREATE TABLE k(v); INSERT INTO k VALUES(0)")
		for range n {
			commit(t, db, "UPDATE k SET v = v + 1")
		}
	}
}

// counter reads the counter with a new instance.
func counter(b objstore.Bucket) (string, error) {
	db, err := Open(context.Background(), b, tenant, sweepConfig())
	if err != nil {
		return "", err
	}
	defer db.Close()
	var got string
	err = db.Read(context.Background(), func(c *sqlite3.Conn) (err error) { got, err = queryText(c, "SELECT v FROM k"); return err })
	return got, err
}

// increments checks that the counter moved by one if told so, by none or one
// if the outcome was unknown, and by none after a refusal.
func increments(from int) func(*testing.T, objstore.Bucket, error) error {
	return func(t *testing.T, b objstore.Bucket, told error) error {
		got, err := counter(b)
		if err != nil {
			return err
		}
		before, after := fmt.Sprint(from), fmt.Sprint(from+1)
		switch unknown := errors.Is(told, commitlog.ErrUnknown); {
		case told == nil && got != after, told != nil && !unknown && got != before, unknown && got != before && got != after:
			return fmt.Errorf("told %w, counter %s", told, got)
		}
		return nil
	}
}

func keeps(v string) func(*testing.T, objstore.Bucket, error) error {
	return func(t *testing.T, b objstore.Bucket, told error) error {
		if got, err := counter(b); err != nil || got != v {
			return fmt.Errorf("counter %s, %w; want %s", got, err, v)
		}
		db, err := Open(context.Background(), b, tenant, sweepConfig())
		if err != nil {
			return err
		}
		defer db.Close()
		return db.Commit(context.Background(), "", exec("UPDATE k SET v = v + 1"))
	}
}

func withLog(f func(context.Context, *commitlog.Log, commitlog.Head) error) func(context.Context, objstore.Bucket) error {
	return func(ctx context.Context, b objstore.Bucket) error {
		log, err := commitlog.New(b, tenant, sweepConfig().Log)
		if err != nil {
			return err
		}
		h, err := log.Head(ctx)
		if err != nil {
			return err
		}
		return f(ctx, log, h)
	}
}

func scenarios() []scenario {
	bump := func(ctx context.Context, b objstore.Bucket) error {
		db, err := Open(ctx, b, tenant, sweepConfig())
		if err != nil {
			return err
		}
		defer db.Close()
		if _, err := db.Refresh(ctx); err != nil {
			return err
		}
		return db.Commit(ctx, "", exec("UPDATE k SET v = v + 1"))
	}
	maintain := withLog(func(ctx context.Context, log *commitlog.Log, h commitlog.Head) error {
		if _, err := log.CompactAll(ctx, h.Lineage); err != nil {
			return err
		}
		f, err := log.Snapshot(ctx, h.Lineage)
		if err != nil {
			return err
		}
		if err := log.VerifySnapshot(ctx, h.Lineage, f); err != nil {
			return err
		}
		_, err = log.Expire(ctx, h.Lineage, f, commitlog.Retention{})
		return err
	})
	swap := withLog(func(ctx context.Context, log *commitlog.Log, h commitlog.Head) error {
		to, err := log.Fork(ctx, h.Generation, h.Lineage, 5)
		if err != nil {
			return err
		}
		_, err = log.Swap(ctx, h, to)
		return err
	})
	return []scenario{
		{"create a tenant", func(*testing.T, objstore.Bucket) {}, func(ctx context.Context, b objstore.Bucket) error {
			db, err := Open(ctx, b, tenant, sweepConfig())
			if err == nil {
				db.Close()
			}
			return err
		}, func(t *testing.T, b objstore.Bucket, _ error) error { filled(1)(t, b); return keeps("1")(t, b, nil) }},
		{"commit", filled(1), bump, increments(1)},
		{"commit that completes a range", filled(simEvery*2 - 3), bump, increments(simEvery*2 - 3)},
		{"compact, snapshot, verify, expire", filled(14), maintain, keeps("14")},
		{"swap to an older commit", filled(10), swap, func(t *testing.T, b objstore.Bucket, told error) error {
			got, err := counter(b)
			if err != nil || got != "3" && (told == nil || got != "10") {
				return fmt.Errorf("told %w, counter %s, %w", told, got, err)
			}
			return nil
		}},
		{"delete and undo", filled(3), withLog(func(ctx context.Context, log *commitlog.Log, h commitlog.Head) error {
			h, err := log.Delete(ctx, h)
			if err == nil {
				_, err = log.Undo(ctx, h)
			}
			return err
		}), func(t *testing.T, b objstore.Bucket, told error) error {
			got, err := counter(b)
			if got == "3" || told != nil && err != nil && !errors.Is(err, commitlog.ErrFork) && !errors.Is(err, commitlog.ErrCorrupt) {
				return nil // deleted counts as an answer when the run failed
			}
			return fmt.Errorf("told %w, counter %s, %w", told, got, err)
		}},
		{"read lazily after expiry", func(t *testing.T, b objstore.Bucket) {
			filled(14)(t, b)
			if err := maintain(context.Background(), b); err != nil {
				t.Fatal(err)
			}
		}, func(ctx context.Context, b objstore.Bucket) error {
			cfg := sweepConfig()
			cfg.WholeBytes = -1
			db, err := Open(ctx, b, tenant, cfg)
			if err != nil {
				return err
			}
			defer db.Close()
			return db.Read(ctx, exec("SELECT * FROM k"))
		}, keeps("14")},
	}
}

// TestAnyStoreCallMayFail fails the n-th call of each scenario for every n, in
// each way a call can fail, and then every call from the n-th on.
func TestAnyStoreCallMayFail(t *testing.T) {
	actions := map[string]objstoretest.Action{
		"fails": objstoretest.Fail, "is applied and fails": objstoretest.ApplyThenFail, "fails and arrives late": objstoretest.ApplyLate,
	}
	runs := 0
	for _, sc := range scenarios() {
		calls := sweepOnce(t, sc, nil)
		for how, action := range actions {
			for n := 1; n <= calls; n += slow {
				for _, forever := range []bool{false, true} {
					plan := func(c objstoretest.Call) objstoretest.Effect {
						if c.N == n || forever && c.N > n {
							return objstoretest.Effect{Action: action}
						}
						return objstoretest.Effect{}
					}
					runs++
					if sweepOnce(t, sc, plan); t.Failed() {
						t.Fatalf("%s: when call %d %s (and all later: %t)", sc.name, n, how, forever)
					}
				}
			}
		}
	}
	t.Logf("%d runs", runs)
}

// sweepOnce plays sc once and returns how many calls it made.
func sweepOnce(t *testing.T, sc scenario, plan func(objstoretest.Call) objstoretest.Effect) (calls int) {
	synctest.Test(t, func(t *testing.T) {
		b := new(mem.Bucket)
		sc.setup(t, b)
		f := objstoretest.NewFault(b, plan)
		told := sc.run(context.Background(), f)
		if plan == nil && told != nil {
			t.Errorf("without any failure: %v", told)
		}
		calls = f.Calls()
		f.Land(-1)
		if err := sc.check(t, b, told); err != nil {
			t.Error(err)
		}
	})
	return calls
}
