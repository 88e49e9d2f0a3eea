// Package dense finds chunks by their meaning. Its Indexer gives every chunk
// that can be found a vector, after the chunk is searchable by its words, so
// that a failing model never holds a document back; its Searcher answers for
// one tenant from the vectors there are. The tenant's database holds them all;
// an index outside of it (Milvus) only names candidates, whose cosines are
// computed from the database. What the words mean is in DESIGN §5.3.
package dense

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Embedder makes the vectors of one tenant. It is safe for concurrent use.
type Embedder interface {
	// Model names the model.
	Model() string
	// Dimensions is the length of the vectors, 0 if only the first ones will
	// tell.
	Dimensions() int
	// Embed returns one vector per text, in their order, each of length 1. bulk
	// says that nobody waits for it. kb.Invalid, kb.TooLarge and
	// kb.Unprocessable are the texts' fault, other errors the model's.
	Embed(ctx context.Context, texts []string, bulk bool) ([][]float32, kb.Spent, error)
}

// Store is what this package needs of a tenant's database.
type Store interface {
	Refresh(ctx context.Context) error
	VectorsVersion(ctx context.Context) (index, block int64, err error)
	LiveSpans(ctx context.Context) ([]kb.Span, error)
	LiveChunks(ctx context.Context, ids []kb.ChunkID) ([]kb.Chunk, error)
	blocks
	batches
}

type blocks interface {
	VectorSpans(ctx context.Context, space string) ([]kb.VectorBlock, error)
	VectorBlocks(ctx context.Context, space string, after int64, most int) ([]kb.VectorBlock, error)
	VectorBlocksOf(ctx context.Context, space string, ids []kb.ChunkID) ([]kb.VectorBlock, error)
	PutVectors(ctx context.Context, space string, blocks []kb.VectorBlock, spent kb.Spent, now time.Time) (stored int, err error)
	DropVectors(ctx context.Context, ids []int64) error
	VectorSpaces(ctx context.Context) ([]kb.VectorSpace, error)
	UseVectorSpace(ctx context.Context, space string, now time.Time) error
	DropVectorSpace(ctx context.Context, space string) error
}

type batches interface {
	VectorBatches(ctx context.Context, target string) (batches []kb.VectorBatch, epoch int64, err error)
	BeginBatch(ctx context.Context, b kb.VectorBatch) error
	CountedBatch(ctx context.Context, id string, epoch int64) error
	AbandonBatches(ctx context.Context, ids []string) error
	DropBatches(ctx context.Context, ids []string) error
}

// Remote is an index outside the database, bound to one tenant and one space.
// It is safe for concurrent use.
type Remote interface {
	// Upsert stores the vectors of a batch; again is no error.
	Upsert(ctx context.Context, batch string, rows []kb.VectorRow) error
	// Count is how many vectors of a batch are there: all that were acknowledged.
	Count(ctx context.Context, batch string) (int, error)
	// Search returns up to k vectors, the nearest first.
	Search(ctx context.Context, vec []float32, k int) ([]kb.VectorHit, error)
	// Drop deletes batches; one that is not there is no error.
	Drop(ctx context.Context, batches []string) error
	// Batches lists the batches that are there.
	Batches(ctx context.Context) ([]string, error)
}

// Index says which Remote there is. The zero Index is none.
type Index struct {
	Target string // names it in the database: another target has batches of its own
	Of     func(space string, dims int) Remote
}

// Config tunes a Searcher and an Indexer. The zero Config is the default.
type Config struct {
	// MemoryBytes is how much a Searcher may hold of a tenant's vectors; 0
	// means 64 MiB, 21,000 chunks of 1536 dimensions. A tenant with more needs
	// a Remote: without one the vectors only reorder what its words found.
	MemoryBytes int64
	Remote      Index
	// KeepOld is how long a space that no server uses any more is kept; 0
	// means a day. During a change of model servers with the old and the new
	// one run side by side, and must not sweep each other's.
	KeepOld time.Duration
	Log     *slog.Logger // nil: nothing is said
}

const defaultMemory = 64 << 20

func (c Config) withDefaults() Config {
	if c.MemoryBytes <= 0 {
		c.MemoryBytes = defaultMemory
	}
	if c.KeepOld <= 0 {
		c.KeepOld = 24 * time.Hour
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Space names the vectors of a model at a length.
func Space(model string, dims int) string { return model + "/" + strconv.Itoa(dims) }

// dimsOf takes a space's length from its name, 0 if it has none.
func dimsOf(space string) int {
	_, n, _ := cut(space)
	return n
}

func cut(space string) (model string, dims int, ok bool) {
	i := strings.LastIndexByte(space, '/')
	if i < 0 {
		return space, 0, false
	}
	dims, err := strconv.Atoi(space[i+1:])
	return space[:i], dims, err == nil
}

// vectorBytes is what one vector takes in memory and about what it takes in
// the database (package vector: two bytes a coordinate, scale and id).
func vectorBytes(dims int) int64 { return int64(2*dims + 16) }

// spanOf returns the place of the span that holds id in ordered spans.
func spanOf(spans []kb.Span, id kb.ChunkID) (int, bool) {
	return slices.BinarySearchFunc(spans, id, func(s kb.Span, id kb.ChunkID) int {
		switch {
		case s.Last < id:
			return -1
		case s.First > id:
			return 1
		}
		return 0
	})
}

func isLive(live []kb.Span, id kb.ChunkID) bool {
	_, ok := spanOf(live, id)
	return ok
}

// missing returns the parts of live that no block covers, in order; each is of
// one version. Both are in order.
func missing(live []kb.Span, have []kb.VectorBlock) (gaps []kb.Span) {
	at := 0
	for _, s := range live {
		next := s.First
		for at < len(have) && have[at].Last < next {
			at++
		}
		for i := at; i < len(have) && have[i].First <= s.Last; i++ {
			if have[i].First > next {
				gaps = append(gaps, kb.Span{First: next, Last: have[i].First - 1})
			}
			next = max(next, have[i].Last+1)
		}
		if next <= s.Last {
			gaps = append(gaps, kb.Span{First: next, Last: s.Last})
		}
	}
	return gaps
}

// count is how many chunks there are in spans.
func count(spans []kb.Span) (n int) {
	for _, s := range spans {
		n += int(s.Last-s.First) + 1
	}
	return n
}

// text is what is embedded of a chunk: where it stands belongs to what it
// means.
func text(c kb.Chunk) string {
	var parts []string
	for _, p := range []string{c.Title, c.Heading, c.Prefix, c.Text} {
		if p = strings.TrimSpace(p); p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "\n")
}

func errDims(got, want int) error {
	return kb.E(kb.Unavailable, fmt.Errorf("a vector of %d dimensions, not %d", got, want), "the embedding model answers otherwise than before")
}
