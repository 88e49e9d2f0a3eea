//go:build !function

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/dense"
	"github.com/eino-qa/eino-qa/internal/evaluate"
	"github.com/eino-qa/eino-qa/internal/ingest"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/retrieve"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/telemetry/emf"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Evaluate measures the pipeline as shipped on every set below dir and prints
// one line for each. Each set is ingested into a tenant of its own, on a store
// in memory that is gone afterwards. With an embedding model there are three
// lines: of the words alone, of the vectors alone, and of both.
func Evaluate(ctx context.Context, cfg config.Config, dir string, out io.Writer) error {
	dirs, err := evaluate.Find(dir)
	if err != nil {
		return err
	}
	models, err := openModels(cfg, emf.New(io.Discard, cfg.Run.Platform))
	if err != nil {
		return err
	}
	for i, d := range dirs {
		set, err := evaluate.Load(d)
		if err != nil {
			return err
		}
		p := newPipeline(kb.TenantID(fmt.Sprintf("eval-%d", i)))
		if models != nil && models.HasEmbedding() {
			p.embed = embedder{models, p.id, new(atomic.Int64)}
		}
		if err := errors.Join(p.measure(ctx, set, out), p.tenants.Close()); err != nil {
			return err
		}
	}
	return nil
}

// measure prints the scores of one set.
func (p *pipeline) measure(ctx context.Context, set evaluate.Set, out io.Writer) error {
	scores, err := evaluate.Measure(ctx, p, set)
	if err != nil {
		return err
	}
	if p.embed == nil {
		fmt.Fprintln(out, set.Name, scores)
		return nil
	}
	fmt.Fprintln(out, set.Name, "words  ", scores)
	if err := p.makeVectors(ctx); err != nil {
		return err
	}
	for _, arm := range []struct {
		name string
		evaluate.System
	}{{"vectors", nearestOnly{p}}, {"both   ", hybrid{p}}} {
		if scores, err = evaluate.Measure(ctx, arm.System, set); err != nil {
			return err
		}
		fmt.Fprintln(out, set.Name, arm.name, scores)
	}
	return nil
}

// pipeline is the real one, as package evaluate asks for it: what the routes
// do for a tenant, and documents hidden as if they were deleted.
type pipeline struct {
	id      kb.TenantID
	bucket  mem.Bucket
	tenants *tenant.Registry
	hiding  *hiding
	finder  *retrieve.Retriever
	names   map[kb.DocumentID][]string // document → its ids in the set: equal texts are one document

	embed    dense.Embedder // nil: no vectors
	searcher *dense.Searcher
}

var _ evaluate.System = (*pipeline)(nil)

func newPipeline(id kb.TenantID) *pipeline {
	p := &pipeline{id: id, names: map[kb.DocumentID][]string{}}
	p.tenants = tenant.NewRegistry(tenant.Config{Bucket: &p.bucket, Schema: store.Schema})
	return p
}

// Ingest implements evaluate.System.
func (p *pipeline) Ingest(ctx context.Context, _ string, docs []evaluate.Document) error {
	h, err := p.tenants.Create(ctx, p.id)
	if err != nil {
		return err
	}
	s := store.New(h)
	in := ingest.New(p.id, s, &p.bucket)
	spans := map[string]kb.Span{}
	for group := range slices.Chunk(docs, submitAhead) {
		for _, d := range group {
			sub, err := in.Submit(ctx, kb.File{Name: d.ID + ".txt", Exact: true, Title: d.Title, MIME: "text/plain", Data: []byte(d.Text)})
			if kb.KindOf(err) == kb.Invalid { // a document without text cannot be found
				continue
			}
			if err != nil {
				return fmt.Errorf("document %s: %w", d.ID, err)
			}
			p.names[sub.Document] = append(p.names[sub.Document], d.ID)
		}
		if err := in.Work(ctx, nil); err != nil {
			return err
		}
	}
	for id, names := range p.names {
		cs, _, err := s.ChunksOf(ctx, id, kb.Page{Limit: 200})
		if err != nil {
			return err
		}
		for _, name := range names {
			if len(cs) > 0 {
				spans[name] = kb.Span{First: cs[0].ID, Last: cs[len(cs)-1].ID}
			}
		}
	}
	p.hiding = &hiding{Store: s, spans: spans}
	p.finder = retrieve.New(p.hiding, retrieve.Config{})
	return nil
}

// Ask implements evaluate.System.
func (p *pipeline) Ask(ctx context.Context, question string, n int, without []string) (evaluate.Reply, error) {
	p.hiding.hide(without)
	res, err := p.finder.Retrieve(ctx, question, 2*n) // chunks; documents of these sets have few
	if err != nil {
		return evaluate.Reply{}, err
	}
	r := evaluate.Reply{Answerable: res.Answerable}
	for _, passage := range res.Passages {
		for _, name := range p.names[passage.Document] {
			if !slices.Contains(r.Docs, name) && len(r.Docs) < n {
				r.Docs = append(r.Docs, name)
			}
		}
	}
	for _, q := range res.Quotes {
		r.Quotes = append(r.Quotes, evaluate.Quote{Doc: p.names[res.Passages[q.Passage].Document][0], Text: res.Text(q)})
	}
	return r, nil
}

// makeVectors embeds what was ingested; from then on both arms search.
func (p *pipeline) makeVectors(ctx context.Context) error {
	x := dense.NewIndexer(p.hiding.Store, p.embed, dense.Config{})
	for {
		rep, err := x.Pass(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil || rep.Embedded == 0 {
			return err
		}
		select { // a slow endpoint gets a rest, as from the server's worker
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(evalRest):
		}
	}
	p.searcher = dense.NewSearcher(p.hiding, p.embed, dense.Config{MemoryBytes: 1 << 30}, nil, nil)
	arm := &tenantVectors{Searcher: p.searcher}
	p.finder = retrieve.New(p.hiding, arm.into(retrieve.Config{Patience: time.Minute}))
	return nil
}

// evalRest is longer than the circuit breaker of the models stays open.
const evalRest = 15 * time.Second

// hybrid is a pipeline that holds a set already.
type hybrid struct{ *pipeline }

func (hybrid) Ingest(context.Context, string, []evaluate.Document) error { return nil }

// nearestOnly is the dense arm of a pipeline alone.
type nearestOnly struct{ *pipeline }

func (nearestOnly) Ingest(context.Context, string, []evaluate.Document) error { return nil }

func (p nearestOnly) Ask(ctx context.Context, question string, n int, without []string) (evaluate.Reply, error) {
	p.hiding.hide(without)
	near, err := p.searcher.Nearest(ctx, question, 2*n)
	if err != nil {
		return evaluate.Reply{}, err
	}
	ids := make([]kb.ChunkID, len(near))
	for i, found := range near {
		ids[i] = found.ID
	}
	chunks, err := p.hiding.LiveChunks(ctx, ids)
	var r evaluate.Reply
	for i, c := range chunks {
		if i == 0 {
			r.Answerable = float64(near[0].Cosine)
		}
		for _, name := range p.names[c.Document] {
			if !slices.Contains(r.Docs, name) && len(r.Docs) < n {
				r.Docs = append(r.Docs, name)
			}
		}
	}
	return r, err
}

// hiding is a store in which some documents are as if deleted.
type hiding struct {
	*store.Store
	spans   map[string]kb.Span
	hidden  []kb.Span
	changes int64
}

func (h *hiding) hide(docs []string) {
	if len(docs) == 0 && len(h.hidden) == 0 {
		return
	}
	h.hidden = h.hidden[:0:0]
	for _, d := range docs {
		if s, ok := h.spans[d]; ok {
			h.hidden = append(h.hidden, s)
		}
	}
	h.changes++
}

// VectorsVersion implements dense.Store.
func (h *hiding) VectorsVersion(ctx context.Context) (index, block int64, err error) {
	index, block, err = h.Store.VectorsVersion(ctx)
	return index + h.changes, block, err
}

// LiveSpans implements dense.Store.
func (h *hiding) LiveSpans(ctx context.Context) ([]kb.Span, error) {
	live, err := h.Store.LiveSpans(ctx)
	return slices.DeleteFunc(live, func(s kb.Span) bool { // a document is one span
		return slices.ContainsFunc(h.hidden, func(o kb.Span) bool { return o.First == s.First })
	}), err
}

// IndexVersion implements retrieve.Store.
func (h *hiding) IndexVersion(ctx context.Context) (int64, error) {
	v, err := h.Store.IndexVersion(ctx)
	return v + h.changes, err
}

// Index implements retrieve.Store.
func (h *hiding) Index(ctx context.Context) (kb.Index, error) {
	x, err := h.Store.Index(ctx)
	x.Version += h.changes
	x.Dead = append(slices.Clone(x.Dead), h.hidden...)
	slices.SortFunc(x.Dead, func(a, b kb.Span) int { return int(a.First - b.First) })
	return x, err
}
