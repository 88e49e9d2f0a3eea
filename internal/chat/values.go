package chat

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// values is what an answer may state literally: the numbers, names with
// digits, addresses and quotations of the passages and the question.
type values struct {
	words map[string]bool
	text  string // everything folded, blanks taken out
}

// literal finds what has to be checked: words with a digit, an '@', or a
// scheme or domain in them, also one without its scheme.
var literal = lazily(`[\p{L}\p{N}_@:/?#&=%.,+~-]*[\p{N}@][\p{L}\p{N}_@:/?#&=%.,+~-]*|[A-Za-z][A-Za-z0-9+.-]*://[^\s<>"'()\[\]{}，。；：！？、“”（）【】《》]+|[A-Za-z0-9-]+(?:[.。][A-Za-z0-9-]+)+|(?i:javascript|vbscript|data|mailto|tel|file|ftp|https?):\S+|[/\\]{2}\S+`)

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

// forms is a word, trimmed, and its
// numbers: "24个月" states 24, "3-5" states both ends.
func forms(w string) []string {
	w = trimmed(w)
	out := []string{w, number(w)}
	for _, n := range numbers.FindAllString(w, -1) {
		out = append(out, number(n))
	}
	return out
}

// trimmed is a word without what sentences put around it.
func trimmed(w string) string { return strings.Trim(w, ".,:;/?#&=+~-%") }

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
	w := trimmed(lexical.Fold(word))
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

// hanNumerals are the digits and units of numbers in Han characters, the
// financial ones and those of Suzhou markets too.
const hanNumerals = "零〇一二三四五六七八九十百千万亿两廿卅壹贰叁肆伍陆柒捌玖拾佰仟貳參陸萬億兩〡〢〣〤〥〦〧〨〩〸〹〺"

// hanNumber is a number in Han characters and what stands around it.
type hanNumber struct{ before, run, unit string }

// counts reports whether it states a number: 一般 and 千万别 do not.
func (n hanNumber) counts() bool {
	switch n.run {
	case "一一", "万一", "千万", "十", "百", "千", "万", "亿":
		return n.run == "十" && n.hasUnit() && !strings.HasPrefix(n.unit, "分")
	}
	if utf8.RuneCountInString(n.run) > 1 {
		return true
	}
	if strings.HasSuffix(n.before, "第") || n.run == "一" && strings.HasPrefix(n.unit, "块") {
		return false
	}
	return n.hasUnit() || strings.HasSuffix(n.before, "周") || strings.HasSuffix(n.before, "星期")
}

func (n hanNumber) hasUnit() bool {
	for _, u := range []string{"年", "月", "天", "日", "秒", "周", "元", "块", "折", "倍", "岁", "斤", "米", "克", "个月", "个小", "个工", "个星", "个季", "小时", "分钟", "星期", "公斤", "千克", "公里", "厘米"} {
		if strings.HasPrefix(n.unit, u) {
			return true
		}
	}
	return false
}

// in reports whether the texts state the number, written either way.
func (n hanNumber) in(v *values) bool {
	if i, ok := parseHan(n.run); ok && v.words[strconv.Itoa(i)] {
		return true
	}
	run := n.run
	if utf8.RuneCountInString(run) == 1 { // the character alone is everywhere
		if strings.HasSuffix(n.before, "周") || strings.HasSuffix(n.before, "期") {
			run = lastRune(n.before) + run
		} else {
			run += firstRunes(n.unit, 1)
		}
	}
	return strings.Contains(v.text, squeeze(lexical.Fold(run)))
}

func lastRune(s string) string {
	_, n := utf8.DecodeLastRuneInString(s)
	return s[len(s)-n:]
}

// parseHan reads a number in Han characters: by units, 三千七百, or digit by
// digit, 二〇三九.
func parseHan(s string) (n int, ok bool) {
	digits := strings.NewReplacer("〇", "零", "壹", "一", "贰", "二", "貳", "二", "叁", "三", "參", "三", "肆", "四", "伍", "五", "陆", "六", "陸", "六",
		"柒", "七", "捌", "八", "玖", "九", "拾", "十", "佰", "百", "仟", "千", "萬", "万", "億", "亿", "两", "二", "兩", "二", "廿", "二十", "卅", "三十",
		"〡", "一", "〢", "二", "〣", "三", "〤", "四", "〥", "五", "〦", "六", "〧", "七", "〨", "八", "〩", "九", "〸", "十", "〹", "二十", "〺", "三十").Replace(s)
	units := map[rune]int{'十': 10, '百': 100, '千': 1000, '万': 10_000, '亿': 100_000_000}
	if !strings.ContainsAny(digits, "十百千万亿") { // digit by digit
		for _, r := range digits {
			n = n*10 + strings.Index("零一二三四五六七八九", string(r))/len("零")
			if n > 1e12 {
				return 0, false
			}
		}
		return n, true
	}
	part, digit := 0, 0 // below the last 万, and the digit that waits for its unit
	for _, r := range digits {
		u, isUnit := units[r]
		switch {
		case !isUnit && digit > 0: // 六二十: no number
			return 0, false
		case !isUnit:
			digit = strings.Index("零一二三四五六七八九", string(r)) / len("零")
		case u >= 10_000:
			n += max(part+digit, 1) * u
			part, digit = 0, 0
		default:
			part += max(digit, 1) * u
			digit = 0
		}
		if n > 1e12 {
			return 0, false
		}
	}
	return n + part + digit, true
}

// arabic writes the numbers in Han characters of a text with digits, so that
// 六个月 and 6 个月 have the same words.
func arabic(s string) string {
	var b strings.Builder
	for s != "" {
		at := strings.IndexAny(s, hanNumerals)
		if at < 0 {
			break
		}
		b.WriteString(s[:at])
		s = s[at:]
		end := strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune(hanNumerals, r) })
		if end < 0 {
			end = len(s)
		}
		n := hanNumber{run: s[:end], unit: firstRunes(s[end:], 2)}
		if i, ok := parseHan(n.run); ok && n.counts() {
			b.WriteString(strconv.Itoa(i))
		} else {
			b.WriteString(n.run)
		}
		s = s[end:]
	}
	return b.String() + s
}
