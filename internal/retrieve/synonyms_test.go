package retrieve

import (
	"testing"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

func TestAQuestionIsRewordedByWholeWords(t *testing.T) {
	t.Parallel()
	syn := lexical.NewSynonyms([][]string{{"ups", "shipping"}, {"保固", "保修"}})
	for text, want := range map[string]string{
		"pickups by UPS, ups or cups": "pickups by shipping, shipping or cups",
		"ups\nsetups":                 "shipping\nsetups",
		"台灯的保固\n那保固期呢":                "台灯的保修\n那保修期呢",
		"the setups":                  "",
	} {
		q := understand(lexical.Parse(text, syn))
		var terms []lexical.TermStat
		for _, term := range q.Terms {
			s := lexical.TermStat{Term: term}
			if term.Key == "ship" || term.Key == "保修" {
				s.DF = 1
			}
			terms = append(terms, s)
		}
		if got, ok := q.reworded(terms); ok != (want != "") || ok && got != want {
			t.Errorf("%q is searched for as %q, %v, want %q", text, got, ok, want)
		}
	}
}
