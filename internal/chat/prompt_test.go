package chat

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

func chunkOf(id kb.ChunkID, text string) kb.Passage {
	start := 1000 * int(id)
	return kb.Passage{Score: 0.8, Chunk: kb.Chunk{ID: id, Document: "doc", Version: 1, Title: "手册", Text: text, Start: start, End: start + len(text)}}
}

func TestWhatStandsBesideAPassageIsReadAndCited(t *testing.T) {
	t.Parallel()
	found := fixed(kb.Found{
		Passages:   []kb.Passage{chunkOf(5, "保修期如下。"), chunkOf(9, "退款说明。")},
		Context:    []kb.Passage{chunkOf(6, "台灯保修 24 个月。"), chunkOf(4, "本章说明售后。")},
		Quotes:     []kb.Quote{{Start: 5000, End: 5018, Score: 0.9}},
		Answerable: 0.9,
	})
	var prompt string
	s := &llmtest.Server{Answer: func(r llmtest.Request) string {
		if r.JSON {
			return `{"route":"knowledge","confidence":0.9,"question":"台灯保修多久？"}`
		}
		prompt = r.Messages[len(r.Messages)-1].Content
		return "ANSWER\n台灯保修 24 个月 [3]。"
	}}
	m := &memory{}
	if _, _, err := ask(t, withModel(t, s).For(Tenant{Memory: m, Retriever: found}), kb.Question{Query: "台灯保修多久？"}); err != nil {
		t.Fatal(err)
	}
	var heads []string
	for line := range strings.Lines(prompt) {
		if strings.HasPrefix(line, "[") {
			heads = append(heads, line[:3])
		}
	}
	if d := cmp.Diff(heads, []string{"[4]", "[1]", "[3]", "[2]"}); d != "" {
		t.Errorf("the model reads (- got, + want):\n%s\n%s", d, prompt)
	}
	src := m.turns[0].Sources
	if len(src) != 1 || src[0].Metadata.Chunk != 6 || src[0].Content != "台灯保修 24 个月。" || src[0].Metadata.Start != 6000 || !*m.turns[0].Metadata.Supported {
		t.Errorf("sources %+v of %q, want the sentence beside the passage, with its range", src, m.turns[0].Answer)
	}
}

// TestPassagesThatDoNotFitAreNotAskedAbout also has a model that fails after
// the prompt was cut: the quotes that remain are from what remains.
func TestPassagesThatDoNotFitAreNotAskedAbout(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("长", passageTokens-100)
	found := kb.Found{
		Passages:   []kb.Passage{chunkOf(1, "保修 24 个月。"+long), chunkOf(2, long)},
		Context:    []kb.Passage{chunkOf(3, "旁边。")},
		Quotes:     []kb.Quote{{Start: 1000, End: 1019, Score: 0.9}, {Passage: 1, Start: 2000, End: 2003, Score: 0.5}},
		Answerable: 0.9,
	}
	a := &answer{Chat: &Chat{engine: &Engine{}}, found: found}
	a.prompt()
	if len(a.found.Passages) != 1 || len(a.found.Quotes) != 1 {
		t.Errorf("%d passages and %d quotes remain, want one of each", len(a.found.Passages), len(a.found.Quotes))
	}
	if len(found.Passages) != 2 || len(found.Quotes) != 2 || found.Quotes[1].Passage != 1 {
		t.Error("what was found was changed for whoever else holds it")
	}
	s := says("ANSWER\n保修 24 个月 [1]。")
	s.Push(llmtest.Chat, llmtest.Act{}, llmtest.Throttled("1"))
	m := &memory{}
	if _, _, err := ask(t, withModel(t, s).For(Tenant{Memory: m, Retriever: fixed(found)}), kb.Question{Query: "台灯保修多久？"}); err != nil {
		t.Fatal(err)
	}
	if got := m.turns[0].Answer; got != "保修 24 个月。 [1]" {
		t.Errorf("answer %q, want the quote that remains", got)
	}
}
