package retrieve

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Vectors is the dense arm of one tenant. It is safe for concurrent use and
// returns when its context ends. A nil Vectors means that there is none.
type Vectors interface {
	// Nearest returns up to k live chunks by their cosine to the question,
	// best first.
	Nearest(ctx context.Context, question string, k int) ([]Near, error)
	// Cosines returns the cosine of each of ids to the question, which was
	// embedded for Nearest; NaN for a chunk that has no vector.
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
	cosine float32 // noVector without one
	score  float32 // fused, 0 to 1
}

// noVector is the cosine of a chunk that has no vector, or of every chunk when
// there is no dense arm.
var noVector = float32(math.NaN())

func hasVector(cosine float32) bool { return !math.IsNaN(float64(cosine)) }

// fuse scores hits by a convex sum of both arms and orders them. The floors
// are fixed, 0 for BM25 and −1 for the cosine, so that a weak best hit of one
// arm is not stretched to look strong. A chunk without a vector is not punished
// for it: its cosine is taken to lie between the worst and the best as its BM25
// lies between 0 and the best, so that the lexical share alone decides.
func fuse(hits []hit, dense float32) {
	bm25, best, worst := float32(0), float32(-1), float32(1)
	any := false
	for _, h := range hits {
		bm25 = max(bm25, h.bm25)
		if hasVector(h.cosine) {
			best, worst, any = max(best, h.cosine), min(worst, h.cosine), true
		}
	}
	floor := share(worst+1, best+1)
	for i := range hits {
		h := &hits[i]
		h.score = share(h.bm25, bm25)
		switch {
		case !any:
		case hasVector(h.cosine):
			h.score = (1-dense)*h.score + dense*share(h.cosine+1, best+1)
		default:
			h.score = (1-dense)*h.score + dense*(floor+(1-floor)*h.score)
		}
	}
	slices.SortStableFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
	})
}

// hybrid returns the union of the k best of both arms, scored in both. lex is
// the lexical list. Without the dense arm, or when it fails, the lexical list
// stands alone. degraded says that it failed, or that some chunks have no
// vector.
func (r *Retriever) hybrid(ctx context.Context, ix lexical.Index, q question, text string, lex []lexical.Hit, near func() nearest) (hits []hit, degraded bool, err error) {
	for _, h := range lex {
		hits = append(hits, hit{id: h.ID, bm25: h.Score, cosine: noVector})
	}
	if near == nil {
		fuse(hits, 0)
		return hits, false, nil
	}
	all, failed := r.union(ctx, ix, q, text, slices.Clone(hits), near)
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if failed == nil {
		hits = all
	}
	fuse(hits, r.cfg.denseWeight())
	return hits, slices.ContainsFunc(hits, func(h hit) bool { return !hasVector(h.cosine) }) || failed != nil, nil
}

// union adds the dense hits and computes the scores each arm lacks.
func (r *Retriever) union(ctx context.Context, ix lexical.Index, q question, text string, hits []hit, near func() nearest) ([]hit, error) {
	dense := near()
	if dense.err != nil {
		return nil, dense.err
	}
	at := make(map[kb.ChunkID]int, len(hits)+len(dense.hits))
	for i, h := range hits {
		at[h.id] = i
	}
	var noBM25 []kb.ChunkID
	for _, n := range dense.hits {
		if i, ok := at[n.ID]; ok {
			hits[i].cosine = n.Cosine
			continue
		}
		if ix.Dead != nil && ix.Dead(n.ID) {
			continue
		}
		at[n.ID] = len(hits)
		hits = append(hits, hit{id: n.ID, cosine: n.Cosine})
		noBM25 = append(noBM25, n.ID)
	}
	if err := r.addCosines(ctx, text, hits); err != nil {
		return nil, err
	}
	if len(noBM25) > 0 {
		bs, err := ix.Scores(ctx, q.Query, noBM25)
		if err != nil {
			return nil, err
		}
		for i, id := range noBM25 {
			hits[at[id]].bm25 = bs[i]
		}
	}
	return hits, nil
}

// addCosines asks for the cosines of the hits that have none.
func (r *Retriever) addCosines(ctx context.Context, text string, hits []hit) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	var ids []kb.ChunkID
	var of []*hit
	for i := range hits {
		if h := &hits[i]; !hasVector(h.cosine) {
			ids, of = append(ids, h.id), append(of, h)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	cs, err := r.cfg.Vectors.Cosines(ctx, text, ids)
	if err != nil {
		return err
	}
	if len(cs) != len(ids) {
		return fmt.Errorf("%d cosines for %d chunks", len(cs), len(ids))
	}
	for i, c := range cs {
		of[i].cosine = c
	}
	return nil
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
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, r.cfg.Patience)
		defer cancel()
		n.hits, n.err = r.cfg.Vectors.Nearest(ctx, text, k)
	})
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
