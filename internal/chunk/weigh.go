package chunk

import (
	"unicode"
	"unicode/utf8"
)

// Units: a Chinese character weighs one, a word two, so that 400 characters
// and 200 words are both a full chunk (DESIGN §5.2). Both are about 300 to 400
// tokens of the embedding models in use.
const (
	wordWeight = 2
	longWord   = 12 // bytes; what has no blanks, such as a URL, weighs by length
	symbols    = 4  // symbols that weigh as much as one character
)

// weigh returns the length of s in units, at least one unless s is blank.
func weigh(s string) int {
	w, word, other := 0, 0, 0
	blank := true
	endWord := func() {
		if word > 0 {
			w += wordWeight * (1 + (word-1)/longWord)
			word = 0
		}
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case isLetter(c) || c >= '0' && c <= '9':
				word++
				blank = false
			case isBlank(c):
				endWord()
			default:
				endWord()
				other++
				blank = false
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		switch {
		case unicode.IsSpace(r):
			endWord()
			continue
		case wide(r):
			endWord()
			if wordRune(r) {
				w++
			} else {
				other++
			}
		case unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r):
			word += n
		default:
			endWord()
			other++
		}
		blank = false
	}
	endWord()
	w += other / symbols
	if w == 0 && !blank {
		return 1
	}
	return w
}

// wide reports characters of scripts that are written without blanks or whose
// letters stand for syllables, and the punctuation of their width.
func wide(r rune) bool {
	return r >= 0x2e80 && r <= 0x9fff || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
		r >= 0xfe30 && r <= 0xfe4f || r >= 0xff00 && r <= 0xffef || r >= 0x20000 && r <= 0x3ffff
}
