package app

import (
	"log/slog"
	"testing"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/telemetry/metrics"
)

// TestAForeseenTenantIsOpenBeforeItIsAskedFor: the request that opened it asks
// the store no more, any later one makes sure that it misses nothing.
func TestAForeseenTenantIsOpenBeforeItIsAskedFor(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	cfg, err := config.Load(config.Source{Environ: []string{"DATABASE_DATA_DIR=" + t.TempDir()}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := objstoretest.NewFault(new(mem.Bucket), func(objstoretest.Call) objstoretest.Effect { return objstoretest.Effect{} })
	start := func(b objstore.Bucket, prepare bool, foreseen kb.TenantID) *App {
		a, err := openOn(ctx, cfg, slog.New(slog.DiscardHandler), metrics.New("v1"), b, false, prepare, foreseen)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = a.Close() })
		return a
	}
	start(b, true, "nobody") // who is not there is no error
	if _, err := start(b, true, "").Tenant(ctx, kb.DefaultTenant, true); err != nil {
		t.Fatal(err)
	}
	a := start(b, false, kb.DefaultTenant)
	a.settle()
	opened := b.Calls()
	if _, err := (backend{a}).Tenant(arrived(ctx, a.begun), kb.DefaultTenant, false); err != nil || b.Calls() != opened {
		t.Errorf("the request that opened it: %v, %d calls more, want none", err, b.Calls()-opened)
	}
	if _, err := (backend{a}).Tenant(ctx, kb.DefaultTenant, false); err != nil || b.Calls() == opened {
		t.Errorf("the next request: %v, %d calls more, want some", err, b.Calls()-opened)
	}
}
