package chat

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// pairs are marks that begin a quotation, each with the one that ends it.
var pairs = []rune("“”„”「」『』‘’‚’«»‹›〝〞﹁﹂﹃﹄｢｣《》〈〉\"\"＂＂''＇＇``")

// closing is the mark that ends what r begins, 0 if r begins no quotation.
func closing(r rune) rune {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == r {
			return pairs[i+1]
		}
	}
	return 0
}

// opens tells a mark that begins a quotation from an apostrophe and from the
// fence of code. more reports that what follows decides.
func (c *checker) opens(r rune, n int, more *bool, end bool) bool {
	if r != '\'' && r != '`' && r != '＇' {
		return true
	}
	if len(c.held) == n && !end {
		*more = true
		return true
	}
	next, _ := utf8.DecodeRuneInString(c.held[n:])
	before, _ := utf8.DecodeLastRuneInString(c.current().words())
	switch {
	case r == '`':
		return next != '`' && before != '`'
	case unicode.Is(unicode.Han, before), unicode.Is(unicode.Han, next):
		return true
	}
	return !unicode.IsLetter(before) && !unicode.IsNumber(before) && !unicode.IsSpace(next) && len(c.held) > n
}

// quotation delivers a quotation that the passages or the question have, and
// withholds any other.
func (c *checker) quotation(open rune, n int, end bool) (more bool) {
	stop := closing(open)
	at := strings.IndexRune(c.held[n:], stop)
	if at < 0 && open == '„' { // “ closes it in German
		stop = '“'
		at = strings.IndexRune(c.held[n:], stop)
	}
	switch {
	case at < 0 && !end && len(c.held) <= holdBytes:
		return true
	case at < 0 && !end && c.known().quoted(c.held[n:]):
		c.quote, c.stop = c.held[n:], stop // goes out as far as it is real
		c.state(c.held, c.quote)
		c.held = ""
		return false
	case at < 0 && !end:
		c.withhold()
		c.held, c.until = c.held[n:], stop
		return false
	case at < 0: // never ended: no quotation, but text like other text
		c.held = c.held[n:]
		return false
	}
	inside := c.held[n : n+at]
	whole := c.held[:n+at+utf8.RuneLen(stop)]
	c.held = c.held[len(whole):]
	if c.known().quoted(inside) && !strings.ContainsAny(inside, "[]【】") {
		c.state(whole, inside)
		return false
	}
	c.withhold()
	return false
}

// quoteOn goes on with a long quotation, character by character, while it is
// what a passage says.
func (c *checker) quoteOn(n int, end bool) (more bool) {
	r, _ := utf8.DecodeRuneInString(c.held)
	if r == c.stop {
		c.flushQuiet(c.held[:n])
		c.held, c.quote = c.held[n:], ""
		return false
	}
	if c.quote += c.held[:n]; !c.known().quoted(c.quote) {
		c.withhold()
		c.until, c.quote = c.stop, ""
		return false
	}
	c.flushQuiet(c.held[:n])
	c.held = c.held[n:]
	return false
}

// skipTo drops what is withheld; the end of a line ends it.
func (c *checker) skipTo() (more bool) {
	at := strings.IndexFunc(c.held, func(r rune) bool { return r == c.until || r == '\n' })
	if at < 0 {
		c.held = ""
		return true
	}
	if r, n := utf8.DecodeRuneInString(c.held[at:]); r == c.until {
		at += n
	}
	c.held, c.until = c.held[at:], 0
	return false
}

// link takes the target off a link: an answer links to its sources only.
func (c *checker) link(n int, end bool) (more bool) {
	switch {
	case len(c.held) == n && !end:
		return true
	case !strings.HasPrefix(c.held[n:], "("):
		c.text(c.held[:n])
		c.held = c.held[n:]
		return false
	}
	c.text(c.held[:n])
	c.withhold()
	c.held, c.until = c.held[n:], ')'
	return false
}

// tag withholds what a browser would take for markup, unless the passages
// have it: documentation of HTML may be quoted.
func (c *checker) tag(n int, end bool) (more bool) {
	if len(c.held) == n && !end {
		return true
	}
	next, _ := utf8.DecodeRuneInString(c.held[n:])
	if !unicode.IsLetter(next) && !strings.ContainsRune("/!?", next) || unicode.Is(unicode.Han, next) {
		c.text(c.held[:n])
		c.held = c.held[n:]
		return false
	}
	at := strings.IndexByte(c.held, '>')
	if at < 0 && !end && len(c.held) <= holdBytes && !strings.Contains(c.held, "\n") {
		return true
	}
	if at >= 0 && c.known().quoted(c.held[:at+1]) {
		whole := c.held[:at+1]
		c.held = c.held[at+1:]
		c.state(whole, whole)
		return false
	}
	c.withhold()
	c.until = '>'
	return false
}

// withhold marks the sentence: it is not as the model wrote it.
func (c *checker) withhold() { c.current().tainted = true }

// state delivers text of which the words stand in a passage.
func (c *checker) state(text, words string) {
	c.flushQuiet(text)
	cur := c.current()
	cur.literals = append(cur.literals, func(v *values) bool { return v.quoted(words) })
}

// flushQuiet delivers text that ends no sentence, whatever is in it.
func (c *checker) flushQuiet(s string) {
	c.quiet(s)
	c.flush(s)
}

// quiet adds text to the sentence without delivering it; flush delivers it.
func (c *checker) quiet(s string) { c.current().add(s) }

func (c *checker) flush(s string) { c.out.WriteString(s) }

// literalRune reports what numbers, names and addresses are written with.
func literalRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Mn, r) || strings.ContainsRune("_@:/?#&=%.,+~-\\", r) || dotLike(r)
}

// dotLike are the characters that browsers take for the dot of a domain beside
// the dot itself (UTS #46), and one that looks like it; the full stop of Chinese
// is one of them, see domainDot.
func dotLike(r rune) bool { return r == '．' || r == '｡' || r == '․' }

// word delivers a run of letters, digits and the signs of addresses once its
// end is seen. One that states a literal which is nowhere is withheld.
func (c *checker) word(end bool) (more bool) {
	at := strings.IndexFunc(c.held, func(r rune) bool { return !literalRune(r) || unicode.Is(unicode.Han, r) })
	if at >= 0 && strings.HasPrefix(c.held[at:], "。") {
		tail := c.held[at+len("。"):]
		if !end && len(c.held) <= holdBytes && strings.Trim(tail, domainRunes) == "" {
			return true // the end of a sentence, or the dot of a domain
		}
		if domain := domainDot.FindString(c.held); len(domain) > at {
			at = len(domain)
			if at == len(c.held) && !end && at <= holdBytes {
				return true
			}
		}
	}
	if at < 0 {
		if at = len(c.held); !end && at <= holdBytes {
			return true
		}
	}
	run := c.held[:at]
	if len(run) > holdBytes {
		c.withhold()
		c.held, c.inWord = c.held[at:], true
		return false
	}
	tail := run[len(strings.TrimRight(run, ".,:?")):] // belongs to the sentence
	core := run[:len(run)-len(tail)]
	stated := literal.MatchString(lexical.Fold(core))
	counts := false
	if stated {
		if counts, more = c.ordinal(core, tail, c.held[at:], end); more {
			return true
		}
	}
	c.held = c.held[at:]
	switch {
	case !stated || counts:
		c.flushQuiet(core)
	case c.known().has(core):
		c.flushQuiet(core)
		cur := c.current()
		cur.literals = append(cur.literals, func(v *values) bool { return v.has(core) })
	default:
		c.withhold()
	}
	for _, r := range tail {
		c.text(string(r))
	}
	return false
}

// domainRunes are what the part of an address behind a dot is written with.
const domainRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-./_"

// domainDot finds an address whose dots are ideographic full stops: letters on
// both sides, and after the last one what may be a top-level domain.
var domainDot = lazily(`^[A-Za-z0-9@:/_-]+(?:。[A-Za-z0-9-]+)*。[A-Za-z]{2,24}(?:/[A-Za-z0-9_./?=&%-]*)?`)

// ordinal reports the number of a list item or a step: it states nothing.
// more reports that what follows decides.
func (c *checker) ordinal(core, tail, rest string, end bool) (is, more bool) {
	const most = 20
	n, err := strconv.Atoi(core)
	if err != nil || n < 1 || n > most {
		return false, false
	}
	before := strings.TrimRight(c.current().words(), " \t*#")
	after, _ := utf8.DecodeRuneInString(rest)
	if before == "" && (tail == "." || strings.ContainsRune(")）、．", after) || rest == "" && end) {
		return true, false
	}
	if strings.HasSuffix(before, "第") {
		rest = strings.TrimLeft(rest, " ")
		if rest == "" && !end {
			return false, true
		}
		after, _ = utf8.DecodeRuneInString(rest)
		return tail == "" && strings.ContainsRune("步条项点", after), false
	}
	return strings.HasSuffix(before, "步骤") || strings.HasSuffix(strings.ToLower(before), "step"), false
}

// hanNumber delivers a number written in Han characters if a passage or the
// question states it. A single character is a number where a unit follows: 三天,
// but not 一般.
func (c *checker) hanNumber(end bool) (more bool) {
	at := strings.IndexFunc(c.held, func(r rune) bool { return !strings.ContainsRune(hanNumerals, r) })
	if at < 0 {
		at = len(c.held)
	}
	rest := c.held[at:]
	if !end && utf8.RuneCountInString(rest) < 2 && !strings.ContainsAny(rest, "\n。，") && at <= holdBytes {
		return true
	}
	before := lastRunes(c.current().words(), 2)
	if first := len(firstRunes(c.held, 1)); strings.HasSuffix(before, "周") || strings.HasSuffix(before, "星期") {
		at, rest = first, c.held[first:] // a day of the week is one character
	}
	n := hanNumber{before: before, run: c.held[:at], unit: firstRunes(rest, 2)}
	c.held = rest
	switch {
	case !n.counts():
		c.flushQuiet(n.run)
	case n.in(c.known()):
		c.flushQuiet(n.run)
		cur := c.current()
		cur.literals = append(cur.literals, n.in)
	default:
		c.withhold()
	}
	return false
}

func firstRunes(s string, n int) string {
	rs := []rune(s)
	return string(rs[:min(n, len(rs))])
}

func lastRunes(s string, n int) string {
	from := len(s)
	for ; n > 0 && from > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(s[:from])
		from -= size
	}
	return s[from:]
}
