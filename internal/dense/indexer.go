package dense

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Indexer gives the chunks of one tenant their vectors. It is safe for
// concurrent use, also by several servers on one database: who comes second
// with the vectors of a chunk throws them away.
type Indexer struct {
	store Store
	embed Embedder
	cfg   Config

	passing chan struct{} // who holds it is in a pass

	mu       sync.Mutex
	damaged  []int64              // blocks to be made anew
	verified map[string]time.Time // when this process counted a batch
	doubted  time.Time            // when they were last to be counted anew
	listed   time.Time            // when this process looked for orphans
}

// NewIndexer returns an Indexer. It reads nothing yet.
func NewIndexer(store Store, embed Embedder, cfg Config) *Indexer {
	return &Indexer{store: store, embed: embed, cfg: cfg.withDefaults(), passing: make(chan struct{}, 1), verified: map[string]time.Time{}}
}

// Report is what a pass did.
type Report struct {
	Space    string
	Chunks   int // that can be found
	Missing  int // of them without a vector when the pass ended
	Embedded int // vectors made
	Refused  int // chunks whose text the model refused: they are found by their words
	Sent     int // vectors given to the index outside
	Swept    int // blocks removed
	Spent    kb.Spent
}

// Changed reports whether the pass did anything.
func (r Report) Changed() bool { return r.Embedded+r.Refused+r.Sent+r.Swept > 0 }

// Pass gives every live chunk a vector that has none, then the index outside
// every vector that it lacks, then removes what nobody needs any more. Each
// commit keeps what was done, so a pass that ends early, by its context or by an
// error, is continued by the next one. A text that the model refuses keeps
// nobody waiting: its chunk is marked and stays found by its words.
func (x *Indexer) Pass(ctx context.Context) (rep Report, err error) {
	select {
	case x.passing <- struct{}{}:
		defer func() { <-x.passing }()
	case <-ctx.Done():
		return rep, ctx.Err()
	}
	if err := x.store.Refresh(ctx); err != nil {
		return rep, err
	}
	live, err := x.store.LiveSpans(ctx)
	if err != nil {
		return rep, err
	}
	rep.Chunks = count(live)
	if rep.Chunks == 0 {
		return rep, x.sweepAll(ctx, &rep)
	}
	dims, spent, err := x.dims(ctx)
	if err != nil {
		rep.Missing = rep.Chunks
		return rep, fmt.Errorf("embed: %w", err)
	}
	rep.Space = Space(x.embed.Model(), dims)
	if err := x.dropDamaged(ctx); err != nil {
		return rep, err
	}
	p := &pass{x: x, rep: &rep, space: rep.Space, dims: dims, spent: spent}
	// The three do not need each other: what one dependency lacks does not keep
	// the other from having what there is.
	failed := p.embedMissing(ctx, live)
	if ctx.Err() != nil {
		return rep, errors.Join(failed, ctx.Err())
	}
	if err := x.send(ctx, &rep, dims); err != nil {
		failed = errors.Join(failed, fmt.Errorf("index outside: %w", err))
	}
	return rep, errors.Join(failed, x.sweep(ctx, &rep))
}

// Embed gives the live chunks of one span their vectors, and does nothing else:
// for functions of which many run at once, one for each document.
func (x *Indexer) Embed(ctx context.Context, only kb.Span) (rep Report, err error) {
	live, err := x.store.LiveSpans(ctx)
	if err != nil {
		return rep, err
	}
	i, ok := spanOf(live, only.First)
	if !ok {
		return rep, nil // replaced or deleted meanwhile
	}
	rep.Chunks = count(live[i : i+1])
	dims, spent, err := x.dims(ctx)
	if err != nil {
		rep.Missing = rep.Chunks
		return rep, fmt.Errorf("embed: %w", err)
	}
	rep.Space = Space(x.embed.Model(), dims)
	p := &pass{x: x, rep: &rep, space: rep.Space, dims: dims, spent: spent}
	return rep, p.embedMissing(ctx, live[i:i+1])
}

// dims is the length of the model's vectors; a model that nobody knows has to
// be asked.
func (x *Indexer) dims(ctx context.Context) (int, kb.Spent, error) {
	if d := x.embed.Dimensions(); d > 0 {
		return d, kb.Spent{}, nil
	}
	vs, spent, err := x.embed.Embed(ctx, []string{probeText}, true)
	if err != nil {
		return 0, spent, err
	}
	return len(vs[0]), spent, nil
}

// probeText is a text that no model refuses: it tells whether the model works.
const probeText = "hello"

// doubt has the next pass count every batch outside anew: a search found fewer
// vectors than there should be. More than once in doubtEvery costs more than it
// finds.
func (x *Indexer) doubt() {
	const doubtEvery = 30 * time.Second
	x.mu.Lock()
	defer x.mu.Unlock()
	if time.Since(x.doubted) >= doubtEvery {
		x.doubted = time.Now()
		clear(x.verified)
	}
}

func (x *Indexer) repair(blocks []int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.damaged = append(x.damaged, blocks...)
}

func (x *Indexer) dropDamaged(ctx context.Context) error {
	x.mu.Lock()
	ids := x.damaged
	x.damaged = nil
	x.mu.Unlock()
	return x.store.DropVectors(ctx, ids)
}

// pass is the embedding part of one Pass.
type pass struct {
	x     *Indexer
	rep   *Report
	space string
	dims  int
	spent kb.Spent // not committed yet
	left  error    // why some texts have to be tried another time
	nLeft int
}

const (
	// commitBytes is how much one commit of vectors holds (DESIGN §4).
	commitBytes = 900 << 10
	// mostTexts bounds what is lost when a pass is killed: some ten calls.
	mostTexts = 256
	// mostLeft is how many texts may fail for no reason that is theirs before
	// the model is taken to be at fault.
	mostLeft = 16
)

// embedMissing makes the vectors of live chunks that have none.
func (p *pass) embedMissing(ctx context.Context, live []kb.Span) error {
	have, err := p.x.store.VectorSpans(ctx, p.space)
	if err != nil {
		return err
	}
	gaps := missing(live, have)
	p.rep.Missing = count(gaps)
	// Servers that are at it at once begin in different places.
	if n := len(gaps); n > 1 {
		at := rand.IntN(n)
		gaps = append(slices.Clone(gaps[at:]), gaps[:at]...)
	}
	group := groupOf(p.dims)
	var pieces []kb.Span
	n := 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		done, err := p.embedPieces(ctx, pieces)
		p.rep.Missing -= done
		pieces, n = nil, 0
		return err
	}
	for _, g := range gaps {
		for first := g.First; first <= g.Last; {
			last := min(g.Last, first+kb.ChunkID(perBlock(p.dims))-1)
			if size := int(last-first) + 1; n+size > group {
				if err := flush(); err != nil {
					return err
				}
			}
			pieces = append(pieces, kb.Span{First: first, Last: last})
			n += int(last-first) + 1
			first = last + 1
		}
	}
	if err := flush(); err != nil {
		return err
	}
	if err := p.commit(ctx, nil); err != nil { // what a probe took
		return err
	}
	return p.left
}

// groupOf is how many texts are embedded for one commit.
func groupOf(dims int) int {
	return max(1, min(mostTexts, commitBytes/int(vectorBytes(dims))))
}

// embedPieces embeds the chunks of pieces, each of which becomes a block, and
// returns how many chunks are settled.
func (p *pass) embedPieces(ctx context.Context, pieces []kb.Span) (settled int, err error) {
	// Another server may have made some since the pass began; they are free.
	have, err := p.x.store.VectorSpans(ctx, p.space)
	if err != nil {
		return 0, err
	}
	pieces = slices.DeleteFunc(pieces, func(s kb.Span) bool {
		made := len(missing([]kb.Span{s}, have)) == 0
		if made {
			settled += int(s.Last-s.First) + 1
		}
		return made
	})
	free := settled
	if len(pieces) == 0 {
		return free, nil
	}
	var ids []kb.ChunkID
	for _, s := range pieces {
		for id := s.First; id <= s.Last; id++ {
			ids = append(ids, id)
		}
	}
	chunks, err := p.x.store.LiveChunks(ctx, ids)
	if err != nil {
		return 0, err
	}
	texts := make([]string, len(chunks))
	at := make(map[kb.ChunkID]int, len(chunks))
	for i, c := range chunks {
		texts[i], at[c.ID] = text(c), i
	}
	made, failed := p.embedTexts(ctx, texts)
	var blocks []kb.VectorBlock
	for _, s := range pieces {
		bs, n, err := encode(s, func(id kb.ChunkID) outcome {
			if i, ok := at[id]; ok {
				return made[i]
			}
			return outcome{}
		})
		if err != nil {
			return settled, err
		}
		blocks = append(blocks, bs...)
		settled += n
	}
	// Also when ctx is over: what was paid for is kept.
	keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
	defer cancel()
	if err := p.commit(keep, blocks); err != nil {
		return free, errors.Join(failed, err)
	}
	return settled, failed
}

// keepTime is how long the last commit of a pass may take whose time is over.
const keepTime = 5 * time.Second

func (p *pass) commit(ctx context.Context, blocks []kb.VectorBlock) error {
	if len(blocks) == 0 && p.spent == (kb.Spent{}) {
		return nil
	}
	_, err := p.x.store.PutVectors(ctx, p.space, blocks, p.spent, time.Now())
	if err != nil {
		return err
	}
	p.rep.Spent = p.rep.Spent.Add(p.spent)
	p.spent = kb.Spent{}
	return nil
}
