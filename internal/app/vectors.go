//go:build !novectors

package app

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/dense"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
	"github.com/eino-qa/eino-qa/internal/retrieve"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/telemetry"
)

// vectors is what makes and searches the vectors of all tenants. Functions that
// do neither are built with the tag novectors. Without an embedding model it
// opens nothing.
type vectors struct {
	models  *llm.Client // nil: no embedding model
	own     bool        // models is closed with this
	index   milvusIndex
	cfg     config.Config
	log     *slog.Logger
	learned *atomic.Int64 // length of the vectors of a model that nobody knows
	due     *dueTenants
}

// openVectors connects to nothing.
func openVectors(cfg config.Config, x answers, m meter, log *slog.Logger) (v vectors, err error) {
	if !cfg.DashScope.Embed() {
		return v, nil
	}
	v = vectors{cfg: cfg, log: log, learned: new(atomic.Int64), due: newDueTenants()}
	if v.models, v.own, err = embeddingModels(cfg, x, m); err != nil {
		return v, err
	}
	if !v.models.HasEmbedding() {
		v.close()
		return vectors{}, nil
	}
	v.index, err = openMilvus(cfg, m, log)
	return v, err
}

func (v vectors) on() bool { return v.models != nil }

func (v vectors) close() {
	if v.own {
		v.models.Close()
	}
	v.index.close()
}

// tenantVectors is the dense arm of one tenant; nil where there is none.
type tenantVectors struct {
	*dense.Searcher
	indexer *dense.Indexer
}

// of returns the dense arm of one tenant.
func (v vectors) of(id kb.TenantID, s *store.Store) *tenantVectors {
	if !v.on() {
		return nil
	}
	cfg := v.tenantConfig(id)
	e := embedder{v.models, id, v.learned}
	x := dense.NewIndexer(s, e, cfg)
	return &tenantVectors{dense.NewSearcher(s, e, cfg, x, func() { v.wake(id) }), x}
}

func (v vectors) tenantConfig(id kb.TenantID) dense.Config {
	return dense.Config{
		MemoryBytes: int64(v.cfg.RAG.VectorMemory), Remote: v.index.of(id), Log: v.log.With(slog.String(telemetry.Tenant, string(id))),
	}
}

// into adds the dense arm to how a tenant is searched.
func (t *tenantVectors) into(cfg retrieve.Config) retrieve.Config {
	if t != nil {
		cfg.Vectors = t
		cfg.DenseWeight = dense.Weight(t.Model())
	}
	return cfg
}

var _ retrieve.Vectors = (*tenantVectors)(nil)

// Nearest implements retrieve.Vectors.
func (t *tenantVectors) Nearest(ctx context.Context, question string, k int) ([]retrieve.Near, error) {
	found, err := t.Searcher.Nearest(ctx, question, k)
	near := make([]retrieve.Near, len(found))
	for i, n := range found {
		near[i] = retrieve.Near(n)
	}
	return near, err
}

// note is what the dense arm has to say about the last search for a question.
func (t *tenantVectors) note(question string) note {
	if t == nil {
		return note{}
	}
	return t.Take(question)
}

type note = dense.Note

// memory is the bytes that the arm holds to be faster.
func (t *tenantVectors) memory() int64 {
	if t == nil {
		return 0
	}
	return t.Searcher.Memory()
}

// embedder makes vectors for one tenant.
type embedder struct {
	models  *llm.Client
	tenant  kb.TenantID
	learned *atomic.Int64
}

var _ dense.Embedder = embedder{}

func (e embedder) Model() string { return e.models.EmbeddingModel() }

func (e embedder) Dimensions() int {
	if d := e.models.Dimensions(); d > 0 { // configured or known: no answer changes it
		return d
	}
	return int(e.learned.Load())
}

func (e embedder) Embed(ctx context.Context, texts []string, bulk bool) ([][]float32, kb.Spent, error) {
	vs, u, err := e.models.Embed(ctx, texts, llm.EmbedOptions{Tenant: e.tenant, Bulk: bulk})
	spent := kb.Spent{Tokens: u.Prompt, CostMicro: u.CostMicro}
	if spent != (kb.Spent{}) {
		spent.Model = e.Model()
	}
	if err == nil && len(vs) > 0 {
		err = e.learn(len(vs[0]))
	}
	if err != nil {
		return nil, spent, err
	}
	return vs, spent, nil
}

// learn keeps the length that the first answer had. While this process runs no
// other answer changes it: a model in trouble would have everything embedded
// anew, twice.
func (e embedder) learn(n int) error {
	if e.learned.CompareAndSwap(0, int64(n)) || e.learned.Load() == int64(n) {
		return nil
	}
	return kb.E(kb.Unavailable, nil, "the embedding model answers with %d numbers, before with %d; if that is meant, restart the server", n, e.learned.Load())
}

// dueTenants are the tenants whose vectors have to be looked at, each with when
// to try it.
type dueTenants struct {
	mu    sync.Mutex
	at    map[kb.TenantID]time.Time
	fails map[kb.TenantID]int
	wake  chan struct{}

	walked time.Time // when a sweep looked at all tenants
}

func newDueTenants() *dueTenants {
	return &dueTenants{at: map[kb.TenantID]time.Time{}, fails: map[kb.TenantID]int{}, wake: make(chan struct{}, 1)}
}

// wake has a tenant's vectors looked at soon: within wakeWithin where a failed
// try is to be repeated, for what failed may be well again. It never blocks.
func (v vectors) wake(id kb.TenantID) {
	if !v.on() {
		return
	}
	d := v.due
	d.mu.Lock()
	at, waits := d.at[id]
	due := time.Now()
	if waits {
		due = due.Add(wakeWithin)
	}
	sooner := !waits || due.Before(at)
	if sooner {
		d.at[id] = due
	}
	d.mu.Unlock()
	if sooner {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// wakeWithin is much beside a failed call, so that who writes all the time does
// not ask a service that is down all the time.
const wakeWithin = 10 * time.Second

// next takes the tenant that is due first. Without one that is due now it says
// how long to wait.
func (d *dueTenants) next(now time.Time) (id kb.TenantID, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait = walkEvery
	for t, at := range d.at {
		if left := at.Sub(now); left < wait {
			id, wait = t, left
		}
	}
	if id == "" || wait > 0 {
		return "", wait
	}
	delete(d.at, id)
	return id, 0
}

// again has a tenant tried later: after 1 s, twice that …, at most 5 min.
func (d *dueTenants) again(id kb.TenantID, now time.Time) {
	const least, most = time.Second, 5 * time.Minute
	d.mu.Lock()
	defer d.mu.Unlock()
	wait := least << min(d.fails[id], 10)
	d.fails[id]++
	d.at[id] = now.Add(min(wait, most))
}

func (d *dueTenants) done(id kb.TenantID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.fails, id)
}

// walkEvery is how often a server looks at all tenants: at those nobody asks
// anything, after a restore elsewhere or a change of the model.
const walkEvery = time.Hour

// run makes vectors until ctx ends: for tenants that were woken at once, and
// now and then for all.
func (v vectors) run(ctx context.Context, a *App) error {
	if !v.on() {
		<-ctx.Done()
		return ctx.Err()
	}
	walk := time.NewTimer(0)
	defer walk.Stop()
	for {
		id, wait := v.due.next(time.Now())
		if id != "" {
			v.pass(ctx, a, id)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.due.wake:
		case <-time.After(wait):
		case <-walk.C:
			if err := v.walk(ctx, a); err != nil && ctx.Err() == nil {
				v.log.WarnContext(ctx, "tenants cannot be listed for their vectors", telemetry.Error(err))
			}
			walk.Reset(walkEvery)
		}
	}
}

// walk looks at all tenants, in another order than the other servers do.
func (v vectors) walk(ctx context.Context, a *App) error {
	ids, err := a.tenants.List(ctx)
	if err != nil {
		return err
	}
	rand.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
	for _, id := range ids {
		if a.lately.get(id, time.Now()) != nil {
			v.wake(id)
			continue
		}
		// Not kept: who sleeps must not displace who is awake.
		s, err := a.openStore(ctx, id, false)
		if err == nil {
			err = v.passOn(ctx, id, dense.NewIndexer(s, embedder{v.models, id, v.learned}, v.tenantConfig(id)))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && kb.KindOf(err) != kb.NotFound {
			v.wake(id) // by its own clock
		}
	}
	return nil
}

// pass makes the vectors of one tenant, and has it tried again if it cannot.
func (v vectors) pass(ctx context.Context, a *App, id kb.TenantID) {
	t, err := a.Tenant(ctx, id, false)
	if err == nil {
		err = v.passOn(ctx, id, t.vectors.indexer)
	}
	switch {
	case err == nil || kb.KindOf(err) == kb.NotFound:
		v.due.done(id)
	case ctx.Err() == nil:
		v.due.again(id, time.Now())
	}
}

// passOn makes the vectors of one tenant and says so.
func (v vectors) passOn(ctx context.Context, id kb.TenantID, x *dense.Indexer) error {
	rep, err := x.Pass(ctx)
	v.say(ctx, id, rep)
	if err != nil && ctx.Err() == nil && kb.KindOf(err) != kb.NotFound {
		v.log.WarnContext(ctx, "vectors: a pass did not end, will try again", telemetry.Tenant, string(id), "missing", rep.Missing, "error", err)
	}
	return err
}

// embedOne makes the vectors of one version's chunks and returns how many lack
// theirs.
func (v vectors) embedOne(ctx context.Context, id kb.TenantID, t *Tenant, span kb.Span) (missing int, err error) {
	rep, err := t.vectors.indexer.Embed(ctx, span)
	v.say(ctx, id, rep)
	return rep.Missing, err
}

// due is a mark that MarkVectors made.
type dueMark interface {
	VectorsDone(ctx context.Context) error
}

// sweep makes what a tenant lacks and takes the mark away that says so.
func (v vectors) sweep(ctx context.Context, a *App, id kb.TenantID, mark dueMark) {
	if !v.on() {
		return
	}
	t, err := a.Tenant(ctx, id, false)
	if err != nil {
		return
	}
	if v.passOn(ctx, id, t.vectors.indexer) == nil {
		if err := mark.VectorsDone(ctx); err != nil {
			v.log.WarnContext(ctx, "mark of vectors stays", slog.String(telemetry.Tenant, string(id)), telemetry.Error(err))
		}
	}
}

// walkDue reports, once in walkEvery, that all tenants are to be looked at.
func (v vectors) walkDue() bool {
	if !v.on() {
		return false
	}
	v.due.mu.Lock()
	defer v.due.mu.Unlock()
	if time.Since(v.due.walked) < walkEvery {
		return false
	}
	v.due.walked = time.Now()
	return true
}

func (v vectors) say(ctx context.Context, id kb.TenantID, rep dense.Report) {
	if rep.Changed() {
		v.log.InfoContext(ctx, "vectors made", telemetry.Tenant, string(id), "space", rep.Space, "chunks", rep.Chunks, "embedded", rep.Embedded,
			"refused", rep.Refused, "missing", rep.Missing, "sent", rep.Sent, "swept", rep.Swept, "tokens", rep.Spent.Tokens)
	}
}

// leave deletes what an index outside has of a tenant that was deleted. Best
// effort: what stays is found by nobody.
func (v vectors) leave(ctx context.Context, id kb.TenantID, s *store.Store) {
	if !v.on() || s == nil {
		return
	}
	if err := dense.NewIndexer(s, embedder{v.models, id, v.learned}, v.tenantConfig(id)).Leave(ctx); err != nil {
		v.log.WarnContext(ctx, "vectors of a deleted tenant stay in the index", slog.String(telemetry.Tenant, string(id)), telemetry.Error(err))
	}
}

// errNoEmbedding is for commands about vectors.
func errNoEmbedding() error {
	return kb.E(kb.Invalid, nil, "no embedding model is configured: set DASHSCOPE_API_KEY, or DASHSCOPE_BASE_URL and DASHSCOPE_EMBED_MODEL")
}
