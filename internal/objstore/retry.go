package objstore

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"
)

// Reads are tried readTries times, with pauses of up to 100, 200 and 400 ms
// ("full jitter", AWS Architecture Blog 2015): past a dropped connection or a
// 503 for one partition, and still within a user's patience.
const (
	readTries = 4
	readPause = 100 * time.Millisecond
)

// Retry runs try, which must change nothing that a second run does not change
// again, until it succeeds, fails for a reason other than ErrDown, ErrThrottled
// or ErrConflict, or was tried four times. For implementations of Bucket.
func Retry(ctx context.Context, try func() error) error {
	for n := 0; ; n++ {
		err := try()
		if err == nil || n == readTries-1 || ctx.Err() != nil || !errors.Is(err, ErrDown) && !errors.Is(err, ErrThrottled) && !errors.Is(err, ErrConflict) {
			return err
		}
		t := time.NewTimer(rand.N(readPause << n))
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

// Resume returns a stream that goes on where it broke. open returns the rest
// of the object from a byte on, and must fail when that is another object by
// now. For implementations of Bucket.
func Resume(ctx context.Context, first io.ReadCloser, pos int64, open func(pos int64) (io.ReadCloser, error)) io.ReadCloser {
	return &resuming{ctx: ctx, r: first, pos: pos, open: open}
}

type resuming struct {
	ctx   context.Context // of Bucket.Open, for the life of the stream
	r     io.ReadCloser   // nil after Close
	pos   int64
	tries int // without progress since
	open  func(pos int64) (io.ReadCloser, error)
}

func (s *resuming) Read(p []byte) (int, error) {
	for {
		if s.r == nil {
			return 0, errors.New("read of a closed object")
		}
		n, err := s.r.Read(p)
		if n > 0 {
			s.pos += int64(n)
			s.tries = 0
		}
		if err == nil || err == io.EOF || n > 0 {
			return n, dropLater(n, err)
		}
		if cerr := s.ctx.Err(); cerr != nil {
			return 0, cerr
		}
		if s.tries++; s.tries == readTries {
			return 0, Trouble(ErrDown, err)
		}
		s.r.Close()
		s.r = io.NopCloser(brokenReader{err})
		if r, oerr := s.open(s.pos); oerr == nil {
			s.r = r
		} else if !errors.Is(oerr, ErrDown) && !errors.Is(oerr, ErrThrottled) {
			return 0, oerr
		}
	}
}

// dropLater hides an error that came with bytes; the next Read meets it again.
func dropLater(n int, err error) error {
	if n > 0 && !errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

type brokenReader struct{ err error }

func (b brokenReader) Read([]byte) (int, error) { return 0, b.err }

func (s *resuming) Close() error {
	if s.r == nil {
		return nil
	}
	r := s.r
	s.r = nil
	return r.Close()
}
