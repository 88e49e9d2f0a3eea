package logvfs

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestABusyTenantCanBeDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := new(mem.Bucket)
		setup := openDB(t, b, Config{Log: remote})
		commit(t, setup, chatSchema)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var wg sync.WaitGroup
		var ended atomic.Int32
		for range 3 {
			db, err := Open(context.Background(), objstoretest.NewMeter(b, rtt), tenant, Config{Log: remote})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for range 4 {
				wg.Go(func() {
					for ctx.Err() == nil {
						if err := db.Commit(ctx, "", exec("UPDATE counter SET v = v + 1")); err != nil {
							ended.Add(1)
							return
						}
					}
				})
			}
		}
		log, err := commitlog.New(objstoretest.NewMeter(b, rtt), tenant, remote)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // they are at it
		h, err := log.Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		limit, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := log.Delete(limit, h); err != nil {
			t.Errorf("delete: %v after %.0f round trips", err, trips(time.Since(start)))
		}
		t.Logf("sealed after %.0f round trips", trips(time.Since(start)))
		if n := trips(time.Since(start)); n > 100 {
			t.Errorf("sealed after %.0f round trips, want at most 100, like any commit", n)
		}
		time.Sleep(time.Second)
		stop()
		wg.Wait()
		if ended.Load() != 12 {
			t.Errorf("%d of 12 writers were told that the tenant is gone", ended.Load())
		}
	})
}
