package chat

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/aside"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// checker reads what a model writes and lets through what the passages bear
// out. Plain text passes at once; an open marker, quotation, number or address
// is held back until it ends, at most holdBytes, and delivered only if it is
// real. What was withheld or has no support marks its sentence, which result
// leaves out.
type checker struct {
	passages []kb.Passage   // [n] is passages[n-1]
	known    func() *values // of passages and question: many answers state nothing literally
	deliver  func(text string, cited []kb.Citation) error

	verdict   string          // "", answer or none
	raw       int             // bytes read
	torn      string          // bytes of a character that is not complete
	held      string          // text that waits for its end
	out       strings.Builder // text that is decided, and goes out at the end of this piece
	until     rune            // not 0: all up to it, or the end of the line, is withheld
	quote     string          // not "": a long quotation so far, which is real up to here
	stop      rune            // that ends quote
	inWord    bool            // the head of a word was too long, and withheld
	said      map[string]int  // how often a sentence was said
	loops     bool            // one too often
	sentences []*sentence     // those finished and, last, the open one
	sources   []kb.Citation   // in order of first mention
	err       error
}

// sentence is one sentence as delivered.
type sentence struct {
	parts    []*part
	cites    []int       // passages named in it
	literals []literally // numbers, names and quotations it states
	tainted  bool        // something of it was withheld
}

// literally is what has to stand in a passage as it is.
type literally func(*values) bool

// part is text, or a citation if source ≥ 0.
type part struct {
	text   strings.Builder
	source int
}

// The first word of an answer.
const (
	verdictAnswer = "ANSWER"
	verdictNone   = "NONE"
)

// holdBytes bounds what is held back (DESIGN §5.4), maxAnswerBytes an answer: a
// page and a half of Chinese, which no customer reads to its end.
const (
	holdBytes      = 256
	maxAnswerBytes = 16 << 10
)

// write takes the next piece of the model's text. It returns false when no
// more is wanted: the model says NONE, does not end, or the reader left.
func (c *checker) write(text string) bool {
	if c.err != nil {
		return false
	}
	c.raw += len(text)
	c.held += c.clean(text, false)
	if c.verdict == "" && !c.decide(false) {
		return c.verdict != verdictNone
	}
	c.pass(false)
	c.send()
	return c.err == nil && c.raw <= maxAnswerBytes && !c.loops
}

// close takes the end of the model's text.
func (c *checker) close() {
	c.held += c.clean("", true)
	if c.verdict == "" {
		c.decide(true)
	}
	if c.verdict == verdictAnswer && c.err == nil {
		c.pass(true)
		c.send()
	}
}

// decide reads the verdict off the front of what is held; it reports whether
// text may pass.
func (c *checker) decide(end bool) bool {
	text := strings.TrimLeft(c.held, " \t\r\n*#`")
	const longest = len(verdictAnswer)
	upper := strings.ToUpper(text[:min(len(text), longest)])
	switch {
	case strings.HasPrefix(upper, verdictNone) && (end && len(text) == len(verdictNone) || wordEnds(text, len(verdictNone))):
		c.verdict, c.held = verdictNone, ""
		return false
	case strings.HasPrefix(upper, verdictAnswer):
		c.verdict = verdictAnswer
		c.held = strings.TrimLeft(text[len(verdictAnswer):], " \t\r\n:：*`.")
		return true
	case !end && (strings.HasPrefix(verdictAnswer, upper) || strings.HasPrefix(upper, verdictNone) && len(text) == len(verdictNone)):
		return false // not enough yet
	case text == "": // neither word: it said nothing
		c.verdict, c.held = verdictAnswer, ""
		return false
	}
	c.verdict, c.held = verdictAnswer, text // it forgot the word
	return true
}

func wordEnds(s string, n int) bool {
	if len(s) == n {
		return false // "NONE" may go on as "Nonetheless": wait
	}
	r, _ := utf8.DecodeRuneInString(s[n:])
	return !unicode.IsLetter(r)
}

// pass delivers as much of what is held as is decided.
func (c *checker) pass(end bool) {
	for c.held != "" && c.err == nil && !c.loops {
		r, n := utf8.DecodeRuneInString(c.held)
		var more bool
		switch {
		case c.until != 0:
			more = c.skipTo()
		case c.quote != "":
			more = c.quoteOn(n, end)
		case c.inWord && literalRune(r) && !unicode.Is(unicode.Han, r):
			c.held = c.held[n:] // the rest of a word that was too long to be held
		case len(c.sentences) == 0 && unicode.IsSpace(r):
			c.held = c.held[n:]
		case r == '[' || r == '【':
			more = c.marker(n, end)
		case r == ']':
			more = c.link(n, end)
		case r == '<':
			more = c.tag(n, end)
		case r == '>' && strings.TrimSpace(c.current().words()) == "":
			c.held = c.held[n:] // a block quotation is text like other text
		case closing(r) != 0 && c.opens(r, n, &more, end):
			more = more || c.quotation(r, n, end)
		case strings.ContainsRune(hanNumerals, r):
			more = c.hanNumber(end)
		case literalRune(r) && !unicode.Is(unicode.Han, r):
			more = c.word(end)
		default:
			c.text(c.held[:n])
			c.held = c.held[n:]
		}
		if more {
			return
		}
		c.inWord = c.inWord && (c.held == "" || c.startsInWord())
	}
}

// startsInWord reports whether what is held goes on with the word before.
func (c *checker) startsInWord() bool {
	r, _ := utf8.DecodeRuneInString(c.held)
	return literalRune(r) && !unicode.Is(unicode.Han, r)
}

// clean takes out of the model's text what no reader sees but a program may:
// control and format characters, which would hide a number or an address from
// the checks. A character whose bytes are not all there waits.
func (c *checker) clean(text string, end bool) string {
	text = c.torn + text
	c.torn = ""
	if !strings.ContainsFunc(text, unseen) { // nearly always
		return text
	}
	var b strings.Builder
	for text != "" {
		if !utf8.FullRuneInString(text) && !end {
			c.torn = text
			break
		}
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1, unicode.Is(unicode.Cf, r), unicode.IsControl(r) && r != '\n' && r != '\t':
		case unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
			b.WriteByte('\n')
		default:
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

// unseen reports a character that clean may have to do with, among them bytes
// that are none.
func unseen(r rune) bool {
	return r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && unicode.In(r, unicode.Cf, unicode.Cc, unicode.Zl, unicode.Zp)
}

// current is the open sentence.
func (c *checker) current() *sentence {
	if len(c.sentences) == 0 {
		c.sentences = append(c.sentences, &sentence{})
	}
	return c.sentences[len(c.sentences)-1]
}

// text delivers text and begins a new sentence after its end.
func (c *checker) text(s string) {
	cur := c.current()
	cur.add(s)
	c.flush(s)
	if cur.ends(s) {
		if words := strings.TrimSpace(cur.words()); words != "" {
			if c.said == nil {
				c.said = map[string]int{}
			}
			c.said[words]++
			const most = 3 // more often, and the model has run into a loop
			c.loops = c.loops || c.said[words] > most
		}
		c.sentences = append(c.sentences, &sentence{})
	}
}

// add puts text at the end of the sentence.
func (s *sentence) add(text string) {
	last := len(s.parts) - 1
	if last < 0 || s.parts[last].source >= 0 {
		s.parts = append(s.parts, &part{source: -1})
		last++
	}
	s.parts[last].text.WriteString(text)
}

// ends reports whether s, the text added last, ends the sentence. "2. " is the
// number of a list item and ends nothing.
func (s *sentence) ends(last string) bool {
	switch last {
	case "\n", "。", "！", "？", "!", "?", "；":
		return true
	case " ":
		words := strings.TrimLeft(s.words(), " ")
		return strings.HasSuffix(words, ". ") && len(words) > len("20. ")
	}
	return false
}

// words is the sentence without its citations.
func (s *sentence) words() string {
	if len(s.parts) == 1 {
		return s.parts[0].text.String() // as it is after each character: not copied
	}
	var b strings.Builder
	for _, p := range s.parts {
		b.WriteString(p.text.String())
	}
	return b.String()
}

var markerRE = lazily(`^\s*\^?\d{1,3}(?:\s*[,，、;]\s*\^?\d{1,3})*\s*$`)

// marker handles '[': a marker of known passages becomes a citation, one of
// unknown passages vanishes, and anything else is text. more reports that the
// end has not come yet.
func (c *checker) marker(n int, end bool) (more bool) {
	const longest = 24 // [1, 2, 3, 4, 5]
	close := strings.IndexAny(c.held, "]】")
	if close < 0 {
		inside := c.held[n:]
		if !end && len(inside) <= longest && strings.Trim(inside, "0123456789^,，、; ") == "" {
			return true
		}
		c.text(c.held[:n])
		c.held = c.held[n:]
		return false
	}
	inside := c.held[n:close]
	if !markerRE.MatchString(inside) {
		c.text(c.held[:n])
		c.held = c.held[n:]
		return false
	}
	_, width := utf8.DecodeRuneInString(c.held[close:])
	c.held = c.held[close+width:]
	for _, d := range numbers.FindAllString(strings.NewReplacer(",", " ", "，", " ").Replace(inside), -1) {
		if i, err := strconv.Atoi(d); err == nil && i >= 1 && i <= len(c.passages) {
			c.cite(i - 1)
		}
	}
	return false
}

// cite chooses the evidence for what was said, in the passage the model named.
func (c *checker) cite(p int) {
	cur := c.current()
	claim := cur.words()
	if strings.TrimSpace(claim) == "" && len(c.sentences) > 1 { // "…。[1]": the marker belongs before the stop
		cur = c.sentences[len(c.sentences)-2]
		claim = cur.words()
	}
	var source int
	aside.Do(func() {
		start, end, _ := newStatement(claim).evidence(c.passages[p])
		source = c.source(c.passages[p], start, end)
	})
	for _, have := range cur.parts {
		if have.source == source {
			return
		}
	}
	cur.cites = append(cur.cites, p)
	cur.parts = append(cur.parts, &part{source: source})
	c.flush("[" + strconv.Itoa(source+1) + "]")
	c.send()
}

// send delivers what may go out: once for each piece that came, however many
// decisions that took.
func (c *checker) send() {
	if c.out.Len() == 0 || c.err != nil {
		return
	}
	out := c.out.String()
	c.out.Reset()
	c.err = c.deliver(out, c.sources)
}

// source returns the number of a citation, making it if it is new.
func (c *checker) source(p kb.Passage, start, end int) int {
	for i, s := range c.sources {
		if s.Metadata.Chunk == p.ID && s.Metadata.Start == start && s.Metadata.End == end {
			return i
		}
	}
	c.sources = append(c.sources, cite(p, kb.Quote{Start: start, End: end, Score: p.Score}))
	return len(c.sources) - 1
}
