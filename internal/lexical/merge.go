package lexical

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Merge returns one segment that holds the chunks of segs except the dead
// ones: what Build would return for them, but that frequencies above 15 of very
// common terms may have been cut to 15 on the way. It reads every segment
// whole.
func Merge(ctx context.Context, segs []*Segment, dead func(kb.ChunkID) bool) ([]byte, error) {
	inputs := make([]*input, len(segs))
	for i, s := range segs {
		whole, err := s.load(ctx)
		if err != nil {
			return nil, fmt.Errorf("merge: input %d: %w", i, err)
		}
		inputs[i] = &input{seg: whole, to: make([]int32, whole.Len())}
	}
	w, err := newWriter(renumber(inputs, dead))
	if err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	var list []posting
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		term := lowest(inputs)
		if term == nil {
			break
		}
		list = list[:0]
		for _, in := range inputs {
			if !bytes.Equal(in.term(), term) {
				continue
			}
			if list, err = in.postings(ctx, list); err != nil {
				return nil, fmt.Errorf("merge: term %q: %w", term, err)
			}
			in.used = true
		}
		byDoc := func(a, b posting) int { return cmp.Compare(a.doc, b.doc) }
		if !slices.IsSortedFunc(list, byDoc) { // ranges of ids overlap
			slices.SortFunc(list, byDoc)
		}
		w.add(term, list)
	}
	for i, in := range inputs {
		if in.d.bad || in.at < len(in.seg.firsts) {
			return nil, fmt.Errorf("merge: input %d: %w", i, corrupt("dictionary block %d", in.at))
		}
	}
	return w.finish(), nil
}

// load returns s with all its bytes in memory and verified.
func (s *Segment) load(ctx context.Context) (*Segment, error) {
	if s.whole {
		return s, nil
	}
	blob, err := s.read(ctx, 0, s.size)
	if err != nil {
		return nil, err
	}
	return OpenBytes(blob)
}

// input is a segment being merged: a cursor over its terms in order.
type input struct {
	seg *Segment
	to  []int32 // ordinal here → ordinal in the result, −1 if dead
	at  int     // next block
	cursor
	used bool // the cursor's term has been taken
	done bool
}

// renumber fills in.to and returns the chunks of the result.
func renumber(inputs []*input, dead func(kb.ChunkID) bool) []doc {
	type place struct {
		doc
		in  *input
		ord int
	}
	var all []place
	for _, in := range inputs {
		for ord, id := range in.seg.ids {
			in.to[ord] = -1
			if dead == nil || !dead(id) {
				all = append(all, place{doc{id, in.seg.lens[ord]}, in, ord})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b place) int { return cmp.Compare(a.id, b.id) })
	docs := make([]doc, len(all))
	for i, p := range all {
		p.in.to[p.ord] = int32(i)
		docs[i] = p.doc
	}
	return docs
}

// lowest moves every input past what was taken and returns a copy-free view of
// the lowest term, nil at the end.
func lowest(inputs []*input) []byte {
	var term []byte
	for _, in := range inputs {
		in.advance()
		if !in.done && (term == nil || bytes.Compare(in.term(), term) < 0) {
			term = in.term()
		}
	}
	return term
}

func (in *input) advance() {
	if in.done || in.len > 0 && !in.used {
		return
	}
	in.used = false
	for !in.next() {
		if in.d.bad || in.at >= len(in.seg.firsts) {
			in.done = true
			return
		}
		b, err := in.seg.part(context.Background(), in.seg.starts[in.at], in.seg.starts[in.at+1]-in.seg.starts[in.at]) // in memory
		if err != nil {
			in.done = true
			return
		}
		in.cursor = cursor{seg: in.seg, d: decoder{b: b}}
		in.at++
	}
}

// postings appends the live postings of the cursor's term under their new numbers.
func (in *input) postings(ctx context.Context, out []posting) ([]posting, error) {
	list, err := in.seg.list(ctx, in.entry)
	if err != nil {
		return nil, err
	}
	n := uint32(0)
	err = eachPosting(list, len(in.to), func(p posting) {
		n++
		if to := in.to[p.doc]; to >= 0 {
			out = append(out, posting{uint32(to), p.tf})
		}
	})
	if err == nil && n != in.df {
		err = corrupt("%d postings, want %d", n, in.df)
	}
	return out, err
}

// eachPosting calls fn with the postings of a list of a segment of docs chunks.
func eachPosting(list []byte, docs int, fn func(posting)) error {
	if len(list) == 0 {
		return corrupt("an empty list")
	}
	kind, list := list[0], list[1:]
	if kind == payloadArray {
		if len(list) != (docs+1)/2 {
			return corrupt("an array of %d bytes for %d chunks", len(list), docs)
		}
		for i := range docs {
			if tf := list[i>>1] >> (4 * (i & 1)) & 15; tf > 0 {
				fn(posting{uint32(i), uint32(tf)})
			}
		}
		return nil
	}
	if kind != payloadList {
		return corrupt("a list of kind %d", kind)
	}
	next := uint64(0)
	for len(list) > 0 {
		v, n := binary.Uvarint(list)
		if n <= 0 || v>>1 >= uint64(docs) {
			return corrupt("a list")
		}
		list = list[n:]
		p := posting{tf: 1}
		if v&1 != 0 {
			more, n := binary.Uvarint(list)
			if n <= 0 || more > maxTF {
				return corrupt("a list")
			}
			p.tf, list = uint32(more+2), list[n:]
		}
		next += v >> 1
		if next >= uint64(docs) {
			return corrupt("a list beyond its %d chunks", docs)
		}
		p.doc = uint32(next)
		next++
		fn(p)
	}
	return nil
}

// Tiers of merging: mergeWidth segments of one level become one of the next,
// so a chunk is rewritten once per level and a tenant has at most about
// mergeWidth segments a level. A segment stays below maxMergeBytes because a
// merge holds it in memory, on small functions, too.
const (
	mergeWidth    = 8
	maxMergeBytes = 48 << 20
)

// PlanMerge picks segments worth merging into one of the level returned, or
// none: a full tier, else a segment of which half is dead.
func PlanMerge(x kb.Index) (inputs []kb.Segment, level int) {
	tiers := map[int][]kb.Segment{}
	for _, s := range x.Segments {
		if s.Bytes < maxMergeBytes/2 {
			tiers[s.Level] = append(tiers[s.Level], s)
		}
	}
	levels := make([]int, 0, len(tiers))
	for l := range tiers {
		levels = append(levels, l)
	}
	slices.Sort(levels)
	for _, l := range levels {
		if t := tiers[l]; len(t) >= mergeWidth {
			size := int64(0)
			for i, s := range t {
				if size += s.Bytes; size > maxMergeBytes {
					t = t[:i]
					break
				}
			}
			if len(t) > 1 {
				return t, l + 1
			}
		}
	}
	for _, s := range x.Segments {
		if dead := deadIn(s, x.Dead); dead > 0 && 2*dead >= s.Docs {
			return []kb.Segment{s}, s.Level
		}
	}
	return nil, 0
}

// deadIn counts the dead ids in the range of s; ids of other segments between
// them make it a little too high, which only merges earlier.
func deadIn(s kb.Segment, dead []kb.Span) int {
	n := 0
	for _, d := range dead {
		if first, last := max(d.First, s.First), min(d.Last, s.Last); first <= last {
			n += int(last-first) + 1
		}
	}
	return n
}
