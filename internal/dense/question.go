package dense

import (
	"context"
	"slices"
	"sync"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/vector"
)

// Note is what the search for one question has to say beside its hits.
type Note struct {
	Degraded []string // names of degraded modes
	Spent    kb.Spent // for the question's vector
}

// Degraded modes of this package.
const (
	DegradedVectors = "vectors" // some chunks have no vector yet, or there are too many for memory
	DegradedMilvus  = "milvus"  // the index outside did not answer; memory did
)

// question is one question with its vector.
type question struct {
	text  string
	vec   []float32
	query vector.Query
	note  Note
}

// maxQuestions is how many vectors of questions are remembered: those being
// answered, and what is asked again and again. One is 12 KB at 1536 dimensions.
const maxQuestions = 64

// questions remembers the questions asked last, newest last.
type questions struct {
	mu   sync.Mutex
	held []*question
}

// get returns the question of a text, nil if it is not remembered.
func (q *questions) get(text string) *question {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.held, func(h *question) bool { return h.text == text })
	if i < 0 {
		return nil
	}
	found := q.held[i]
	q.held = append(slices.Delete(q.held, i, i+1), found)
	return found
}

// keep remembers a question, or returns the one another was first to keep.
func (q *questions) keep(made *question) *question {
	if had := q.get(made.text); had != nil {
		q.mu.Lock()
		had.note.Spent = had.note.Spent.Add(made.note.Spent)
		q.mu.Unlock()
		return had
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.held) >= maxQuestions {
		q.held = slices.Delete(q.held, 0, len(q.held)-maxQuestions+1)
	}
	q.held = append(q.held, made)
	return made
}

// say notes degraded modes of a question's search.
func (q *questions) say(of *question, modes ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	of.note.Degraded = modes
}

// memory is the bytes held.
func (q *questions) memory() (n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, h := range q.held {
		n += int64(len(h.text) + 6*len(h.vec))
	}
	return n
}

// Take returns the note of the last search for a question. What was spent is
// told once.
func (s *Searcher) Take(text string) Note {
	s.asked.mu.Lock()
	defer s.asked.mu.Unlock()
	for _, h := range s.asked.held {
		if h.text == text {
			n := h.note
			h.note.Spent = kb.Spent{}
			return n
		}
	}
	return Note{}
}

// ask returns a question's vector, asking the model if it is not remembered.
func (s *Searcher) ask(ctx context.Context, text string) (*question, error) {
	if q := s.asked.get(text); q != nil {
		return q, nil
	}
	vs, spent, err := s.embed.Embed(ctx, []string{text}, false)
	if err != nil {
		return nil, err
	}
	q := &question{text: text, vec: vs[0], note: Note{Spent: spent}}
	if q.query, err = vector.NewQuery(q.vec); err != nil {
		return nil, err
	}
	return s.asked.keep(q), nil
}
