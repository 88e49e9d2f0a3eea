package dense

import (
	"context"
	"errors"
	"slices"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/vector"
)

// state is what a Searcher knows of the database at one moment. It never
// changes.
type state struct {
	space        string
	dims         int
	index, block int64            // VectorsVersion
	live         []kb.Span        // what can be found
	blocks       []kb.VectorBlock // of the space that hold live chunks, without data, by first
	lacking      int              // live chunks without a vector

	matrix *vector.Matrix // nil: not read
	last   int64          // newest block that the matrix was offered
}

// bytes is what all live vectors take.
func (st *state) bytes() int64 {
	n := int64(0)
	for _, b := range st.blocks {
		n += int64(b.Last-b.First) + 1
	}
	return n * vectorBytes(st.dims)
}

// within reports whether batches, ordered by their first block, have all
// blocks.
func (st *state) within(batches []kb.VectorBatch) bool {
	for _, b := range st.blocks {
		if !hasBlock(batches, b.ID) {
			return false
		}
	}
	return true
}

// hasBlock looks a block up in batches that are ordered by their first block
// and do not overlap.
func hasBlock(batches []kb.VectorBatch, id int64) bool {
	_, ok := slices.BinarySearchFunc(batches, id, func(b kb.VectorBatch, id int64) int {
		switch {
		case b.Last < id:
			return -1
		case b.First > id:
			return 1
		}
		return 0
	})
	return ok
}

// look returns the state of the database as it is now, with the vectors read
// so far.
func (s *Searcher) look(ctx context.Context, dims int) (*state, error) {
	space := Space(s.embed.Model(), dims)
	index, block, err := s.store.VectorsVersion(ctx)
	if err != nil {
		return nil, err
	}
	fresh := func() *state {
		if st := s.cur.Load(); st != nil && st.space == space && st.index == index && st.block == block {
			return st
		}
		return nil
	}
	if st := fresh(); st != nil {
		return st, nil
	}
	done, err := s.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if st := fresh(); st != nil { // another question was first
		return st, nil
	}
	st := &state{space: space, dims: dims, index: index, block: block}
	if st.live, err = s.store.LiveSpans(ctx); err != nil {
		return nil, err
	}
	have, err := s.store.VectorSpans(ctx, space)
	if err != nil {
		return nil, err
	}
	st.lacking = count(missing(st.live, have))
	st.blocks = slices.DeleteFunc(have, func(b kb.VectorBlock) bool { return !isLive(st.live, b.First) })
	if old := s.cur.Load(); old != nil && old.space == space && st.bytes() <= s.cfg.MemoryBytes {
		st.matrix, st.last = old.matrix, old.last
	}
	s.cur.Store(st)
	if st.lacking > 0 {
		s.lagging()
	}
	return st, nil
}

// alone waits until nobody else reads the database into cur.
func (s *Searcher) alone(ctx context.Context) (done func(), err error) {
	select {
	case s.reading <- struct{}{}:
		return func() { <-s.reading }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

const (
	pageBytes = 4 << 20 // read at once: what a question that runs out of time does not have to read again
	// spareRows is how many dead vectors a matrix may hold beside as many as
	// are live.
	spareRows = 1000
)

// load returns st with all vectors in memory. What it read is kept when ctx
// ends: the next question goes on from there.
func (s *Searcher) load(ctx context.Context, st *state) (*state, error) {
	if st.matrix != nil && st.last >= st.block {
		return st, nil
	}
	done, err := s.alone(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	next := *st
	if cur := s.cur.Load(); cur != nil && cur.space == st.space {
		next = *cur
	}
	if next.matrix == nil || next.matrix.Len() > 2*int(next.bytes()/vectorBytes(next.dims))+spareRows {
		if next.matrix, err = vector.NewMatrix(next.dims); err != nil {
			return nil, err
		}
		next.last = 0
	}
	for next.last < next.block {
		page, err := s.store.VectorBlocks(ctx, next.space, next.last, pageBytes)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			next.last = next.block
			break
		}
		last := page[len(page)-1].ID
		if next.matrix, err = s.with(ctx, next.matrix, page, next.live); err != nil {
			return nil, err
		}
		next.last = last
		part := next
		s.cur.Store(&part)
	}
	s.cur.Store(&next)
	return &next, nil
}

// with adds the live ones of blocks to a matrix. One that is damaged is left
// out.
func (s *Searcher) with(ctx context.Context, m *vector.Matrix, blocks []kb.VectorBlock, live []kb.Span) (*vector.Matrix, error) {
	blocks = slices.DeleteFunc(blocks, func(b kb.VectorBlock) bool {
		return len(b.Data) == 0 || !isLive(live, b.First) || m.Has(b.First)
	})
	next, err := m.With(blocks...)
	if !errors.Is(err, vector.ErrBlock) {
		return next, err
	}
	next = m
	for _, b := range blocks {
		with, err := next.With(b)
		switch {
		case errors.Is(err, vector.ErrBlock):
			s.broken(ctx, b, err)
		case err != nil:
			return nil, err
		default:
			next = with
		}
	}
	return next, nil
}
