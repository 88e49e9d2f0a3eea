//go:build !noingest

package app

import (
	"context"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

var _ api.Uploader = waking{}

// Link implements api.Uploader by links of the store, where it has any.
func (w waking) Link(ctx context.Context, job kb.JobID, size int64, mediaType string, life time.Duration) (api.Link, bool, error) {
	p, ok := w.bucket.(objstore.Presigner)
	if !ok {
		return api.Link{}, false, nil
	}
	pre, err := p.PresignPut(ctx, w.Key(job), size, mediaType, life)
	if err != nil {
		return api.Link{}, false, err
	}
	l := api.Link{Method: pre.Method, URL: pre.URL, Header: map[string]string{}, Expires: pre.Expires}
	for k := range pre.Header {
		l.Header[k] = pre.Header.Get(k)
	}
	return l, true, nil
}

// Receive stores the bytes and wakes the worker of this process.
func (w waking) Receive(ctx context.Context, job kb.JobID, data []byte) error {
	err := w.Ingester.Receive(ctx, job, data)
	if err == nil {
		w.worker.Wake()
	}
	return err
}
