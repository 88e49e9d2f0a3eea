package chat

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// result is what remains of a model's answer when all of it was read.
type result struct {
	text    string        // the sentences that hold, cited
	sources []kb.Citation // numbered as in text
	whole   bool          // nothing had to be left out: text is what was delivered
	says    bool          // something of it states anything: it is not all courtesy and signs
}

// courtesy is what needs no evidence: a whole sentence of it.
var courtesy = lazily(`(?i)^[\s*#-]*(?:(?:您好|你好|好的|当然|谢谢|感谢)(?:您的?(?:提问|咨询|耐心))?|(?:希望|但愿).{0,16}(?:帮助|有用|解决)(?:到?您|到?你)?|(?:如有|如果(?:您|你)?还?有|若有|还有).{0,8}(?:问题|疑问|需要).{0,4}(?:[，,]?(?:欢迎|请|可以?|随时|再|继续|联系|咨询|询问|提问|告诉|我们?|客服|人工){1,6})?|(?:以下是|具体如下|步骤如下|详情如下).{0,12}|(?:欢迎|请)随时(?:联系|咨询|提问|询问)(?:我们?)?|祝(?:您|你).{0,8}|(?:hello|hi|sure|certainly|of course|thank you|thanks)(?: there| for (?:asking|your question|reaching out))?|i? ?hope (?:this|that|it) helps(?: you)?|(?:please )?(?:let me know|feel free to (?:ask|contact us|reach out))(?: if you (?:have|need) (?:any |more |other |further |anything |additional |else |questions?|help)*)?|if you have (?:any |other |more |further |additional )*questions?(?:,? (?:please )?(?:let me know|feel free to ask|contact us|ask))?|here (?:is|are).{0,30}|(?:i'?m )?(?:glad|happy) to (?:help|assist)(?: you)?)[\s,.!?~:，。！？：～*]*$`)

// result weighs each sentence against the passages it names, or all of them if
// it names none, and keeps those that hold.
func (c *checker) result(question string) result {
	r := result{whole: true}
	renumber := map[int]int{}
	var b strings.Builder
	for _, s := range c.sentences {
		if len(s.parts) == 0 {
			continue
		}
		if !c.holds(s, question) {
			r.whole = false
			continue
		}
		r.says = r.says || !s.empty()
		for _, p := range s.parts {
			if p.source < 0 {
				b.WriteString(p.text.String())
				continue
			}
			n, known := renumber[p.source]
			if !known {
				n = len(r.sources)
				renumber[p.source] = n
				r.sources = append(r.sources, c.sources[p.source])
			}
			b.WriteString("[" + strconv.Itoa(n+1) + "]")
		}
	}
	r.text = b.String()
	if !r.whole {
		r.text = strings.TrimSpace(r.text)
	}
	return r
}

// holds reports whether a sentence may stay: nothing of it was withheld, what it
// states literally stands in the passages it names, and so do enough of its
// words, without a "not" that they have not.
func (c *checker) holds(s *sentence, question string) bool {
	words := s.words()
	if s.tainted {
		return false
	}
	if s.empty() {
		return true
	}
	texts := []string{question}
	st := newStatement(words)
	var evidence strings.Builder
	for i, p := range c.passages {
		if len(s.cites) == 0 || has(s.cites, i) {
			texts = append(texts, p.Title, p.Heading, p.Prefix, p.Text)
			from, to, _ := st.evidence(p)
			evidence.WriteString(p.Text[from-p.Start:to-p.Start] + "\n")
		}
	}
	if len(s.literals) > 0 {
		v := newValues(texts...)
		for _, stands := range s.literals {
			if !stands(v) {
				return false
			}
		}
	}
	said := make([]string, len(texts))
	for i, t := range texts {
		said[i] = arabic(t)
	}
	return newStatement(arabic(words)).coverage(said...) >= supported && !contradicts(words, evidence.String())
}

// empty reports whether a sentence states nothing: the fence of a block of
// code, a greeting.
func (s *sentence) empty() bool {
	words := s.words()
	return !strings.ContainsFunc(words, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) || courtesy.MatchString(words) && len(s.cites) == 0
}

func has(list []int, n int) bool {
	return slices.Contains(list, n)
}

// attribute gives an answer that names no passage the evidence of the one that
// supports it best.
func (c *checker) attribute() bool {
	if len(c.sources) > 0 || len(c.passages) == 0 {
		return false
	}
	var all strings.Builder
	for _, s := range c.sentences {
		all.WriteString(s.words())
	}
	st := newStatement(all.String())
	best, bestShare := -1, 0.0
	for i, p := range c.passages {
		if share := st.coverage(p.Text); share > bestShare {
			best, bestShare = i, share
		}
	}
	if best < 0 {
		return false
	}
	for len(c.sentences) > 1 && strings.TrimSpace(c.current().words()) == "" {
		c.sentences = c.sentences[:len(c.sentences)-1]
	}
	c.cite(best)
	return true
}
