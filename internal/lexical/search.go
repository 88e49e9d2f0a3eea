package lexical

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"sync"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// BM25 parameters: those FTS5 has fixed; the best of twelve settings chosen on
// the test sets themselves gains at most .004 on SciFact, .001 on CMRC.
const (
	k1      = 1.2
	lengthB = 0.75
)

// Index is a set of segments searched as one: document frequencies and average
// length are those of all of them together. The zero Index is empty.
type Index struct {
	Segments []*Segment
	// Dead reports chunks that are in a segment but no longer live; nil means
	// none. They never surface, though they count in the statistics until a
	// merge drops them.
	Dead func(kb.ChunkID) bool
}

// Hit is a chunk that matches.
type Hit struct {
	ID    kb.ChunkID
	Score float32 // BM25, > 0
}

// Result is what a search found.
type Result struct {
	Hits  []Hit      // best first, equal scores by id
	Terms []TermStat // of the terms searched for, in the order of the query
	Docs  int        // chunks in the index, dead ones included
}

// TermStat is what the index knows of a term.
type TermStat struct {
	Term
	DF  int     // chunks that have it
	IDF float32 // > 0, also for a term in no chunk
}

// Search returns the k best chunks for q, exactly as scoring every chunk would.
func (ix Index) Search(ctx context.Context, q Query, k int) (Result, error) {
	p, err := ix.plan(ctx, q)
	if err != nil {
		return Result{}, err
	}
	top := topK{k: k, dead: ix.Dead}
	for i, s := range ix.Segments {
		if err := ctx.Err(); err != nil {
			return Result{}, err
		}
		if err := s.score(ctx, p, i, &top); err != nil {
			return Result{}, err
		}
	}
	return Result{Hits: top.sorted(), Terms: p.terms, Docs: p.docs}, nil
}

// plan is a query with the statistics of all segments.
type plan struct {
	terms   []TermStat
	entries [][]entry // by segment, by term
	docs    int
	avg     float64 // tokens per chunk
}

func (ix Index) plan(ctx context.Context, q Query) (plan, error) {
	p := plan{terms: make([]TermStat, len(q.Terms)), entries: make([][]entry, len(ix.Segments))}
	var tokens uint64
	for i, t := range q.Terms {
		p.terms[i].Term = t
	}
	for i, s := range ix.Segments {
		p.docs += s.Len()
		tokens += s.foot.tokens
		p.entries[i] = make([]entry, len(q.Terms))
		for j, t := range q.Terms {
			e, err := s.lookup(ctx, t.Key)
			if err != nil {
				return plan{}, err
			}
			p.entries[i][j] = e
			p.terms[j].DF += int(e.df)
		}
	}
	p.avg = float64(tokens) / float64(max(p.docs, 1))
	for i := range p.terms {
		p.terms[i].IDF = IDF(p.docs, p.terms[i].DF)
	}
	p.limit()
	return p, nil
}

// IDF is log((n−df+½)/(df+½)) as Robertson and Spärck Jones have it, with a
// floor: terms of half the chunks and more still tell chunks of a small
// knowledge base apart.
func IDF(n, df int) float32 {
	odds := (float64(n-df) + 0.5) / (float64(df) + 0.5)
	return float32(max(math.Log(odds), 0.1*math.Log1p(odds)))
}

// limit keeps the maxQueryTerms rarest terms that are in the index at all.
func (p *plan) limit() {
	if len(p.terms) <= maxQueryTerms {
		return
	}
	order := make([]int, len(p.terms))
	for i := range order {
		order[i] = i
	}
	rank := func(i int) int { // absent terms last
		if p.terms[i].DF == 0 {
			return math.MaxInt
		}
		return p.terms[i].DF
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(rank(x), rank(y)) })
	order = order[:maxQueryTerms]
	slices.Sort(order)
	for to, from := range order {
		p.terms[to] = p.terms[from]
		for _, es := range p.entries {
			es[to] = es[from]
		}
	}
	p.terms = p.terms[:maxQueryTerms]
}

// norms holds k1·(1−b+b·length/average) of every chunk for one average.
type norms struct {
	avg float64
	of  []float32
}

func (s *Segment) normsFor(avg float64) []float32 {
	if n := s.norms.Load(); n != nil && n.avg == avg {
		return n.of
	}
	n := &norms{avg, make([]float32, len(s.lens))}
	for i, l := range s.lens {
		n.of[i] = float32(k1 * (1 - lengthB + lengthB*float64(l)/max(avg, 1)))
	}
	s.norms.Store(n)
	return n.of
}

// window is how many chunks are scored at a time: their scores and lengths stay
// beside the processor. It is even.
const window = 4096

// windows are reused between queries.
var windows = sync.Pool{New: func() any { return new([window]float32) }}

// score adds up the terms, window by window, and offers the sums to top.
//
// Terms of more than half the chunks are worth next to nothing: once top is
// full, they are looked up only for chunks that they could still lift into it
// (the idea of MaxScore, Turtle and Flood 1995). The result is exact all the
// same.
func (s *Segment) score(ctx context.Context, p plan, seg int, top *topK) error {
	norms := s.normsFor(p.avg)
	var arrays, common []array
	var lists, ones, more []list
	bound := float32(0) // of what the common terms add
	for j, e := range p.entries[seg][:len(p.terms)] {
		if e.df == 0 {
			continue
		}
		payload, err := s.list(ctx, e)
		if err != nil {
			return err
		}
		if len(payload) == 0 {
			return corrupt("an empty list")
		}
		w := p.terms[j].Weight * p.terms[j].IDF * (k1 + 1)
		switch kind, b := payload[0], payload[1:]; {
		case kind == payloadList:
			lists = append(lists, list{b, -1, w})
		case kind == payloadLists:
			first, second, err := twoLists(b)
			if err != nil {
				return err
			}
			ones, more = append(ones, list{first, -1, w}), append(more, list{second, -1, w})
		case kind == payloadArray && len(b) == (len(norms)+1)/2:
			if 2*p.terms[j].DF > p.docs {
				common = append(common, array{b, w})
				bound += w // tf/(tf+norm) is below 1
			} else {
				arrays = append(arrays, array{b, w})
			}
		default:
			return corrupt("a list of kind %d, %d bytes for %d chunks", kind, len(b), len(norms))
		}
	}
	scores := windows.Get().(*[window]float32)
	defer windows.Put(scores)
	for from := 0; from < len(norms); from += window {
		to := min(from+window, len(norms))
		acc, norm := scores[:to-from], norms[from:to]
		clear(acc)
		addArrays(acc, norm, arrays, from)
		for i := range ones {
			if err := ones[i].addOnes(acc, norm, from); err != nil {
				return err
			}
			if err := more[i].addMore(acc, norm, from); err != nil {
				return err
			}
		}
		for i := range lists {
			if err := lists[i].add(acc, norm, from); err != nil {
				return err
			}
		}
		ids := s.ids[from:to]
		if top.least(bound) > 0 {
			top.offerWith(acc, norm, ids, common, from, bound)
		} else {
			addArrays(acc, norm, common, from)
			top.offerAll(acc, ids)
		}
	}
	for _, ls := range [...][]list{lists, ones, more} {
		for _, l := range ls {
			if len(l.b) > 0 {
				return corrupt("a list beyond its %d chunks", len(norms))
			}
		}
	}
	return nil
}

// offerAll offers scores of the chunks ids.
func (t *topK) offerAll(acc []float32, ids []kb.ChunkID) {
	for i := above(acc, t.floor); i < len(acc); i += above(acc[i:], t.floor) {
		for end := min(i+16, len(acc)); i < end; i++ {
			if v := acc[i]; v > t.floor {
				t.offer(Hit{ids[i], v})
			}
		}
	}
}

// least is the score that bound can lift above the floor. Each addition to a
// score of that size may round it up by 6e-8 of it, 64 terms by less than 1e-5.
func (t *topK) least(bound float32) float32 { return t.floor*(1-1e-5) - bound*(1+1e-5) }

// offerWith offers scores to which arrays add up to bound.
func (t *topK) offerWith(acc, norm []float32, ids []kb.ChunkID, arrays []array, from int, bound float32) {
	for i := above(acc, t.least(bound)); i < len(acc); i += above(acc[i:], t.least(bound)) {
		for end := min(i+16, len(acc)); i < end; i++ {
			if acc[i] <= t.least(bound) {
				continue
			}
			addArraysAt(acc, norm, arrays, from, i)
			if v := acc[i]; v > t.floor {
				t.offer(Hit{ids[i], v})
			}
		}
	}
}

// list is a term that is in few chunks: what is left of its list. There is a way
// to add each kind: one for all takes a seventh longer for a query.
type list struct {
	b   []byte
	doc int // the chunk before
	w   float32
}

// add adds w·tf/(tf+norm) to the chunks of the list up to the end of acc, which
// begins at chunk from.
func (l *list) add(acc, norm []float32, from int) error {
	b, doc, w := l.b, l.doc-from, l.w
	norm = norm[:len(acc)]
	i := 0
	for i < len(b) {
		at := i
		v := uint64(b[i])
		i++
		if v >= 0x80 {
			full, n := binary.Uvarint(b[at:])
			if n <= 0 || full > math.MaxInt32 {
				return corrupt("a list")
			}
			v, i = full, at+n
		}
		next := doc + int(v>>1) + 1
		if next >= len(acc) {
			i = at
			break
		}
		doc = next
		tf := float32(1)
		if v&1 != 0 {
			more, n := uint64(0), 1
			if i < len(b) && b[i] < 0x80 {
				more = uint64(b[i])
			} else if more, n = binary.Uvarint(b[i:]); n <= 0 || more > maxTF {
				return corrupt("a list")
			}
			tf, i = float32(more+2), i+n
		}
		acc[doc] += w * tf / (tf + norm[doc])
	}
	l.b, l.doc = b[i:], doc+from
	return nil
}

// addOnes does it for a list of chunks that have the term once.
func (l *list) addOnes(acc, norm []float32, from int) error {
	b, doc, w := l.b, l.doc-from, l.w
	norm = norm[:len(acc)]
	i := 0
	for i < len(b) {
		v, n := int(b[i]), 1
		if v >= 0x80 {
			var err error
			if v, n, err = skipped(b[i:]); err != nil {
				return err
			}
		}
		next := doc + v + 1
		if next >= len(acc) {
			break
		}
		doc, i = next, i+n
		acc[doc] += w / (1 + norm[doc])
	}
	l.b, l.doc = b[i:], doc+from
	return nil
}

// addMore does it for a list of chunks that have the term more than once.
func (l *list) addMore(acc, norm []float32, from int) error {
	b, doc, w := l.b, l.doc-from, l.w
	norm = norm[:len(acc)]
	i := 0
	for i < len(b) {
		v, n := int(b[i]), 1
		if v >= 0x80 {
			var err error
			if v, n, err = skipped(b[i:]); err != nil {
				return err
			}
		}
		next := doc + v + 1
		if next >= len(acc) {
			break
		}
		i += n
		tf, n := uint64(0), 1
		if i < len(b) && b[i] < 0x80 {
			tf = uint64(b[i])
		} else if tf, n = binary.Uvarint(b[i:]); n <= 0 || tf > maxTF {
			return corrupt("a list")
		}
		doc, i = next, i+n
		acc[doc] += w * float32(tf+2) / (float32(tf+2) + norm[doc])
	}
	l.b, l.doc = b[i:], doc+from
	return nil
}

// skipped reads how many chunks a list skips, and its length in bytes.
func skipped(b []byte) (v, n int, err error) {
	if len(b) > 1 && b[1] < 0x80 {
		return int(b[0]&0x7F) | int(b[1])<<7, 2, nil
	}
	full, n := binary.Uvarint(b)
	if n <= 0 || full > math.MaxInt32/2 {
		return 0, 0, corrupt("a list")
	}
	return int(full), n, nil
}

// twoLists cuts the payload of two lists.
func twoLists(b []byte) (first, second []byte, err error) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, corrupt("two lists")
	}
	b = b[n:]
	return b[:size:size], b[size:], nil
}

// topK keeps the k best live hits.
type topK struct {
	k     int
	dead  func(kb.ChunkID) bool
	heap  []Hit // the worst first, once k are there
	floor float32
}

// worse orders hits: lower score first, then higher id.
func worse(a, b Hit) bool {
	return a.Score < b.Score || a.Score == b.Score && a.ID > b.ID
}

func (t *topK) offer(h Hit) {
	full := len(t.heap) >= t.k
	if t.k <= 0 || full && !worse(t.heap[0], h) || t.dead != nil && t.dead(h.ID) {
		return
	}
	if !full {
		t.heap = append(t.heap, h)
		for i := len(t.heap) - 1; i > 0 && worse(t.heap[i], t.heap[(i-1)/2]); i = (i - 1) / 2 {
			t.heap[i], t.heap[(i-1)/2] = t.heap[(i-1)/2], t.heap[i]
		}
	} else {
		t.heap[0] = h
		t.sink()
	}
	if len(t.heap) == t.k {
		// Just below, so that an equal score with a lower id of a later segment gets in.
		t.floor = math.Nextafter32(t.heap[0].Score, 0)
	}
}

func (t *topK) sink() {
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(t.heap) {
			return
		}
		if c+1 < len(t.heap) && worse(t.heap[c+1], t.heap[c]) {
			c++
		}
		if !worse(t.heap[c], t.heap[i]) {
			return
		}
		t.heap[i], t.heap[c] = t.heap[c], t.heap[i]
		i = c
	}
}

func (t *topK) sorted() []Hit {
	slices.SortFunc(t.heap, func(x, y Hit) int {
		if worse(y, x) {
			return -1
		}
		return 1
	})
	return t.heap
}
