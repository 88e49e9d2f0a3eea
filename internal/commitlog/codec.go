package commitlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"math"

	"github.com/pierrec/lz4/v4"
	"github.com/superfly/ltx"
)

// Page is one page of a database. Data has PageSize bytes and is never changed.
type Page struct {
	Pgno uint32
	Data []byte
}

// Frame says where in a file a page stands.
type Frame struct {
	Pgno uint32
	Off  int64 // of the page header
	Size int64 // page header, size and compressed data
}

// File is one decoded log file.
type File struct {
	Header ltx.Header
	Post   ltx.Checksum // of the database after the file
	Pages  []Page       // by number, ascending
	Frames []Frame      // parallel to Pages
	Raw    []byte       // the bytes it was decoded from
}

// frameHead is the page header and the compressed size before the data.
const frameHead = ltx.PageHeaderSize + 4

// maxFrame bounds a frame: LZ4's worst case for one page.
var maxFrame = frameHead + lz4.CompressBlockBound(PageSize)

// Encode writes a file from pages sorted by number and returns it decoded.
func Encode(h ltx.Header, pages []Page, post ltx.Checksum) (*File, error) {
	var buf bytes.Buffer
	enc, err := ltx.NewEncoder(&buf)
	if err != nil {
		return nil, fmt.Errorf("encode commit %d: %w", h.MaxTXID, err)
	}
	if err := enc.EncodeHeader(h); err != nil {
		return nil, fmt.Errorf("encode commit %d: %w", h.MaxTXID, err)
	}
	f := &File{Header: h, Post: post, Pages: pages, Frames: make([]Frame, len(pages))}
	for i, p := range pages {
		off := enc.N()
		if err := enc.EncodePage(ltx.PageHeader{Pgno: p.Pgno}, p.Data); err != nil {
			return nil, fmt.Errorf("encode page %d of commit %d: %w", p.Pgno, h.MaxTXID, err)
		}
		f.Frames[i] = Frame{Pgno: p.Pgno, Off: off, Size: enc.N() - off}
	}
	enc.SetPostApplyChecksum(post)
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode commit %d: %w", h.MaxTXID, err)
	}
	f.Raw = buf.Bytes()
	return f, nil
}

// Decode reads and verifies a whole file. A bad one is ErrCorrupt.
func Decode(raw []byte) (*File, error) {
	r, err := NewReader(bytes.NewReader(raw), len(raw))
	if err != nil {
		return nil, err
	}
	f := &File{Header: r.Header, Raw: raw}
	for {
		data := make([]byte, PageSize)
		fr, err := r.Next(data)
		if err == io.EOF {
			f.Post, f.Frames = r.Post, r.frames
			return f, nil
		}
		if err != nil {
			return nil, err
		}
		f.Pages = append(f.Pages, Page{fr.Pgno, data})
	}
}

// Reader reads a file from its start, one page a call, and verifies it by its
// end. After an error of the underlying reader the same call may be repeated:
// nothing is consumed before it is complete.
type Reader struct {
	Header ltx.Header
	Post   ltx.Checksum // valid after Next returned io.EOF

	r      *bufio.Reader
	hash   hash.Hash64
	sum    ltx.Checksum // rolling, of a file that is a whole database
	frames []Frame
	off    int64
	tail   []byte // of the end, as far as it was read
	done   bool
}

// NewReader reads the header. size is the file's length if it is known, for
// the buffer only.
func NewReader(r io.Reader, size int) (*Reader, error) {
	const buffer = 64 << 10 // holds the largest frame of a 4 KiB page fifteen times
	if size <= 0 || size > buffer {
		size = buffer
	}
	d := &Reader{r: bufio.NewReaderSize(r, max(size, maxFrame+ltx.TrailerSize)), hash: ltx.NewHasher(), sum: ltx.ChecksumFlag}
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
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, corrupt("ends at byte %d", d.off+int64(len(b)))
	}
	return nil, err
}

// take consumes n bytes that were peeked and adds hashed to the checksum.
func (d *Reader) take(n int, hashed []byte) {
	d.hash.Write(hashed)
	d.r.Discard(n) // cannot fail: they were peeked
	d.off += int64(n)
}

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
	d.hash.Write(b[:frameHead])
	d.take(n, data)
	if d.Header.IsSnapshot() {
		d.sum = ltx.ChecksumFlag | (d.sum ^ ltx.ChecksumPage(pgno, data))
	}
	d.frames = append(d.frames, f)
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
		d.r.Discard(c)
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
	d.hash.Write(tail[:len(tail)-ltx.ChecksumSize])
	var t ltx.Trailer
	if err := t.UnmarshalBinary(tail[len(tail)-ltx.TrailerSize:]); err != nil {
		return corrupt("trailer: %w", err)
	}
	if err := t.Validate(d.Header); err != nil {
		return corrupt("trailer: %w", err)
	}
	if sum := ltx.ChecksumFlag | ltx.Checksum(d.hash.Sum64()); sum != t.FileChecksum {
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

// frameSize reads the length of a whole frame from its first frameHead bytes.
func frameSize(b []byte) (int, error) {
	if flags := binary.BigEndian.Uint16(b[4:]); flags != ltx.PageHeaderFlagSize {
		return 0, corrupt("page flags %#x", flags)
	}
	n := binary.BigEndian.Uint32(b[ltx.PageHeaderSize:])
	if n == 0 || int64(n) > int64(maxFrame-frameHead) {
		return 0, corrupt("compressed page of %d bytes", n)
	}
	return frameHead + int(n), nil
}

// DecodeFrame reads the page of one whole frame into data.
func DecodeFrame(b, data []byte) (pgno uint32, err error) {
	if len(b) < frameHead {
		return 0, corrupt("frame of %d bytes", len(b))
	}
	n, err := frameSize(b)
	if err != nil {
		return 0, err
	}
	if len(b) != n {
		return 0, corrupt("frame of %d bytes, want %d", len(b), n)
	}
	if pgno = binary.BigEndian.Uint32(b); pgno == 0 {
		return 0, corrupt("page number 0")
	}
	m, err := lz4.UncompressBlock(b[frameHead:], data)
	if err != nil || m != PageSize {
		return 0, corrupt("page %d: %d bytes: %v", pgno, m, err)
	}
	return pgno, nil
}

// indexBytes is the page index as it stands in a file: records, end marker, size.
func indexBytes(frames []Frame) []byte {
	b := make([]byte, 0, len(frames)*8+9)
	for _, f := range frames {
		b = binary.AppendUvarint(b, uint64(f.Pgno))
		b = binary.AppendUvarint(b, uint64(f.Off))
		b = binary.AppendUvarint(b, uint64(f.Size))
	}
	b = append(b, 0)
	return binary.BigEndian.AppendUint64(b, uint64(len(b)))
}

// Tail is what the end of a file tells without the rest: it is not verified.
type Tail struct {
	Post   ltx.Checksum
	Frames []Frame
}

// ParseTail reads index and trailer from tail, the last bytes of a file of
// size bytes. need > 0 says that tail must have at least so many bytes.
func ParseTail(tail []byte, size int64) (t Tail, need int64, err error) {
	const fixed = ltx.TrailerSize + 8
	if size < ltx.HeaderSize+ltx.PageHeaderSize+1+fixed || int64(len(tail)) > size {
		return Tail{}, 0, corrupt("file of %d bytes", size)
	}
	if len(tail) < fixed {
		return Tail{}, fixed, nil
	}
	t.Post = ltx.Checksum(binary.BigEndian.Uint64(tail[len(tail)-ltx.TrailerSize:]))
	n := binary.BigEndian.Uint64(tail[len(tail)-fixed:])
	if n == 0 || n > uint64(size-ltx.HeaderSize-fixed) {
		return Tail{}, 0, corrupt("index of %d bytes", n)
	}
	if need = int64(n) + fixed; int64(len(tail)) < need {
		return Tail{}, need, nil
	}
	index := tail[int64(len(tail))-need : len(tail)-fixed]
	end := size - need - ltx.PageHeaderSize // where the frames end
	last, off := uint64(0), int64(ltx.HeaderSize)
	for {
		pgno, n := binary.Uvarint(index)
		if n <= 0 {
			return Tail{}, 0, corrupt("index ends early")
		}
		index = index[n:]
		if pgno == 0 {
			break
		}
		o, n := binary.Uvarint(index)
		s, m := binary.Uvarint(index[max(n, 0):])
		if n <= 0 || m <= 0 || pgno <= last || pgno > math.MaxUint32 || o != uint64(off) || s <= frameHead || s > uint64(maxFrame) {
			return Tail{}, 0, corrupt("index entry of page %d", pgno)
		}
		index = index[n+m:]
		t.Frames = append(t.Frames, Frame{Pgno: uint32(pgno), Off: int64(o), Size: int64(s)})
		last, off = pgno, off+int64(s)
	}
	if len(index) != 0 || off != end {
		return Tail{}, 0, corrupt("index ends at %d, frames at %d", off, end)
	}
	return t, 0, nil
}

// ParseHeader reads the header of a file of this package from its first bytes.
func ParseHeader(b []byte) (ltx.Header, error) {
	var h ltx.Header
	if len(b) < ltx.HeaderSize {
		return h, corrupt("header of %d bytes", len(b))
	}
	if err := h.UnmarshalBinary(b); err != nil {
		return h, corrupt("header: %w", err)
	}
	if err := h.Validate(); err != nil {
		return h, corrupt("header: %w", err)
	}
	return h, nil
}

// sealMagic in the header's WAL offset marks a seal: "LSEAL". No tool reads
// the WAL fields of a file that it restores (facts/storage.md §1).
const sealMagic = 0x4c5345414c

// Seal is the last commit of a lineage. It has no pages.
type Seal struct {
	Deleted   bool
	Successor Lineage // random and unused if Deleted
}

func (s Seal) String() string {
	if s.Deleted {
		return "deletion"
	}
	return "successor " + string(s.Successor)
}

// header writes s into h: the 128 bits of the successor are salt 1, salt 2 and node.
func (s Seal) header(h ltx.Header) (ltx.Header, error) {
	id, err := hex.DecodeString(string(s.Successor))
	if err != nil || len(id) != 16 {
		return h, fmt.Errorf("seal: successor %q: want 32 hex digits", s.Successor)
	}
	h.WALOffset, h.WALSize = sealMagic, 1
	if s.Deleted {
		h.WALSize = 2
	}
	h.WALSalt1, h.WALSalt2 = binary.BigEndian.Uint32(id), binary.BigEndian.Uint32(id[4:])
	h.NodeID = binary.BigEndian.Uint64(id[8:])
	return h, nil
}

// sealOf reports whether h is a seal.
func sealOf(h ltx.Header) (Seal, bool) {
	if h.WALOffset != sealMagic {
		return Seal{}, false
	}
	var id [16]byte
	binary.BigEndian.PutUint32(id[:], h.WALSalt1)
	binary.BigEndian.PutUint32(id[4:], h.WALSalt2)
	binary.BigEndian.PutUint64(id[8:], h.NodeID)
	return Seal{Deleted: h.WALSize == 2, Successor: Lineage(hex.EncodeToString(id[:]))}, true
}

// ChecksumPage is a page's share in the rolling checksum. It is ltx's, without
// its allocations.
func ChecksumPage(p Page) ltx.Checksum {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], p.Pgno)
	table := crc64.MakeTable(crc64.ISO) // cached by the standard library
	return ltx.ChecksumFlag | ltx.Checksum(crc64.Update(crc64.Update(0, table, n[:]), table, p.Data))
}

// XorChecksum takes a page into a rolling checksum, or out of it.
func XorChecksum(sum ltx.Checksum, p Page) ltx.Checksum {
	return ltx.ChecksumFlag | (sum ^ ChecksumPage(p))
}
