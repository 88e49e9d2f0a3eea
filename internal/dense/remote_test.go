package dense

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestAnIndexOutsideNamesCandidatesAndTheDatabaseScoresThem(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index(), MemoryBytes: 1}
	w.add("", texts("a", 2500)...)
	x := w.indexer(cfg)
	rep := w.pass(x)
	if rep.Sent != 2500 || r.size() != 2500 || len(r.rows) < 3 {
		t.Fatalf("%+v; %d vectors in %d batches outside", rep, r.size(), len(r.rows))
	}
	s := NewSearcher(w.store, w.model, cfg, x, nil)
	near, err := s.Nearest(t.Context(), "number 77 says what", 10)
	if err != nil || len(near) != 10 {
		t.Fatal(near, err)
	}
	exact := NewSearcher(w.store, w.model, Config{}, x, nil)
	want, err := exact.Nearest(t.Context(), "number 77 says what", 10)
	w.must(err)
	for i := range near {
		if near[i].Cosine != want[i].Cosine {
			t.Errorf("place %d: %v, in memory %v", i, near[i], want[i])
		}
	}
	if note := s.Take("number 77 says what"); note.Degraded != nil {
		t.Errorf("degraded: %v", note.Degraded)
	}
	if s.cur.Load().matrix != nil {
		t.Error("vectors are in memory though the index outside has them")
	}
	if rep := w.pass(x); rep.Sent != 0 {
		t.Errorf("sent again: %+v", rep)
	}
	w.add("", "one more")
	if rep := w.pass(x); rep.Sent != 1 {
		t.Errorf("what is new: %+v", rep)
	}
}

func TestWithoutTheIndexOutsideMemoryAnswersOrWordsDo(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index()}
	w.add("", texts("a", 50)...)
	x := w.indexer(cfg)
	w.pass(x)
	small := NewSearcher(w.store, w.model, cfg, x, nil)
	cfg.MemoryBytes = 1
	large := NewSearcher(w.store, w.model, cfg, x, nil)
	r.fail(errRemote)
	if got := nearest(t, small, "number 7", 5); len(got) != 5 {
		t.Errorf("memory finds %v", got)
	}
	if note := small.Take("number 7"); !slices.Equal(note.Degraded, []string{DegradedMilvus}) {
		t.Errorf("the note says %v", note.Degraded)
	}
	if got := nearest(t, large, "number 7", 5); len(got) != 0 {
		t.Errorf("over the budget finds %v", got)
	}
	if note := large.Take("number 7"); !slices.Equal(note.Degraded, []string{DegradedMilvus, DegradedVectors}) {
		t.Errorf("the note says %v", note.Degraded)
	}
	r.fail(nil)
	if got := nearest(t, large, "number 7", 5); len(got) != 5 {
		t.Errorf("back again finds %v", got)
	}
}

func TestABatchThatIsNotWholeIsNeverSearched(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index(), MemoryBytes: 1}
	w.add("", texts("a", 50)...)
	x := w.indexer(cfg)
	r.lose = 1
	if rep, err := x.Pass(t.Context()); err == nil || rep.Sent != 0 || rep.Embedded != 50 {
		t.Fatalf("%+v, %v", rep, err)
	}
	s := NewSearcher(w.store, w.model, cfg, x, nil)
	if got := nearest(t, s, "number 7", 5); len(got) != 0 {
		t.Errorf("found %v of a batch that lacks a vector", got)
	}
	if rep := w.pass(x); rep.Sent != 50 || r.size() != 50 || len(r.rows) != 1 {
		t.Errorf("%+v; outside are %d in %d batches", rep, r.size(), len(r.rows))
	}
	if got := nearest(t, s, "number 7", 5); len(got) != 5 {
		t.Errorf("found %v", got)
	}
}

func TestWhatWasLostOutsideIsSentAgain(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index(), MemoryBytes: 1}
	w.add("", texts("a", 50)...)
	w.pass(w.indexer(cfg))
	clear(r.rows)
	if rep := w.pass(w.indexer(cfg)); rep.Sent != 50 || r.size() != 50 { // another process: it counts first
		t.Errorf("%+v; %d outside", rep, r.size())
	}
}

func TestAnIndexEmptiedWhileWeRunIsFilledAgain(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index()}
	w.add("", texts("a", 50)...)
	x := w.indexer(cfg)
	w.pass(x)
	woken := 0
	s := NewSearcher(w.store, w.model, cfg, x, func() { woken++ })
	clear(r.rows)
	if rep := w.pass(x); rep.Sent != 0 {
		t.Fatalf("%+v: it was counted again though nobody had reason to", rep)
	}
	near, err := s.Nearest(t.Context(), "number 7 says what", 5)
	if note := s.Take("number 7 says what"); err != nil || len(near) != 5 || woken == 0 || !slices.Contains(note.Degraded, DegradedMilvus) {
		t.Errorf("%d found, %v, woken %d times, degraded %v: want an answer from memory that says so", len(near), err, woken, note.Degraded)
	}
	w.pass(x) // takes the batches out of use
	w.pass(x) // and sends them again
	if r.size() != 50 {
		t.Errorf("%d vectors outside, want 50", r.size())
	}
	near, err = s.Nearest(t.Context(), "number 7 says what", 5)
	if note := s.Take("number 7 says what"); err != nil || len(near) != 5 || note.Degraded != nil {
		t.Errorf("%d found, %v, degraded %v", len(near), err, note.Degraded)
	}
}

func TestBatchesThatNobodyKnowsAreDeletedAndThoseOnTheirWayAreNot(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index()}
	w.add("", texts("a", 5)...)
	row := []kb.VectorRow{{Chunk: 1, Vector: make([]float32, dims)}}
	r.rows["of a history that was restored away"] = row
	r.rows["on its way"], r.rows["dead"] = row, row
	for id, at := range map[string]time.Time{"on its way": time.Now(), "dead": time.Now().Add(-2 * pendingTime)} {
		w.must(w.store.BeginBatch(t.Context(), kb.VectorBatch{ID: id, Space: "m/64", Target: "fake", First: at.UnixNano(), Last: at.UnixNano(), N: 1, Created: at}))
	}
	w.pass(w.indexer(cfg))
	var left []string
	for id := range r.rows {
		left = append(left, id)
	}
	if len(left) != 2 || !slices.Contains(left, "on its way") {
		t.Errorf("outside are %v, want the one on its way and the new one", left)
	}
	if err := w.store.CountedBatch(t.Context(), "dead", 0); kb.KindOf(err) != kb.Conflict {
		t.Errorf("a batch that was swept becomes live: %v", err)
	}
}

func TestABatchThatMostlyDiedIsMadeAnew(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index()}
	doc, _ := w.add("", texts("a", 60)...)
	w.add("", texts("b", 40)...)
	x := w.indexer(cfg)
	w.pass(x)
	w.must(w.store.DeleteDocument(t.Context(), doc))
	w.pass(x)
	if r.size() != 40 {
		t.Errorf("%d vectors outside, want 40", r.size())
	}
}

func TestWhatWasSentBeforeARestoreCountsOnlyWhenItIsThere(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	epochs := &restored{Store: w.store}
	cfg := Config{Remote: r.index(), MemoryBytes: 1}
	w.add("", texts("a", 20)...)
	x := NewIndexer(epochs, w.model, cfg)
	w.pass(x)
	s := NewSearcher(epochs, w.model, cfg, x, nil)
	if got := nearest(t, s, "number 7", 5); len(got) != 5 {
		t.Fatalf("found %v", got)
	}
	epochs.epoch = 1 << 20 // store.AdvanceFile makes it so
	if got := nearest(t, s, "number 7", 5); len(got) != 0 {
		t.Errorf("right after a restore: %v", got)
	}
	if rep := w.pass(x); rep.Sent != 0 {
		t.Errorf("what is there was sent again: %+v", rep)
	}
	if got := nearest(t, s, "number 7", 5); len(got) != 5 {
		t.Errorf("after it was counted: %v", got)
	}
	epochs.epoch = 2 << 20
	clear(r.rows)
	if rep := w.pass(x); rep.Sent != 20 {
		t.Errorf("what is not there was not sent again: %+v", rep)
	}
}

// restored is a store whose epoch is set.
type restored struct {
	Store
	epoch int64
}

func (s *restored) VectorBatches(ctx context.Context, target string) ([]kb.VectorBatch, int64, error) {
	bs, _, err := s.Store.VectorBatches(ctx, target)
	return bs, s.epoch, err
}

func TestRebuildSendsEverythingAgain(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index()}
	w.add("", texts("a", 20)...)
	x := w.indexer(cfg)
	w.pass(x)
	w.model.asked()
	rep, err := x.Rebuild(t.Context(), false)
	if err != nil || rep.Sent != 20 || r.size() != 20 || w.model.asked() != 0 {
		t.Errorf("%+v, %v; %d outside", rep, err, r.size())
	}
	w.must(x.Leave(t.Context()))
	if r.size() != 0 {
		t.Errorf("%d vectors are left outside", r.size())
	}
}

func TestServersThatSendAtOnceLeaveEveryVectorSearchable(t *testing.T) {
	t.Parallel()
	w, r := newWorld(t), new(remote)
	cfg := Config{Remote: r.index(), MemoryBytes: 1}
	for i := range 20 {
		w.add("", texts(fmt.Sprint("d", i), 9)...)
	}
	var wg sync.WaitGroup
	for range 3 {
		x := w.indexer(cfg)
		wg.Go(func() {
			for range 3 {
				if _, err := x.Pass(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := NewSearcher(w.store, w.model, cfg, nil, nil)
	if got := nearest(t, s, "number 7", 200); len(got) != 180 {
		t.Errorf("found %d of 180", len(got))
	}
	if note := s.Take("number 7"); note.Degraded != nil {
		t.Errorf("the note says %v", note.Degraded)
	}
}
