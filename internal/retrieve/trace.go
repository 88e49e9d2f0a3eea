package retrieve

import (
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Trace is a search with everything the scorers saw; training reads it.
type Trace struct {
	question  question
	weigher   weigher
	units     []unit
	index     uint64 // terms that any chunk has
	stats     lexical.Result
	passages  []passage // best first
	sentences []sentence
	degraded  []string
	dense     float32 // weight of the vectors in this search
	answer    decision
	room      *room // that passages and sentences are in
}

// Candidate is a sentence that could be quoted and what is known about it.
type Candidate struct {
	Document kb.DocumentID
	Text     string
	Features []float32
}

// English reports a question without a Chinese character: its sentences are
// put in order by weights of their own, since words tell more than characters
// do and the kinds of answers less.
func (t *Trace) English() bool {
	return !han(t.question.Text)
}

// han reports characters of Chinese, Japanese or Korean.
func han(s string) bool { return strings.ContainsFunc(s, func(r rune) bool { return r >= 0x2E80 }) }

// Sentences returns the scored sentences.
func (t *Trace) Sentences() []Candidate {
	out := make([]Candidate, len(t.sentences))
	for i, s := range t.sentences {
		c := t.passages[s.passage].chunk
		out[i] = Candidate{c.Document, c.Text[s.Start:s.End], s.x[:]}
	}
	return out
}

// Signals returns what the decision to answer rests on; nil if nothing matched.
func (t *Trace) Signals() []float32 {
	if len(t.passages) == 0 {
		return nil
	}
	return t.answer[:]
}
