package logvfs

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// hydration reads the large files of a lazy image from beginning to end, a
// piece within each request that has time to spare. It verifies what lazy
// reads could not, and fills the cache as far as there is room.
type hydration struct {
	turn  chan struct{} // one at a time
	files []*hydrating
}

type hydrating struct {
	src *source
	r   *commitlog.Reader // nil before the first piece
	in  rangeReader
}

// rangeReader streams an object by ranges, so that reading may stop for days
// between two of them.
type rangeReader struct {
	ctx context.Context // of the piece that is being read; see image.hydrate
	im  *image
	src *source
	off int64
	buf []byte
}

const hydrateRange = 1 << 20 // one round trip at 20 ms then costs less than its transfer at 50 MB/s

func (r *rangeReader) Read(b []byte) (int, error) {
	if len(r.buf) == 0 {
		if r.off >= r.src.info.Size {
			return 0, io.EOF
		}
		raw, err := r.im.readRange(r.ctx, r.src.info, r.off, hydrateRange)
		if err != nil {
			return 0, err
		}
		if len(raw) == 0 {
			return 0, io.EOF
		}
		r.buf, r.off = raw, r.off+int64(len(raw))
	}
	n := copy(b, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

// plan says that srcs are to be hydrated.
func (h *hydration) plan(im *image, srcs []*source) {
	h.files = nil
	for _, s := range srcs {
		h.files = append(h.files, &hydrating{src: s, in: rangeReader{im: im, src: s}})
	}
}

// hydrate reads on until everything is verified (true), ctx ends or the store
// fails. It resumes where the last call stopped. ErrCorrupt means that a file
// does not hold what it claims: the image must not be used any more.
func (im *image) hydrate(ctx context.Context) (done bool, err error) {
	if !im.lazy {
		return true, nil
	}
	select {
	case im.hyd.turn <- struct{}{}:
		defer func() { <-im.hyd.turn }()
	case <-ctx.Done():
		return false, nil // another request is at it
	}
	for len(im.hyd.files) > 0 {
		h := im.hyd.files[0]
		err := im.hydrateFile(ctx, h)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case errors.Is(err, objstore.ErrNotExist):
			large, _, err := im.rebase(ctx)
			if err != nil {
				return false, err
			}
			im.hyd.plan(im, large)
		case err != nil:
			return false, err
		default:
			im.hyd.files = im.hyd.files[1:]
		}
	}
	return true, nil
}

func (im *image) hydrateFile(ctx context.Context, h *hydrating) error {
	h.in.ctx = ctx
	if h.r == nil {
		r, err := commitlog.NewReader(&h.in, 0)
		if err != nil {
			return err
		}
		h.r = r
	}
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b := new(buffer)
		fr, err := h.r.Next(b[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if errors.Is(err, commitlog.ErrCorrupt) {
				return fmt.Errorf("hydrate %s: %w", h.src.info, err)
			}
			return err
		}
		p := im.current().pages.get(fr.Pgno)
		if p == nil {
			continue
		}
		if l := p.loc.Load(); l.file == h.src && l.off == fr.Off && p.buf.Load() == nil && im.cache.room(1) {
			p.buf.Store(b)
			im.cache.add(p)
		}
	}
}
