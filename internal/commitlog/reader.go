package commitlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/superfly/ltx"
)

// Reader reads a file from its start, one page a call, and verifies it by its
// end. After an error of the underlying reader the same call may be repeated:
// nothing is consumed before it is complete.
type Reader struct {
	Header ltx.Header
	Post   ltx.Checksum // valid after Next returned io.EOF

	r      peeker
	hash   crc
	sum    ltx.Checksum // rolling, of a file that is a whole database
	frames []Frame
	sums   []ltx.Checksum // of the pages, parallel to frames
	off    int64
	tail   []byte // of the end, as far as it was read
	done   bool
}

// peeker is a *bufio.Reader, or bytes that need no buffer.
type peeker interface {
	Peek(n int) ([]byte, error)
	Discard(n int) (int, error)
}

// inMemory is a file that is in memory already: peeking copies nothing.
type inMemory struct{ rest []byte }

func (m *inMemory) Peek(n int) ([]byte, error) {
	if n > len(m.rest) {
		return m.rest, io.EOF
	}
	return m.rest[:n], nil
}

func (m *inMemory) Discard(n int) (int, error) {
	m.rest = m.rest[n:]
	return n, nil
}

// NewReader reads the header. size is the file's length if it is known, for
// the buffer only.
func NewReader(r io.Reader, size int) (*Reader, error) {
	const buffer = 64 << 10 // holds the largest frame of a 4 KiB page fifteen times
	if size <= 0 || size > buffer {
		size = buffer
	}
	return newReader(bufio.NewReaderSize(r, max(size, maxFrame+ltx.TrailerSize)))
}

func newReader(r peeker) (*Reader, error) {
	d := &Reader{r: r, sum: ltx.ChecksumFlag}
	b, err := d.peek(ltx.HeaderSize)
	if err != nil {
		return nil, err
	}
	if err := d.Header.UnmarshalBinary(b); err != nil {
		return nil, corrupt("header: %w", err)
	}
	if err := d.Header.Validate(); err != nil {
		return nil, corrupt("header: %w", err)
	}
	if d.Header.PageSize != PageSize {
		return nil, corrupt("page size %d, want %d", d.Header.PageSize, PageSize)
	}
	if d.Header.NoChecksum() {
		return nil, corrupt("file without checksums")
	}
	// The library's header ignores its last 20 bytes; ours are zero.
	if !bytes.Equal(b[80:], make([]byte, ltx.HeaderSize-80)) {
		return nil, corrupt("header: reserved bytes are not zero")
	}
	d.take(ltx.HeaderSize, b)
	return d, nil
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}

// peek returns the next n bytes without consuming them. The end of the file
// before them is corruption, another error is the reader's.
func (d *Reader) peek(n int) ([]byte, error) {
	b, err := d.r.Peek(n)
	if err == nil {
		return b, nil
	}
	if err == io.EOF { //nolint:errorlint // the end itself: a connection that broke may wrap it
		return nil, corrupt("ends at byte %d", d.off+int64(len(b)))
	}
	return nil, err
}

// take consumes n bytes that were peeked and adds hashed to the checksum.
func (d *Reader) take(n int, hashed []byte) {
	d.hash.add(hashed)
	_, _ = d.r.Discard(n) // cannot fail: they were peeked
	d.off += int64(n)
}

// Pages returns where the pages stand that Next returned, and their checksums.
// They are as the file says once Next returned io.EOF.
func (d *Reader) Pages() ([]Frame, []ltx.Checksum) { return d.frames, d.sums }

// Next reads the next page into data, which has PageSize bytes. io.EOF means
// that the file ended and everything in it was verified.
func (d *Reader) Next(data []byte) (Frame, error) {
	if d.done {
		return Frame{}, io.EOF
	}
	if len(d.tail) > 0 {
		return Frame{}, d.end()
	}
	b, err := d.peek(ltx.PageHeaderSize)
	if err != nil {
		return Frame{}, err
	}
	if bytes.Equal(b, make([]byte, ltx.PageHeaderSize)) {
		return Frame{}, d.end()
	}
	if b, err = d.peek(frameHead); err != nil {
		return Frame{}, err
	}
	n, err := frameSize(b)
	if err != nil {
		return Frame{}, err
	}
	if b, err = d.peek(n); err != nil {
		return Frame{}, err
	}
	pgno, err := DecodeFrame(b, data)
	if err != nil {
		return Frame{}, err
	}
	if err := d.checkOrder(pgno); err != nil {
		return Frame{}, err
	}
	f := Frame{Pgno: pgno, Off: d.off, Size: int64(n)}
	page := advance(0, data) // once for both checksums
	d.hash.add(b[:frameHead])
	d.hash.addPage(page)
	d.take(n, nil)
	sum := sumOf(pgno, page)
	if d.Header.IsSnapshot() {
		d.sum = ltx.ChecksumFlag | (d.sum ^ sum)
	}
	d.frames, d.sums = append(d.frames, f), append(d.sums, sum)
	return f, nil
}

func (d *Reader) checkOrder(pgno uint32) error {
	last := uint32(0)
	if n := len(d.frames); n > 0 {
		last = d.frames[n-1].Pgno
	}
	lock := ltx.LockPgno(PageSize)
	want := last + 1
	if want == lock {
		want++
	}
	switch {
	case pgno > d.Header.Commit, pgno <= last, pgno == lock:
		return corrupt("page %d after %d of %d", pgno, last, d.Header.Commit)
	case d.Header.IsSnapshot() && pgno != want:
		return corrupt("page %d of a whole database is missing", want)
	}
	return nil
}

// end verifies index and trailer; it returns io.EOF when all is well.
func (d *Reader) end() error {
	index := indexBytes(d.frames)
	n := ltx.PageHeaderSize + len(index) + ltx.TrailerSize
	for len(d.tail) < n { // in pieces: an index may be larger than the buffer
		c := min(n-len(d.tail), 4<<10)
		b, err := d.peek(c)
		if err != nil {
			return err
		}
		d.tail = append(d.tail, b...)
		_, _ = d.r.Discard(c) // cannot fail: they were peeked
	}
	if _, err := d.r.Peek(1); err == nil {
		return corrupt("bytes after the end")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	tail := d.tail
	if got := tail[ltx.PageHeaderSize : ltx.PageHeaderSize+len(index)]; !bytes.Equal(got, index) {
		return corrupt("page index does not match the pages")
	}
	d.hash.add(tail[:len(tail)-ltx.ChecksumSize])
	var t ltx.Trailer
	if err := t.UnmarshalBinary(tail[len(tail)-ltx.TrailerSize:]); err != nil {
		return corrupt("trailer: %w", err)
	}
	if err := t.Validate(d.Header); err != nil {
		return corrupt("trailer: %w", err)
	}
	if sum := ltx.ChecksumFlag | ltx.Checksum(d.hash); sum != t.FileChecksum {
		return corrupt("file checksum %s, want %s", sum, t.FileChecksum)
	}
	if d.Header.IsSnapshot() {
		if err := d.checkWhole(t.PostApplyChecksum); err != nil {
			return err
		}
	}
	d.Post, d.done = t.PostApplyChecksum, true
	return io.EOF
}

func (d *Reader) checkWhole(post ltx.Checksum) error {
	last := uint32(0)
	if n := len(d.frames); n > 0 {
		last = d.frames[n-1].Pgno
	}
	lock := ltx.LockPgno(PageSize)
	if last != d.Header.Commit && (d.Header.Commit != lock || last != lock-1) {
		return corrupt("whole database ends at page %d of %d", last, d.Header.Commit)
	}
	if d.sum != post {
		return corrupt("database checksum %s, want %s", d.sum, post)
	}
	return nil
}
