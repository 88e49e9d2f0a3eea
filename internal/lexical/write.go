package lexical

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// The layout of a segment; every number is little-endian, every varint as in
// encoding/binary, every checksum CRC-32C.
//
//	magic
//	postings  long posting lists, each: payload, checksum
//	blocks    dictionary blocks of blockTerms terms in byte order, each: entries, checksum
//	index     per block: length of its first term, the term, length of the block; checksum
//	docs      per chunk, ascending ids: id delta, length in tokens; checksum
//	footer    see footer; its last field is the checksum of the footer
//
// An entry: bytes shared with the previous term, length of the rest, the rest,
// document frequency, 2*length of the payload (+1 if it stands in postings),
// then the payload itself or the distance of its place from the previous one.
//
// A payload is one of
//
//	list   first byte 0: per chunk 2*ordinals skipped, +1 if the frequency is
//	       above 1, then frequency−2
//	array  first byte 1: four bits per chunk of the segment, the frequency
//	       capped at 15; used where there is none above 15, and where the
//	       others would be longer
//	lists  first byte 2: the length of the first of two lists; the first, of
//	       the chunks with frequency 1: ordinals skipped; the second, of the
//	       others: ordinals skipped, frequency−2. A processor adds them up
//	       much faster than a list, where it has to guess which comes next.
const (
	magic       = "eqlex\x00\x00\x02" // the last byte is the version
	magicBefore = "eqlex\x00\x00\x01" // the same without payloads of two lists
	blockTerms  = 48                  // by hand: smaller means a larger directory in memory, larger more to scan
	inlineBytes = 20                  // payloads up to this are in the dictionary: one read less
	listMost    = 8                   // chunks in a list; lists are as short from there on
	footerBytes = 64

	payloadList  = 0
	payloadArray = 1
	payloadLists = 2
	maxArrayTF   = 15

	// arrayShare: an array, which is added up much faster, may take so many times
	// the bytes of the list. At 70,000 Chinese chunks the index is .66, .68,
	// .72, .78 of the text with 1, 2, 3, 4; at 5,000 it is .95 with 3, 1.01 with 4.
	arrayShare = 3
)

type posting struct{ doc, tf uint32 }

// footer is the fixed end of a segment.
type footer struct {
	docs, terms, blocks       uint32
	longest                   uint32 // bytes of the largest dictionary block
	tokens                    uint64 // sum of chunk lengths
	atBlocks, atIndex, atDocs uint64
	crcAll                    uint32 // of everything before the footer
}

func (f footer) append(b []byte) []byte {
	from := len(b)
	le := binary.LittleEndian
	b = le.AppendUint32(b, f.docs)
	b = le.AppendUint32(b, f.terms)
	b = le.AppendUint32(b, f.blocks)
	b = le.AppendUint32(b, f.longest)
	b = le.AppendUint64(b, f.tokens)
	b = le.AppendUint64(b, f.atBlocks)
	b = le.AppendUint64(b, f.atIndex)
	b = le.AppendUint64(b, f.atDocs)
	b = le.AppendUint32(b, f.crcAll)
	b = append(b, magic[4:]...)
	b = le.AppendUint32(b, 0)
	return appendCRC(b, from)
}

// writer encodes terms, given in byte order, behind the chunks they are in.
type writer struct {
	docs    []doc
	out     []byte // magic and postings
	blocks  []byte
	index   []byte
	foot    footer
	inBlock int
	from    int // where the open block begins in blocks
	prev    []byte
	first   []byte
	at      int // of the previous long list
	buf     []byte
	ones    []byte
	array   []byte
}

func newWriter(docs []doc) (*writer, error) {
	w := &writer{docs: docs, out: []byte(magic)}
	last := kb.ChunkID(math.MinInt64)
	for i, d := range docs {
		if i > 0 && d.id <= last {
			return nil, fmt.Errorf("build segment: chunk %d is there twice", d.id)
		}
		last = d.id
		w.foot.tokens += uint64(d.len)
	}
	w.foot.docs = uint32(len(docs))
	return w, nil
}

// add appends one term and its postings in order of ordinals, at least one.
func (w *writer) add(term []byte, list []posting) {
	if len(list) == 0 {
		return
	}
	if w.inBlock == 0 {
		w.from, w.at = len(w.blocks), 0
		w.prev = w.prev[:0]
		w.first = append(w.first[:0], term...)
	}
	shared := 0
	for shared < min(len(term), len(w.prev)) && term[shared] == w.prev[shared] {
		shared++
	}
	payload := w.payload(list)
	b := binary.AppendUvarint(w.blocks, uint64(shared))
	b = binary.AppendUvarint(b, uint64(len(term)-shared))
	b = append(b, term[shared:]...)
	b = binary.AppendUvarint(b, uint64(len(list)))
	if len(payload) <= inlineBytes {
		b = binary.AppendUvarint(b, uint64(len(payload))<<1)
		b = append(b, payload...)
	} else {
		b = binary.AppendUvarint(b, uint64(len(payload))<<1|1)
		b = binary.AppendUvarint(b, uint64(len(w.out)-w.at))
		w.at = len(w.out)
		w.out = append(w.out, payload...)
		w.out = appendCRC(w.out, w.at)
	}
	w.blocks = b
	w.prev = append(w.prev[:0], term...)
	w.foot.terms++
	if w.inBlock++; w.inBlock == blockTerms {
		w.endBlock()
	}
}

// payload encodes list as an array if that is short enough.
func (w *writer) payload(list []posting) []byte {
	b, most := w.buf[:0], uint32(0)
	for _, p := range list {
		most = max(most, p.tf)
	}
	if len(list) <= listMost {
		b = appendList(append(b, payloadList), list)
	} else {
		w.ones = appendOnes(w.ones[:0], list)
		b = binary.AppendUvarint(append(b, payloadLists), uint64(len(w.ones)))
		b = appendMore(append(b, w.ones...), list)
	}
	w.buf = b
	size := 1 + (len(w.docs)+1)/2
	if len(b) <= size && (most > maxArrayTF || arrayShare*len(b) <= size) {
		return b
	}
	if w.array == nil {
		w.array = make([]byte, size)
	}
	clear(w.array)
	w.array[0] = payloadArray
	for _, p := range list {
		w.array[1+p.doc/2] |= byte(min(p.tf, maxArrayTF)) << (4 * (p.doc & 1))
	}
	return w.array
}

func appendList(b []byte, list []posting) []byte {
	next := uint32(0) // the lowest ordinal that may follow
	for _, p := range list {
		delta := uint64(p.doc - next)
		next = p.doc + 1
		if p.tf > 1 {
			b = binary.AppendUvarint(b, delta<<1|1)
			b = binary.AppendUvarint(b, uint64(p.tf-2))
		} else {
			b = binary.AppendUvarint(b, delta<<1)
		}
	}
	return b
}

// appendOnes appends the first of two lists.
func appendOnes(b []byte, list []posting) []byte {
	next := uint32(0)
	for _, p := range list {
		if p.tf == 1 {
			b = binary.AppendUvarint(b, uint64(p.doc-next))
			next = p.doc + 1
		}
	}
	return b
}

// appendMore appends the second of two lists.
func appendMore(b []byte, list []posting) []byte {
	next := uint32(0)
	for _, p := range list {
		if p.tf > 1 {
			b = binary.AppendUvarint(b, uint64(p.doc-next))
			b = binary.AppendUvarint(b, uint64(p.tf-2))
			next = p.doc + 1
		}
	}
	return b
}

func (w *writer) endBlock() {
	w.blocks = appendCRC(w.blocks, w.from)
	n := len(w.blocks) - w.from
	w.index = binary.AppendUvarint(w.index, uint64(len(w.first)))
	w.index = append(w.index, w.first...)
	w.index = binary.AppendUvarint(w.index, uint64(n))
	w.foot.longest = max(w.foot.longest, uint32(n))
	w.foot.blocks++
	w.inBlock = 0
}

func (w *writer) finish() []byte {
	if w.inBlock > 0 {
		w.endBlock()
	}
	w.foot.atBlocks = uint64(len(w.out))
	b := append(w.out, w.blocks...) //nolint:gocritic // the writer is finished: nobody appends again
	w.foot.atIndex = uint64(len(b))
	b = appendCRC(append(b, w.index...), len(b))
	at := len(b)
	w.foot.atDocs = uint64(at)
	prev := kb.ChunkID(0)
	for _, d := range w.docs {
		b = binary.AppendVarint(b, int64(d.id-prev))
		b = binary.AppendUvarint(b, uint64(d.len))
		prev = d.id
	}
	b = appendCRC(b, at)
	w.foot.crcAll = crc32.Checksum(b, castagnoli)
	return slices.Clip(w.foot.append(b))
}
