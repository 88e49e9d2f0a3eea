package evaluate_test

import (
	"path/filepath"
	"testing"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/evaluate"
)

// TestOneSentenceOfAPassageAnswers holds reading-en to what sentence@1 measures:
// every question has one passage, and one sentence of it holds the answer.
func TestOneSentenceOfAPassageAnswers(t *testing.T) {
	t.Parallel()
	for _, half := range []string{"train", "judge"} {
		set, err := evaluate.Load(filepath.Join("testdata", "reading-en", half))
		if err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{}
		for _, d := range set.Docs {
			texts[d.ID] = d.Text
		}
		for _, q := range set.Queries {
			if len(q.Gold) != 1 || len(q.Answers) == 0 {
				t.Errorf("%s %s: %d passages, answers %q", half, q.ID, len(q.Gold), q.Answers)
			}
			for doc := range q.Gold {
				n := 0
				for _, s := range chunk.Sentences(texts[doc]) {
					if evaluate.Holds(texts[doc][s.Start:s.End], q.Answers) {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%s %s: %d sentences of %s hold %q", half, q.ID, n, doc, q.Answers)
				}
			}
		}
	}
}
