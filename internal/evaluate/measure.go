package evaluate

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// System is a pipeline under test with one set in it: the server's, or Memory.
type System interface {
	// Ingest makes docs, which have distinct ids, all that can be found.
	Ingest(ctx context.Context, set string, docs []Document) error
	// Ask answers one question from everything but the documents without,
	// as shipped: no setting is tuned to the set.
	Ask(ctx context.Context, question string, n int, without []string) (Reply, error)
}

// Reply is what a System says to a question.
type Reply struct {
	Docs       []string // at most n, best first, each once: by its best chunk
	Quotes     []Quote  // best first
	Answerable float64  // grows with how sure the system is that Quotes answer
}

// Quote is one quoted sentence or run of sentences.
type Quote struct{ Doc, Text string }

// Scores are the means over a set; NaN where the set has no such judgement.
type Scores struct {
	NDCG10, MRR10, Recall100 float64
	Sentence1, Sentence3     float64 // an answer is in the first, in one of the first three quotes, and from a gold document
	Refusal90                float64 // answerable questions kept when 90 % of the unanswerable are refused
}

// String prints the scores in the order and form of DESIGN §6.
func (s Scores) String() string {
	var b strings.Builder
	for _, f := range []struct {
		name string
		v    float64
	}{{"ndcg@10", s.NDCG10}, {"mrr@10", s.MRR10}, {"recall@100", s.Recall100}, {"sentence@1", s.Sentence1}, {"sentence@3", s.Sentence3}, {"refusal@90", s.Refusal90}} {
		if math.IsNaN(f.v) {
			fmt.Fprintf(&b, " %s -", f.name)
		} else {
			fmt.Fprintf(&b, " %s %.4f", f.name, f.v)
		}
	}
	return b.String()[1:]
}

// depth is how many documents a system is asked for: recall@100 needs them.
const depth = 100

// Measure asks sys, which holds set, every question twice: as it is, and with
// all its gold documents removed, which makes it unanswerable.
func Measure(ctx context.Context, sys System, set Set) (Scores, error) {
	if err := sys.Ingest(ctx, set.Name, set.Docs); err != nil {
		return Scores{}, fmt.Errorf("ingest %s: %w", set.Name, err)
	}
	var sum Scores
	var yes, no []float64
	n, judged := 0.0, 0.0
	for _, q := range set.Queries {
		if len(q.Gold) == 0 {
			continue
		}
		r, err := sys.Ask(ctx, q.Text, depth, nil)
		if err != nil {
			return Scores{}, fmt.Errorf("ask %s of %s: %w", q.ID, set.Name, err)
		}
		gold := make([]string, 0, len(q.Gold))
		for id := range q.Gold {
			gold = append(gold, id)
		}
		slices.Sort(gold)
		none, err := sys.Ask(ctx, q.Text, 10, gold)
		if err != nil {
			return Scores{}, fmt.Errorf("ask %s of %s without its answer: %w", q.ID, set.Name, err)
		}
		n++
		sum.NDCG10 += NDCG(r.Docs, q.Gold, 10)
		sum.MRR10 += MRR(r.Docs, q.Gold, 10)
		sum.Recall100 += Recall(r.Docs, q.Gold, 100)
		yes, no = append(yes, r.Answerable), append(no, none.Answerable)
		if len(q.Answers) > 0 {
			judged++
			sum.Sentence1 += hit(r.Quotes, q, 1)
			sum.Sentence3 += hit(r.Quotes, q, 3)
		}
	}
	return Scores{
		sum.NDCG10 / n, sum.MRR10 / n, sum.Recall100 / n,
		sum.Sentence1 / judged, sum.Sentence3 / judged, // 0/0 is NaN: not judged
		Kept(yes, no, 0.9),
	}, nil
}

// NDCG is the normalised discounted cumulative gain of the first k of ranked.
func NDCG(ranked []string, gold map[string]int, k int) float64 {
	var dcg, ideal float64
	for i, id := range ranked[:min(k, len(ranked))] {
		dcg += float64(gold[id]) / math.Log2(float64(i)+2)
	}
	gains := make([]int, 0, len(gold))
	for _, g := range gold {
		gains = append(gains, g)
	}
	slices.SortFunc(gains, func(a, b int) int { return cmp.Compare(b, a) })
	for i, g := range gains[:min(k, len(gains))] {
		ideal += float64(g) / math.Log2(float64(i)+2)
	}
	if ideal == 0 {
		return 0
	}
	return dcg / ideal
}

// MRR is the reciprocal rank of the first gold document within k, 0 without one.
func MRR(ranked []string, gold map[string]int, k int) float64 {
	for i, id := range ranked[:min(k, len(ranked))] {
		if gold[id] > 0 {
			return 1 / float64(i+1)
		}
	}
	return 0
}

// Recall is the share of the gold documents within the first k.
func Recall(ranked []string, gold map[string]int, k int) float64 {
	found := 0
	for _, id := range ranked[:min(k, len(ranked))] {
		if gold[id] > 0 {
			found++
		}
	}
	return float64(found) / float64(max(len(gold), 1))
}

func hit(quotes []Quote, q Query, k int) float64 {
	for _, c := range quotes[:min(k, len(quotes))] {
		if q.Gold[c.Doc] > 0 && Holds(c.Text, q.Answers) {
			return 1
		}
	}
	return 0
}

// Holds reports whether text contains one of answers, whatever their width,
// case and spaces.
func Holds(text string, answers []string) bool {
	text = plain(text)
	return slices.ContainsFunc(answers, func(a string) bool {
		a = plain(a)
		return a != "" && strings.Contains(text, a)
	})
}

func plain(s string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(s))), "")
}

// Kept returns the share of yes at or above the threshold that refuses share
// of no.
func Kept(yes, no []float64, share float64) float64 {
	if len(yes) == 0 || len(no) == 0 {
		return math.NaN()
	}
	no = slices.Sorted(slices.Values(no))
	i := min(int(math.Ceil(share*float64(len(no)))), len(no)) - 1
	kept := 0
	for _, v := range yes {
		if v > no[i] { // those at the threshold are refused
			kept++
		}
	}
	return float64(kept) / float64(len(yes))
}
