package dense

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/vector"
)

// Searcher finds the chunks of one tenant that are nearest to a question. It
// is safe for concurrent use. It reads nothing before the first question.
type Searcher struct {
	store Store
	embed Embedder
	cfg   Config
	asked questions

	reading chan struct{} // who holds it reads the database into cur
	cur     atomic.Pointer[state]
	damaged func(ids []int64) // is told of blocks that cannot be read
	lagging func()            // is told when chunks have no vector
	doubt   func()            // is told when the index outside has fewer than it should
}

// NewSearcher returns a Searcher. x, which may be nil, repairs what the
// Searcher finds damaged; lagging, which may be nil, is called when chunks turn
// out to have no vector, and must not block.
func NewSearcher(store Store, embed Embedder, cfg Config, x *Indexer, lagging func()) *Searcher {
	s := &Searcher{store: store, embed: embed, cfg: cfg.withDefaults(), reading: make(chan struct{}, 1), damaged: func([]int64) {}, lagging: lagging, doubt: func() {}}
	if x != nil {
		s.damaged, s.doubt = x.repair, x.doubt
	}
	if lagging == nil {
		s.lagging = func() {}
	}
	return s
}

// Memory is how many bytes the Searcher holds to be faster.
func (s *Searcher) Memory() int64 {
	n := s.asked.memory()
	if st := s.cur.Load(); st != nil && st.matrix != nil {
		n += st.matrix.Bytes()
	}
	return n
}

// Nearest returns up to k live chunks by their cosine to the question, best
// first. Where a tenant has more vectors than fit in memory, and no index
// outside, it finds none: reading all of them for each question would cost more
// than it brings, and Cosines still places what was found by words.
func (s *Searcher) Nearest(ctx context.Context, text string, k int) ([]vector.Near, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	q, st, err := s.begin(ctx, text)
	if err != nil {
		return nil, err
	}
	var modes []string
	if st.lacking > 0 {
		modes = append(modes, DegradedVectors)
	}
	defer func() { s.asked.say(q, modes...) }()
	if len(st.blocks) == 0 {
		return nil, nil
	}
	var near []vector.Near // what an index outside found that is not complete yet
	if s.cfg.Remote.Of != nil {
		var complete bool
		if near, complete, err = s.outside(ctx, q, st, k); complete {
			return near, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			modes = append(modes, DegradedMilvus)
			s.cfg.Log.WarnContext(ctx, "vector index does not answer", "error", err)
		}
	}
	if st.bytes() > s.cfg.MemoryBytes {
		if !slices.Contains(modes, DegradedVectors) {
			modes = append(modes, DegradedVectors)
		}
		return near, nil
	}
	if st, err = s.load(ctx, st); err != nil {
		return nil, err
	}
	return st.matrix.Search(q.query, k, func(id kb.ChunkID) bool { return !isLive(st.live, id) })
}

// begin embeds the question and looks at what there is, at the same time where
// the length of the vectors is known.
func (s *Searcher) begin(ctx context.Context, text string) (q *question, st *state, err error) {
	var wg sync.WaitGroup
	var failed error
	if dims := s.embed.Dimensions(); dims > 0 {
		wg.Go(func() { st, failed = s.look(ctx, dims) })
	}
	q, err = s.ask(ctx, text)
	wg.Wait()
	if err == nil && st == nil && failed == nil || err == nil && st != nil && st.dims != len(q.vec) {
		st, failed = s.look(ctx, len(q.vec))
	}
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, nil, fmt.Errorf("vectors: %w", err)
	}
	return q, st, nil
}

// Cosines returns the cosine of each of ids to the question; NaN for a chunk
// that has no vector.
func (s *Searcher) Cosines(ctx context.Context, text string, ids []kb.ChunkID) ([]float32, error) {
	if strings.TrimSpace(text) == "" {
		return slices.Repeat([]float32{float32(math.NaN())}, len(ids)), nil
	}
	q, st, err := s.begin(ctx, text)
	if err != nil {
		return nil, err
	}
	if st.matrix == nil || st.last < st.block {
		return s.exact(ctx, q, st, ids)
	}
	out := make([]float32, len(ids))
	for i, id := range ids {
		c, ok := st.matrix.Cosine(q.query, id)
		if out[i] = c; !ok {
			out[i] = float32(math.NaN())
		}
	}
	return out, nil
}

// exact computes cosines from the database; NaN where there is no vector.
func (s *Searcher) exact(ctx context.Context, q *question, st *state, ids []kb.ChunkID) ([]float32, error) {
	blocks, err := s.store.VectorBlocksOf(ctx, st.space, ids)
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(ids))
	for i := range out {
		out[i] = float32(math.NaN())
	}
	for _, b := range blocks {
		if len(b.Data) == 0 {
			continue
		}
		d, err := vector.Decode(b.Data, st.dims)
		if err != nil {
			s.broken(ctx, b, err)
			continue
		}
		for i, id := range ids {
			if id >= b.First && id <= b.Last {
				if c, ok := d.Cosine(q.query, int(id-b.First)); ok {
					out[i] = c
				}
			}
		}
	}
	return out, nil
}

// broken has a block that cannot be read made anew.
func (s *Searcher) broken(ctx context.Context, b kb.VectorBlock, err error) {
	s.cfg.Log.ErrorContext(ctx, "vectors are damaged and will be made anew", "error", err, "first", b.First, "last", b.Last)
	s.damaged([]int64{b.ID})
	s.lagging()
}

// outside asks the index outside. complete says that it has every vector.
func (s *Searcher) outside(ctx context.Context, q *question, st *state, k int) (near []vector.Near, complete bool, err error) {
	all, epoch, err := s.store.VectorBatches(ctx, s.cfg.Remote.Target)
	if err != nil {
		return nil, false, err
	}
	live, covered := usable(all, epoch, st.space)
	if len(live) == 0 && len(st.blocks) > 0 {
		s.lagging()
		return nil, false, nil
	}
	complete = st.within(covered)
	if !complete {
		s.lagging()
	}
	r := s.cfg.Remote.Of(st.space, st.dims)
	// Over-fetched: batches keep vectors of chunks that died, up to half of
	// each (see sweepBatches), and those of abandoned batches until they are swept.
	for fetch := 2*k + 16; ; fetch *= 4 {
		hits, err := r.Search(ctx, q.vec, fetch)
		if err != nil {
			return nil, false, err
		}
		var ids []kb.ChunkID
		for _, h := range hits {
			if live[h.Batch] && isLive(st.live, h.Chunk) && !slices.Contains(ids, h.Chunk) {
				ids = append(ids, h.Chunk)
			}
		}
		if len(ids) < k && len(hits) >= fetch && fetch < 16*k {
			continue
		}
		if complete && 2*len(ids) < min(k, count(st.live)) { // emptied, or begun anew, behind our back
			s.doubt()
			s.lagging()
			return nil, false, kb.E(kb.Unavailable, nil, "the vector index has lost vectors")
		}
		near, err = s.scored(ctx, q, st, ids, k)
		return near, complete, err
	}
}

// scored orders candidates by their exact cosines.
func (s *Searcher) scored(ctx context.Context, q *question, st *state, ids []kb.ChunkID, k int) ([]vector.Near, error) {
	cs, err := s.exact(ctx, q, st, ids)
	if err != nil {
		return nil, err
	}
	near := make([]vector.Near, 0, len(ids))
	for i, id := range ids {
		if !math.IsNaN(float64(cs[i])) {
			near = append(near, vector.Near{ID: id, Cosine: cs[i]})
		}
	}
	slices.SortFunc(near, func(a, b vector.Near) int { return cmp.Or(cmp.Compare(b.Cosine, a.Cosine), cmp.Compare(a.ID, b.ID)) })
	return near[:min(k, len(near))], nil
}

// usable returns the batches of a space that count now, and the blocks they
// were made of.
func usable(all []kb.VectorBatch, epoch int64, space string) (live map[string]bool, covered []kb.VectorBatch) {
	live = map[string]bool{}
	for _, b := range all {
		if b.State == kb.BatchLive && b.Epoch == epoch && b.Space == space {
			live[b.ID] = true
			covered = append(covered, b)
		}
	}
	slices.SortFunc(covered, func(a, b kb.VectorBatch) int { return cmp.Compare(a.First, b.First) })
	return live, covered
}

// Model names the model that makes the vectors.
func (s *Searcher) Model() string { return s.embed.Model() }
