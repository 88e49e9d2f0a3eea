package lexical

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// ErrCorrupt is wrapped by every error about the bytes of a segment.
var ErrCorrupt = errors.New("lexical segment is corrupt")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// Source reads n bytes of a segment at off. It may return more than n bytes'
// capacity but exactly n bytes, which nobody changes afterwards.
type Source func(ctx context.Context, off, n int64) ([]byte, error)

// Segment is an open segment. It holds its directory and its chunk lengths in
// memory, and what queries have read so far; Trim drops the latter. It is safe
// for concurrent use.
type Segment struct {
	foot   footer
	src    Source
	index  []byte
	firsts []span  // of index: the first term of each block
	starts []int64 // of each block in the segment, and where the last one ends
	ids    []kb.ChunkID
	lens   []uint32
	whole  bool // the segment is one verified slice: nothing to cache
	fixed  int64
	size   int64

	norms atomic.Pointer[norms]

	mu    sync.RWMutex
	parts map[int64][]byte // verified blocks and long lists, by place
	held  atomic.Int64
}

type span struct{ start, end uint32 }

// OpenBytes opens a segment that is in memory. It keeps blob.
func OpenBytes(blob []byte) (*Segment, error) {
	s, err := Open(context.Background(), int64(len(blob)), func(_ context.Context, off, n int64) ([]byte, error) {
		return blob[off : off+n], nil
	})
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(blob[:len(blob)-footerBytes], castagnoli) != s.foot.crcAll {
		return nil, corrupt("checksum of the whole")
	}
	s.whole = true
	s.fixed += int64(len(blob))
	return s, nil
}

// Open reads the footer, the directory and the chunk lengths of a segment of
// size bytes in two reads; queries read the rest as they need
// it. Errors of src are passed on; a segment that cannot be read is ErrCorrupt.
func Open(ctx context.Context, size int64, src Source) (*Segment, error) {
	s := &Segment{src: src, size: size}
	if size < footerBytes+int64(len(magic)) {
		return nil, corrupt("%d bytes", size)
	}
	b, err := s.read(ctx, size-footerBytes, footerBytes)
	if err != nil {
		return nil, err
	}
	if err := s.foot.parse(b, size-footerBytes); err != nil {
		return nil, err
	}
	from := int64(s.foot.atIndex)
	if b, err = s.read(ctx, from, size-footerBytes-from); err != nil {
		return nil, err
	}
	cut := int64(s.foot.atDocs) - from
	if s.index, err = verified(b[:cut]); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	docs, err := verified(b[cut:])
	if err != nil {
		return nil, fmt.Errorf("chunks: %w", err)
	}
	if err := s.parseIndex(); err != nil {
		return nil, err
	}
	if err := s.parseDocs(docs); err != nil {
		return nil, err
	}
	s.fixed = int64(len(s.index) + 16*len(s.firsts) + 20*len(s.ids)) // ids, lengths and norms
	return s, nil
}

func (f *footer) parse(b []byte, end int64) error {
	le := binary.LittleEndian
	body, err := verified(b)
	if err != nil {
		return fmt.Errorf("footer: %w", err)
	}
	if v := string(body[52:56]); v != magic[4:] && v != magicBefore[4:] {
		return corrupt("written by another version: % x", body[52:56])
	}
	f.docs, f.terms, f.blocks, f.longest = le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:]), le.Uint32(b[12:])
	f.tokens, f.atBlocks, f.atIndex, f.atDocs = le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:]), le.Uint64(b[40:])
	f.crcAll = le.Uint32(b[48:])
	ok := f.atBlocks >= uint64(len(magic)) && f.atBlocks <= f.atIndex && f.atIndex <= f.atDocs && f.atDocs-f.atIndex >= 4 && f.atDocs <= uint64(end) && uint64(end)-f.atDocs >= 4
	if !ok {
		return corrupt("sections overlap")
	}
	return nil
}

// verified returns b without its trailing checksum if that is right.
func verified(b []byte) ([]byte, error) {
	n := len(b) - 4
	if n < 0 || crc32.Checksum(b[:n], castagnoli) != binary.LittleEndian.Uint32(b[n:]) {
		return nil, corrupt("checksum of %d bytes", len(b))
	}
	return b[:n], nil
}

func (s *Segment) read(ctx context.Context, off, n int64) ([]byte, error) {
	b, err := s.src(ctx, off, n)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != n {
		return nil, corrupt("read %d of %d bytes at %d", len(b), n, off)
	}
	return b, nil
}

func (s *Segment) parseIndex() error {
	d := decoder{b: s.index}
	n := min(int(s.foot.blocks), len(s.index)/3) // an entry has 3 bytes at least
	s.firsts, s.starts = make([]span, 0, n), make([]int64, 0, n+1)
	at := int64(s.foot.atBlocks)
	for !d.done() {
		term := d.bytes()
		size := d.uint(math.MaxInt32)
		if d.bad || len(term) == 0 || size <= 4 {
			return corrupt("directory entry %d", len(s.firsts))
		}
		end := uint32(len(s.index) - len(d.b) - uvarintLen(size))
		s.firsts = append(s.firsts, span{end - uint32(len(term)), end})
		s.starts = append(s.starts, at)
		at += int64(size)
	}
	s.starts = append(s.starts, at)
	if at != int64(s.foot.atIndex) || len(s.firsts) != int(s.foot.blocks) {
		return corrupt("directory covers %d of %d bytes", at, s.foot.atIndex)
	}
	return nil
}

func (s *Segment) parseDocs(b []byte) error {
	if uint64(s.foot.docs) > uint64(len(b)/2) {
		return corrupt("%d chunks in %d bytes", s.foot.docs, len(b))
	}
	s.ids, s.lens = make([]kb.ChunkID, s.foot.docs), make([]uint32, s.foot.docs)
	d := decoder{b: b}
	prev, tokens := kb.ChunkID(0), uint64(0)
	for i := range s.ids {
		prev += kb.ChunkID(d.int())
		s.ids[i] = prev
		s.lens[i] = uint32(d.uint(math.MaxUint32))
		tokens += uint64(s.lens[i])
		if d.bad || i > 0 && s.ids[i] <= s.ids[i-1] {
			return corrupt("chunk %d", i)
		}
	}
	if !d.done() || tokens != s.foot.tokens {
		return corrupt("%d bytes after the chunks, %d tokens of %d", len(d.b), tokens, s.foot.tokens)
	}
	return nil
}

// Len returns the number of chunks, dead ones included.
func (s *Segment) Len() int { return len(s.ids) }

// IDs returns the ids of the chunks, ascending. The caller does not change them.
func (s *Segment) IDs() []kb.ChunkID { return s.ids }

// Memory returns how many bytes the segment holds.
func (s *Segment) Memory() int64 { return s.fixed + s.held.Load() }

// Trim forgets what queries have read, so that Memory is small again.
func (s *Segment) Trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = nil
	s.held.Store(0)
}

// part returns n verified bytes at off without their checksum.
func (s *Segment) part(ctx context.Context, off, n int64) ([]byte, error) {
	if s.whole {
		b, err := s.read(ctx, off, n)
		if err != nil {
			return nil, err
		}
		return b[:n-4], nil
	}
	s.mu.RLock()
	b, ok := s.parts[off]
	s.mu.RUnlock()
	if ok && int64(len(b)) == n-4 {
		return b, nil
	}
	raw, err := s.read(ctx, off, n)
	if err != nil {
		return nil, err
	}
	if b, err = verified(raw); err != nil {
		return nil, fmt.Errorf("at %d: %w", off, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts == nil {
		s.parts = map[int64][]byte{}
	}
	if _, ok := s.parts[off]; !ok {
		s.parts[off] = b
		s.held.Add(n + 48) // and the map entry
	}
	return b, nil
}

// entry is what the dictionary knows of a term.
type entry struct {
	df      uint32
	payload []byte // nil when it is long
	off, n  int64  // of the long list, checksum included
}

// lookup finds a term; a df of 0 means it is not there.
func (s *Segment) lookup(ctx context.Context, term string) (entry, error) {
	i := sort.Search(len(s.firsts), func(i int) bool {
		return string(s.index[s.firsts[i].start:s.firsts[i].end]) > term
	}) - 1
	if i < 0 {
		return entry{}, nil
	}
	b, err := s.part(ctx, s.starts[i], s.starts[i+1]-s.starts[i])
	if err != nil {
		return entry{}, err
	}
	c := cursor{seg: s, d: decoder{b: b}}
	same := 0 // how many bytes term begins with that the entry does, too
	for {
		shared, rest, ok := c.read()
		switch {
		case !ok && c.d.bad:
			return entry{}, corrupt("dictionary block %d", i)
		case !ok || shared < same: // behind where term would stand
			return entry{}, nil
		case shared > same: // before it, as the entry before
			continue
		}
		n := 0
		for n < len(rest) && same+n < len(term) && rest[n] == term[same+n] {
			n++
		}
		same += n
		switch {
		case n == len(rest) && same == len(term):
			return c.entry, nil
		case n < len(rest) && (same == len(term) || rest[n] > term[same]):
			return entry{}, nil
		}
	}
}

// list returns the payload of e.
func (s *Segment) list(ctx context.Context, e entry) ([]byte, error) {
	if e.payload != nil || e.df == 0 {
		return e.payload, nil
	}
	return s.part(ctx, e.off, e.n)
}

// cursor walks the entries of one dictionary block.
type cursor struct {
	seg  *Segment
	d    decoder
	buf  [maxWordBytes + 16]byte
	term []byte // of the entry, by next
	size int    // its length
	at   int64
	entry
}

// next decodes the next entry and reports whether there was one.
func (c *cursor) next() bool {
	shared, rest, ok := c.read()
	if ok {
		c.term = append(append(c.buf[:0], c.term[:shared]...), rest...)
	}
	return ok
}

// read decodes the next entry but for its term: the bytes it shares with the
// one before and the rest of it.
func (c *cursor) read() (shared int, rest []byte, ok bool) {
	if c.d.done() || c.d.bad {
		return 0, nil, false
	}
	shared = int(c.d.uint(uint64(c.size)))
	rest = c.d.bytes()
	c.size = shared + len(rest)
	c.df = uint32(c.d.uint(uint64(c.seg.foot.docs)))
	size := c.d.uint(math.MaxInt32)
	if c.d.bad || c.df == 0 {
		c.d.bad = true
		return 0, nil, false
	}
	c.payload, c.off, c.n = nil, 0, 0
	if size&1 == 0 {
		c.payload = c.d.take(int(size >> 1))
	} else {
		c.at += int64(c.d.uint(math.MaxInt32))
		c.off, c.n = c.at, int64(size>>1)+4
		if c.off+c.n > int64(c.seg.foot.atBlocks) {
			c.d.bad = true
		}
	}
	return shared, rest, !c.d.bad
}

// decoder reads varints and strings from b; bad says that b was not what it
// should be, after which everything read is zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) done() bool { return len(d.b) == 0 }

func (d *decoder) uint(limit uint64) uint64 {
	if len(d.b) > 0 && uint64(d.b[0]) <= min(limit, 0x7F) { // most are
		v := d.b[0]
		d.b = d.b[1:]
		return uint64(v)
	}
	return d.long(limit)
}

func (d *decoder) long(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) bytes() []byte { return d.take(int(d.uint(math.MaxInt32))) }

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// ordinal returns the place of a chunk in the segment.
func (s *Segment) ordinal(id kb.ChunkID) (uint32, bool) {
	i, ok := slices.BinarySearch(s.ids, id)
	return uint32(i), ok
}
