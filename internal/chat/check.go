package chat

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// checker reads what a model writes and lets through what the passages bear
// out. Plain text passes at once; an open marker, quotation, number or address
// is held back until it ends, at most holdBytes, and delivered only if it is
// real. What was withheld or has no support marks its sentence, which result
// leaves out.
type checker struct {
	passages []kb.Passage // [n] is passages[n-1]
	known    *values      // of passages and question
	deliver  func(text string, cited []kb.Citation) error

	verdict   string        // "", answer or none
	raw       int           // bytes read
	held      string        // text that waits for its end
	sentences []*sentence   // those finished and, last, the open one
	sources   []kb.Citation // in order of first mention
	err       error
}

// sentence is one sentence as delivered.
type sentence struct {
	parts   []part
	cites   []int // passages named in it
	tainted bool  // something of it was withheld
}

// part is text, or a citation if source ≥ 0.
type part struct {
	text   string
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
	c.held += text
	if c.verdict == "" && !c.decide(false) {
		return c.verdict != verdictNone
	}
	c.pass(false)
	return c.err == nil && c.raw <= maxAnswerBytes
}

// close takes the end of the model's text.
func (c *checker) close() {
	if c.verdict == "" {
		c.decide(true)
	}
	if c.verdict == verdictAnswer && c.err == nil {
		c.pass(true)
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
	for c.held != "" && c.err == nil {
		if !utf8.FullRuneInString(c.held) && !end {
			return
		}
		r, n := utf8.DecodeRuneInString(c.held)
		var more bool
		switch {
		case r == utf8.RuneError && n == 1 || unicode.IsControl(r) && r != '\n' && r != '\t':
			c.held = c.held[n:]
		case r == '[' || r == '【':
			more = c.marker(n, end)
		case closing(r) != 0:
			more = c.quotation(r, n, end)
		case literalRune(r) && !unicode.Is(unicode.Han, r):
			more = c.word(end)
		default:
			c.text(c.held[:n])
			c.held = c.held[n:]
		}
		if more {
			return
		}
	}
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
	if last := len(cur.parts) - 1; last >= 0 && cur.parts[last].source < 0 {
		cur.parts[last].text += s
	} else {
		cur.parts = append(cur.parts, part{text: s, source: -1})
	}
	if err := c.deliver(s, nil); err != nil {
		c.err = err
	}
	if cur.ends(s) {
		c.sentences = append(c.sentences, &sentence{})
	}
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
	var b strings.Builder
	for _, p := range s.parts {
		b.WriteString(p.text)
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
	start, end, _ := newStatement(claim).evidence(c.passages[p])
	source := c.source(c.passages[p], start, end)
	for _, have := range cur.parts {
		if have.source == source && have.text == "" {
			return
		}
	}
	cur.cites = append(cur.cites, p)
	cur.parts = append(cur.parts, part{source: source})
	if err := c.deliver("["+strconv.Itoa(source+1)+"]", c.sources); err != nil {
		c.err = err
	}
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

// closing is the mark that ends what r begins, 0 if r begins no quotation.
func closing(r rune) rune {
	switch r {
	case '“':
		return '”'
	case '「':
		return '」'
	case '『':
		return '』'
	case '‘':
		return '’'
	case '«':
		return '»'
	case '"', '＂':
		return r
	}
	return 0
}

// quotation delivers a quotation that the passages or the question have, and
// withholds any other.
func (c *checker) quotation(open rune, n int, end bool) (more bool) {
	stop := closing(open)
	at := strings.IndexRune(c.held[n:], stop)
	if at < 0 {
		if !end && len(c.held) <= holdBytes {
			return true
		}
		c.held = c.held[n:] // too long to be held: no quotation any more, but text like other text
		return false
	}
	inside := c.held[n : n+at]
	whole := c.held[:n+at+utf8.RuneLen(stop)]
	c.held = c.held[len(whole):]
	if c.known.quoted(inside) && !strings.ContainsAny(inside, "[]【】") {
		for _, r := range whole {
			c.quiet(string(r))
		}
		c.flush(whole)
		return false
	}
	c.current().tainted = true
	return false
}

// quiet adds text to the sentence without delivering it; flush delivers.
func (c *checker) quiet(s string) {
	cur := c.current()
	if last := len(cur.parts) - 1; last >= 0 && cur.parts[last].source < 0 {
		cur.parts[last].text += s
		return
	}
	cur.parts = append(cur.parts, part{text: s, source: -1})
}

func (c *checker) flush(s string) {
	if err := c.deliver(s, nil); err != nil {
		c.err = err
	}
}

// literalRune reports what numbers, names and addresses are written with.
func literalRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || strings.ContainsRune("_@:/?#&=%.,+~-", r)
}

// word delivers a run of letters, digits and the signs of addresses once its
// end is seen. One that states a literal which is nowhere is withheld.
func (c *checker) word(end bool) (more bool) {
	at := strings.IndexFunc(c.held, func(r rune) bool { return !literalRune(r) || unicode.Is(unicode.Han, r) })
	if at < 0 {
		if at = len(c.held); !end && at <= holdBytes {
			return true
		}
	}
	run := c.held[:at]
	after, _ := utf8.DecodeRuneInString(c.held[at:])
	if len(run) > holdBytes {
		c.current().tainted = true
		c.held = c.held[at:]
		return false
	}
	c.held = c.held[at:]
	tail := run[len(strings.TrimRight(run, ".,:?")):] // belongs to the sentence
	core := run[:len(run)-len(tail)]
	if !literal.MatchString(core) || c.ordinal(core, tail, after) || c.known.has(core) {
		c.quiet(core)
		c.flush(core)
	} else {
		c.current().tainted = true
	}
	for _, r := range tail {
		c.text(string(r))
	}
	return false
}

// ordinal reports the number of a list item or a step: it states nothing.
func (c *checker) ordinal(core, tail string, after rune) bool {
	const most = 20
	n, err := strconv.Atoi(core)
	if err != nil || n < 1 || n > most {
		return false
	}
	before := strings.TrimRight(c.current().words(), " \t*")
	if before == "" && (tail == "." || strings.ContainsRune(")）、．", after) || after == 0) {
		return true
	}
	return strings.HasSuffix(before, "第") || strings.HasSuffix(before, "步骤") || strings.HasSuffix(strings.ToLower(before), "step")
}
