package objstore

import (
	"context"
	"errors"
	"io"
	"time"
)

// Observer is told of every finished request to a store: get, range, open,
// create, put, list, delete, and how it ended: ok, absent, exists, or the
// trouble. It must not block.
type Observer func(op, outcome string, took time.Duration)

// Observed is b with every request told to f. It keeps what else b can do, as
// Sub does.
func Observed(b Bucket, f Observer) Bucket {
	o := &observed{b, f}
	if p, ok := b.(Presigner); ok {
		return &observedPresigner{o, p}
	}
	return o
}

type observed struct {
	b Bucket
	f Observer
}

type observedPresigner struct {
	*observed
	Presigner
}

// Outcome is a word for how a request ended, for metrics.
func Outcome(err error) string {
	for _, o := range []struct {
		err  error
		word string
	}{
		{nil, "ok"},
		{ErrNotExist, "absent"},
		{ErrExist, "exists"},
		{ErrConflict, "conflict"},
		{ErrThrottled, "throttled"},
		{ErrDenied, "denied"},
		{ErrReadOnly, "read_only"},
		{ErrFull, "full"},
		{ErrCorrupt, "corrupt"},
		{ErrDown, "down"},
		{context.Canceled, "canceled"},
		{context.DeadlineExceeded, "timeout"},
	} {
		if errors.Is(err, o.err) {
			return o.word
		}
	}
	return "error"
}

func (o *observed) done(op string, began time.Time, err error) {
	o.f(op, Outcome(err), time.Since(began))
}

func (o *observed) Get(ctx context.Context, key string) (data []byte, info Info, err error) {
	defer func(began time.Time) { o.done("get", began, err) }(time.Now())
	return o.b.Get(ctx, key)
}

func (o *observed) GetRange(ctx context.Context, key string, off, n int64) (data []byte, info Info, err error) {
	defer func(began time.Time) { o.done("range", began, err) }(time.Now())
	return o.b.GetRange(ctx, key, off, n)
}

// Open is observed up to its first byte: how fast the rest is read is the
// reader's affair.
func (o *observed) Open(ctx context.Context, key string, off int64) (r io.ReadCloser, info Info, err error) {
	defer func(began time.Time) { o.done("open", began, err) }(time.Now())
	return o.b.Open(ctx, key, off)
}

func (o *observed) Create(ctx context.Context, key string, body io.ReadSeeker) (info Info, err error) {
	defer func(began time.Time) { o.done("create", began, err) }(time.Now())
	return o.b.Create(ctx, key, body)
}

func (o *observed) Put(ctx context.Context, key string, body io.ReadSeeker) (info Info, err error) {
	defer func(began time.Time) { o.done("put", began, err) }(time.Now())
	return o.b.Put(ctx, key, body)
}

func (o *observed) List(ctx context.Context, prefix, after string, limit int) (infos []Info, more bool, err error) {
	defer func(began time.Time) { o.done("list", began, err) }(time.Now())
	return o.b.List(ctx, prefix, after, limit)
}

func (o *observed) Delete(ctx context.Context, keys ...string) (err error) {
	defer func(began time.Time) { o.done("delete", began, err) }(time.Now())
	return o.b.Delete(ctx, keys...)
}

// Check implements Checker for what b can tell.
func (o *observed) Check(ctx context.Context) error {
	if c, ok := o.b.(Checker); ok {
		return c.Check(ctx)
	}
	return nil
}
