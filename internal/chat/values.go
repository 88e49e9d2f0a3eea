package chat

import (
	"strconv"
	"strings"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// values is what an answer may state literally: the numbers, names with
// digits, addresses and quotations of the passages and the question.
type values struct {
	words map[string]bool
	text  string // everything folded, blanks taken out
}

// literal finds what has to be checked: words with a digit, an '@', or a
// scheme or domain in them.
var literal = lazily(`[\p{L}\p{N}_@:/?#&=%.,+~-]*[\p{N}@][\p{L}\p{N}_@:/?#&=%.,+~-]*|[A-Za-z][A-Za-z0-9+.-]*://[^\s<>"'()\[\]{}，。；：！？、“”（）【】《》]+|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)

func newValues(texts ...string) *values {
	v := &values{words: map[string]bool{}}
	var all strings.Builder
	for _, t := range texts {
		f := lexical.Fold(t)
		for _, w := range literal.FindAllString(f, -1) {
			for _, form := range forms(w) {
				v.words[form] = true
			}
		}
		all.WriteString(squeeze(f))
		all.WriteByte('\n')
	}
	v.text = all.String()
	return v
}

// forms is a word as it stands, without what sentences put around it, and its
// numbers: "24个月" states 24, "3-5" states both ends.
func forms(w string) []string {
	w = strings.Trim(w, ".,:;/?#&=+~-%")
	out := []string{w, number(w)}
	for _, n := range numbers.FindAllString(w, -1) {
		out = append(out, number(n))
	}
	return out
}

var numbers = lazily(`[0-9]+(?:[.,][0-9]+)*`)

// number is a number without thousands separators and trailing zeros.
func number(s string) string {
	plain := strings.ReplaceAll(s, ",", "")
	if f, err := strconv.ParseFloat(plain, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return s
}

// has reports whether the texts state this literal.
func (v *values) has(word string) bool {
	w := strings.Trim(lexical.Fold(word), ".,:;/?#&=+~-%")
	if w == "" || v.words[w] || v.words[number(w)] {
		return true
	}
	if strings.ContainsAny(w, "@/") || strings.Contains(w, "://") {
		return false // an address is right as a whole or wrong
	}
	ns := numbers.FindAllString(w, -1)
	if len(ns) == 0 {
		return strings.Contains(v.text, squeeze(w))
	}
	for _, n := range ns {
		if !v.words[number(n)] && !v.hasInHan(n) {
			return false
		}
	}
	// Letters around digits are a name (E05, XM-200): that has to stand there.
	if strings.ContainsFunc(w, asciiLetter) {
		return strings.Contains(v.text, squeeze(w)) || pureUnit(w)
	}
	return true
}

func asciiLetter(r rune) bool { return r >= 'a' && r <= 'z' }

// pureUnit reports a number with its unit, written together: 12w, 5v, 8h.
var pureUnitRE = lazily(`^[0-9.,]+(?:w|v|a|h|k|kg|g|mg|km|m|cm|mm|ml|l|gb|mb|kb|tb|hz|khz|mhz|ghz|mah|ms|s|min|px|pt|%|st|nd|rd|th|am|pm|x)$`)

func pureUnit(w string) bool { return pureUnitRE.MatchString(w) }

// hasInHan reports whether the texts write the number in Han characters.
func (v *values) hasInHan(n string) bool {
	i, err := strconv.Atoi(n)
	if err != nil || i < 0 || i > 9999 {
		return false
	}
	h := han(i)
	return strings.Contains(v.text, h) || i == 2 && strings.Contains(v.text, "两")
}

// han writes 0 to 9999 in Han characters, as in 二十四.
func han(n int) string {
	const digits = "零一二三四五六七八九"
	digit := func(d int) string { return string([]rune(digits)[d]) }
	if n == 0 {
		return digit(0)
	}
	var b strings.Builder
	zero := false
	for i, unit := range []string{"千", "百", "十", ""} {
		d := n / []int{1000, 100, 10, 1}[i] % 10
		switch {
		case d == 0:
			zero = b.Len() > 0
		default:
			if zero {
				b.WriteString(digit(0))
				zero = false
			}
			if !(d == 1 && unit == "十" && b.Len() == 0) {
				b.WriteString(digit(d))
			}
			b.WriteString(unit)
		}
	}
	return b.String()
}

// quoted reports whether the texts have these words, whatever blanks, width
// and case.
func (v *values) quoted(words string) bool {
	s := squeeze(lexical.Fold(words))
	return s == "" || strings.Contains(v.text, s)
}

// squeeze takes blanks out.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\n', '\r', '\u00a0', '\u3000':
			return -1
		}
		return r
	}, s)
}
