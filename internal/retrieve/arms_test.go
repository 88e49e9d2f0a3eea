package retrieve_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/retrieve"
)

// vectors is a dense arm with the cosines that a test gives it.
type vectors struct {
	near    []retrieve.Near
	cosines map[kb.ChunkID]float32 // NaN for those that are not in it
	err     error                  // of Nearest
	later   error                  // of Cosines
	short   bool                   // Cosines forgets one
	hang    bool                   // until the context ends
}

var _ retrieve.Vectors = vectors{}

func (v vectors) Nearest(ctx context.Context, _ string, k int) ([]retrieve.Near, error) {
	if v.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return v.near[:min(k, len(v.near))], v.err
}

func (v vectors) Cosines(_ context.Context, _ string, ids []kb.ChunkID) ([]float32, error) {
	out := make([]float32, len(ids))
	for i, id := range ids {
		c, ok := v.cosines[id]
		if !ok {
			c = float32(math.NaN())
		}
		out[i] = c
	}
	if v.short {
		out = out[1:]
	}
	return out, v.later
}

// fruit is a knowledge base whose lexical order for "apple pie recipe" is 1, 2, 3,
// while 4 has no word in common with it.
func fruit(t testing.TB) *store {
	s := &store{}
	s.add(t,
		kb.Chunk{ID: 1, Document: "a", Text: "An apple pie recipe for beginners."},
		kb.Chunk{ID: 2, Document: "b", Text: "This apple pie is sold in our shop every day."},
		kb.Chunk{ID: 3, Document: "c", Text: "An apple is a fruit that grows on trees in many countries."},
		kb.Chunk{ID: 4, Document: "d", Text: "Baked tart filled with Golden Delicious."},
		kb.Chunk{ID: 5, Document: "e", Text: "Opening hours."},
	)
	return s
}

func order(t testing.TB, cfg retrieve.Config) (ids []kb.ChunkID, degraded []string) {
	t.Helper()
	res, err := retrieve.New(fruit(t), cfg).Retrieve(t.Context(), "apple pie recipe", 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range res.Passages {
		ids = append(ids, p.ID)
		if math.IsNaN(p.Score) || math.IsNaN(p.Cosine) {
			t.Errorf("passage %d scores %v with a cosine of %v", p.ID, p.Score, p.Cosine)
		}
	}
	return ids, res.Degraded
}

func TestBothArmsDecideTheOrder(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	all := map[kb.ChunkID]float32{1: 0.1, 2: 0.9, 3: 0.1, 4: 0.85}
	near := []retrieve.Near{{ID: 2, Cosine: 0.9}, {ID: 4, Cosine: 0.85}}
	down := []string{retrieve.DegradedVectors}
	for name, c := range map[string]struct {
		v        retrieve.Vectors
		weight   float32
		want     []kb.ChunkID
		degraded []string
	}{
		"without vectors words decide":                         {want: []kb.ChunkID{1, 2, 3}},
		"a cosine lifts what it is high for":                   {v: vectors{near: near, cosines: all}, weight: 0.7, want: []kb.ChunkID{2, 1, 4, 3}},
		"a chunk without a vector is not punished":             {v: vectors{near: near, cosines: map[kb.ChunkID]float32{2: 0.9, 3: 0.1}}, weight: 0.5, want: []kb.ChunkID{1, 2, 4, 3}, degraded: down},
		"no chunk has a vector yet: as without, and says so":   {v: vectors{}, weight: 0.9, want: []kb.ChunkID{1, 2, 3}, degraded: down},
		"vectors that fail are gone without":                   {v: vectors{err: broken}, want: []kb.ChunkID{1, 2, 3}, degraded: down},
		"vectors that fail half way are gone without entirely": {v: vectors{near: near, later: broken}, want: []kb.ChunkID{1, 2, 3}, degraded: down},
		"too few cosines are none":                             {v: vectors{near: near, cosines: all, short: true}, want: []kb.ChunkID{1, 2, 3}, degraded: down},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, degraded := order(t, retrieve.Config{Vectors: c.v, DenseWeight: c.weight})
			if d := cmp.Diff(got, c.want); d != "" {
				t.Errorf("order (- got, + want):\n%s", d)
			}
			if d := cmp.Diff(degraded, c.degraded); d != "" {
				t.Errorf("degraded (- got, + want):\n%s", d)
			}
		})
	}
}

func TestDeadChunksStayDeadInTheDenseArm(t *testing.T) {
	t.Parallel()
	s := fruit(t)
	s.bury(4)
	v := vectors{near: []retrieve.Near{{ID: 4, Cosine: 1}}, cosines: map[kb.ChunkID]float32{1: 0, 2: 0, 3: 0}}
	res, err := retrieve.New(s, retrieve.Config{Vectors: v}).Retrieve(t.Context(), "apple pie recipe", 5)
	if err != nil || len(res.Passages) != 3 {
		t.Errorf("%d passages, %v, want the three that live", len(res.Passages), err)
	}
}

// reranker scores the texts as a test says.
type reranker struct {
	score func(doc string) float64
	err   error
	short bool
	hang  bool
	saw   *[]string
}

var _ retrieve.Reranker = reranker{}

func (r reranker) Rerank(ctx context.Context, query string, docs []string) ([]float64, error) {
	if r.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if r.saw != nil {
		*r.saw = append([]string{query}, docs...)
	}
	var out []float64
	for _, d := range docs {
		out = append(out, r.score(d))
	}
	if r.short {
		out = out[1:]
	}
	return out, r.err
}

func shopFirst(doc string) float64 {
	if strings.Contains(doc, "shop") {
		return 0.9
	}
	return 0.2
}

func TestTheRerankerHasTheLastWord(t *testing.T) {
	t.Parallel()
	down := []string{retrieve.DegradedRerank}
	for name, c := range map[string]struct {
		r        reranker
		want     []kb.ChunkID
		degraded []string
	}{
		"its order counts, equals stay as they were": {reranker{score: shopFirst}, []kb.ChunkID{2, 1, 3}, nil},
		"one that fails is gone without":             {reranker{score: shopFirst, err: errors.New("broken")}, []kb.ChunkID{1, 2, 3}, down},
		"too few scores are none":                    {reranker{score: shopFirst, short: true}, []kb.ChunkID{1, 2, 3}, down},
		"a score that is no number is none":          {reranker{score: func(string) float64 { return math.NaN() }}, []kb.ChunkID{1, 2, 3}, down},
		"a score above 1 is none":                    {reranker{score: func(d string) float64 { return 2 * shopFirst(d) }}, []kb.ChunkID{1, 2, 3}, down},
		"one to whom all are worthless keeps them":   {reranker{score: func(string) float64 { return 0 }}, []kb.ChunkID{1, 2, 3}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, degraded := order(t, retrieve.Config{Rerank: c.r})
			if d := cmp.Diff(got, c.want); d != "" {
				t.Errorf("order (- got, + want):\n%s", d)
			}
			if d := cmp.Diff(degraded, c.degraded); d != "" {
				t.Errorf("degraded (- got, + want):\n%s", d)
			}
		})
	}
}

func TestTheRerankerReadsTheBestFiftyWithinABudget(t *testing.T) {
	t.Parallel()
	s := &store{}
	var cs []kb.Chunk
	for i := range 80 {
		cs = append(cs, kb.Chunk{ID: kb.ChunkID(i + 1), Document: "d", Title: "Help", Text: fmt.Sprintf("Refund rule %d. ", i) + strings.Repeat("退", 3000)})
	}
	s.add(t, cs...)
	var saw []string
	res, err := retrieve.New(s, retrieve.Config{Rerank: reranker{score: func(string) float64 { return 0.5 }, saw: &saw}}).Retrieve(t.Context(), "refund rule", 80)
	if err != nil || len(res.Passages) != 80 {
		t.Fatalf("%d passages, %v, want 80", len(res.Passages), err)
	}
	if len(saw) != 51 || saw[0] != "refund rule" {
		t.Errorf("read %d texts for %q, want 50 for the question", len(saw)-1, saw[0])
	}
	for _, d := range saw[1:] {
		if len(d) > 4000 || !strings.HasPrefix(d, "Help\n") || strings.ContainsRune(d, '�') {
			t.Fatalf("read %d bytes that begin %.20q", len(d), d)
		}
	}
	for i, p := range res.Passages[1:] {
		if p.Score > res.Passages[i].Score {
			t.Errorf("passage %d scores %v after %v", i+1, p.Score, res.Passages[i].Score)
		}
	}
}

func TestAModelThatHangsCostsPatienceOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  retrieve.Config
		want string
	}{
		"vectors":  {retrieve.Config{Vectors: vectors{hang: true}, Patience: time.Second}, retrieve.DegradedVectors},
		"reranker": {retrieve.Config{Rerank: reranker{hang: true}}, retrieve.DegradedRerank},
	} {
		synctest.Test(t, func(t *testing.T) {
			patience := c.cfg.Patience
			if patience == 0 {
				patience = retrieve.DefaultPatience
			}
			begun := time.Now()
			ids, degraded := order(t, c.cfg)
			if took := time.Since(begun); took != patience || len(ids) != 3 || !cmp.Equal(degraded, []string{c.want}) {
				t.Errorf("%s: %v after %v, degraded %v, want three after %v", name, ids, took, degraded, patience)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience/2)
			defer cancel()
			if _, err := retrieve.New(fruit(t), c.cfg).Retrieve(ctx, "apple", 5); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: Retrieve = %v, want the caller's deadline, which came first", name, err)
			}
		})
	}
}

func TestContextIsWhatStandsBesideTheFirstPassages(t *testing.T) {
	t.Parallel()
	s := &store{}
	s.add(t,
		kb.Chunk{ID: 1, Document: "a", Text: "one"}, kb.Chunk{ID: 2, Document: "a", Text: "two"}, kb.Chunk{ID: 3, Document: "a", Text: "three"},
		kb.Chunk{ID: 4, Document: "a", Text: "four"}, kb.Chunk{ID: 5, Document: "b", Text: "five"}, kb.Chunk{ID: 6, Document: "b", Text: strings.Repeat("x", 7000)},
	)
	passage := func(id kb.ChunkID, doc kb.DocumentID, score float64) kb.Passage {
		return kb.Passage{Chunk: kb.Chunk{ID: id, Document: doc}, Score: score}
	}
	r := retrieve.New(s, retrieve.Config{})
	for name, c := range map[string]struct {
		of   []kb.Passage
		want []kb.ChunkID
	}{
		"both sides, what follows first":               {[]kb.Passage{passage(2, "a", 1)}, []kb.ChunkID{3, 1}},
		"nothing that is a passage already":            {[]kb.Passage{passage(2, "a", 1), passage(3, "a", 1)}, []kb.ChunkID{1, 4}},
		"nothing of another document, nothing too big": {[]kb.Passage{passage(5, "b", 1)}, nil},
		"of the first two only":                        {[]kb.Passage{passage(5, "b", 1), passage(1, "a", 0.5), passage(4, "a", 0.5)}, []kb.ChunkID{2}},
		"nothing of nothing":                           {nil, nil},
	} {
		got, err := r.Context(t.Context(), c.of)
		if err != nil {
			t.Fatal(err)
		}
		var ids []kb.ChunkID
		for _, p := range got {
			ids = append(ids, p.ID)
			if p.Score == 0 {
				t.Errorf("%s: chunk %d has no score", name, p.ID)
			}
		}
		if d := cmp.Diff(ids, c.want); d != "" {
			t.Errorf("%s (- got, + want):\n%s", name, d)
		}
	}
}
