package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// silent names the end of a timeout: the store does not answer. ctx is the
// caller's, who may have left instead.
func silent(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(ctx.Err(), context.Canceled) {
		return objstore.Trouble(objstore.ErrDown, err)
	}
	return err
}

// get reads one whole object within the call timeout.
func (l *Log) get(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	call, cancel := context.WithTimeout(ctx, l.cfg.CallTimeout)
	defer cancel()
	b, info, err := l.bucket.Get(call, key)
	if err != nil {
		return nil, info, fmt.Errorf("get %s: %w", key, silent(ctx, err))
	}
	l.noteDate(info)
	return b, info, nil
}

// Near reports whether the store is a folder: a call is no round trip there,
// and a part of an object costs as little as the whole does elsewhere.
func (l *Log) Near() bool { return l.cfg.Layout == Folder }

// group makes calls at once or, where that would only cost a goroutine and its
// stack each, one after the other; then none is made after one that failed.
type group struct {
	atOnce *errgroup.Group // nil: one after the other
	err    error           // of the one that failed
}

// group is for n calls.
func (l *Log) group(ctx context.Context, n int) (*group, context.Context) {
	const few = 8 // of more, decoding takes longer than a goroutine does
	if l.Near() && n <= few {
		return new(group), ctx
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetchParallel)
	return &group{atOnce: g}, ctx
}

func (g *group) Go(call func() error) {
	switch {
	case g.atOnce != nil:
		g.atOnce.Go(call)
	case g.err == nil:
		g.err = call()
	}
}

func (g *group) Wait() error {
	if g.atOnce != nil {
		return g.atOnce.Wait()
	}
	return g.err
}

// getRange reads part of an object within the call timeout.
func (l *Log) getRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	call, cancel := context.WithTimeout(ctx, l.cfg.CallTimeout)
	defer cancel()
	b, info, err := l.bucket.GetRange(call, key, off, n)
	if err != nil {
		return nil, info, fmt.Errorf("get %s from %d: %w", key, off, silent(ctx, err))
	}
	l.noteDate(info)
	return b, info, nil
}

// create makes one small object within the call timeout.
func (l *Log) create(ctx context.Context, key string, body []byte) error {
	call, cancel := context.WithTimeout(ctx, l.cfg.CallTimeout)
	defer cancel()
	info, err := l.bucket.Create(call, key, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("create %s: %w", key, silent(ctx, err))
	}
	l.noteDate(info)
	return nil
}

// createStream makes one object of any size; only ctx bounds it.
func (l *Log) createStream(ctx context.Context, key string, body io.ReadSeeker) error {
	info, err := l.bucket.Create(ctx, key, body)
	if err != nil {
		return fmt.Errorf("create %s: %w", key, err)
	}
	l.noteDate(info)
	return nil
}

// list returns all objects under prefix after the key after; max > 0 stops
// early and reports more.
func (l *Log) list(ctx context.Context, prefix, after string, max int) (all []objstore.Info, more bool, err error) {
	const page = 1000 // what S3 and OSS return at most
	for {
		infos, more, err := l.listPage(ctx, prefix, after, page)
		if err != nil {
			return nil, false, err
		}
		all = append(all, infos...)
		if !more || len(infos) == 0 || max > 0 && len(all) >= max {
			return all, more, nil
		}
		after = infos[len(infos)-1].Key
	}
}

// listPage lists once, with retries.
func (l *Log) listPage(ctx context.Context, prefix, after string, n int) (infos []objstore.Info, more bool, err error) {
	err = l.retry(ctx, func() error {
		call, cancel := context.WithTimeout(ctx, l.cfg.CallTimeout)
		defer cancel()
		infos, more, err = l.bucket.List(call, prefix, after, n)
		return silent(ctx, err)
	})
	if err != nil {
		return nil, false, fmt.Errorf("list %s: %w", prefix, err)
	}
	return infos, more, nil
}

// retry runs f until it succeeds, answers with one of the store's definite
// answers, or ctx ends. Only reads and idempotent creates may go through it.
func (l *Log) retry(ctx context.Context, f func() error) error {
	begun := time.Now()
	for n := 1; ; n++ {
		err := f()
		if err == nil || definite(err) {
			return err
		}
		if time.Since(begun) >= l.cfg.CallTimeout { // it does not answer: another try would be as long
			return err
		}
		if n == 4 || l.backoff(ctx, n) != nil { // about 0.3 s of patience, then the caller decides
			return err
		}
	}
}

// definite reports whether err is an answer rather than a failure to get one.
func definite(err error) bool {
	return errors.Is(err, objstore.ErrNotExist) || errors.Is(err, objstore.ErrExist) ||
		errors.Is(err, context.Canceled) || errors.Is(err, ErrCorrupt)
}
