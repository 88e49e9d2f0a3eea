package logvfs

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/ncruces/go-sqlite3"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

var linearOps = flag.Int("linear.ops", 4000, "operations in TestHistoriesAreLinearizable; make torture takes 120000")

// register is one operation on one key, as porcupine sees it.
type register struct {
	key   int
	write bool
	value int
}

// registers checks each key by itself: histories of at most 500 operations.
func registers() porcupine.Model {
	return porcupine.Model{
		Partition: func(h []porcupine.Operation) [][]porcupine.Operation {
			parts := map[int][]porcupine.Operation{}
			for _, o := range h {
				k := o.Input.(register).key
				parts[k] = append(parts[k], o)
			}
			var all [][]porcupine.Operation
			for _, p := range parts {
				all = append(all, p)
			}
			return all
		},
		Init: func() any { return 0 },
		Step: func(state, in, out any) (bool, any) {
			r := in.(register)
			if r.write {
				return true, r.value
			}
			return out.(int) == state.(int), state
		},
		Equal: func(a, b any) bool { return a == b },
	}
}

// linearRun lets three instances with a failing store work on keys, and
// returns what they did and were told.
func linearRun(t *testing.T, seed uint64, ops int, without commitlog.Guard) (h []porcupine.Operation) {
	const instances, clients, keys = 3, 4, 10
	b := new(mem.Bucket)
	start := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	setup := openDB(t, b, Config{})
	commit(t, setup, "CREATE TABLE r(k INTEGER PRIMARY KEY, v INT)")
	for i := range instances {
		plan := objstoretest.Seeded(seed*100+uint64(i), objstoretest.Rates{Fail: .02, ApplyThenFail: .02, ApplyLate: .02, Delay: 30 * time.Millisecond, Late: 200 * time.Millisecond})
		cfg := Config{}
		cfg.Log = commitlog.Config{Without: without, CompactEvery: 16, CommitTimeout: time.Second, CallTimeout: 400 * time.Millisecond}
		db, err := Open(context.Background(), objstoretest.NewFault(b, plan), tenant, cfg)
		if err != nil {
			i-- // the store was too ill: one instance less
			continue
		}
		defer db.Close()
		for c := range clients {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(i*clients+c)))
				for n := range ops / instances / clients {
					op := porcupine.Operation{ClientId: i*clients + c, Input: register{key: r.IntN(keys)}, Call: int64(time.Since(start))}
					in := op.Input.(register)
					if in.write = r.IntN(2) == 0; in.write {
						in.value = (i*clients+c)*1_000_000 + n + 1
					}
					op.Input = in
					out, err := linearOp(db, in)
					op.Output, op.Return = out, int64(time.Since(start))
					switch {
					case err == nil:
					case in.write && errors.Is(err, commitlog.ErrUnknown):
						op.Return = int64(time.Hour * 1000) // it may still happen at any time
					default:
						continue // it did not happen
					}
					mu.Lock()
					h = append(h, op)
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	return h
}

func linearOp(db *DB, in register) (out int, err error) {
	ctx := context.Background()
	if in.write {
		return 0, db.Commit(ctx, "", exec(fmt.Sprintf("INSERT INTO r VALUES(%d, %d) ON CONFLICT(k) DO UPDATE SET v = excluded.v", in.key, in.value)))
	}
	if _, err := db.Refresh(ctx); err != nil {
		return 0, err
	}
	err = db.Read(ctx, func(c *sqlite3.Conn) error {
		got, err := queryText(c, fmt.Sprintf("SELECT v FROM r WHERE k = %d", in.key))
		out = 0
		fmt.Sscan(got, &out)
		return err
	})
	return out, err
}

func TestHistoriesAreLinearizable(t *testing.T) {
	const perRun = 2000 / slow // ten keys: about 200 operations each
	total := 0
	for seed := uint64(1); total < *linearOps/slow; seed++ {
		var h []porcupine.Operation
		synctest.Test(t, func(t *testing.T) { h = linearRun(t, seed, perRun, 0) })
		total += len(h)
		if len(h) < perRun/4 {
			t.Fatalf("seed %d: only %d operations had an outcome", seed, len(h))
		}
		if res := porcupine.CheckOperationsTimeout(registers(), h, time.Minute); res != porcupine.Ok {
			t.Fatalf("seed %d: history of %d operations: %v", seed, len(h), res)
		}
	}
	t.Logf("%d operations", total)
}

func TestTheCheckerNoticesAStaleRead(t *testing.T) {
	h := []porcupine.Operation{
		{ClientId: 0, Input: register{key: 1, write: true, value: 1}, Output: 0, Call: 0, Return: 10},
		{ClientId: 1, Input: register{key: 1}, Output: 0, Call: 20, Return: 30},
	}
	if porcupine.CheckOperations(registers(), h) {
		t.Error("a read that misses an acknowledged write passed")
	}
}
