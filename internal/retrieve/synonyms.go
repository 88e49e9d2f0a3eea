package retrieve

import (
	"slices"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// reworded is the question with what the knowledge base does not have replaced
// by what means the same and is there; ok is false if nothing is.
func (q *question) reworded(terms []lexical.TermStat) (text string, ok bool) {
	text = q.Text
	for _, s := range q.Same {
		if known(s.Phrase, terms) {
			continue
		}
		if i := slices.IndexFunc(s.Others, func(o string) bool { return known(o, terms) }); i >= 0 {
			text, ok = lexical.ReplacePhrase(text, s.Phrase, s.Others[i]), true
		}
	}
	return text, ok
}

// known reports whether the index has each word and pair of phrase.
func known(phrase string, terms []lexical.TermStat) bool {
	set := termsOf(phrase, terms)
	for i, t := range terms {
		if set>>i&1 == 1 && t.DF == 0 {
			return false
		}
	}
	return set != 0
}

// termsOf is the set of the terms of phrase: pairs and words, and a character
// only where there is nothing else.
func termsOf(phrase string, terms []lexical.TermStat) (set uint64) {
	keys := lexical.Tokens(phrase)
	single := !slices.ContainsFunc(keys, func(k string) bool { return runeLen(k) > 1 })
	for i, t := range terms {
		if slices.Contains(keys, t.Key) && (single || runeLen(t.Key) > 1) {
			set |= 1 << i
		}
	}
	return set
}
