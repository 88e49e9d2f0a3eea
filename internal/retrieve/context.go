package retrieve

import (
	"context"
	"fmt"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Bounds of what is read beside the passages.
const (
	contextDepth = 2       // passages whose neighbours are read: an answer that goes on is one of the first
	contextBytes = 6 << 10 // about four chunks of 400 Chinese characters
)

// Context returns the chunks directly before and after the first passages in
// their documents, for a model to read and to cite: the best passage's first,
// none that is a passage already, all together at most contextBytes of text.
// They are passages like others, with the confidence of the one they stand
// beside.
func (r *Retriever) Context(ctx context.Context, passages []kb.Passage) ([]kb.Passage, error) {
	have := map[kb.ChunkID]bool{}
	for _, p := range passages {
		have[p.ID] = true
	}
	beside := map[kb.ChunkID]kb.Passage{}
	var ids []kb.ChunkID
	for _, p := range passages[:min(len(passages), contextDepth)] {
		for _, id := range [...]kb.ChunkID{p.ID + 1, p.ID - 1} { // what goes on says more than what went before
			if !have[id] {
				have[id], beside[id] = true, p
				ids = append(ids, id)
			}
		}
	}
	chunks, err := r.chunksOf(ctx, ids) // those of a version have consecutive ids
	if err != nil {
		return nil, fmt.Errorf("neighbours of passages: %w", err)
	}
	var out []kb.Passage
	left := contextBytes
	for _, c := range chunks {
		p := beside[c.ID]
		if c.Document != p.Document || c.Version != p.Version || len(c.Text) > left {
			continue
		}
		left -= len(c.Text)
		out = append(out, kb.Passage{Chunk: c, Score: p.Score})
	}
	return out, nil
}
