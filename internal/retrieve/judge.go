package retrieve

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Reranker is a model that judges texts by how well they answer a question. It
// is safe for concurrent use and returns when its context ends.
type Reranker interface {
	// Rerank returns a score of 0 to 1 for each of docs, in their order.
	Rerank(ctx context.Context, query string, docs []string) ([]float64, error)
}

// judgedBytes bounds what the model reads of a passage. A chunk is a third of
// it; what is longer is a table or a list, which says in its head what it is.
const judgedBytes = 4000

// judge has the model put the best passages in order. A model that fails, lies
// or takes too long leaves them as they are, and the result says so; an error
// is that the question was given up.
func (r *Retriever) judge(ctx context.Context, t *Trace, text string) error {
	top := t.passages[:min(len(t.passages), rerankDepth)]
	if r.cfg.Rerank == nil || len(top) < 2 {
		return nil
	}
	docs := make([]string, len(top))
	for i := range top {
		docs[i] = judged(top[i].chunk)
	}
	within, cancel := context.WithTimeout(ctx, r.cfg.Patience)
	defer cancel()
	scores, err := r.cfg.Rerank.Rerank(within, text, docs)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = checkScores(scores, len(docs))
	}
	if err != nil { // whoever counts degraded answers knows; the model's client told why
		t.degraded = append(t.degraded, DegradedRerank)
		return nil //nolint:nilerr // an answer without the model is an answer
	}
	rest := t.passages[len(top):]
	for i := range top {
		top[i].score = float32(scores[i])
	}
	slices.SortStableFunc(top, func(a, b passage) int { return cmp.Compare(b.score, a.score) })
	if len(rest) == 0 {
		return nil
	}
	scale := share(top[len(top)-1].score, max(1, rest[0].score))
	for i := range rest { // below what was judged, in their own proportion
		rest[i].score *= scale
	}
	return nil
}

// judged is a passage as the model reads it.
func judged(c kb.Chunk) string {
	var b strings.Builder
	for _, s := range [...]string{c.Title, c.Heading, c.Prefix, c.Text} {
		if s != "" {
			b.WriteString(s)
			b.WriteByte('\n')
		}
	}
	s := b.String()
	return strings.ToValidUTF8(s[:min(len(s), judgedBytes)], "")
}

func checkScores(scores []float64, n int) error {
	if len(scores) != n {
		return fmt.Errorf("%d scores for %d passages", len(scores), n)
	}
	for i, s := range scores {
		if math.IsNaN(s) || s < 0 || s > 1 {
			return fmt.Errorf("score %v of passage %d is not between 0 and 1", s, i)
		}
	}
	return nil
}
