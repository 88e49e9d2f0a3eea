package logvfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// near reads large files of a store that is near (commitlog.Log.Near): by one
// handle that stays open and into one buffer, because memory that is touched
// for the first time costs as much as reading it does.
type near struct {
	mu     sync.Mutex
	file   *source // that was opened last
	handle handle  // of it; nil if it cannot be read in this way
	off    int64
	buf    []byte // what was read last, from off on
	closed bool
}

type handle interface {
	io.ReaderAt
	io.Closer
}

// What one read brings: what follows a page, the more the longer somebody
// reads on. The pages of a segment of an index are neighbours, those of
// different passages are not.
const (
	nearLeast = 32 << 10
	nearMost  = 128 << 10
)

// readNear reads p, which is at loc, into data and checks that it is p; false
// if its store is not near, or has trouble.
func (im *image) readNear(ctx context.Context, p *page, loc *location, data []byte) (done bool, err error) {
	if !im.log.Near() || im.disk != nil {
		return false, nil
	}
	n := &im.near
	n.mu.Lock()
	defer n.mu.Unlock()
	frame := n.read(ctx, im, loc)
	if frame == nil {
		return false, nil
	}
	if err := p.decodeInto(data, frame); err != nil {
		return true, fmt.Errorf("%s: %w", loc.file.info, err)
	}
	return true, nil
}

// read returns what is at loc, valid until the next read; nil if that cannot
// be had in this way.
func (n *near) read(ctx context.Context, im *image, loc *location) []byte {
	if n.file != loc.file {
		n.open(ctx, im, loc.file)
	}
	if n.handle == nil {
		return nil
	}
	end := n.off + int64(len(n.buf))
	if n.off <= loc.off && loc.off+loc.size <= end {
		return n.buf[loc.off-n.off:][:loc.size]
	}
	want := int64(nearLeast)
	if n.off < loc.off && loc.off <= end {
		want = min(2*int64(len(n.buf)), nearMost)
	}
	want = min(max(want, loc.size), loc.file.info.Size-loc.off)
	if int64(cap(n.buf)) < want {
		n.buf = make([]byte, max(want, nearMost))
	}
	got, err := n.handle.ReadAt(n.buf[:want], loc.off)
	n.off, n.buf = loc.off, n.buf[:got]
	if int64(got) < loc.size || err != nil && !errors.Is(err, io.EOF) {
		n.drop() // whoever asks the store is told why
		return nil
	}
	return n.buf[:loc.size]
}

// open makes n read file, if its store lets it.
func (n *near) open(ctx context.Context, im *image, file *source) {
	n.drop()
	n.file = file
	if n.closed {
		return
	}
	r, err := im.log.OpenFile(context.WithoutCancel(ctx), im.head.Lineage, file.info)
	if err != nil {
		return
	}
	h, ok := r.(handle)
	if !ok {
		_ = r.Close()
		return
	}
	n.handle = h
}

func (n *near) drop() {
	if n.handle != nil {
		_ = n.handle.Close()
	}
	n.handle, n.buf = nil, n.buf[:0] // n.file stays: it is not tried again until another was read
}

// rest gives handle and buffer back until somebody reads on.
func (n *near) rest() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop()
	n.file, n.buf = nil, nil
}

// close is rest for good: who reads on reads by ranges.
func (n *near) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop()
	n.buf, n.closed = nil, true
}
