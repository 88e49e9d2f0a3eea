//go:build !noingest

package app

import (
	"context"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/ingest"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/store"
)

// ingester is the ingestion of one tenant.
type ingester = *ingest.Ingester

// intake is what takes files in. The functions chat and backup are built with
// the tag noingest and do without: the parsers cost 14 ms of a cold start.
type intake struct {
	bucket  objstore.Bucket
	worker  *ingest.Worker
	vectors vectors
}

func newIntake(a *App) intake {
	open := func(ctx context.Context, id kb.TenantID) (*ingest.Ingester, error) {
		t, err := a.Tenant(ctx, id, false)
		if err != nil {
			return nil, err
		}
		return t.Ingester, nil
	}
	report := func(p ingest.Progress) {
		if p.Err != nil {
			a.meter.Document("failed")
			return
		}
		a.meter.Document("ready")
	}
	return intake{bucket: a.bucket, worker: ingest.NewWorker(a.bucket, open, report, a.log), vectors: a.vectors}
}

// of returns the ingester of one tenant.
func (x intake) of(id kb.TenantID, s *store.Store) ingester {
	in := ingest.New(id, s, x.bucket)
	if x.vectors.on() {
		in.Published = func() { x.vectors.wake(id) }
	}
	return in
}

// run does the jobs of all tenants until ctx ends.
func (x intake) run(ctx context.Context) error { return x.worker.Run(ctx) }

// waking is in as the routes see it: new jobs wake the worker of this process.
func (x intake) waking(in ingester) api.Ingester { return waking{in, x.worker, x.bucket} }

type waking struct {
	*ingest.Ingester
	worker *ingest.Worker
	bucket objstore.Bucket
}

func (w waking) Submit(ctx context.Context, f kb.File) (kb.Submitted, error) {
	sub, err := w.Ingester.Submit(ctx, f)
	if err == nil {
		w.worker.Wake()
	}
	return sub, err
}
