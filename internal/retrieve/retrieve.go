// Package retrieve finds the passages and the sentences that answer a question
// in one tenant's knowledge base, and says how likely they do. It assumes
// chunks indexed by package lexical and read through a Store; the design is
// DESIGN §5.3 and §5.4.
package retrieve

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Store is what retrieving needs of a tenant's database. It is safe for
// concurrent use.
type Store interface {
	// IndexVersion returns Index.Version alone.
	IndexVersion(ctx context.Context) (int64, error)
	// Index returns the live segments and the dead chunks in them.
	Index(ctx context.Context) (kb.Index, error)
	// ReadSegment returns n bytes of a segment from off, kb.NotFound when it
	// was merged away.
	ReadSegment(ctx context.Context, id, off, n int64) ([]byte, error)
	// LiveChunks returns the chunks of ids that are live, in the order of ids.
	LiveChunks(ctx context.Context, ids []kb.ChunkID) ([]kb.Chunk, error)
}

// Config tunes a Retriever. The zero Config is the default.
type Config struct {
	CacheBytes int64 // of segments and chunks kept in memory; 0 means 64 MiB
	// Vectors is the dense arm; nil means lexical search alone.
	Vectors Vectors
	// DenseWeight is the part of the cosine in the fused score, by embedding
	// model; outside 0 to 1 it means DefaultDenseWeight.
	DenseWeight float32
	// Rerank orders the best passages anew; nil means they stay as fused.
	Rerank Reranker
	// Patience is how long a question waits for the vectors, and again for the
	// reranker, before it goes on without; 0 means DefaultPatience.
	Patience time.Duration
}

// DefaultPatience is several times what embedding a question and reranking
// fifty passages take, and less than what a visitor waits for a first word.
const DefaultPatience = 2 * time.Second

// Retriever searches one tenant's knowledge base. It is safe for concurrent use.
type Retriever struct {
	store Store
	cfg   Config
	cache cache
}

// New returns a Retriever on store; it reads nothing yet.
func New(store Store, cfg Config) *Retriever {
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = 64 << 20
	}
	if cfg.Patience <= 0 {
		cfg.Patience = DefaultPatience
	}
	return &Retriever{store: store, cfg: cfg, cache: cache{budget: cfg.CacheBytes}}
}

// Quote is a range of a passage's document that answers the question.
type Quote struct {
	Passage int     // place in Result.Passages
	Start   int     // bytes of the canonical text, like Chunk.Start
	End     int     // exclusive
	Score   float64 // 0 to 1: how likely it holds the answer
}

// Result is what was found for one question.
type Result struct {
	Passages   []kb.Passage // best first, without duplicates
	Quotes     []Quote      // best first; none if nothing matches at all
	Answerable float64      // 0 to 1, calibrated: the quotes answer the question
	Kind       Kind         // what the question asks for
	Fits       bool         // the best quote states the price, amount or time that is asked for
	Degraded   []string     // what had to be gone without, DegradedVectors and the like; nil if nothing
}

// Reasons in Result.Degraded.
const (
	DegradedVectors = "vectors" // the vectors failed, or some chunks have none yet
	DegradedRerank  = "rerank"  // the reranker failed: passages are ordered without it
)

// Answers reports whether the quotes are good enough to be given as the answer
// without a model.
func (r Result) Answers() bool { return len(r.Quotes) > 0 && r.Answerable >= answerableThreshold }

// Text returns the quoted text of q: the bytes Start to End of the document.
func (r Result) Text(q Quote) string {
	p := r.Passages[q.Passage]
	return p.Text[q.Start-p.Start : q.End-p.Start]
}

// Sizes of the stages, DESIGN §5.4.
const (
	rerankDepth = 50 // chunks of the first stage that are looked at again
	quoteDepth  = 5  // passages whose sentences are scored
	maxTries    = 3  // when a segment is merged away while we read
)

// Retrieve returns the n best passages for a question, and quotes from the
// first of them. The question is the last line of text; lines before it are
// what the conversation is about: they are searched for, too, but what is asked
// for is in the last. A question without a word to search for finds nothing, which
// is not an error.
func (r *Retriever) Retrieve(ctx context.Context, text string, n int) (Result, error) {
	room := rooms.Get().(*room)
	defer room.leave()
	t, err := r.trace(ctx, text, n, room)
	if err != nil {
		return Result{}, err
	}
	return t.result(n), nil
}

// room is memory that a search uses and its result does not: 100 KB, which the
// next search uses again.
type room struct {
	matches          []lexical.Match
	passages, sorted []passage
	sentences        []sentence
	line             line
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// leave gives the room back, without the texts that were in it.
func (m *room) leave() {
	clear(m.passages[:cap(m.passages)])
	clear(m.sorted[:cap(m.sorted)])
	l := &m.line
	clear(l.runes[:cap(l.runes)])
	l.left, l.right, l.folded = nil, nil, ""
	rooms.Put(m)
}

// Trace runs Retrieve and returns what it saw on the way.
func (r *Retriever) Trace(ctx context.Context, text string, n int) (*Trace, error) {
	return r.trace(ctx, text, n, new(room))
}

func (r *Retriever) trace(ctx context.Context, text string, n int, room *room) (*Trace, error) {
	t := &Trace{room: room}
	if n <= 0 {
		return t, nil
	}
	var err error
	for range maxTries {
		if err = r.first(ctx, t, text, max(n, rerankDepth)); kb.KindOf(err) != kb.NotFound {
			break
		}
		r.forget()
	}
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	r.cache.trim()
	if len(t.passages) == 0 {
		return t, nil
	}
	t.rerank()
	if err := r.judge(ctx, t, text); err != nil {
		return nil, fmt.Errorf("rerank: %w", err)
	}
	top := t.passages[:min(len(t.passages), quoteDepth)]
	for i := range top {
		top[i].spans = quotable(top[i].chunk.Text)
	}
	t.units = t.question.units(t.stats.Terms)
	for i, s := range t.stats.Terms {
		if s.DF > 0 {
			t.index |= 1 << i
		}
	}
	t.sentences = t.question.candidates(top, t.weigher, t.units, t.room)
	t.scoreSentences()
	t.answer = t.decide()
	return t, nil
}

// forget drops the snapshot, so that the next search reads the index again.
func (r *Retriever) forget() {
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	r.cache.current = nil
}

// first runs the lexical search, beside it the dense one, and reads the chunks
// they found.
func (r *Retriever) first(ctx context.Context, t *Trace, text string, k int) error {
	ctx, cancel := context.WithCancel(ctx)
	near := r.askVectors(ctx, text, k)
	if near != nil {
		defer near() // ends before we do
	}
	defer cancel()
	snap, err := r.open(ctx)
	if err != nil {
		return err
	}
	t.question = understand(lexical.Parse(text, snap.synonyms))
	if len(t.question.Terms) == 0 && near == nil {
		return nil
	}
	if t.stats, err = snap.index.Search(ctx, t.question.Query, k); err != nil {
		return err
	}
	if said, ok := t.question.reworded(t.stats.Terms); ok {
		t.question = understand(lexical.Parse(said, snap.synonyms))
		if t.stats, err = snap.index.Search(ctx, t.question.Query, k); err != nil {
			return err
		}
	}
	hits, degraded, err := r.hybrid(ctx, snap.index, t.question, text, t.stats.Hits, near)
	if err != nil {
		return err
	}
	if degraded {
		t.degraded = []string{DegradedVectors}
	}
	if slices.ContainsFunc(hits, func(h hit) bool { return hasVector(h.cosine) }) {
		t.dense = r.cfg.denseWeight()
	}
	ids := make([]kb.ChunkID, len(hits))
	byID := make(map[kb.ChunkID]hit, len(hits))
	for i, h := range hits {
		ids[i], byID[h.id] = h.id, h
	}
	chunks, err := r.chunksOf(ctx, ids)
	if err != nil {
		return err
	}
	// The index may have dropped terms of a very long question.
	t.question.near = nearOf(&t.question, t.stats.Terms)
	t.weigher = t.question.weigher(t.stats.Terms, t.stats.Docs)
	t.look(chunks, byID)
	return nil
}

// look makes passages of the chunks, in their order, without duplicates.
func (t *Trace) look(chunks []kb.Chunk, hits map[kb.ChunkID]hit) {
	m := lexical.NewMatcher(t.stats.Terms)
	seen := make([]string, 0, len(chunks)) // few, and hardly two of one length: cheaper than a hash of each
	found := t.room.matches[:0]            // of all passages
	in := func(text string) []lexical.Match {
		from := len(found)
		found = m.Find(text, found)
		return found[from:len(found):len(found)]
	}
	t.passages = slices.Grow(t.room.passages[:0], len(chunks))
	for _, c := range chunks {
		if slices.Contains(seen, c.Text) {
			continue // the same text in two documents: the better hit stands for both
		}
		seen = append(seen, c.Text)
		h := hits[c.ID]
		p := passage{chunk: c, bm25: h.bm25, cosine: h.cosine, fused: h.score, matches: in(c.Text)}
		p.text = termSet(p.matches)
		p.title = termSet(in(c.Title)) | termSet(in(c.Heading)) | termSet(in(c.Prefix))
		t.passages = append(t.passages, p)
	}
	t.room.matches, t.room.passages = found, t.passages
}

func nearOf(q *question, terms []lexical.TermStat) []float32 {
	near := make([]float32, len(terms))
	for i, t := range terms {
		near[i] = q.nearness(t.Key)
	}
	return near
}

func termSet(ms []lexical.Match) uint64 {
	var set uint64
	for _, m := range ms {
		set |= 1 << m.Term
	}
	return set
}

func (t *Trace) scoreSentences() {
	w := sentenceWeights[:]
	if t.English() {
		w = englishWeights[:]
	}
	for i := range t.sentences {
		s := &t.sentences[i]
		s.score = dot(w, s.x[:])
		if t.echoes(i) {
			s.score -= echo
		}
	}
}

// echo is taken off the score of a sentence that is the question itself, as
// lists of questions and examples have it: more than any two scores differ by.
const echo = 100

func (t *Trace) echoes(i int) bool {
	const marks = 16 // bytes of punctuation and blanks by which the two may differ
	text, ask := t.textOf(i), t.question.ask
	if n := len(text) - len(ask); n < -marks || n > marks {
		return false
	}
	if firstLetter(text) != firstLetter(ask) {
		return false
	}
	words := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsNumber(r) {
				return r
			}
			return -1
		}, s)
	}
	return words(lexical.Fold(text)) == words(ask)
}

// firstLetter is the first letter or number of s, folded; 0 if there is none.
func firstLetter(s string) rune {
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return lexical.FoldRune(r)
		}
	}
	return 0
}

func dot(w, x []float32) float32 {
	var s float32
	for i, v := range x {
		s += w[i] * v
	}
	return s
}

func (t *Trace) result(n int) Result {
	r := Result{Kind: t.question.kind, Degraded: t.degraded}
	if len(t.passages) == 0 {
		return r
	}
	r.Answerable, r.Fits = float64(t.confidence()), t.fits()
	top := t.passages[0].score
	for _, p := range t.passages[:min(n, len(t.passages))] {
		out := kb.Passage{Chunk: p.chunk, BM25: float64(p.bm25), Score: r.Answerable * float64(share(p.score, top))}
		if hasVector(p.cosine) {
			out.Cosine = float64(p.cosine)
		}
		r.Passages = append(r.Passages, out)
	}
	r.Quotes = t.quotes(len(r.Passages), r.Answerable)
	return r
}

// String names a kind for logs and traces.
func (k Kind) String() string {
	names := strings.Fields("other person time quantity place reason method list thing yes")
	if k < 0 || int(k) >= len(names) {
		return "other"
	}
	return names[k]
}
