package ingest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
	"github.com/eino-qa/eino-qa/internal/parse"
)

// work is one job on its way.
type work struct {
	job    kb.Job
	data   []byte
	text   kb.Text
	chunks []kb.ChunkRow
	first  kb.ChunkID
	resume bool // an earlier try ran out of time and stopped
	stored int  // chunks that it stored
}

// parse fills text and chunks from the data.
func (w *work) parse(ctx context.Context) (err error) {
	if w.text, _, err = parse.Parse(ctx, w.job.Name, w.job.MIME, w.data); err != nil {
		return fmt.Errorf("parse job %s: %w", w.job.ID, err)
	}
	if w.job.Title != "" {
		w.text.Title = w.job.Title
	}
	w.chunks = rows(w.text, chunk.Split(w.text, chunk.Options{}), w.job)
	if len(w.chunks) == 0 {
		return kb.E(kb.Invalid, nil, "the document has headings only, and no text to quote")
	}
	return nil
}

// rows gives each chunk the text that lies before it.
func rows(t kb.Text, chunks []kb.Chunk, job kb.Job) []kb.ChunkRow {
	rows := make([]kb.ChunkRow, len(chunks))
	at := 0
	for i, c := range chunks {
		c.Document, c.Version, c.Ordinal, c.Title = job.Document, job.Version, i, t.Title
		rows[i] = kb.ChunkRow{Chunk: c, Lead: t.Body[at:c.Start]}
		at = c.End
	}
	return rows
}

// publish writes chunks and index invisibly, makes them live together, and
// returns those that became ready.
func (in *Ingester) publish(ctx context.Context, works []work) ([]work, error) {
	works, err := in.reserve(ctx, works)
	if err != nil || len(works) == 0 {
		return nil, err
	}
	if err := in.putChunks(ctx, works); err != nil {
		return nil, err
	}
	data, err := lexical.Build(func(yield func(kb.Chunk) bool) {
		for _, w := range works {
			for _, r := range w.chunks {
				if !yield(r.Chunk) {
					return
				}
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("build index: %w", err)
	}
	seg := kb.Segment{First: works[0].first}
	published := make([]kb.Published, len(works))
	for i, w := range works {
		seg.Docs += len(w.chunks)
		seg.Last = w.first + kb.ChunkID(len(w.chunks)) - 1
		last := w.chunks[len(w.chunks)-1]
		published[i] = kb.Published{Job: w.job.ID, First: w.first, Title: w.text.Title, Tail: w.text.Body[last.End:]}
	}
	id, err := in.store.PutSegment(ctx, seg, data, time.Now())
	if err != nil {
		return nil, err
	}
	ready, err := in.store.Publish(ctx, id, published, time.Now())
	if len(ready) > 0 && in.Published != nil {
		in.Published()
	}
	return slices.DeleteFunc(works, func(w work) bool { return !slices.Contains(ready, w.job.ID) }), err
}

// reserve gives the chunks their ids and leaves out jobs that ended meanwhile.
func (in *Ingester) reserve(ctx context.Context, works []work) ([]work, error) {
	if len(works) == 1 && works[0].resume {
		w := works[0]
		var err error
		if w.first, w.stored, err = in.store.Resume(ctx, w.job.ID, w.chunks); err != nil {
			return nil, err
		}
		if w.stored > 0 {
			w.number()
			return []work{w}, nil
		}
	}
	ids, counts := make([]kb.JobID, len(works)), make([]int, len(works))
	for i, w := range works {
		ids[i], counts[i] = w.job.ID, len(w.chunks)
	}
	firsts, err := in.store.Reserve(ctx, ids, counts)
	if err != nil {
		return nil, err
	}
	for i := range works {
		works[i].first = firsts[i]
		works[i].number()
	}
	return slices.DeleteFunc(slices.Clone(works), func(w work) bool { return w.first == 0 }), nil
}

// number gives the chunks their ids.
func (w *work) number() {
	for k := range w.chunks {
		w.chunks[k].ID = w.first + kb.ChunkID(k)
	}
}

// commitBytes is how much text one commit of chunks may hold (DESIGN §4).
const commitBytes = 1 << 20

func (in *Ingester) putChunks(ctx context.Context, works []work) error {
	var all []kb.ChunkRow
	for _, w := range works {
		all = append(all, w.chunks...)
	}
	const parsed, written = 0.2, 0.9                // progress before and after the chunks
	for from := works[0].stored; from < len(all); { // only a work of its own is resumed
		to, size := from, 0
		for to < len(all) && (to == from || size+len(all[to].Lead)+len(all[to].Text) <= commitBytes) {
			size += len(all[to].Lead) + len(all[to].Text)
			to++
		}
		progress := parsed + (written-parsed)*float64(to)/float64(len(all))
		if err := in.store.PutChunks(ctx, all[from:to], progress); err != nil {
			return fmt.Errorf("put chunks: %w", err)
		}
		from = to
	}
	return nil
}
