package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Span is a range of bytes of a text, End exclusive.
type Span struct{ Start, End int }

// Sentences returns the sentences of a Chinese or English text as byte ranges,
// in order and without overlap. A sentence ends after 。！？；… and after .!?
// where they end one (not in abbreviations, decimals, versions, URLs and
// numbers of list items), together with the closing quotes and brackets behind
// them, and at each line end, so that a list item or a row is a sentence.
// White space around sentences and the "- " in front of list items belong to
// none; a piece without any letter or digit is none. Linear time.
func Sentences(text string) []Span {
	var out []Span
	start, line := 0, 0 // where the sentence and its line begin
	add := func(end int) {
		s, e := trim(text, start, end)
		if s < e && lineStart(text, s) {
			s = skipBullet(text, s, e)
		}
		if n := len(out); s >= e {
		} else if hasWord(text[s:e]) {
			out = append(out, Span{s, e})
		} else if n > 0 && out[n-1].Start >= line {
			out[n-1].End = e // stray punctuation goes with what it follows
		}
		start = end
	}
	for i := candidate(text, 0); i < len(text); i = candidate(text, i) {
		end, next := step(text, i)
		if end > 0 {
			add(end)
			if text[end-1] == '\n' {
				line = end
			}
		}
		i = next
	}
	add(len(text))
	return out
}

// candidate returns the offset of the next byte from i on that may begin the
// end of a sentence. Most of Chinese is skipped by the character.
func candidate(s string, i int) int {
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0xe4 && c < 0xef: // the Chinese characters, and others of three bytes
			i += 2
		case c > '?' && c < 0xe2, c > '\n' && c < '!':
		case c == '\n', c == '.', c == '!', c == '?', c >= 0xe2 && c <= 0xef:
			return i
		}
	}
	return len(s)
}

// step returns the offset behind the sentence that the character at i ends, 0
// if it ends none, and where to look next.
func step(s string, i int) (end, next int) {
	if end = boundary(s, i); end > 0 {
		return end, end
	}
	switch s[i] {
	case '.', '!', '?', 0xe2, 0xef:
		// Dots that end nothing are not looked at one by one.
		return 0, max(run(s, i), i+1)
	}
	return 0, i + 1
}

// boundary returns the offset behind the sentence that the character at i
// ends, or 0 if it ends none.
func boundary(s string, i int) int {
	switch c := s[i]; c {
	case '\n':
		return i + 1
	case '.':
		return period(s, i)
	case '!', '?':
		return mark(s, i)
	case 0xe2: // … U+2026
		if strings.HasPrefix(s[i:], "…") {
			return ellipsis(s, i)
		}
	case 0xe3: // 。 U+3002
		if strings.HasPrefix(s[i:], "。") {
			return closers(s, run(s, i))
		}
	case 0xef: // ！ ？ ； ｡ ．
		switch {
		case strings.HasPrefix(s[i:], "；"):
			return closers(s, i+len("；"))
		case strings.HasPrefix(s[i:], "｡"):
			return closers(s, run(s, i))
		case strings.HasPrefix(s[i:], "！"), strings.HasPrefix(s[i:], "？"):
			end := run(s, i)
			// The title 《为什么？》 ends no sentence.
			if strings.HasPrefix(s[end:], "》") || strings.HasPrefix(s[end:], "〉") {
				return 0
			}
			return closers(s, end)
		case strings.HasPrefix(s[i:], "．"):
			// In place of 。 in some prints; between digits a decimal point.
			before, _ := utf8.DecodeLastRuneInString(s[:i])
			if wide(before) && !unicode.IsDigit(before) {
				return closers(s, i+len("．"))
			}
		}
	}
	return 0
}

// run returns the offset behind the terminators that begin at i.
func run(s string, i int) int {
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch r {
		case '。', '！', '？', '…', '｡', '!', '?', '.':
			i += n
		default:
			return i
		}
	}
	return i
}

// closers returns the offset behind the closing quotes and brackets at i.
func closers(s string, i int) int {
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch r {
		case '”', '’', '」', '』', '）', '】', '》', '〉', '〕', '］', '｝', '"', '\'', ')', ']', '}', '»', '›':
			i += n
		case '；': // “……”；
			return i + n
		default:
			return i
		}
	}
	return i
}

// ellipsis: ……, and … at the end of English sentences. Followed by a comma or
// a lower-case word the sentence goes on.
func ellipsis(s string, i int) int {
	end := closers(s, run(s, i))
	rest := strings.TrimLeft(s[end:min(len(s), end+8)], " ")
	r, _ := utf8.DecodeRuneInString(rest)
	if strings.ContainsRune("，、,：:；;》〉", r) && rest != "" || unicode.IsLower(r) {
		return 0
	}
	return end
}

// mark handles ASCII ! and ?, which also stand in code and URLs.
func mark(s string, i int) int {
	end := closers(s, run(s, i))
	if end == len(s) || isBlank(s[end]) {
		return end
	}
	r, _ := utf8.DecodeRuneInString(s[end:])
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	if wide(r) && unicode.IsLetter(r) && (wide(before) || unicode.IsLetter(before)) {
		return end
	}
	return 0
}

// period handles the ASCII full stop.
func period(s string, i int) int {
	if i == 0 {
		return 0
	}
	end := closers(s, run(s, i))
	dots := run(s, i) - i
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	if end == len(s) || s[end] == '\n' || s[end] == '\r' {
		if itemNumber(s, i) {
			return 0
		}
		return end
	}
	next, _ := utf8.DecodeRuneInString(s[end:])
	if !isBlank(s[end]) {
		// 请看 README.然后继续: a full stop of English type in Chinese text,
		// but 1.安装 and 2.0版 are numbers.
		if wide(next) && unicode.IsLetter(next) && unicode.IsLetter(before) && !itemNumber(s, i) {
			return end
		}
		return 0
	}
	rest := strings.TrimLeft(s[end:min(len(s), end+64)], " \t")
	if rest == "" {
		return end
	}
	next, _ = utf8.DecodeRuneInString(rest)
	switch {
	case itemNumber(s, i):
		return 0
	case unicode.IsLower(next) || strings.ContainsRune(",;:，；：、", next):
		return 0
	case dots > 1:
		return end
	case abbreviated(s, i, next):
		return 0
	}
	return end
}

// itemNumber reports whether the full stop at i belongs to the number of a
// list item or section, which stands at the beginning of its line or behind a
// sentence: "1. ", "a. ", "2.1. ".
func itemNumber(s string, i int) bool {
	j := i
	for j > 0 && i-j < 8 && (s[j-1] >= '0' && s[j-1] <= '9' || s[j-1] == '.') {
		j--
	}
	if j == i && i > 0 && isLetter(s[i-1]) {
		j = i - 1
	}
	if j == i {
		return false
	}
	digit := s[j] >= '0' && s[j] <= '9'
	k := j
	for k > 0 && (s[k-1] == ' ' || s[k-1] == '(' || s[k-1] == '-') {
		k--
	}
	if k == 0 || s[k-1] == '\n' {
		return true
	}
	return digit && i-j <= 3 && k < j && strings.IndexByte(".!?;:", s[k-1]) >= 0 && !(s[k-1] == '.' && abbreviated(s, k-1, '0'))
}

// abbreviated reports whether the word before the full stop at i is one that
// is written with it and that a sentence rarely ends with. next is what
// follows, behind white space.
func abbreviated(s string, i int, next rune) bool {
	j := i
	for j > 0 && i-j < 12 && (isLetter(s[j-1]) || s[j-1] == '.') {
		j--
	}
	w := s[j:i]
	if w == "" || i-j >= 12 || wide(next) {
		return false
	}
	// An initial: J. Smith, the U.S. Army.
	if last := w[strings.LastIndexByte(w, '.')+1:]; len(last) == 1 && last[0] >= 'A' && last[0] <= 'Z' && w != "I" {
		return !opens(s, i)
	}
	switch strings.ToLower(w) {
	case "mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "eg", "ie", "cf", "approx", "dept", "ca", "viz", "col", "capt",
		"lt", "sgt", "rev", "hon", "incl", "excl", "resp":
		return true
	case "no", "nos", "fig", "figs", "eq", "eqs", "vol", "pp", "p", "ch", "art", "sec", "ed", "eds", "ref", "refs", "tab", "ver", "rel", "tel",
		"ext", "min", "max", "avg", "est", "al", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec":
		return next >= '0' && next <= '9' || next == '('
	}
	return false
}

// opens reports whether the word behind the full stop at i is one that opens
// sentences: behind "U.S." a capital may also begin a name.
func opens(s string, i int) bool {
	rest := strings.TrimLeft(s[i+1:min(len(s), i+24)], " \t\"'”’)")
	word, _, _ := strings.Cut(rest, " ")
	switch strings.TrimRight(word, ",") {
	case "The", "This", "That", "These", "Those", "It", "In", "He", "She", "They", "We", "You", "If", "When", "However", "But", "A", "An",
		"For", "As", "At", "On", "To", "There", "Then", "So", "And", "Please", "See", "Use", "Our", "Your", "Its", "No", "Yes", "By", "From", "With", "After", "Before":
		return true
	}
	return false
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// trim narrows a range by the white space at its ends.
func trim(s string, start, end int) (int, int) {
	t := strings.TrimLeftFunc(s[start:end], unicode.IsSpace)
	start = end - len(t)
	return start, start + len(strings.TrimRightFunc(t, unicode.IsSpace))
}

func lineStart(s string, i int) bool {
	for i > 0 && (s[i-1] == ' ' || s[i-1] == '\t') {
		i--
	}
	return i == 0 || s[i-1] == '\n'
}

// skipBullet moves behind the mark of a list item.
func skipBullet(s string, start, end int) int {
	for _, m := range []string{"- ", "* ", "• ", "· ", "+ "} {
		if strings.HasPrefix(s[start:end], m) {
			start, _ = trim(s, start+len(m), end)
			return start
		}
	}
	return start
}

func hasWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf {
			return strings.IndexFunc(s[i:], wordRune) >= 0
		} else if isLetter(c) || c >= '0' && c <= '9' {
			return true
		}
	}
	return false
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
