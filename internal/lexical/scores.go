package lexical

import (
	"context"
	"fmt"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Scores returns the BM25 of ids for q, in their order, 0 for a chunk without
// a term of q, that is dead or in no segment: what Search would give them if
// they were among the best.
func (ix Index) Scores(ctx context.Context, q Query, ids []kb.ChunkID) ([]float32, error) {
	p, err := ix.plan(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(ids))
	for i, s := range ix.Segments {
		want := map[uint32]int{} // ordinal → place in ids
		for at, id := range ids {
			if ord, ok := s.ordinal(id); ok && (ix.Dead == nil || !ix.Dead(id)) {
				want[ord] = at
			}
		}
		if len(want) == 0 {
			continue
		}
		if err := s.scoresOf(ctx, p, i, want, out); err != nil {
			return nil, fmt.Errorf("score chunks: %w", err)
		}
	}
	return out, nil
}

func (s *Segment) scoresOf(ctx context.Context, p plan, seg int, want map[uint32]int, out []float32) error {
	norm := s.normsFor(p.avg)
	wanted := make([]uint64, len(norm)/64+1)
	for ord := range want {
		wanted[ord/64] |= 1 << (ord % 64)
	}
	for j, e := range p.entries[seg][:len(p.terms)] {
		if e.df == 0 {
			continue
		}
		list, err := s.list(ctx, e)
		if err != nil {
			return err
		}
		w := p.terms[j].Weight * p.terms[j].IDF * (k1 + 1)
		err = eachPosting(list, len(norm), func(x posting) {
			if wanted[x.doc/64]>>(x.doc%64)&1 == 1 {
				tf := float32(x.tf)
				out[want[x.doc]] += w * tf / (tf + norm[x.doc])
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}
