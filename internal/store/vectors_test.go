package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// live makes a document of n chunks that can be found, and returns its ids.
func live(t *testing.T, s *Store, name string, replaces kb.DocumentID, n int) (kb.DocumentID, kb.Span) {
	t.Helper()
	sub := submit(t, s, name, fmt.Sprint("sha ", name, n, replaces), replaces)
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprint(name, " chunk ", i)
	}
	seg, p := stage(t, s, sub, texts...)
	publish(t, s, seg, p)
	return sub.Document, kb.Span{First: p.First, Last: p.First + kb.ChunkID(n) - 1}
}

func block(first, last kb.ChunkID, data string) kb.VectorBlock {
	return kb.VectorBlock{First: first, Last: last, Data: []byte(data)}
}

func put(t *testing.T, s *Store, space string, blocks ...kb.VectorBlock) int {
	t.Helper()
	n, err := s.PutVectors(t.Context(), space, blocks, kb.Spent{}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// spans is what VectorSpans returns, as first-last.
func spans(t *testing.T, s *Store, space string) (out []string) {
	t.Helper()
	bs, err := s.VectorSpans(t.Context(), space)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bs {
		out = append(out, fmt.Sprint(b.First, "-", b.Last))
	}
	return out
}

func TestVectorsAreStoredForWhatCanBeFoundAndOnce(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, a := live(t, s, "a", "", 4)
	_, b := live(t, s, "b", "", 2)
	sub := submit(t, s, "c", "sha c", "")
	_, hidden := stage(t, s, sub, "not published")
	if n := put(t, s, "m/2", block(a.First, a.First+1, "one"), block(a.First+2, a.Last, "two")); n != 2 {
		t.Fatalf("stored %d blocks, want 2", n)
	}
	for name, blk := range map[string]kb.VectorBlock{
		"the same chunks again":             block(a.First, a.First+1, "other"),
		"chunks that overlap":               block(a.First+1, a.First+2, "other"),
		"one inside":                        block(a.Last, a.Last, "other"),
		"over the end of a version":         block(b.First, b.Last+1, "other"),
		"over two documents":                block(a.Last, b.First, "other"),
		"a version that is not published":   block(hidden.First, hidden.First, "other"),
		"chunks that there have never been": block(1000, 1001, "other"),
	} {
		if n := put(t, s, "m/2", blk); n != 0 {
			t.Errorf("%s: stored", name)
		}
	}
	if n := put(t, s, "n/2", block(a.First+1, a.First+2, "another space")); n != 1 {
		t.Error("another space has blocks of its own")
	}
	if diff := cmp.Diff([]string{"1-2", "3-4"}, spans(t, s, "m/2")); diff != "" {
		t.Error(diff)
	}
	got, err := s.VectorBlocksOf(t.Context(), "m/2", []kb.ChunkID{a.Last, b.First, a.First + 2, 7777})
	if err != nil || len(got) != 1 || string(got[0].Data) != "two" {
		t.Errorf("blocks of some chunks: %v, %v; want the one that holds both", got, err)
	}
}

func TestVectorBlocksAreReadInPagesByOrderOfCommit(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, a := live(t, s, "a", "", 4)
	put(t, s, "m/2", block(a.First+2, a.First+2, "third"))
	put(t, s, "n/2", block(a.First, a.First, "of another space"))
	put(t, s, "m/2", block(a.First, a.First+1, "first"), block(a.Last, a.Last, ""))
	var got []string
	for after := int64(0); ; {
		bs, err := s.VectorBlocks(t.Context(), "m/2", after, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(bs) == 0 {
			break
		}
		for _, b := range bs {
			got = append(got, fmt.Sprint(b.First, "-", b.Last, " ", string(b.Data)))
		}
		after = bs[len(bs)-1].ID
	}
	if diff := cmp.Diff([]string{"3-3 third", "1-2 first", "4-4 "}, got); diff != "" {
		t.Error(diff)
	}
	index, newest, err := s.VectorsVersion(t.Context())
	if err != nil || newest != 4 || index == 0 {
		t.Errorf("version %d, newest block %d, %v", index, newest, err)
	}
}

func TestDeletingADocumentDeletesItsVectors(t *testing.T) {
	t.Parallel()
	s := open(t)
	id, a := live(t, s, "a", "", 2)
	_, second := live(t, s, "a", id, 3)
	_, b := live(t, s, "b", "", 1)
	if n := put(t, s, "m/2", block(a.First, a.Last, "replaced")); n != 0 {
		t.Error("vectors of a version that was replaced were stored")
	}
	put(t, s, "m/2", block(second.First, second.Last, "x"), block(b.First, b.Last, "y"))
	put(t, s, "n/2", block(second.First, second.First, "z"))
	if err := s.DeleteDocument(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"6-6"}, spans(t, s, "m/2")); diff != "" {
		t.Error(diff)
	}
	if left := spans(t, s, "n/2"); len(left) != 0 {
		t.Errorf("another space keeps %v", left)
	}
	ls, err := s.LiveSpans(t.Context())
	if diff := cmp.Diff([]kb.Span{b}, ls); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestEmbeddingIsCountedBesideTheTurns(t *testing.T) {
	t.Parallel()
	s := open(t)
	_, a := live(t, s, "a", "", 2)
	for range 2 {
		if _, err := s.PutVectors(t.Context(), "m/2", []kb.VectorBlock{block(a.First, a.First, "x")}, kb.Spent{Model: "m", Tokens: 10, CostMicro: 7}, epoch); err != nil {
			t.Fatal(err)
		}
	}
	us, err := s.Usage(t.Context(), "2026-01-01", "2026-01-31")
	want := []kb.UsageDay{{Day: "2026-01-02", Model: "m", Prompt: 20, CostMicro: 14}}
	if diff := cmp.Diff(want, us); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestSpacesAreForgottenWhenTheyAreEmpty(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := t.Context()
	_, a := live(t, s, "a", "", 2)
	put(t, s, "m/2", block(a.First, a.First, "x"))
	later := epoch.Add(time.Hour)
	if err := s.UseVectorSpace(ctx, "m/2", later); err != nil {
		t.Fatal(err)
	}
	if err := s.DropVectorSpace(ctx, "m/2"); err != nil {
		t.Fatal(err)
	}
	got, err := s.VectorSpaces(ctx)
	if diff := cmp.Diff([]kb.VectorSpace{{Space: "m/2", Since: epoch, Used: later}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	bs, err := s.VectorSpans(ctx, "m/2")
	if err != nil || s.DropVectors(ctx, []int64{bs[0].ID}) != nil || s.DropVectorSpace(ctx, "m/2") != nil {
		t.Fatal(err)
	}
	if got, _ := s.VectorSpaces(ctx); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestABatchThatWasAbandonedNeverBecomesLive(t *testing.T) {
	t.Parallel()
	s := open(t)
	ctx := t.Context()
	b := kb.VectorBatch{ID: "b1", Space: "m/2", Target: "milvus", First: 1, Last: 9, N: 100, Created: epoch}
	if err := s.BeginBatch(ctx, b); err != nil {
		t.Fatal(err)
	}
	overlaps := b
	overlaps.ID, overlaps.First, overlaps.Last = "b2", 9, 12
	if err := s.BeginBatch(ctx, overlaps); kb.KindOf(err) != kb.Conflict {
		t.Errorf("a batch of blocks that are in another one: %v, want a conflict", err)
	}
	if err := s.CountedBatch(ctx, "b1", 0); err != nil {
		t.Fatal(err)
	}
	got, _, err := s.VectorBatches(ctx, "milvus")
	b.State = kb.BatchLive
	if diff := cmp.Diff([]kb.VectorBatch{b}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if other, _, _ := s.VectorBatches(ctx, "another"); len(other) != 0 {
		t.Errorf("another index has %v", other)
	}
	if err := s.DropBatches(ctx, []string{"b1"}); err != nil { // not abandoned yet: nothing happens
		t.Fatal(err)
	}
	if err := s.AbandonBatches(ctx, []string{"b1"}); err != nil {
		t.Fatal(err)
	}
	if err := s.CountedBatch(ctx, "b1", 0); kb.KindOf(err) != kb.Conflict {
		t.Errorf("making an abandoned batch live: %v, want a conflict", err)
	}
	if err := s.DropBatches(ctx, []string{"b1"}); err != nil {
		t.Fatal(err)
	}
	if left, _, _ := s.VectorBatches(ctx, "milvus"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
