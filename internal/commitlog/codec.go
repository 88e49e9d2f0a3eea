package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
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

// File is one log file, verified. Its pages stay compressed: DecodeFrame reads
// one from Raw.
type File struct {
	Header ltx.Header
	Post   ltx.Checksum   // of the database after the file
	Frames []Frame        // by page number, ascending
	Sums   []ltx.Checksum // of the pages, parallel to Frames
	Raw    []byte         // all of its bytes
}

// frameHead is the page header and the compressed size before the data.
const frameHead = ltx.PageHeaderSize + 4

// maxFrame bounds a frame: LZ4's worst case for one page.
var maxFrame = frameHead + lz4.CompressBlockBound(PageSize)

// Encode writes a file from pages sorted by number.
func Encode(h ltx.Header, pages []Page, post ltx.Checksum) (*File, error) {
	var buf bytes.Buffer
	enc, err := ltx.NewEncoder(&buf)
	if err != nil {
		return nil, fmt.Errorf("encode commit %d: %w", h.MaxTXID, err)
	}
	if err := enc.EncodeHeader(h); err != nil {
		return nil, fmt.Errorf("encode commit %d: %w", h.MaxTXID, err)
	}
	f := &File{Header: h, Post: post, Frames: make([]Frame, len(pages)), Sums: make([]ltx.Checksum, len(pages))}
	for i, p := range pages {
		off := enc.N()
		if err := enc.EncodePage(ltx.PageHeader{Pgno: p.Pgno}, p.Data); err != nil {
			return nil, fmt.Errorf("encode page %d of commit %d: %w", p.Pgno, h.MaxTXID, err)
		}
		f.Frames[i] = Frame{Pgno: p.Pgno, Off: off, Size: enc.N() - off}
		f.Sums[i] = ChecksumPage(p)
	}
	enc.SetPostApplyChecksum(post)
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("encode commit %d: %w", h.MaxTXID, err)
	}
	f.Raw = bytes.Clone(buf.Bytes()) // the buffer has up to twice the room, and readers keep this
	return f, nil
}

// Decode verifies a whole file, which it keeps. A bad one is ErrCorrupt. Every
// page passes through one buffer: of a database that is opened for one question
// few are needed, and memory that is touched for the first time costs more than
// decompressing.
func Decode(raw []byte) (*File, error) {
	r, err := newReader(&inMemory{raw})
	if err != nil {
		return nil, err
	}
	const usual = 1 << 10 // bytes of a frame, for the room only
	r.frames, r.sums = make([]Frame, 0, 8+len(raw)/usual), make([]ltx.Checksum, 0, 8+len(raw)/usual)
	var page [PageSize]byte
	for {
		_, err := r.Next(page[:])
		if errors.Is(err, io.EOF) {
			return &File{Header: r.Header, Post: r.Post, Frames: r.frames, Sums: r.sums, Raw: raw}, nil
		}
		if err != nil {
			return nil, err
		}
	}
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

// usualEntry is how many bytes a page has in the index of a file of some
// megabytes: for the room only.
const usualEntry = 7

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
	t.Frames = make([]Frame, 0, len(index)/usualEntry+8)
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

// ChecksumPage is a page's share in the rolling checksum. It is ltx's, faster.
func ChecksumPage(p Page) ltx.Checksum {
	return sumOf(p.Pgno, advance(0, p.Data))
}

// sumOf is ChecksumPage of a page whose data's advance from 0 is known.
func sumOf(pgno uint32, data uint64) ltx.Checksum {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], pgno)
	var c crc
	c.add(n[:])
	c.addPage(data)
	return ltx.ChecksumFlag | ltx.Checksum(c)
}

// XorChecksum takes a page into a rolling checksum, or out of it.
func XorChecksum(sum ltx.Checksum, p Page) ltx.Checksum {
	return ltx.ChecksumFlag | (sum ^ ChecksumPage(p))
}
