package objstore

import (
	"errors"
	"io"
	"sync"
)

// Body reads the same bytes as the body of a Create or Put, from its start,
// until Release: an HTTP client may still be reading when a request has failed
// already, while the caller of Create uses its body again. For implementations
// of Bucket.
type Body struct {
	Size int64 // bytes

	mu  sync.Mutex
	r   io.ReadSeeker // nil after Release
	err error         // of r, if it failed
}

// NewBody rewinds body and measures it.
func NewBody(body io.ReadSeeker) (*Body, error) {
	size, err := body.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = body.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, err
	}
	return &Body{Size: size, r: body}, nil
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, io.ErrClosedPipe
	}
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// Seek implements io.Seeker.
func (b *Body) Seek(off int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, io.ErrClosedPipe
	}
	return b.r.Seek(off, whence)
}

// Release ends all reading and returns the error that the caller's body gave,
// if any.
func (b *Body) Release() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
	return b.err
}

// ReadBody reads the body of a Create or Put from its start into memory.
func ReadBody(body io.ReadSeeker) ([]byte, error) {
	b, err := NewBody(body)
	if err != nil {
		return nil, err
	}
	data := make([]byte, b.Size)
	if _, err := io.ReadFull(b, data); err != nil {
		return nil, err
	}
	return data, nil
}
