package ingest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Worker does the jobs of all tenants in a long-running server: at start, when
// woken, and now and then for jobs of servers that died.
type Worker struct {
	bucket objstore.Bucket
	open   func(context.Context, kb.TenantID) (*Ingester, error)
	report func(Progress)
	log    *slog.Logger
	wake   chan struct{}
}

// NewWorker returns a worker over the inbox of bucket. report, which may be
// nil, is called for each job that ended.
func NewWorker(bucket objstore.Bucket, open func(context.Context, kb.TenantID) (*Ingester, error), report func(Progress), log *slog.Logger) *Worker {
	return &Worker{bucket: bucket, open: open, report: report, log: log, wake: make(chan struct{}, 1)}
}

// Wake makes Run look at the inbox soon. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// lookEvery is how often Run looks without being woken: a job whose server
// died waits that long for another one.
const lookEvery = time.Minute

// Run works until ctx ends, and returns its error.
func (w *Worker) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := w.Once(ctx); err != nil && ctx.Err() == nil {
			w.log.ErrorContext(ctx, "ingestion stopped, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		case <-tick.C:
		}
	}
}

// Once does what the inbox holds now. One tenant's trouble does not keep the
// others waiting; the errors are returned together.
func (w *Worker) Once(ctx context.Context) error {
	tenants, err := w.waiting(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range tenants {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		in, err := w.open(ctx, id)
		if err == nil {
			err = in.Work(ctx, w.report)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// waiting lists the tenants that have something in the inbox, one list call
// for each.
func (w *Worker) waiting(ctx context.Context) ([]kb.TenantID, error) {
	var ids []kb.TenantID
	for after := ""; ; {
		infos, _, err := w.bucket.List(ctx, InboxPrefix, after, 1)
		if err != nil || len(infos) == 0 {
			return ids, err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(infos[0].Key, InboxPrefix), "/")
		if id, err := kb.ParseTenant(name); err == nil {
			ids = append(ids, id)
		}
		after = InboxPrefix + name + "0" // '0' follows '/': behind every key of this tenant
	}
}
