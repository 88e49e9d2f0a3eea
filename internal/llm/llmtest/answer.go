package llmtest

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	passageHead  = regexp.MustCompile(`(?m)^[ \t]*(?:\[(\d{1,3})\]|<passage[^>\n]*?(\d{1,3})[^>\n]*>)`)
	questionMark = regexp.MustCompile(`(?mi)^[ \t#*]*(?:question|用户问题|问题|query)[ \t*]*[:：]`)
	jsonKey      = regexp.MustCompile(`"([a-z_]{2,32})"`)
	customer     = regexp.MustCompile(`(?m)^(?:客户|Customer)[:：][ \t]*(.*)$`)
	anaphora     = regexp.MustCompile(`^(那|它|他|她|这个|这|该)|呢[？?]?$|(?i)^(and|what about|how about|it |that )`)
)

// passage is one numbered piece of the prompt.
type passage struct{ number, text string }

// passages finds the numbered passages of a prompt: blocks that start with [n]
// or <passage … n …> at the start of a line, up to the next one or the question.
func passages(text string) []passage {
	heads := passageHead.FindAllStringSubmatchIndex(text, -1)
	var out []passage
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		body := text[h[1]:end]
		if q := questionMark.FindStringIndex(body); q != nil {
			body = body[:q[0]]
		}
		n := ""
		for _, g := range [][2]int{{h[2], h[3]}, {h[4], h[5]}} {
			if g[0] >= 0 {
				n = text[g[0]:g[1]]
			}
		}
		out = append(out, passage{n, strings.TrimSpace(strings.ReplaceAll(body, "</passage>", ""))})
	}
	return out
}

// question finds what is asked: what follows the last "Question:" or "问题：" of
// the last user message, else its last paragraph after passages, else all of it.
func question(messages []Message) string {
	for _, message := range slices.Backward(messages) {
		if message.Role != "user" {
			continue
		}
		text := strings.TrimSpace(message.Content)
		if at := questionMark.FindAllStringIndex(text, -1); at != nil {
			return strings.TrimSpace(text[at[len(at)-1][1]:])
		}
		if heads := passageHead.FindAllStringIndex(text, -1); heads != nil {
			paragraphs := strings.Split(text, "\n\n")
			return strings.TrimSpace(paragraphs[len(paragraphs)-1])
		}
		return text
	}
	return ""
}

// sentences cuts text after sentence ends and at line ends.
func sentences(text string) []string {
	var out []string
	start := 0
	runes := []rune(text)
	for i, r := range runes {
		end := strings.ContainsRune("。！？!?\n", r) || r == '.' && (i+1 == len(runes) || runes[i+1] == ' ' || runes[i+1] == '\n')
		if end {
			out = append(out, strings.TrimSpace(string(runes[start:i+1])))
			start = i + 1
		}
	}
	return append(out, strings.TrimSpace(string(runes[start:])))
}

// overlap is the share of q's grams that s has, 0 to 1.
func overlap(q, s map[string]float64) float64 {
	if len(q) == 0 {
		return 0
	}
	hit := 0
	for g := range q {
		if s[g] > 0 {
			hit++
		}
	}
	return float64(hit) / float64(len(q))
}

// Extract answers from the passages in the prompt: the sentence that shares
// most with the question, followed by its passage's marker. Where the prompt
// speaks of ANSWER and NONE, it starts with one of them. Without passages it
// says the question back.
func Extract(req Request) string {
	var all strings.Builder
	for _, m := range req.Messages {
		all.WriteString(m.Content + "\n\n")
	}
	verdict := strings.Contains(all.String(), "ANSWER") && strings.Contains(all.String(), "NONE")
	ask := question(req.Messages)
	grams := Grams(ask)
	best, score, number := "", 0.0, ""
	for _, m := range req.Messages {
		for _, p := range passages(m.Content) {
			for _, s := range sentences(p.text) {
				if sc := overlap(grams, Grams(s)); sc > score && s != ask && !strings.Contains(s, " › ") { // a heading says nothing
					best, score, number = s, sc, p.number
				}
			}
		}
	}
	const enough = 0.2 // below, a sentence shares little more than function words with the question
	switch {
	case score >= enough && verdict:
		return "ANSWER " + best + " [" + number + "]"
	case score >= enough:
		return best + " [" + number + "]"
	case verdict && len(passages(all.String())) > 0:
		return "NONE"
	case verdict:
		return "ANSWER " + ask
	}
	return "You said: " + ask
}

// Understand answers a request for JSON: an object with those of the fields it
// knows that the prompt names in double quotes. Questions that lean on the
// turn before are joined with it.
func Understand(req Request) string {
	var all strings.Builder
	last := ""
	for i, m := range req.Messages {
		all.WriteString(m.Content + "\n")
		if m.Role == "user" && i < len(req.Messages)-1 {
			last = m.Content
		}
	}
	ask := question(req.Messages)
	if said := customer.FindAllStringSubmatch(ask, -1); said != nil { // a conversation in one message
		ask = said[len(said)-1][1]
		if len(said) > 1 {
			last = said[len(said)-2][1]
		}
	}
	full := ask
	if last != "" && anaphora.MatchString(ask) {
		full = last + " " + ask
	}
	out := map[string]any{}
	for _, k := range jsonKey.FindAllStringSubmatch(all.String(), -1) {
		switch k[1] {
		case "question", "query", "condensed", "standalone", "standalone_question", "rewritten":
			out[k[1]] = full
		case "intent", "route", "label":
			out[k[1]] = intent(ask)
		case "confidence", "score":
			out[k[1]] = 0.95
		case "lang", "language":
			out[k[1]] = lang(ask)
		}
	}
	if len(out) == 0 {
		out = map[string]any{"intent": intent(ask), "question": full, "confidence": 0.95}
	}
	b, _ := json.Marshal(out)
	return string(b)
}

func intent(ask string) string {
	low := strings.ToLower(ask)
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(low, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("人工", "真人", "human", "agent"):
		return "handoff"
	case has("订单", "order", "物流", "快递") && strings.ContainsFunc(ask, unicode.IsDigit):
		return "order"
	case has("你好", "谢谢", "hello", "thank", "再见") && len([]rune(ask)) < 20:
		return "direct"
	}
	return "knowledge"
}

func lang(ask string) string {
	for _, r := range ask {
		if unicode.Is(unicode.Han, r) {
			return "zh"
		}
	}
	return "en"
}
