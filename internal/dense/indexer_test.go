package dense

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestEverythingThatCanBeFoundGetsOneVector(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	x := w.indexer(Config{})
	if rep := w.pass(x); rep.Changed() || w.model.asked() != 0 {
		t.Errorf("of nothing: %+v", rep)
	}
	doc, _ := w.add("", texts("a", 300)...)
	w.add("", texts("b", 7)...)
	rep := w.pass(x)
	if rep.Embedded != 307 || rep.Missing != 0 || rep.Space != "m/64" || rep.Spent.Tokens != 307 {
		t.Errorf("first pass: %+v", rep)
	}
	if n := w.model.asked(); n != 307 {
		t.Errorf("the model was asked for %d texts", n)
	}
	if rep := w.pass(x); rep.Changed() || w.model.asked() != 0 {
		t.Errorf("second pass: %+v", rep)
	}
	w.add(doc, texts("a changed", 5)...)
	if rep := w.pass(x); rep.Embedded != 5 || rep.Swept == 0 || w.lacking("m/64") != 0 {
		t.Errorf("pass after a new version: %+v", rep)
	}
	usage, err := w.store.Usage(t.Context(), "2000-01-01", "2999-01-01")
	if err != nil || len(usage) == 0 || usage[0].Model != "m" || usage[0].Prompt != 312 || usage[0].Turns != 0 {
		t.Errorf("usage %+v, %v", usage, err)
	}
}

func TestTitleAndHeadingAreEmbeddedWithTheText(t *testing.T) {
	t.Parallel()
	c := kb.Chunk{Title: "Lamp", Heading: "Care › Cleaning", Prefix: "", Text: "Use a dry cloth.\n"}
	if got, want := text(c), "Lamp\nCare › Cleaning\nUse a dry cloth."; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
}

func TestAPassGoesOnWhereTheModelFailed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", texts("a", 600)...)
	x := w.indexer(Config{})
	calls := 0
	w.model.set(func([]string) error {
		if calls++; calls > 1 {
			return errDown
		}
		return nil
	})
	rep, err := x.Pass(t.Context())
	if !errors.Is(err, errDown) || rep.Embedded == 0 || rep.Missing != 600-rep.Embedded {
		t.Fatalf("pass with a model that goes down: %+v, %v", rep, err)
	}
	if got := w.lacking("m/64"); got != rep.Missing {
		t.Errorf("%d chunks lack vectors, the report says %d", got, rep.Missing)
	}
	w.model.set(nil)
	w.model.asked()
	if again := w.pass(x); again.Embedded != rep.Missing || w.model.asked() != rep.Missing {
		t.Errorf("the next pass embeds %d, want %d", again.Embedded, rep.Missing)
	}
}

func TestATextThatIsRefusedKeepsNobodyWaitingAndIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"content inspection": kb.E(kb.Invalid, nil, "refused"),
		"too long":           kb.E(kb.TooLarge, nil, "too long"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			all := texts("a", 40)
			all[0], all[17], all[39] = "forbidden one", "forbidden two", "forbidden three"
			w.add("", all...)
			w.model.set(refusing("forbidden", err))
			x := w.indexer(Config{})
			if rep := w.pass(x); rep.Embedded != 37 || rep.Refused != 3 || rep.Missing != 0 {
				t.Errorf("pass: %+v", rep)
			}
			w.model.asked()
			if rep := w.pass(x); rep.Changed() || w.model.asked() != 0 {
				t.Errorf("again: %+v", rep)
			}
			s := NewSearcher(w.store, w.model, Config{}, x, nil)
			if got := nearest(t, s, all[1], 40); len(got) != 37 {
				t.Errorf("%d found, want the 37 with a vector", len(got))
			}
			w.model.asked()
			if rep := w.pass(x); rep.Changed() || w.model.asked() != 0 {
				t.Errorf("after a search: %+v", rep)
			}
			cs, err := s.Cosines(t.Context(), all[1], []kb.ChunkID{1, 2})
			if err != nil || !math.IsNaN(float64(cs[0])) || cs[1] < 0.5 {
				t.Errorf("cosines %v, %v; want none and a high one", cs, err)
			}
		})
	}
}

func TestATextThatTheModelStumblesOverIsLeftForAnotherTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := texts("a", 20)
	all[7] = "strange text"
	w.add("", all...)
	w.model.set(refusing("strange", kb.E(kb.Unavailable, nil, "400 of an unknown kind")))
	x := w.indexer(Config{})
	rep, err := x.Pass(t.Context())
	if err == nil || rep.Embedded != 19 || rep.Missing != 1 || rep.Refused != 0 {
		t.Errorf("pass: %+v, %v", rep, err)
	}
	w.model.set(nil)
	if rep := w.pass(x); rep.Embedded != 1 || rep.Missing != 0 {
		t.Errorf("the next pass: %+v", rep)
	}
}

func TestAModelThatSaysTooOftenIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", texts("a", 20)...)
	w.model.set(func([]string) error { return kb.E(kb.RateLimited, nil, "busy") })
	if _, err := w.indexer(Config{}).Pass(t.Context()); kb.KindOf(err) != kb.RateLimited || len(w.model.calls) != 1 {
		t.Errorf("%v after %d calls, want one", err, len(w.model.calls))
	}
}

func TestWhatWasPaidForIsKeptWhenTimeIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", texts("a", 600)...)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	w.model.set(func(texts []string) error {
		if n += len(texts); n > 300 {
			cancel() // the answer of this call arrives all the same
		}
		return nil
	})
	rep, err := w.indexer(Config{}).Pass(ctx)
	if !errors.Is(err, context.Canceled) || rep.Embedded < 300 || w.lacking("m/64") != 600-rep.Embedded {
		t.Errorf("%+v, %v; %d lack vectors", rep, err, w.lacking("m/64"))
	}
}

func TestTwoServersAtOnceGiveEachChunkOneVector(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", texts("a", 500)...)
	for i := range 10 {
		w.add("", texts(string(rune('b'+i)), 3)...)
	}
	var wg sync.WaitGroup
	for range 3 {
		x := w.indexer(Config{})
		wg.Go(func() {
			if _, err := x.Pass(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	blocks, err := w.store.VectorSpans(t.Context(), "m/64")
	w.must(err)
	seen := 0
	last := kb.ChunkID(0)
	for _, b := range blocks {
		if b.First <= last {
			t.Errorf("block %d-%d overlaps the one before", b.First, b.Last)
		}
		seen += int(b.Last-b.First) + 1
		last = b.Last
	}
	if seen != 530 || w.lacking("m/64") != 0 {
		t.Errorf("%d vectors, %d chunks lack one", seen, w.lacking("m/64"))
	}
}

func TestAnotherModelMakesItsOwnVectorsAndTheOldOnesGoWhenNobodyUsesThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", texts("a", 30)...)
	old := w.indexer(Config{})
	w.pass(old)
	w.model = &model{name: "n"}
	x := w.indexer(Config{})
	if rep := w.pass(x); rep.Embedded != 30 || rep.Swept != 0 || w.lacking("m/64") != 0 {
		t.Errorf("the new model's pass: %+v; the old vectors are needed by servers that still have the old model", rep)
	}
	w.model.set(down)
	x = w.indexer(Config{KeepOld: time.Nanosecond})
	w.add("", "one that the new model cannot embed now")
	if rep, err := x.Pass(t.Context()); err == nil || rep.Swept != 0 {
		t.Errorf("the old vectors went before the new ones were complete: %+v, %v", rep, err)
	}
	w.model.set(nil)
	if rep := w.pass(x); rep.Swept == 0 {
		t.Errorf("the old vectors stay: %+v", rep)
	}
	spaces, err := w.store.VectorSpaces(t.Context())
	if err != nil || len(spaces) != 1 || spaces[0].Space != "n/64" {
		t.Errorf("spaces %v, %v", spaces, err)
	}
}

func TestStatusSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", texts("a", 10)...)
	x := w.indexer(Config{})
	w.pass(x)
	w.add("", texts("b", 4)...)
	st, err := x.Status(t.Context())
	if err != nil || st.Chunks != 14 || len(st.Spaces) != 1 || st.Spaces[0].Missing != 4 || !st.Spaces[0].InUse {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestRebuildMakesEveryVectorAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("", texts("a", 10)...)
	x := w.indexer(Config{})
	w.pass(x)
	w.model.asked()
	if rep, err := x.Rebuild(t.Context(), false); err != nil || w.model.asked() != 0 {
		t.Errorf("without embeddings: %+v, %v", rep, err)
	}
	if rep, err := x.Rebuild(t.Context(), true); err != nil || rep.Embedded != 10 {
		t.Errorf("with embeddings: %+v, %v", rep, err)
	}
}

func TestMissingIsWhatNoBlockCovers(t *testing.T) {
	t.Parallel()
	block := func(first, last kb.ChunkID) kb.VectorBlock { return kb.VectorBlock{First: first, Last: last} }
	for name, c := range map[string]struct {
		live []kb.Span
		have []kb.VectorBlock
		want string
	}{
		"nothing there":                {[]kb.Span{{First: 1, Last: 3}}, nil, "1-3"},
		"all there":                    {[]kb.Span{{First: 1, Last: 3}}, []kb.VectorBlock{block(1, 3)}, ""},
		"a hole, a head and a tail":    {[]kb.Span{{First: 1, Last: 9}}, []kb.VectorBlock{block(2, 3), block(5, 6)}, "1-1 4-4 7-9"},
		"dead blocks before and after": {[]kb.Span{{First: 10, Last: 12}}, []kb.VectorBlock{block(1, 9), block(10, 10), block(13, 20)}, "11-12"},
		"a block per version":          {[]kb.Span{{First: 1, Last: 2}, {First: 3, Last: 4}, {First: 9, Last: 9}}, []kb.VectorBlock{block(1, 2), block(9, 9)}, "3-4"},
	} {
		var got []string
		for _, g := range missing(c.live, c.have) {
			got = append(got, strings.TrimSpace(spanText(g)))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %q, want %q", name, s, c.want)
		}
	}
}
