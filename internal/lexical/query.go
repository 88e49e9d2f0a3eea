package lexical

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Limits of one query. A question is shorter; a pasted document is searched by
// its beginning and its rarest terms.
const (
	maxQueryBytes = 6000
	maxQueryTerms = 64
)

// Term is one thing to look for.
type Term struct {
	Key    string  // as in the index
	Weight float32 // times its idf; 1 for what the question says, less for synonyms
}

// Query is an analysed question. Make it with Parse.
type Query struct {
	Terms []Term // distinct, in order of appearance
	Text  string // the question normalised: NFKC, lower case, Simplified; for rules about it
	Same  []Same // what of Text has synonyms
}

// Same is a phrase of a question and what means the same.
type Same struct {
	Phrase string   // as it stands in Query.Text
	Others []string // folded
}

// Synonyms are groups of words and phrases that mean the same for one tenant.
// nil is none; make others with NewSynonyms.
type Synonyms []synonymGroup

type synonymGroup []string // folded

// NewSynonyms readies groups for questions.
func NewSynonyms(groups [][]string) Synonyms {
	out := make(Synonyms, len(groups))
	for i, g := range groups {
		for _, w := range g {
			out[i] = append(out[i], strings.TrimSpace(Fold(w)))
		}
	}
	return out
}

// synonymWeight is what a synonym counts beside the word itself: enough to
// find, too little to outrank the same match of the user's own word.
const synonymWeight = 0.6

// Parse analyses a question: normalises it, takes out the words that only make
// it a question, and adds synonyms (which may be nil).
func Parse(question string, syn Synonyms) Query {
	question = cutUTF8(question, maxQueryBytes)
	q := Query{Text: Fold(question)}
	p := parser{q: &q, at: map[string]int{}, weight: 1, asks: asksEnglish(q.Text)}
	scan(withoutQuestionWords(question), &p)
	p.weight = synonymWeight
	for _, group := range syn {
		for _, word := range group {
			if !containsPhrase(q.Text, word) {
				continue
			}
			same := Same{Phrase: word}
			for _, other := range group {
				if other != word {
					same.Others = append(same.Others, other)
					scan(other, &p)
				}
			}
			q.Same = append(q.Same, same)
		}
	}
	return q
}

// Fold normalises text for comparing: NFKC, lower case, Simplified.
func Fold(s string) string {
	return strings.Map(foldHan, strings.ToLower(norm.NFKC.String(s)))
}

func cutUTF8(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

type parser struct {
	q      *Query
	at     map[string]int // place in q.Terms
	asks   bool           // the English in it is a question, not a statement or keywords
	weight float32
}

func (p *parser) han(r, prev rune, _, _, _ int) {
	p.add(string(r))
	if prev != 0 {
		p.add(string(prev) + string(r))
	}
}

func (p *parser) word(raw string, _, _ int) {
	if w := normWord(raw); w != "" && !(p.asks && isQuestionWord(w)) {
		p.add(w)
	}
}

func (p *parser) add(key string) {
	if _, ok := p.at[key]; ok {
		return
	}
	p.at[key] = len(p.q.Terms)
	p.q.Terms = append(p.q.Terms, Term{key, p.weight})
}

// containsPhrase reports whether phrase stands in text, for words with spaces
// as whole words.
func containsPhrase(text, phrase string) bool { return phraseAt(text, phrase, 0) >= 0 }

// phraseAt is where phrase stands in text at from or behind it, −1 if it does not.
func phraseAt(text, phrase string, from int) int {
	inner := func(at int) bool { // at cuts an ASCII word in two
		return at > 0 && at < len(text) && isAlnum(text[at-1]) && isAlnum(text[at])
	}
	for phrase != "" {
		i := strings.Index(text[from:], phrase)
		if i < 0 {
			break
		}
		i += from
		if !inner(i) && !inner(i+len(phrase)) {
			return i
		}
		for from = i + 1; inner(from); from++ { // nothing begins there, see a question of 4,000 letters
		}
	}
	return -1
}

// ReplacePhrase puts other in the place of phrase wherever that is a Same of a
// question: not in the middle of a word.
func ReplacePhrase(text, phrase, other string) string {
	var b strings.Builder
	from := 0
	for i := phraseAt(text, phrase, 0); i >= 0; i = phraseAt(text, phrase, from) {
		b.WriteString(text[from:i] + other)
		from = i + len(phrase)
	}
	return b.String() + text[from:]
}

func isAlnum(c byte) bool {
	return c < 0x80 && (asciiClass[c] == clsLetter || asciiClass[c] == clsDigit)
}

// chineseQuestionWords ask or are politeness; they are in every question and
// in few answers. Dropping them: CMRC nDCG@10 .9827 → .9889. Longest first, so
// that 为什么 goes before 什么.
var chineseQuestionWords = [...]string{
	"在什么地方", "什么时候", "什么地方", "多长时间", "在哪里", "在哪儿", "在何处", "是由谁", "在哪", "由谁", "是谁", "想问一下", "可不可以", "介绍一下", "为什么",
	"是什么", "什么样", "怎么样", "怎么办", "哪一个", "哪一种", "想知道", "告诉我",
	"能不能", "有没有", "什么", "甚么", "怎么", "怎样", "如何", "为何", "何时", "何地",
	"何处", "何人", "何种", "何年", "哪一", "哪个", "哪些", "哪里", "哪儿", "哪种",
	"哪位", "哪几", "多少", "多久", "几个", "几种", "几年", "请问", "请教", "我想",
	"可以", "是否", "有何", "是指", "分别", "哪", "谁", "吗", "呢", "吧",
}

// isQuestionWord reports English words, stemmed by normWord, that only ask.
func isQuestionWord(stem string) bool {
	switch stem {
	case "what", "who", "whom", "whose", "which", "when", "where", "whi", "how", "do", "doe", "did", "can", "could",
		"should", "would", "may", "shall", "i", "me", "my", "we", "our", "you", "your", "am", "were", "been", "have",
		"has", "had", "pleas", "tell", "about", "mani", "much", "ani", "some", "get":
		return true
	}
	return false
}

// asksEnglish reports whether folded text is a question or a request: in a
// statement the same words carry meaning.
func asksEnglish(text string) bool {
	first, _, _ := strings.Cut(strings.TrimLeft(text, " "), " ")
	switch strings.Trim(first, "?,.!'") {
	case "what", "what's", "who", "who's", "whom", "whose", "which", "when", "where", "why", "how", "do", "does", "did", "can",
		"could", "should", "would", "may", "shall", "is", "are", "was", "were", "will", "please", "tell", "i", "has", "have":
		return true
	}
	return strings.Contains(text, "?")
}

// withoutQuestionWords replaces the Chinese question words of a question by
// spaces, so that their neighbours do not become a pair.
func withoutQuestionWords(s string) string {
	s = strings.Map(foldHan, norm.NFKC.String(s))
	for _, w := range chineseQuestionWords {
		if strings.Contains(s, w) {
			s = strings.ReplaceAll(s, w, " ")
		}
	}
	return s
}

// Tokens returns the terms of a text as they are indexed, in order and with
// repetitions, for comparing with other indexes.
func Tokens(text string) []string {
	var l lister
	scan(text, &l)
	return l
}

type lister []string

func (l *lister) han(r, prev rune, _, _, _ int) {
	*l = append(*l, string(r))
	if prev != 0 {
		*l = append(*l, string(prev)+string(r))
	}
}

func (l *lister) word(raw string, _, _ int) {
	if w := normWord(raw); w != "" {
		*l = append(*l, w)
	}
}
