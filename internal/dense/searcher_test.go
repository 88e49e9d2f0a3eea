package dense

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

func spanText(s kb.Span) string { return fmt.Sprint(s.First, "-", s.Last) }

// cosine is what the nearest chunk must have.
func cosine(question, chunk string) float32 {
	a, b := llmtest.Vector("m "+question, dims), llmtest.Vector("m T\n"+chunk, dims)
	s := float32(0)
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func TestTheNearestAreFoundAndTheQuestionIsEmbeddedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := texts("a", 200)
	_, span := w.add("", all...)
	w.pass(w.indexer(Config{}))
	w.model.asked()
	s := NewSearcher(w.store, w.model, Config{}, nil, nil)
	question := "number 77 says what"
	near, err := s.Nearest(t.Context(), question, 10)
	if err != nil || len(near) != 10 {
		t.Fatal(near, err)
	}
	type scored struct {
		id kb.ChunkID
		c  float32
	}
	var want []scored
	for i, text := range all {
		want = append(want, scored{span.First + kb.ChunkID(i), cosine(question, text)})
	}
	slices.SortFunc(want, func(a, b scored) int { return int(1e6 * (b.c - a.c)) })
	for i, n := range near {
		if math.Abs(float64(n.Cosine-want[i].c)) > 1e-4 {
			t.Errorf("place %d: chunk %d at %f, want %d at %f", i, n.ID, n.Cosine, want[i].id, want[i].c)
		}
	}
	cs, err := s.Cosines(t.Context(), question, []kb.ChunkID{want[150].id, 99999, near[0].ID})
	if err != nil || math.Abs(float64(cs[0]-want[150].c)) > 1e-4 || !math.IsNaN(float64(cs[1])) || cs[2] != near[0].Cosine {
		t.Errorf("cosines %v, %v", cs, err)
	}
	if n := w.model.asked(); n != 1 {
		t.Errorf("the question was embedded %d times", n)
	}
	if note := s.Take(question); note.Spent.Tokens != 1 || note.Degraded != nil {
		t.Errorf("note %+v", note)
	}
	if note := s.Take(question); note.Spent != (kb.Spent{}) {
		t.Errorf("what was spent is told twice: %+v", note)
	}
	if s.Memory() == 0 {
		t.Error("the searcher says that it holds nothing")
	}
}

func TestOnlyWhatIsLiveIsFoundAndWhatIsNewAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x := w.indexer(Config{})
	doc, first := w.add("", "alpha beta gamma")
	_, other := w.add("", "delta epsilon")
	w.pass(x)
	s := NewSearcher(w.store, w.model, Config{}, x, nil)
	if got := nearest(t, s, "alpha", 5); !slices.Equal(got, []kb.ChunkID{first.First, other.First}) {
		t.Errorf("found %v", got)
	}
	_, second := w.add(doc, "alpha again", "zeta")
	if got := nearest(t, s, "alpha", 5); !slices.Equal(got, []kb.ChunkID{other.First}) {
		t.Errorf("before the new version has vectors: %v", got)
	}
	if note := s.Take("alpha"); !slices.Equal(note.Degraded, []string{DegradedVectors}) {
		t.Errorf("vectors are missing, and the note says %v", note.Degraded)
	}
	w.pass(x)
	if got := nearest(t, s, "alpha", 1); !slices.Equal(got, []kb.ChunkID{second.First}) {
		t.Errorf("after: %v", got)
	}
	if note := s.Take("alpha"); note.Degraded != nil {
		t.Errorf("nothing is missing, and the note says %v", note.Degraded)
	}
	w.must(w.store.DeleteDocument(t.Context(), doc))
	if got := nearest(t, s, "alpha", 5); !slices.Equal(got, []kb.ChunkID{other.First}) {
		t.Errorf("after it was deleted: %v", got)
	}
}

func TestAMatrixOfTheDeadIsMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x := w.indexer(Config{})
	doc, _ := w.add("", texts("a", 2*spareRows)...)
	w.add("", "what stays")
	w.pass(x)
	s := NewSearcher(w.store, w.model, Config{}, x, nil)
	nearest(t, s, "q", 1)
	before := s.cur.Load().matrix.Len()
	w.add(doc, "short")
	w.pass(x)
	nearest(t, s, "q", 1)
	w.add(doc, "shorter")
	w.pass(x)
	nearest(t, s, "q", 1)
	if after := s.cur.Load().matrix.Len(); before != 2*spareRows+1 || after > 3 {
		t.Errorf("%d vectors before, %d after", before, after)
	}
}

func TestWhoHasTooManyVectorsForMemoryGetsCosinesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, span := w.add("", texts("a", 50)...)
	w.pass(w.indexer(Config{}))
	s := NewSearcher(w.store, w.model, Config{MemoryBytes: 1000}, nil, nil)
	if got := nearest(t, s, "number 7", 5); len(got) != 0 {
		t.Errorf("found %v", got)
	}
	if note := s.Take("number 7"); !slices.Equal(note.Degraded, []string{DegradedVectors}) {
		t.Errorf("the note says %v", note.Degraded)
	}
	cs, err := s.Cosines(t.Context(), "number 7", []kb.ChunkID{span.First, span.Last})
	if err != nil || math.Abs(float64(cs[0]-cosine("number 7", texts("a", 50)[0]))) > 1e-4 || math.IsNaN(float64(cs[1])) {
		t.Errorf("cosines %v, %v", cs, err)
	}
	if m := s.cur.Load().matrix; m != nil {
		t.Error("the vectors were read into memory")
	}
}

func TestADamagedBlockIsLeftOutAndMadeAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, a := w.add("", "alpha beta")
	w.add("", "gamma delta")
	_, err := w.store.PutVectors(t.Context(), "m/64", []kb.VectorBlock{{First: a.First, Last: a.Last, Data: []byte("no block at all")}}, kb.Spent{}, day)
	w.must(err)
	x := w.indexer(Config{})
	w.pass(x)
	woken := 0
	s := NewSearcher(w.store, w.model, Config{}, x, func() { woken++ })
	if got := nearest(t, s, "alpha", 5); len(got) != 1 || woken == 0 {
		t.Errorf("found %v, woken %d times", got, woken)
	}
	if rep := w.pass(x); rep.Embedded != 1 {
		t.Errorf("the pass after that: %+v", rep)
	}
	if got := nearest(t, s, "alpha", 1); !slices.Equal(got, []kb.ChunkID{a.First}) {
		t.Errorf("found %v", got)
	}
}

func TestAModelThatFailsIsAnErrorOfThisQuestionOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", "alpha beta")
	w.pass(w.indexer(Config{}))
	s := NewSearcher(w.store, w.model, Config{}, nil, nil)
	w.model.set(down)
	if _, err := s.Nearest(t.Context(), "alpha", 5); !errors.Is(err, errDown) {
		t.Errorf("got %v", err)
	}
	w.model.set(nil)
	if got := nearest(t, s, "alpha", 5); len(got) != 1 {
		t.Errorf("found %v", got)
	}
	w.model.set(down)
	if got := nearest(t, s, "alpha", 5); len(got) != 1 {
		t.Errorf("a question asked before needs no model, found %v", got)
	}
}

func TestABlankQuestionFindsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := NewSearcher(w.store, w.model, Config{}, nil, nil)
	near, err := s.Nearest(t.Context(), " \n", 3)
	cs, err2 := s.Cosines(t.Context(), "", []kb.ChunkID{1})
	if err != nil || err2 != nil || near != nil || len(cs) != 1 || !math.IsNaN(float64(cs[0])) || w.model.asked() != 0 {
		t.Errorf("%v %v, %v %v", near, err, cs, err2)
	}
}

func TestQuestionsAreForgottenInTheOrderOfTheirUse(t *testing.T) {
	t.Parallel()
	var q questions
	for i := range maxQuestions {
		q.keep(&question{text: fmt.Sprint(i)})
	}
	q.get("0")
	q.keep(&question{text: "new"})
	if q.get("0") == nil || q.get("1") != nil || q.get("2") == nil || len(q.held) != maxQuestions {
		t.Errorf("held: %d", len(q.held))
	}
}

func TestVectorsAreReadInPagesAndAReaderThatWasInterruptedGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", texts("a", 400)...)
	w.pass(w.indexer(Config{}))
	paged := &pagedStore{Store: w.store, failAt: 2}
	s := NewSearcher(paged, w.model, Config{}, nil, nil)
	if _, err := s.Nearest(t.Context(), "q", 3); !errors.Is(err, errRemote) {
		t.Fatalf("got %v", err)
	}
	cs, err := s.Cosines(t.Context(), "q", []kb.ChunkID{400})
	if err != nil || math.IsNaN(float64(cs[0])) {
		t.Errorf("what was not read yet has no cosine: %v, %v", cs, err)
	}
	if near, err := s.Nearest(t.Context(), "q", 400); err != nil || len(near) != 400 {
		t.Errorf("%d found, %v", len(near), err)
	}
	if diff := cmp.Diff([]int64{0, 1, 1, 2, 3}, paged.asked); diff != "" {
		t.Errorf("pages read:\n%s", diff)
	}
}
