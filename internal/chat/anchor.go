package chat

import (
	"slices"
	"strings"
	"unicode"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Confidence of what is certain by its form: chosen between the default
// threshold of retrieval and 1, which nothing has.
const (
	anchoredByCode    = 0.9 // the sentence has the code that is asked about
	anchoredByHeading = 0.7 // the heading says what the question says
)

// anchor corrects the statistics where form decides: a question about a code
// is answered by the sentence that has it, and one that repeats a heading by
// the text under it, however small the knowledge base.
func (a *answer) anchor() {
	if !a.abstains() {
		return
	}
	if quotes := a.codeQuotes(); len(quotes) > 0 {
		a.found.Quotes, a.found.Abstain = quotes, false
		a.found.Answerable = anchoredByCode
		return
	}
	if quotes := a.headingQuotes(); len(quotes) > 0 {
		a.found.Quotes, a.found.Abstain = quotes, false
		a.found.Answerable = anchoredByHeading
	}
}

// maxAnchored is how many sentences an anchor quotes: the steps of a short
// procedure.
const maxAnchored = 3

// codeQuotes are the sentences that have the code of the question, those in
// its language if there are any.
func (a *answer) codeQuotes() []kb.Quote {
	quotes := a.sentencesWithCode()
	own := slices.DeleteFunc(slices.Clone(quotes), func(q kb.Quote) bool {
		p := a.found.Passages[q.Passage]
		return languageOf(p.Text[q.Start-p.Start:q.End-p.Start]) != a.turn.Lang
	})
	if len(own) > 0 {
		return own
	}
	return quotes
}

func (a *answer) sentencesWithCode() (quotes []kb.Quote) {
	codes := identifier.FindAllString(a.turn.Query, -1)
	if len(codes) == 0 {
		return nil
	}
	for i, p := range a.found.Passages {
		spans := chunk.Sentences(p.Text)
		for k, sp := range spans {
			if !hasWord(p.Text[sp.Start:sp.End], codes[0]) {
				continue
			}
			end := sp.End
			// What follows on the same line belongs to it: "E02: … Use …".
			for k+1 < len(spans) && !strings.Contains(p.Text[sp.End:spans[k+1].Start], "\n") && !strings.Contains(p.Text[sp.Start:sp.End], "\n") {
				k++
				end = spans[k].End
			}
			quotes = append(quotes, trimQuote(p, i, sp.Start, end, anchoredByCode))
			if len(quotes) == maxAnchored {
				return quotes
			}
		}
	}
	return quotes
}

// hasWord reports whether text has the word between other signs than letters
// and digits, whatever width and case.
func hasWord(text, word string) bool {
	word = lexical.Fold(word)
	return slices.Contains(strings.FieldsFunc(lexical.Fold(text), func(r rune) bool {
		return unicode.Is(unicode.Han, r) || !unicode.IsLetter(r) && !unicode.IsNumber(r) && r != '-' && r != '_'
	}), word)
}

// headingQuotes are the first sentences under a heading that names everything
// the question names.
func (a *answer) headingQuotes() (quotes []kb.Quote) {
	st := newStatement(a.turn.Condensed)
	if st.wordless() {
		return nil
	}
	for i, p := range a.found.Passages {
		if p.Heading == "" || !st.namedBy(p.Heading) {
			continue
		}
		for _, sp := range chunk.Sentences(p.Text) {
			if q := trimQuote(p, i, sp.Start, sp.End, anchoredByHeading); q.End > q.Start {
				quotes = append(quotes, q)
			}
			if len(quotes) == maxAnchored {
				break
			}
		}
		return quotes
	}
	return nil
}

// namedBy reports whether text has every word of the statement.
func (s *statement) namedBy(text string) bool {
	for i, ok := range s.found(text, nil) {
		if !ok && s.terms[i].IDF >= 1 {
			return false
		}
	}
	return true
}

// trimQuote is bytes start to end of a passage without outer blanks.
func trimQuote(p kb.Passage, passage, start, end int, score float64) kb.Quote {
	text := p.Text[start:end]
	start += len(text) - len(strings.TrimLeft(text, " \t\n"))
	end -= len(text) - len(strings.TrimRight(text, " \t\n"))
	return kb.Quote{Passage: passage, Start: p.Start + start, End: p.Start + max(start, end), Score: score}
}
