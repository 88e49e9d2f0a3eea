package evaluate

import (
	"context"
	"slices"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
	"github.com/eino-qa/eino-qa/internal/retrieve"
)

// Memory is a System without a server: the retriever on a store in memory. The
// zero Memory is empty. It is not safe for concurrent use.
type Memory struct {
	Chunk func(Document) []kb.Chunk // how documents are cut; nil means Cut(0)
	store memoryStore
	r     *retrieve.Retriever
	spans map[string]kb.Span // document → its chunks
}

var _ System = (*Memory)(nil)

// Ingest replaces what Memory holds.
func (m *Memory) Ingest(_ context.Context, _ string, docs []Document) error {
	m.store = memoryStore{version: m.store.version + 1, chunks: map[kb.ChunkID]kb.Chunk{}}
	m.spans = map[string]kb.Span{}
	split := m.Chunk
	if split == nil {
		split = Cut(0)
	}
	var all []kb.Chunk
	for _, d := range docs {
		first := kb.ChunkID(len(all) + 1)
		for i, c := range split(d) {
			c.ID, c.Document, c.Ordinal = kb.ChunkID(len(all)+1), kb.DocumentID(d.ID), i
			if d.Title != "" {
				c.Title = d.Title
			}
			all = append(all, c)
			m.store.chunks[c.ID] = c
		}
		m.spans[d.ID] = kb.Span{First: first, Last: kb.ChunkID(len(all))}
	}
	var err error
	m.store.blob, err = lexical.Build(slices.Values(all))
	m.store.seg = kb.Segment{ID: 1, Docs: len(all), Bytes: int64(len(m.store.blob)), First: 1, Last: kb.ChunkID(len(all))}
	m.r = retrieve.New(&m.store, retrieve.Config{CacheBytes: 1 << 30})
	return err
}

// Retriever returns the retriever on what was ingested.
func (m *Memory) Retriever() *retrieve.Retriever { return m.r }

// Hide hides the chunks of documents that which reports from the next questions.
func (m *Memory) Hide(docs []string, which func(kb.Chunk) bool) {
	var dead []kb.Span
	for _, d := range docs {
		for id := m.spans[d].First; id <= m.spans[d].Last && id > 0; id++ {
			if which(m.store.chunks[id]) {
				dead = append(dead, kb.Span{First: id, Last: id})
			}
		}
	}
	slices.SortFunc(dead, func(a, b kb.Span) int { return int(a.First - b.First) })
	m.store.dead = dead
	m.store.version++
}

// Without hides documents from the next questions.
func (m *Memory) Without(docs []string) {
	var dead []kb.Span
	for _, d := range docs {
		if s, ok := m.spans[d]; ok && s.Last >= s.First {
			dead = append(dead, s)
		}
	}
	slices.SortFunc(dead, func(a, b kb.Span) int { return int(a.First - b.First) })
	if len(dead) > 0 || len(m.store.dead) > 0 {
		m.store.dead = dead
		m.store.version++
	}
}

// Ask implements System.
func (m *Memory) Ask(ctx context.Context, question string, n int, without []string) (Reply, error) {
	m.Without(without)
	res, err := m.r.Retrieve(ctx, question, 2*n) // chunks; documents have few
	if err != nil {
		return Reply{}, err
	}
	r := Reply{Answerable: res.Answerable}
	for _, p := range res.Passages {
		if id := string(p.Document); !slices.Contains(r.Docs, id) && len(r.Docs) < n {
			r.Docs = append(r.Docs, id)
		}
	}
	for _, q := range res.Quotes {
		r.Quotes = append(r.Quotes, Quote{string(res.Passages[q.Passage].Document), res.Text(q)})
	}
	return r, nil
}

// memoryStore is a retrieve.Store of one segment.
type memoryStore struct {
	version int64
	blob    []byte
	seg     kb.Segment
	dead    []kb.Span
	chunks  map[kb.ChunkID]kb.Chunk
}

func (s *memoryStore) IndexVersion(context.Context) (int64, error) { return s.version, nil }

func (s *memoryStore) Index(context.Context) (kb.Index, error) {
	return kb.Index{Version: s.version, Segments: []kb.Segment{s.seg}, Dead: s.dead}, nil
}

func (s *memoryStore) ReadSegment(_ context.Context, _, off, n int64) ([]byte, error) {
	return s.blob[off : off+n], nil
}

func (s *memoryStore) LiveChunks(_ context.Context, ids []kb.ChunkID) ([]kb.Chunk, error) {
	var out []kb.Chunk
	for _, id := range ids {
		if c, ok := s.chunks[id]; ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// Cut returns the chunker of the product with chunks of about target Chinese
// characters or half as many words; 0 means its default.
func Cut(target int) func(Document) []kb.Chunk {
	return func(d Document) []kb.Chunk {
		return chunk.Split(kb.Text{Title: d.Title, Body: d.Text}, chunk.Options{Target: target})
	}
}
