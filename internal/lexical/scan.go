package lexical

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kljensen/snowball/english"
	"golang.org/x/text/unicode/norm"
)

// A sink receives the tokens of a text in the order of their ends. Offsets are bytes of the text.
type sink interface {
	// han receives one rune of a script without spaces, folded. prev is its left
	// neighbour in the same run, which began at prevStart, or 0.
	han(r, prev rune, prevStart, start, end int)
	// word receives a word as it stands in the text; normWord makes it a term.
	// A compound (v1.2.3, STORAGE_URL) comes whole and in parts.
	word(raw string, start, end int)
}

// maxWordBytes bounds a term: longer runs without a space are data, not words,
// and are found by their beginning.
const maxWordBytes = 64

const (
	clsOther = iota
	clsLetter
	clsDigit
	clsJoin // may stand inside a compound
)

// asciiClass is the class of each ASCII byte.
var asciiClass = [128]uint8{
	'0': 2, '1': 2, '2': 2, '3': 2, '4': 2, '5': 2, '6': 2, '7': 2, '8': 2, '9': 2,
	'a': 1, 'b': 1, 'c': 1, 'd': 1, 'e': 1, 'f': 1, 'g': 1, 'h': 1, 'i': 1, 'j': 1, 'k': 1, 'l': 1, 'm': 1,
	'n': 1, 'o': 1, 'p': 1, 'q': 1, 'r': 1, 's': 1, 't': 1, 'u': 1, 'v': 1, 'w': 1, 'x': 1, 'y': 1, 'z': 1,
	'A': 1, 'B': 1, 'C': 1, 'D': 1, 'E': 1, 'F': 1, 'G': 1, 'H': 1, 'I': 1, 'J': 1, 'K': 1, 'L': 1, 'M': 1,
	'N': 1, 'O': 1, 'P': 1, 'Q': 1, 'R': 1, 'S': 1, 'T': 1, 'U': 1, 'V': 1, 'W': 1, 'X': 1, 'Y': 1, 'Z': 1,
	'_': 3, '.': 3, '-': 3, ',': 3, '\'': 3,
}

// scan cuts text into tokens. It never fails: broken UTF-8 separates.
func scan(text string, s sink) {
	var at place
	for at.i < len(text) {
		if i := at.i; i+2 < len(text) {
			if r := hanOf(text[i], text[i+1], text[i+2]); r != 0 {
				r = foldHan(r)
				s.han(r, at.prev, at.prevStart, i, i+3)
				at = place{i + 3, r, i}
				continue
			}
		}
		at = at.step(text, s)
	}
}

// place is where a scan is, and the rune before if it belongs to the same run.
type place struct {
	i         int
	prev      rune
	prevStart int
}

// step passes over what stands at a place.
func (p place) step(text string, s sink) place {
	i := p.i
	if c := text[i]; c < utf8.RuneSelf {
		if k := asciiClass[c]; k == clsLetter || k == clsDigit || c == '_' {
			return place{i: scanWord(text, i, s)}
		}
		return place{i: i + 1}
	}
	if wideMark(text[i:]) {
		return place{i: i + 3}
	}
	r, n := utf8.DecodeRuneInString(text[i:])
	if r >= 0xF900 && r <= 0xFAFF { // compatibility ideographs
		r, _ = utf8.DecodeRuneInString(norm.NFKC.String(text[i : i+n]))
	}
	if isCJK(r) {
		r = foldHan(r)
		s.han(r, p.prev, p.prevStart, i, i+n)
		return place{i + n, r, i}
	}
	if isWordRune(r) {
		return place{i: scanWord(text, i, s)}
	}
	return place{i: i + n}
}

// hanOf decodes the three bytes of a Han character from U+4E00 on, which is most
// of Chinese; 0 if they are none.
func hanOf(b0, b1, b2 byte) rune {
	r := rune(b0&0xF)<<12 | rune(b1&0x3F)<<6 | rune(b2&0x3F)
	if b0 < 0xE4 || b0 > 0xE9 || r < 0x4E00 || b1&b2&0xC0 != 0x80 || (b1|b2)&0x40 != 0 {
		return 0
	}
	return r
}

// wideMark reports text that begins with a mark of Chinese print, from U+3000 to
// U+3004 or from U+FF00 to U+FF0F: every tenth character is one, and no word.
func wideMark(text string) bool {
	if len(text) < 3 {
		return false
	}
	c := text[2]
	return text[0] == 0xE3 && text[1] == 0x80 && c >= 0x80 && c <= 0x84 || text[0] == 0xEF && text[1] == 0xBC && c >= 0x80 && c <= 0x8F
}

// isWordRune reports letters and digits beyond ASCII of scripts with spaces.
func isWordRune(r rune) bool {
	switch {
	case r == utf8.RuneError, r >= 0x2000 && r <= 0x206F, r >= 0x2E80 && r < 0xA000, r >= 0xAC00 && r < 0xF900:
		return false
	case r >= 0xFF00 && r <= 0xFFEF: // full-width digits and letters, half-width kana and Hangul
		return r >= 0xFF10 && r <= 0xFF19 || r >= 0xFF21 && r <= 0xFF3A || r >= 0xFF41 && r <= 0xFF5A || r >= 0xFF66
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r) || r >= 0x300 && unicode.Is(unicode.M, r)
}

// scanWord reads the compound that starts at i and returns where it ends.
func scanWord(text string, i int, s sink) int {
	start, ascii, joins := i, true, false
	for i < len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(text[i:])
			if isCJK(r) || !isWordRune(r) {
				break
			}
			ascii = false
			i += n
			continue
		}
		k := asciiClass[c]
		if k == clsOther {
			break
		}
		if k == clsJoin {
			if c != '_' && !joinsAt(text, i) {
				break
			}
			joins = true
		}
		i++
	}
	raw := text[start:i]
	if i < len(text) && (text[i] == '+' || text[i] == '#') && len(raw) == 1 { // C++, C#, F#
		for i < len(text) && (text[i] == '+' || text[i] == '#') {
			i++
		}
		s.word(raw, start, start+1)
		s.word(text[start:min(i, start+4)], start, i)
		return i
	}
	if !ascii {
		s = &folded{sink: s, start: start, end: i}
		if raw = foldWord(raw); isASCII(raw) {
			scan(raw, s)
			return i
		}
		s.word(raw, start, i)
		return i
	}
	if joins {
		compound(raw, start, s)
	} else {
		humps(raw, start, s)
	}
	return i
}

// joinsAt reports whether the joining byte at i stands inside a compound:
// between two letters or digits, a comma and its like between digits only.
func joinsAt(text string, i int) bool {
	if i == 0 || i+1 >= len(text) || text[i-1] >= utf8.RuneSelf || text[i+1] >= utf8.RuneSelf {
		return false
	}
	a, b := asciiClass[text[i-1]], asciiClass[text[i+1]]
	if text[i] == ',' { // 1,000 but not 1,2
		return a == clsDigit && i+3 < len(text) && isDigits(text[i+1:i+4]) &&
			(i+4 == len(text) || text[i+4] >= utf8.RuneSelf || asciiClass[text[i+4]] != clsDigit)
	}
	return (a == clsLetter || a == clsDigit || text[i-1] == '_') && (b == clsLetter || b == clsDigit || text[i+1] == '_')
}

// compound emits the parts of a run with joining bytes, and the run itself if
// it looks like an identifier, a version, a number or a name with digits.
func compound(raw string, start int, s sink) {
	if found := strings.Contains(raw, ","); found {
		if whole := strings.ReplaceAll(raw, ",", ""); isDigits(whole) {
			s.word(whole, start, start+len(raw))
			return
		}
	}
	digit, ident := false, false
	parts, from := 0, 0
	for i := 0; i <= len(raw); i++ {
		if i < len(raw) {
			switch k := asciiClass[raw[i]]; {
			case k == clsDigit:
				digit = true
				continue
			case k == clsLetter:
				continue
			}
			ident = ident || raw[i] == '_' || raw[i] == '.'
		}
		// What follows an apostrophe and is short is an ending: user's, don't.
		ending := from > 0 && raw[from-1] == '\'' && i-from <= 2
		if i > from && !ending {
			if i-from > 1 || !isDigit(raw[from]) { // a lone digit of a version says nothing
				humps(raw[from:i], start+from, s)
			}
			parts++
		}
		from = i + 1
	}
	if whole := strings.Trim(raw, "_"); parts > 1 && (ident || digit) && !strings.Contains(whole, "'") {
		s.word(whole, start, start+len(raw))
	}
}

// humps emits a run of letters and digits, and its parts if it is camelCase.
func humps(raw string, start int, s sink) {
	from := 0
	for i := 1; i < len(raw); i++ {
		if !isUpper(raw[i]) || isDigit(raw[i-1]) {
			continue
		}
		// getName → get Name; HTTPServer → HTTP Server, but APIs, mRNA and iOS stay.
		if !isUpper(raw[i-1]) && i > 1 && i+1 < len(raw) && isLower(raw[i+1]) || isUpper(raw[i-1]) && i+2 < len(raw) && isLower(raw[i+1]) && isLower(raw[i+2]) {
			s.word(raw[from:i], start+from, start+i)
			from = i
		}
	}
	if from > 0 {
		s.word(raw[from:], start+from, start+len(raw))
	}
	s.word(raw, start, start+len(raw))
}

// folded passes on the tokens of a normalised word at the place of the original.
type folded struct {
	sink
	start, end int
}

func (f *folded) word(raw string, _, _ int) { f.sink.word(raw, f.start, f.end) }
func (f *folded) han(r, prev rune, _, _, _ int) {
	f.sink.han(r, prev, f.start, f.start, f.end)
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isStopWord reports the English words that are in no index: the 33 of Lucene's
// StopAnalyzer without "no" and "not", which carry meaning in a manual.
func isStopWord(s string) bool {
	switch s {
	case "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "of", "on", "or",
		"such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with":
		return true
	}
	return false
}

// normWord makes a word of the text a term: lower case, stemmed if it is all
// letters, cut at maxWordBytes. It returns "" for a stop word.
func normWord(raw string) string {
	s := strings.ToLower(raw)
	if isStopWord(s) {
		return ""
	}
	if len(s) > maxWordBytes {
		s = s[:maxWordBytes]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	if len(s) < 3 {
		return s
	}
	for i := range len(s) {
		if !isLower(s[i]) {
			return s
		}
	}
	return english.Stem(s, true)
}
