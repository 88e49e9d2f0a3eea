package retrieve

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// snapshot is the index at one version, open.
type snapshot struct {
	version int64
	index   lexical.Index
	dead    []kb.Span

	synonyms lexical.Synonyms
}

// isDead reports whether a chunk is in a segment but not live.
func (s *snapshot) isDead(id kb.ChunkID) bool {
	_, found := slices.BinarySearchFunc(s.dead, id, func(sp kb.Span, id kb.ChunkID) int {
		switch {
		case sp.Last < id:
			return -1
		case sp.First > id:
			return 1
		}
		return 0
	})
	return found
}

// cache holds the open segments of one tenant, which are immutable and so are
// right for every snapshot that lists them, and chunks read lately.
type cache struct {
	budget int64 // bytes

	mu       sync.Mutex
	current  *snapshot
	segments map[int64]*lexical.Segment
	chunks   map[kb.ChunkID]kb.Chunk
	older    map[kb.ChunkID]kb.Chunk // the generation before: two maps are a cheap LRU
	bytes    int64                   // of chunks
}

// open returns the snapshot of the store's present version.
func (r *Retriever) open(ctx context.Context) (*snapshot, error) {
	r.cache.mu.Lock()
	cur := r.cache.current
	r.cache.mu.Unlock()
	if cur != nil {
		switch v, err := r.store.IndexVersion(ctx); {
		case err != nil:
			return nil, err
		case cur.version == v:
			return cur, nil
		}
	}
	x, err := r.store.Index(ctx)
	if err != nil {
		return nil, err
	}
	snap := &snapshot{version: x.Version, dead: x.Dead, synonyms: lexical.NewSynonyms(x.Synonyms)}
	open := make(map[int64]*lexical.Segment, len(x.Segments))
	for _, seg := range x.Segments {
		s, err := r.segment(ctx, seg)
		if err != nil {
			return nil, err
		}
		open[seg.ID] = s
		snap.index.Segments = append(snap.index.Segments, s)
	}
	if len(x.Dead) > 0 {
		snap.index.Dead = snap.isDead
	}
	r.cache.mu.Lock()
	defer r.cache.mu.Unlock()
	if cur := r.cache.current; cur == nil || cur.version < snap.version {
		r.cache.current, r.cache.segments = snap, open
	}
	return snap, nil
}

// wholeBytes is the size up to which a segment is read whole when it is
// opened: one read instead of one for each term.
const wholeBytes = 256 << 10

func (r *Retriever) segment(ctx context.Context, seg kb.Segment) (*lexical.Segment, error) {
	r.cache.mu.Lock()
	s, ok := r.cache.segments[seg.ID]
	r.cache.mu.Unlock()
	if ok {
		return s, nil
	}
	var err error
	if seg.Bytes <= wholeBytes {
		var blob []byte
		if blob, err = r.store.ReadSegment(ctx, seg.ID, 0, seg.Bytes); err == nil {
			s, err = lexical.OpenBytes(blob)
		}
	} else {
		s, err = lexical.Open(ctx, seg.Bytes, func(ctx context.Context, off, n int64) ([]byte, error) {
			return r.store.ReadSegment(ctx, seg.ID, off, n)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("open segment %d: %w", seg.ID, err)
	}
	return s, nil
}

// chunksOf returns the live chunks of ids in their order, from memory where
// possible. Chunks that are gone are left out.
func (r *Retriever) chunksOf(ctx context.Context, ids []kb.ChunkID) ([]kb.Chunk, error) {
	out := make([]kb.Chunk, len(ids))
	var missing []kb.ChunkID
	c := &r.cache
	c.mu.Lock()
	for i, id := range ids {
		ch, ok := c.chunks[id]
		if !ok {
			if ch, ok = c.older[id]; ok {
				c.keep(ch)
			}
		}
		if ok {
			out[i] = ch
		} else {
			missing = append(missing, id)
		}
	}
	c.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	read, err := r.store.LiveChunks(ctx, missing)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range read {
		if i := slices.Index(ids, ch.ID); i >= 0 {
			out[i] = ch
			c.keep(ch)
		}
	}
	return slices.DeleteFunc(out, func(ch kb.Chunk) bool { return ch.ID == 0 }), nil
}

// keep remembers a chunk; c.mu is held.
func (c *cache) keep(ch kb.Chunk) {
	if c.chunks == nil || c.bytes > c.budget/4 { // a quarter for each generation, the rest is for segments
		c.older, c.chunks, c.bytes = c.chunks, map[kb.ChunkID]kb.Chunk{}, 0
	}
	c.chunks[ch.ID] = ch
	c.bytes += int64(len(ch.Text)+len(ch.Title)+len(ch.Heading)+len(ch.Prefix)) + 200
}

// Memory is the bytes held to search faster.
func (r *Retriever) Memory() int64 {
	c := &r.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	held := 2 * c.bytes // two generations of chunks, at most
	for _, s := range c.segments {
		held += s.Memory()
	}
	return held
}

// trim makes the segments forget what they read once they hold too much.
func (c *cache) trim() {
	c.mu.Lock()
	defer c.mu.Unlock()
	var held int64
	for _, s := range c.segments {
		held += s.Memory()
	}
	if held <= c.budget/2 {
		return
	}
	for _, s := range c.segments {
		s.Trim()
	}
}
