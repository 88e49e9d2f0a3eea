package retrieve

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Vectors is the dense arm of one tenant. It is safe for concurrent use. A nil
// Vectors means that there is none.
type Vectors interface {
	// Nearest returns up to k live chunks by their cosine to the question,
	// best first.
	Nearest(ctx context.Context, question string, k int) ([]Near, error)
	// Cosines returns the cosine of each of ids to the question that was last
	// embedded for the same text; kb.NotFound chunks have −1.
	Cosines(ctx context.Context, question string, ids []kb.ChunkID) ([]float32, error)
}

// Near is a chunk and its cosine to the question, −1 to 1.
type Near struct {
	ID     kb.ChunkID
	Cosine float32
}

// DefaultDenseWeight is the part of the cosine in the fused score: on SciFact
// with all-MiniLM-L6-v2 (128 dimensions) nDCG@10 was best, .719, at .3 and .4,
// measured with min-max normalisation before this package was written.
const DefaultDenseWeight = 0.35

// hit is a chunk with its score in both arms.
type hit struct {
	id     kb.ChunkID
	bm25   float32
	cosine float32
	score  float32 // fused, 0 to 1
}

// fuse scores hits, each of which has a score in both arms, by a convex sum,
// and orders them. The floors are fixed, 0 for BM25 and −1 for the cosine, so
// that a weak best hit of one arm is not stretched to look strong.
func fuse(hits []hit, dense float32) {
	var bm25, cosine float32 = 0, -1
	for _, h := range hits {
		bm25, cosine = max(bm25, h.bm25), max(cosine, h.cosine)
	}
	for i := range hits {
		h := &hits[i]
		h.score = (1-dense)*share(h.bm25, bm25) + dense*share(h.cosine+1, cosine+1)
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
}

// hybrid returns the union of the k best of both arms, scored in both. lex is
// the lexical list. Without the dense arm, or when it fails, the lexical list
// stands alone; degraded then says so.
func (r *Retriever) hybrid(ctx context.Context, ix lexical.Index, q question, text string, lex []lexical.Hit, near func() nearest) (hits []hit, degraded bool, err error) {
	for _, h := range lex {
		hits = append(hits, hit{id: h.ID, bm25: h.Score})
	}
	if near == nil {
		fuse(hits, 0)
		return hits, false, nil
	}
	dense := near()
	if dense.err == nil {
		hits, dense.err = r.union(ctx, ix, q, text, hits, dense.hits)
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
	}
	if dense.err != nil {
		hits = hits[:len(lex)]
		fuse(hits, 0)
		return hits, true, nil
	}
	fuse(hits, r.cfg.denseWeight())
	return hits, false, nil
}

// union adds the dense hits and computes the scores each arm lacks.
func (r *Retriever) union(ctx context.Context, ix lexical.Index, q question, text string, hits []hit, near []Near) ([]hit, error) {
	at := make(map[kb.ChunkID]int, len(hits)+len(near))
	var noCosine, noBM25 []kb.ChunkID
	for i, h := range hits {
		at[h.id] = i
		noCosine = append(noCosine, h.id)
	}
	for _, n := range near {
		if i, ok := at[n.ID]; ok {
			hits[i].cosine = n.Cosine
			noCosine = slices.DeleteFunc(noCosine, func(id kb.ChunkID) bool { return id == n.ID })
			continue
		}
		if ix.Dead != nil && ix.Dead(n.ID) {
			continue
		}
		at[n.ID] = len(hits)
		hits = append(hits, hit{id: n.ID, cosine: n.Cosine})
		noBM25 = append(noBM25, n.ID)
	}
	if len(noCosine) > 0 {
		cs, err := r.cfg.Vectors.Cosines(ctx, text, noCosine)
		if err != nil {
			return hits, err
		}
		for i, id := range noCosine[:min(len(cs), len(noCosine))] {
			hits[at[id]].cosine = cs[i]
		}
	}
	if len(noBM25) > 0 {
		bs, err := ix.Scores(ctx, q.Query, noBM25)
		if err != nil {
			return hits, err
		}
		for i, id := range noBM25 {
			hits[at[id]].bm25 = bs[i]
		}
	}
	return hits, nil
}

// nearest is the answer of the dense arm.
type nearest struct {
	hits []Near
	err  error
}

// askVectors starts the dense arm beside the lexical one and returns what waits
// for its answer; nil without one.
func (r *Retriever) askVectors(ctx context.Context, text string, k int) (wait func() nearest) {
	if r.cfg.Vectors == nil {
		return nil
	}
	var n nearest
	var wg sync.WaitGroup
	wg.Go(func() { n.hits, n.err = r.cfg.Vectors.Nearest(ctx, text, k) })
	return func() nearest {
		wg.Wait()
		return n
	}
}

func (c Config) denseWeight() float32 {
	if c.DenseWeight <= 0 || c.DenseWeight >= 1 {
		return DefaultDenseWeight
	}
	return c.DenseWeight
}
