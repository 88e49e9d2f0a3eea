//go:build !noingest

package app

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/eino-qa/eino-qa/internal/ingest"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
	"github.com/eino-qa/eino-qa/internal/telemetry"
)

// stalled is how long a job may be in one hand: the longest that a function
// runs (900 s, template.yaml and s.yaml) and some.
const stalled = 20 * time.Minute

// Ingest does the job whose file, or mark, was created in the inbox. An error
// has the event delivered again, and in the end puts it into the dead-letter
// queue; the reason stands in the job where there is one.
func (f *Function) Ingest(ctx context.Context, o function.ObjectEvent) error {
	defer f.meter.Flush()
	ctx = f.request(ctx)
	id, job, mark, ok := ingest.InboxJob(o.Key)
	if !ok {
		return kb.E(kb.Invalid, nil, "event: %.80q is no object of the inbox", o.Key)
	}
	if ingest.Expected(mark) {
		return nil // the bytes are still to come
	}
	err := f.ingest(ctx, id, job, mark)
	if err != nil {
		f.log.ErrorContext(ctx, "not ingested", telemetry.Tenant, string(id), telemetry.Job, string(job), telemetry.Err, err.Error())
	}
	return err
}

func (f *Function) ingest(ctx context.Context, id kb.TenantID, job kb.JobID, mark string) error {
	in, err := f.ingester(ctx, id)
	if err != nil {
		return err
	}
	// What remains is for asking for another try.
	within, cancel := reserve(ctx)
	defer cancel()
	j, err := in.One(within, job, ingest.Continued(mark))
	switch {
	case err != nil && within.Err() != nil && kb.KindOf(err) != kb.NotFound:
		f.log.WarnContext(ctx, "out of time, continued by another invocation", telemetry.Tenant, string(id), telemetry.Job, string(job))
		return in.Continue(context.WithoutCancel(ctx), job, time.Now())
	case err != nil:
		return err
	case j.Status == kb.Failed:
		f.meter.Document("failed")
		return kb.E(kb.Unprocessable, nil, "job %s of tenant %s failed: %s", job, id, j.Error)
	}
	f.meter.Document("ready")
	f.embed(ctx, within, id, j)
	return nil
}

// embed makes the vectors of a document that became ready, as far as the time
// goes. The document can be searched already, so nothing here is an error of
// the event: what is missing is marked for the sweep.
func (f *Function) embed(ctx, within context.Context, id kb.TenantID, j kb.Job) {
	a, err := f.open(ctx)
	if err != nil || !a.vectors.on() {
		return
	}
	t, err := a.Tenant(ctx, id, false)
	if err != nil {
		return
	}
	missing := 1
	span, err := t.Store.VersionSpan(within, j.Document, j.Version)
	if err == nil {
		missing, err = a.vectors.embedOne(within, id, t, span)
	}
	if err != nil && kb.KindOf(err) != kb.NotFound {
		f.log.WarnContext(ctx, "vectors are incomplete, left to the sweep", telemetry.Tenant, string(id), "missing", missing, "error", err)
	}
	if missing > 0 || a.vectors.index.on() { // batches for Milvus are made of many documents
		if err := t.Ingester.MarkVectors(context.WithoutCancel(ctx)); err != nil {
			f.log.ErrorContext(ctx, "vectors cannot be asked for", telemetry.Tenant, string(id), "error", err)
		}
	}
}

// ingester opens a tenant as it is now: the job was committed elsewhere.
func (f *Function) ingester(ctx context.Context, id kb.TenantID) (*ingest.Ingester, error) {
	a, err := f.open(ctx)
	if err != nil {
		return nil, err
	}
	t, err := a.Tenant(ctx, id, false)
	if err != nil {
		return nil, err
	}
	return t.Ingester, t.Store.Refresh(ctx)
}

// reserve returns a context that ends before ctx does: a tenth, at most 10 s.
func reserve(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(10*time.Second, time.Until(end)/10)))
}

// Sweep revives what stalled in all tenants. One tenant's trouble does not
// keep the others waiting.
func (f *Function) Sweep(ctx context.Context, ev function.ScheduleEvent) error {
	defer f.meter.Flush()
	if err := ev.Is("sweep"); err != nil {
		return err
	}
	ctx = f.request(ctx)
	a, err := f.open(ctx)
	if errors.Is(err, errNew) {
		return nil // nobody has sent anything yet
	}
	if err != nil {
		return err
	}
	ids, err := a.intake.worker.Waiting(ctx)
	errs := []error{err}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			break // the next tick goes on
		}
		in, err := f.ingester(ctx, id)
		if err == nil {
			err = in.Sweep(ctx, time.Now().Add(-stalled))
			a.vectors.sweep(ctx, a, id, in)
		}
		if err != nil {
			f.log.ErrorContext(ctx, "sweep of a tenant failed", slog.String(telemetry.Tenant, string(id)), telemetry.Error(err))
		}
		errs = append(errs, err)
	}
	if within, cancel := reserve(ctx); a.vectors.walkDue() {
		errs = append(errs, a.vectors.walk(within, a))
		cancel()
	} else {
		cancel()
	}
	return errors.Join(errs...)
}
