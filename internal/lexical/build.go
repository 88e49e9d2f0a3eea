// Package lexical is the inverted index: it analyses text (words, Han pairs,
// identifiers), builds immutable segments of it, and finds the best chunks by
// BM25 exactly, reading only what a query needs. It does no I/O of its own and
// knows nothing of where segments are kept.
package lexical

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// titleWeight is how often a token of the title or the heading path counts
// beside one of the body. At 2 nDCG@10 is .004 lower on SciFact and .0005 higher
// on CMRC and DRCD.
const titleWeight = 1

// maxTF caps a term's frequency in a chunk; BM25 is within 2 % of its limit there.
const maxTF = 255

// Build returns the segment of chunks. Ids must be distinct; their order does
// not matter.
func Build(chunks iter.Seq[kb.Chunk]) ([]byte, error) {
	var b Builder
	for c := range chunks {
		b.Add(c)
	}
	return b.Segment()
}

// Builder collects chunks for one segment in memory, several times the size
// of their text. The zero Builder is empty and ready. It is not safe for
// concurrent use.
type Builder struct {
	docs   []doc
	pairs  pairTable         // Han unigrams and bigrams → term
	raw    map[string]uint32 // words as they stand → term, noTerm for a stop word
	words  map[string]uint32 // words as indexed → term
	terms  uint32
	tf     []uint8  // by term: frequency in the chunk being added
	seen   []uint32 // terms of the chunk being added
	length uint32
	weight uint8

	post   []uint32 // terms of every chunk, chunk after chunk
	postTF []uint8
	ends   []int // by chunk: where its terms end in post
}

type doc struct {
	id  kb.ChunkID
	len uint32 // in tokens of title, heading and text
}

const noTerm = ^uint32(0)

// Len returns how many chunks were added.
func (b *Builder) Len() int { return len(b.docs) }

// Add indexes one chunk: title and heading path in one field, prefix and text
// in the other.
func (b *Builder) Add(c kb.Chunk) {
	if b.raw == nil {
		b.raw, b.words = map[string]uint32{}, map[string]uint32{}
	}
	b.length, b.seen = 0, b.seen[:0]
	b.weight = titleWeight
	scan(c.Title, b)
	scan(c.Heading, b)
	b.weight = 1
	scan(c.Prefix, b)
	scan(c.Text, b)
	for _, t := range b.seen {
		b.post = append(b.post, t)
		b.postTF = append(b.postTF, b.tf[t])
		b.tf[t] = 0
	}
	b.ends = append(b.ends, len(b.post))
	b.docs = append(b.docs, doc{c.ID, b.length})
}

func (b *Builder) han(r, prev rune, _, _, _ int) {
	b.count(b.pairs.term(uint64(r)<<32, b.newTerm))
	if prev != 0 {
		b.count(b.pairs.term(uint64(prev)<<32|uint64(r), b.newTerm))
	}
}

func (b *Builder) word(raw string, _, _ int) {
	t, ok := b.raw[raw]
	if !ok {
		t = noTerm
		if w := normWord(raw); w != "" {
			if t, ok = b.words[w]; !ok {
				t = b.newTerm()
				b.words[w] = t
			}
		}
		if len(raw) <= maxWordBytes {
			b.raw[raw] = t
		}
	}
	if t != noTerm {
		b.count(t)
	}
}

func (b *Builder) newTerm() uint32 {
	b.tf = append(b.tf, 0)
	b.terms++
	return b.terms - 1
}

func (b *Builder) count(t uint32) {
	b.length++
	n := b.tf[t]
	if n == 0 {
		b.seen = append(b.seen, t)
	}
	b.tf[t] = n + min(b.weight, maxTF-n)
}

// Segment returns the segment of what was added. The Builder can go on.
func (b *Builder) Segment() ([]byte, error) {
	// Chunks in the order of their ids, so that a chunk is found by its id.
	order := make([]uint32, len(b.docs)) // ordinal → place in b.docs
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return cmp.Compare(b.docs[x].id, b.docs[y].id) })

	// A counting sort turns chunk → terms into term → chunks.
	starts := make([]uint32, b.terms+1)
	for _, t := range b.post {
		starts[t+1]++
	}
	for t := range b.terms {
		starts[t+1] += starts[t]
	}
	list := make([]posting, len(b.post))
	fill := slices.Clone(starts)
	docs := make([]doc, len(order))
	for ord, at := range order {
		docs[ord] = b.docs[at]
		from := 0
		if at > 0 {
			from = b.ends[at-1]
		}
		for i := from; i < b.ends[at]; i++ {
			t := b.post[i]
			list[fill[t]] = posting{uint32(ord), uint32(b.postTF[i])}
			fill[t]++
		}
	}
	w, err := newWriter(docs)
	if err != nil {
		return nil, err
	}
	for term, t := range b.sortedTerms() {
		w.add(term, list[starts[t]:starts[t+1]])
	}
	return w.finish(), nil
}

// sortedTerms yields every term in byte order. The term is valid until the next.
func (b *Builder) sortedTerms() iter.Seq2[[]byte, uint32] {
	words := make([]string, 0, len(b.words))
	for w := range b.words {
		words = append(words, w)
	}
	slices.Sort(words)
	pairs := b.pairs.sorted() // UTF-8 sorts like the runes
	return func(yield func([]byte, uint32) bool) {
		var buf, word []byte
		for _, p := range pairs {
			buf = appendPair(buf[:0], p.key)
			for len(words) > 0 {
				word = append(word[:0], words[0]...)
				if bytes.Compare(word, buf) >= 0 {
					break
				}
				if !yield(word, b.words[words[0]]) {
					return
				}
				words = words[1:]
			}
			if !yield(buf, p.term) {
				return
			}
		}
		for _, s := range words {
			if !yield(append(word[:0], s...), b.words[s]) {
				return
			}
		}
	}
}

func appendPair(b []byte, key uint64) []byte {
	b = utf8.AppendRune(b, rune(key>>32))
	if r := rune(key & 0xFFFFFFFF); r != 0 {
		b = utf8.AppendRune(b, r)
	}
	return b
}

// pairTable is an open-addressing hash table from rune pairs to terms: the
// builder looks up two of them per Chinese character, and a Go map would take
// most of its time.
type pairTable struct {
	slots []pairTerm // key 0 = free; a power of two of them
	n     int
}

type pairTerm struct {
	key  uint64
	term uint32
}

func (p *pairTable) term(key uint64, add func() uint32) uint32 {
	if p.n*2 >= len(p.slots) {
		p.grow()
	}
	s := p.slot(key)
	if s.key == 0 {
		*s = pairTerm{key, add()}
		p.n++
	}
	return s.term
}

func (p *pairTable) slot(key uint64) *pairTerm {
	mask := uint64(len(p.slots) - 1)
	h := key * 0x9E3779B97F4A7C15 // Fibonacci hashing, Knuth TAOCP 3 §6.4
	for i := (h >> 32) & mask; ; i = (i + 1) & mask {
		if s := &p.slots[i]; s.key == key || s.key == 0 {
			return s
		}
	}
}

func (p *pairTable) grow() {
	old := p.slots
	p.slots = make([]pairTerm, max(1<<6, 2*len(old)))
	for _, s := range old {
		if s.key != 0 {
			*p.slot(s.key) = s
		}
	}
}

func (p *pairTable) sorted() []pairTerm {
	out := make([]pairTerm, 0, p.n)
	for _, s := range p.slots {
		if s.key != 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b pairTerm) int {
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return out
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendCRC(b []byte, from int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[from:], castagnoli))
}
