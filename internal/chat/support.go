package chat

import (
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Shares of a statement's words that its evidence must have. A model that
// paraphrases a passage keeps its nouns and numbers; what shares less than
// half was not said there. Chosen by the fixtures in support_test.go.
const (
	supported = 0.5
	widen     = 0.15 // what a neighbouring sentence must add to be quoted too
)

// statement is a text whose words can be looked for in others.
type statement struct {
	terms   []lexical.TermStat
	matcher *lexical.Matcher
	weight  float64 // of all terms
}

func newStatement(text string) *statement {
	s := &statement{}
	for _, t := range lexical.Parse(text, nil).Terms {
		w := termWeight(t.Key)
		s.terms = append(s.terms, lexical.TermStat{Term: t, IDF: float32(w)})
		s.weight += w
	}
	s.matcher = lexical.NewMatcher(s.terms)
	return s
}

// termWeight counts a pair of Han characters and a word in full, one Han
// character little: it is in everything.
func termWeight(key string) float64 {
	if n := utf8.RuneCountInString(key); n == 1 && len(key) > 1 {
		return 0.2
	}
	return 1
}

// found marks which terms are in text.
func (s *statement) found(text string, seen []bool) []bool {
	if seen == nil {
		seen = make([]bool, len(s.terms))
	}
	for _, m := range s.matcher.Find(text, nil) {
		seen[m.Term] = true
	}
	return seen
}

// coverage is the share of the statement that is in texts together, 0 to 1. A
// statement without words is covered.
func (s *statement) coverage(texts ...string) float64 {
	if s.weight == 0 {
		return 1
	}
	var seen []bool
	for _, t := range texts {
		seen = s.found(t, seen)
	}
	return s.share(seen)
}

// names reports whether a word or pair of Han characters of the statement is
// in texts.
func (s *statement) names(texts ...string) bool {
	for _, t := range texts {
		for _, m := range s.matcher.Find(t, nil) {
			if s.terms[m.Term].IDF >= 1 {
				return true
			}
		}
	}
	return false
}

// wordless reports a statement that names nothing: "and why?"
func (s *statement) wordless() bool { return s.named() == 0 }

// named is how many words and pairs of Han characters the statement has.
func (s *statement) named() (n int) {
	for _, t := range s.terms {
		if t.IDF >= 1 {
			n++
		}
	}
	return n
}

func (s *statement) share(seen []bool) float64 {
	sum := 0.0
	for i, ok := range seen {
		if ok {
			sum += float64(s.terms[i].IDF)
		}
	}
	return sum / s.weight
}

// evidence is the sentence of a passage that supports the statement best, and
// its neighbour if that adds much: bytes of the canonical text, and the share
// of the statement they cover.
func (s *statement) evidence(p kb.Passage) (start, end int, share float64) {
	spans := chunk.Sentences(p.Text)
	best, bestShare := -1, -1.0
	for i, sp := range spans {
		if strings.TrimSpace(p.Text[sp.Start:sp.End]) == "" {
			continue
		}
		if c := s.coverage(p.Text[sp.Start:sp.End]); c > bestShare {
			best, bestShare = i, c
		}
	}
	if best < 0 {
		return p.Start, p.End, 0
	}
	from, to := spans[best].Start, spans[best].End
	for _, n := range []int{best + 1, best - 1} {
		if n < 0 || n >= len(spans) {
			continue
		}
		a, b := min(from, spans[n].Start), max(to, spans[n].End)
		if c := s.coverage(p.Text[a:b]); c >= bestShare+widen {
			from, to, bestShare = a, b, c
			break
		}
	}
	text := p.Text[from:to]
	from += len(text) - len(strings.TrimLeft(text, " \t\n"))
	to -= len(text) - len(strings.TrimRight(text, " \t\n"))
	return p.Start + from, p.Start + to, bestShare
}
