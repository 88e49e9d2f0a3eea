package objstoretest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Meter is a bucket that takes its time and counts: for benchmarks, and tests
// that bound requests. Half of RTT passes before a call is carried out and
// half after.
type Meter struct {
	b   objstore.Bucket
	rtt time.Duration

	mu    sync.Mutex
	usage Usage
	epoch int // Resets so far
}

// Usage is what a Meter counted.
type Usage struct {
	Calls map[Op]int
	// Depth is the longest chain of calls of which each began after the one
	// before had ended: the time in round trips, if nothing else took any.
	Depth    int
	In, Out  int64 // bytes written to and read from the bucket
	InFlight int   // calls that have not ended
}

var _ objstore.Bucket = (*Meter)(nil)

// NewMeter returns a Meter before b whose calls take rtt, 0 for none.
func NewMeter(b objstore.Bucket, rtt time.Duration) *Meter {
	return &Meter{b: b, rtt: rtt, usage: Usage{Calls: map[Op]int{}}}
}

// Usage is what was counted since the last Reset.
func (m *Meter) Usage() Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.usage
	u.Calls = maps.Clone(u.Calls)
	return u
}

// Reset counts from zero again. Calls in flight add nothing to the depth.
func (m *Meter) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage = Usage{Calls: map[Op]int{}, InFlight: m.usage.InFlight}
	m.epoch++
}

// Total is the number of calls.
func (u Usage) Total() int {
	n := 0
	for _, c := range u.Calls {
		n += c
	}
	return n
}

// String is one line: "depth 3, 1 create, 2 get, 812 bytes in, 40 out".
func (u Usage) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "depth %d", u.Depth)
	for _, op := range slices.Sorted(maps.Keys(u.Calls)) {
		fmt.Fprintf(&s, ", %d %s", u.Calls[op], op)
	}
	fmt.Fprintf(&s, ", %d bytes in, %d out", u.In, u.Out)
	return s.String()
}

// call carries out do as one call of op.
func (m *Meter) call(ctx context.Context, op Op, do func() error) error {
	m.mu.Lock()
	m.usage.Calls[op]++
	m.usage.InFlight++
	depth, epoch := m.usage.Depth+1, m.epoch
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.usage.InFlight--
		if epoch == m.epoch {
			m.usage.Depth = max(m.usage.Depth, depth)
		}
	}()
	if err := sleep(ctx, m.rtt/2); err != nil {
		return err
	}
	err := do()
	if late := sleep(ctx, m.rtt-m.rtt/2); late != nil {
		return late // done or not, the caller will not know
	}
	return err
}

func (m *Meter) count(in, out int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.usage.In += int64(in)
	m.usage.Out += int64(out)
}

// Get implements objstore.Bucket.
func (m *Meter) Get(ctx context.Context, key string) (data []byte, info objstore.Info, err error) {
	err = m.call(ctx, Get, func() error {
		data, info, err = m.b.Get(ctx, key)
		m.count(0, len(data))
		return err
	})
	return data, info, err
}

// GetRange implements objstore.Bucket.
func (m *Meter) GetRange(ctx context.Context, key string, off, n int64) (data []byte, info objstore.Info, err error) {
	err = m.call(ctx, GetRange, func() error {
		data, info, err = m.b.GetRange(ctx, key, off, n)
		m.count(0, len(data))
		return err
	})
	return data, info, err
}

// Open implements objstore.Bucket. What is read of the stream takes no time.
func (m *Meter) Open(ctx context.Context, key string, off int64) (r io.ReadCloser, info objstore.Info, err error) {
	err = m.call(ctx, Open, func() error {
		r, info, err = m.b.Open(ctx, key, off)
		return err
	})
	if err != nil {
		if r != nil {
			r.Close()
		}
		return nil, info, err
	}
	return &meteredStream{r, m}, info, nil
}

type meteredStream struct {
	io.ReadCloser
	m *Meter
}

func (s *meteredStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.m.count(0, n)
	return n, err
}

// Create implements objstore.Bucket.
func (m *Meter) Create(ctx context.Context, key string, body io.ReadSeeker) (info objstore.Info, err error) {
	err = m.call(ctx, Create, func() error {
		info, err = m.b.Create(ctx, key, m.metered(body))
		return err
	})
	return info, err
}

// Put implements objstore.Bucket.
func (m *Meter) Put(ctx context.Context, key string, body io.ReadSeeker) (info objstore.Info, err error) {
	err = m.call(ctx, Put, func() error {
		info, err = m.b.Put(ctx, key, m.metered(body))
		return err
	})
	return info, err
}

func (m *Meter) metered(body io.ReadSeeker) io.ReadSeeker {
	if size, err := body.Seek(0, io.SeekEnd); err == nil {
		m.count(int(size), 0)
	}
	return body // the bucket rewinds it
}

// List implements objstore.Bucket.
func (m *Meter) List(ctx context.Context, prefix, after string, limit int) (infos []objstore.Info, more bool, err error) {
	err = m.call(ctx, List, func() error {
		infos, more, err = m.b.List(ctx, prefix, after, limit)
		return err
	})
	return infos, more, err
}

// Delete implements objstore.Bucket.
func (m *Meter) Delete(ctx context.Context, keys ...string) error {
	return m.call(ctx, Delete, func() error { return m.b.Delete(ctx, keys...) })
}
