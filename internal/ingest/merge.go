package ingest

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// segments is what merging needs of a tenant's store.
type segments interface {
	Index(ctx context.Context) (kb.Index, error)
	ReadSegment(ctx context.Context, id, off, n int64) ([]byte, error)
	Replace(ctx context.Context, merged int64, inputs []int64, dropped []kb.Span) error
}

// mergeSegments keeps the number of segments small: a query looks into each.
// Losing a race against another process that merges is no error.
func (in *Ingester) mergeSegments(ctx context.Context) error {
	for {
		x, err := in.store.Index(ctx)
		if err != nil {
			return err
		}
		inputs, level := lexical.PlanMerge(x)
		if len(inputs) == 0 {
			return nil
		}
		if err := in.merge(ctx, x, inputs, level); kb.KindOf(err) == kb.Conflict || kb.KindOf(err) == kb.NotFound {
			return nil
		} else if err != nil {
			return fmt.Errorf("merge segments: %w", err)
		}
	}
}

// merge builds one segment of inputs, without what is dead in x, and puts it
// in their place.
func (in *Ingester) merge(ctx context.Context, x kb.Index, inputs []kb.Segment, level int) error {
	opened := make([]*lexical.Segment, len(inputs))
	ids := make([]int64, len(inputs))
	for i, s := range inputs {
		src := func(ctx context.Context, off, n int64) ([]byte, error) {
			return in.store.ReadSegment(ctx, s.ID, off, n)
		}
		seg, err := lexical.Open(ctx, s.Bytes, src)
		if err != nil {
			return err
		}
		opened[i], ids[i] = seg, s.ID
	}
	data, err := lexical.Merge(ctx, opened, func(id kb.ChunkID) bool { return isDead(x.Dead, id) })
	if err != nil {
		return err
	}
	merged, err := lexical.OpenBytes(data)
	if err != nil {
		return err
	}
	seg := kb.Segment{Level: level, Docs: merged.Len()}
	if n := merged.Len(); n > 0 {
		seg.First, seg.Last = merged.IDs()[0], merged.IDs()[n-1]
	}
	id, err := in.store.PutSegment(ctx, seg, data, time.Now())
	if err != nil {
		return err
	}
	if err := in.store.Replace(ctx, id, ids, held(x.Dead, opened)); err != nil {
		if drop := in.store.DropSegment(ctx, id); drop != nil {
			return drop
		}
		return err
	}
	return nil
}

// held are the dead ranges whose chunks are in segs. A range is one version's,
// so it is in one segment as a whole.
func held(dead []kb.Span, segs []*lexical.Segment) (spans []kb.Span) {
	for _, d := range dead {
		for _, s := range segs {
			ids := s.IDs()
			if i, _ := slices.BinarySearch(ids, d.First); i < len(ids) && ids[i] <= d.Last {
				spans = append(spans, d)
			}
		}
	}
	return spans
}

// isDead looks id up in ordered ranges.
func isDead(dead []kb.Span, id kb.ChunkID) bool {
	i := sort.Search(len(dead), func(i int) bool { return dead[i].Last >= id })
	return i < len(dead) && dead[i].First <= id
}
