package dense

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

const dims = 64

// model is an Embedder whose vectors are those of llmtest; it fails on demand.
type model struct {
	name string
	fail func(texts []string) error // nil = never

	mu    sync.Mutex
	calls [][]string
}

func (m *model) Model() string   { return m.name }
func (m *model) Dimensions() int { return dims }

func (m *model) Embed(ctx context.Context, texts []string, _ bool) ([][]float32, kb.Spent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, slices.Clone(texts))
	spent := kb.Spent{Model: m.name, Tokens: len(texts)}
	if err := ctx.Err(); err != nil {
		return nil, kb.Spent{}, err
	}
	if m.fail != nil {
		if err := m.fail(texts); err != nil {
			return nil, kb.Spent{}, err
		}
	}
	out := make([][]float32, len(texts))
	for i, t := range texts {
		out[i] = llmtest.Vector(m.name+" "+t, dims)
	}
	return out, spent, nil
}

// asked is how many texts the model was asked for, the harmless one aside.
func (m *model) asked() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.calls {
		for _, t := range c {
			if t != probeText {
				n++
			}
		}
	}
	m.calls = nil
	return n
}

func (m *model) set(fail func([]string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

var errDown = kb.E(kb.Unavailable, nil, "the model is down")

func down([]string) error { return errDown }

// refusing fails with err for calls that hold a text with the word.
func refusing(word string, err error) func([]string) error {
	return func(texts []string) error {
		if slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, word) }) {
			return err
		}
		return nil
	}
}

// world is one tenant's database with a model.
type world struct {
	*testing.T
	store *store.Store
	model *model
}

func newWorld(t *testing.T) *world {
	t.Helper()
	reg := tenant.NewRegistry(tenant.Config{Bucket: new(mem.Bucket), Schema: store.Schema})
	t.Cleanup(func() { _ = reg.Close() })
	h, err := reg.Create(t.Context(), "t1")
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, store: store.New(h), model: &model{name: "m"}}
}

// add publishes a document, a new version of replaces unless that is "".
func (w *world) add(replaces kb.DocumentID, texts ...string) (kb.DocumentID, kb.Span) {
	w.Helper()
	ctx, now := w.Context(), time.Now()
	sub, err := w.store.Submit(ctx, kb.Submission{
		Name: "d", MIME: "text/plain", SHA256: fmt.Sprint(texts, now.UnixNano()), Replaces: replaces,
		Document: kb.DocumentID(kb.NewID("doc", now)), Job: kb.JobID(kb.NewID("job", now)), Now: now,
	})
	w.must(err)
	_, err = w.store.Begin(ctx, []kb.JobID{sub.Job}, now)
	w.must(err)
	firsts, err := w.store.Reserve(ctx, []kb.JobID{sub.Job}, []int{len(texts)})
	w.must(err)
	var rows []kb.ChunkRow
	for i, text := range texts {
		rows = append(rows, kb.ChunkRow{Chunk: kb.Chunk{ID: firsts[0] + kb.ChunkID(i), Document: sub.Document, Version: sub.Version, Ordinal: i, Text: text}})
	}
	w.must(w.store.PutChunks(ctx, rows, 0.5))
	span := kb.Span{First: firsts[0], Last: firsts[0] + kb.ChunkID(len(texts)) - 1}
	seg, err := w.store.PutSegment(ctx, kb.Segment{Docs: len(texts), First: span.First, Last: span.Last}, []byte("x"), now)
	w.must(err)
	_, err = w.store.Publish(ctx, seg, []kb.Published{{Job: sub.Job, First: span.First, Title: "T"}}, now)
	w.must(err)
	return sub.Document, span
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) indexer(cfg Config) *Indexer { return NewIndexer(w.store, w.model, cfg) }

func (w *world) pass(x *Indexer) Report {
	w.Helper()
	rep, err := x.Pass(w.Context())
	w.must(err)
	return rep
}

// lacking is how many live chunks have no vector in a space.
func (w *world) lacking(space string) int {
	w.Helper()
	live, err := w.store.LiveSpans(w.Context())
	w.must(err)
	have, err := w.store.VectorSpans(w.Context(), space)
	w.must(err)
	return count(missing(live, have))
}

// texts are n texts that differ.
func texts(name string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s number %d says %x", name, i, (i+1)*2654435761)
	}
	return out
}

// nearest asks a searcher and returns the chunks found.
func nearest(t *testing.T, s *Searcher, question string, k int) []kb.ChunkID {
	t.Helper()
	near, err := s.Nearest(t.Context(), question, k)
	if err != nil {
		t.Fatal(err)
	}
	var ids []kb.ChunkID
	for _, n := range near {
		ids = append(ids, n.ID)
	}
	return ids
}

// remote is a Remote in memory; it fails on demand.
type remote struct {
	mu   sync.Mutex
	rows map[string][]kb.VectorRow
	err  error // of every call
	lose int   // vectors that the next Upsert forgets
}

func (r *remote) index() Index {
	r.rows = map[string][]kb.VectorRow{}
	return Index{Target: "fake", Of: func(string, int) Remote { return r }}
}

func (r *remote) Upsert(_ context.Context, batch string, rows []kb.VectorRow) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.rows[batch] = slices.Clone(rows[:len(rows)-r.lose])
	r.lose = 0
	return nil
}

func (r *remote) Count(_ context.Context, batch string) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rows[batch]), r.err
}

func (r *remote) Search(_ context.Context, vec []float32, k int) ([]kb.VectorHit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	type scored struct {
		kb.VectorHit
		s float32
	}
	var all []scored
	for b, rows := range r.rows {
		for _, row := range rows {
			s := float32(0)
			for i := range vec {
				s += vec[i] * row.Vector[i]
			}
			all = append(all, scored{kb.VectorHit{Batch: b, Chunk: row.Chunk}, s})
		}
	}
	slices.SortFunc(all, func(a, b scored) int {
		if a.s > b.s {
			return -1
		}
		return 1
	})
	var out []kb.VectorHit
	for _, a := range all[:min(k, len(all))] {
		out = append(out, a.VectorHit)
	}
	return out, nil
}

func (r *remote) Drop(_ context.Context, batches []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range batches {
		delete(r.rows, b)
	}
	return r.err
}

func (r *remote) Batches(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for b := range r.rows {
		out = append(out, b)
	}
	return out, r.err
}

func (r *remote) size() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rows := range r.rows {
		n += len(rows)
	}
	return n
}

func (r *remote) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

var errRemote = errors.New("connection refused")
