package chat

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cloudwego/eino/schema"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
)

//go:embed prompts/answer.zh.txt
var answerZh string

//go:embed prompts/answer.en.txt
var answerEn string

//go:embed prompts/understand.zh.txt
var understandZh string

//go:embed prompts/understand.en.txt
var understandEn string

// Budgets of a prompt, in estimated tokens: five chunks of 400 characters are
// about 2,000, and so is what stands beside the best of them; the rest of the
// window is the provider's price.
const (
	passageTokens = 4500
	historyTokens = 1000
)

// prompt is what the model is asked with. Passages that do not fit are not
// asked about, and cannot be cited.
func (a *answer) prompt() []*schema.Message {
	system, question := answerZh, "问题："
	if a.turn.Lang == kb.En {
		system, question = answerEn, "Question: "
	}
	var b strings.Builder
	hits, texts := a.fit()
	for _, i := range readingOrder(a.found.Passages, hits) {
		b.WriteString("[" + strconv.Itoa(i+1) + "] ")
		b.WriteString(llm.Trim(texts[i], passageTokens))
		b.WriteString("\n\n")
	}
	b.WriteString(question + a.turn.Condensed)
	return []*schema.Message{schema.SystemMessage(strings.TrimSpace(system)), schema.UserMessage(b.String())}
}

// fit keeps the passages that the prompt has room for, those that were found
// first and what stands beside them last: the model reads all of them, so all
// of them can be cited. It returns how many of them were found, and the texts
// of all.
func (a *answer) fit() (hits int, texts []string) {
	all := slices.Concat(a.found.Passages, a.found.Context)
	left := passageTokens
	for _, p := range all {
		text := passageText(p)
		if left -= llm.EstimateTokens(text); left < 0 && len(texts) > 0 {
			break
		}
		texts = append(texts, text)
	}
	n := len(texts)
	hits = min(n, len(a.found.Passages))
	a.found.Passages, a.found.Context = all[:n], nil
	a.found.Quotes = slices.DeleteFunc(slices.Clone(a.found.Quotes), func(q kb.Quote) bool { return q.Passage >= n })
	return hits, texts
}

// readingOrder puts what stands beside a passage where it stands: a list that
// goes on in the next chunk is read as one.
func readingOrder(ps []kb.Passage, hits int) (order []int) {
	beside := map[kb.ChunkID]int{}
	for i := hits; i < len(ps); i++ {
		beside[ps[i].ID] = i
	}
	take := func(id kb.ChunkID) {
		if i, ok := beside[id]; ok {
			order = append(order, i)
			delete(beside, id)
		}
	}
	for i := range hits {
		take(ps[i].ID - 1)
		order = append(order, i)
		take(ps[i].ID + 1)
	}
	return order
}

// passageText is a passage as the model sees it. A line of a document that
// looks like the head of a passage is set off, so that it cannot pose as one.
func passageText(p kb.Passage) string {
	head := p.Title
	if p.Heading != "" {
		head += " › " + p.Heading
	}
	text := p.Text
	if p.Prefix != "" {
		text = p.Prefix + "\n" + text
	}
	return head + "\n" + strings.ReplaceAll("\n"+text, "\n[", "\n  [")[1:]
}

// reading is what a model makes of a message.
type reading struct {
	Route      kb.Route `json:"route"`
	Confidence float64  `json:"confidence"`
	Question   string   `json:"question"`
}

// Validate refuses what the prompt does not allow.
func (r *reading) Validate() error {
	switch r.Route {
	case kb.Knowledge, kb.Order, kb.Direct, kb.Handoff:
	default:
		return fmt.Errorf("route %q is none of knowledge, order, direct, handoff", r.Route)
	}
	if r.Confidence < 0 || r.Confidence > 1 {
		return fmt.Errorf("confidence %v is not between 0 and 1", r.Confidence)
	}
	return nil
}

// read has the model tell the intent and fold the history in.
func (a *answer) read(ctx context.Context) (reading, error) {
	system, customer, assistant := understandZh, "客户：", "客服："
	if a.turn.Lang == kb.En {
		system, customer, assistant = understandEn, "Customer: ", "Assistant: "
	}
	lines := []string{customer + a.asks}
	left := historyTokens
	for _, t := range slices.Backward(a.history) {

		said := customer + t.Query + "\n" + assistant + llm.Trim(t.Answer, historyTokens/4)
		if left -= llm.EstimateTokens(said); left < 0 {
			break
		}
		lines = append([]string{said}, lines...)
	}
	in := []*schema.Message{schema.SystemMessage(strings.TrimSpace(system)), schema.UserMessage(strings.Join(lines, "\n"))}
	const enough = 300 // tokens: a question and thirty for the frame
	r, _, err := llm.JSON[reading](ctx, a.engine.models, in, llm.Options{
		Model: a.tenant.Model, Tenant: a.tenant.ID, Temperature: greedy, MaxTokens: enough, Observe: a.spend,
	})
	return r, err
}
