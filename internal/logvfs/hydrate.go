package logvfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// hydration reads the large files of a lazy image from beginning to end, a
// piece whenever there is time to spare. It verifies what lazy reads could
// not, learns the checksum of every page, so that later reads are verified as
// well, and fills the cache as far as there is room.
type hydration struct {
	turn chan struct{} // one at a time
	file *hydrating    // begun and not ended; of who has the turn
	done atomic.Bool
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

// verified reports whether every page that this image will read is compared
// with a checksum.
func (im *image) verified() bool { return !im.lazy || im.hyd.done.Load() }

// unverified returns a file that v has pages of whose checksums are unknown,
// nil if there is none.
func (v *view) unverified() (src *source) {
	v.pages.all(func(p *page) {
		if src == nil && p.sum.Load() == 0 {
			src = p.loc.Load().file
		}
	})
	return src
}

// hydrate reads on until everything is verified (true), ctx ends or the store
// fails. It resumes where the last call stopped. ErrCorrupt means that a file
// does not hold what it claims: the image must not be used any more.
func (im *image) hydrate(ctx context.Context) (done bool, err error) {
	if im.verified() {
		return true, nil
	}
	select {
	case im.hyd.turn <- struct{}{}:
		defer func() { <-im.hyd.turn }()
	case <-ctx.Done():
		return false, nil // another request is at it
	}
	for {
		h := im.hyd.file
		if h == nil {
			v := im.current()
			src := v.unverified()
			if src == nil {
				err := v.verify()
				im.hyd.done.Store(err == nil)
				return err == nil, err
			}
			h = &hydrating{src: src, in: rangeReader{im: im, src: src}}
			im.hyd.file = h
		}
		err := im.hydrateFile(ctx, h)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case errors.Is(err, objstore.ErrNotExist): // it expired: newer files have its pages
			if _, err := im.rebase(ctx); err != nil {
				return false, err
			}
			if im.current().unverified() == h.src {
				return false, fmt.Errorf("hydrate %s: %w: %w", h.src.info, commitlog.ErrStale, err)
			}
		case err != nil:
			return false, err
		}
		im.hyd.file = nil
	}
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
	b := new(buffer)
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fr, err := h.r.Next(b[:])
		if errors.Is(err, io.EOF) {
			err = im.learn(h)
			if err == nil {
				return nil
			}
		}
		if errors.Is(err, commitlog.ErrCorrupt) {
			return fmt.Errorf("hydrate %s: %w", h.src.info, err)
		}
		if err != nil {
			return err
		}
		p := im.current().pages.get(fr.Pgno)
		if p == nil {
			continue
		}
		if l := p.loc.Load(); l.file == h.src && l.off == fr.Off && p.buf.Load() == nil && im.cache.room(1) {
			p.buf.Store(b) // compared with its checksum when that is known to be right
			im.cache.add(p)
			b = new(buffer)
		}
	}
}

// learn gives the pages of a file that was verified to its end their
// checksums, and compares what was read before they were known.
func (im *image) learn(h *hydrating) error {
	frames, sums := h.r.Pages()
	v := im.current()
	for i, fr := range frames {
		p := v.pages.get(fr.Pgno)
		if p == nil {
			continue
		}
		l := p.loc.Load()
		if l.file != h.src {
			continue
		}
		if *l != (location{h.src, fr.Off, fr.Size}) {
			return fmt.Errorf("page %d: is elsewhere than its index said: %w", fr.Pgno, commitlog.ErrCorrupt)
		}
		p.sum.Store(uint64(sums[i]))
		if err := p.check(); err != nil {
			return err
		}
	}
	// The index that was read at the open had a page that the file has not.
	var extra error
	v.pages.all(func(p *page) {
		if p.sum.Load() != 0 || p.loc.Load().file != h.src {
			return
		}
		if _, has := slices.BinarySearchFunc(frames, p.pgno, func(f commitlog.Frame, n uint32) int { return cmp.Compare(f.Pgno, n) }); !has {
			extra = fmt.Errorf("page %d: is not in its file: %w", p.pgno, commitlog.ErrCorrupt)
		}
	})
	return extra
}

// keep makes b, which was read from p's frame, p's content in memory. Its
// checksum may have been learned meanwhile.
func (p *page) keep(b *buffer) error {
	p.buf.Store(b)
	return p.check()
}

// check compares what is in memory of p with its checksum, if that is known.
func (p *page) check() error {
	b, want := p.buf.Load(), ltx.Checksum(p.sum.Load())
	if b == nil || want == 0 || commitlog.ChecksumPage(commitlog.Page{Pgno: p.pgno, Data: b[:]}) == want {
		return nil
	}
	p.buf.Store(nil)
	return fmt.Errorf("page %d: was read damaged: %w", p.pgno, commitlog.ErrCorrupt)
}
