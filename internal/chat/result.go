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
}

// courtesy is what needs no evidence.
var courtesy = lazily(`(?i)^[\s*#>-]*(?:您好|你好|好的|希望|如有|如果您?还有|欢迎|请随时|感谢|谢谢|祝|以下是|具体如下|步骤如下|hello|hi\b|hope|let me know|feel free|please feel|if you have|here (?:is|are)|thank|sure\b|glad to|happy to)`)

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
		for _, p := range s.parts {
			if p.source < 0 {
				b.WriteString(p.text)
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

func (c *checker) holds(s *sentence, question string) bool {
	words := s.words()
	if s.tainted {
		return false
	}
	if !strings.ContainsFunc(words, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) }) || courtesy.MatchString(words) && len(s.cites) == 0 {
		return true
	}
	texts := []string{question}
	for i, p := range c.passages {
		if len(s.cites) == 0 || has(s.cites, i) {
			texts = append(texts, p.Title, p.Heading, p.Prefix, p.Text)
		}
	}
	return newStatement(words).coverage(texts...) >= supported
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
