package parse

import (
	"strconv"
	"strings"
)

// formatNumber writes n as w:numFmt asks (ECMA-376 part 1 §17.18.59), in
// digits for formats that do not occur in Chinese or English documents.
func formatNumber(n int, format string) string {
	switch format {
	case "decimalZero":
		if n < 10 {
			return "0" + strconv.Itoa(n)
		}
	case "upperRoman":
		return roman(n)
	case "lowerRoman":
		return strings.ToLower(roman(n))
	case "upperLetter":
		return letters(n)
	case "lowerLetter":
		return strings.ToLower(letters(n))
	case "chineseCounting", "chineseCountingThousand", "japaneseCounting", "taiwaneseCounting", "taiwaneseCountingThousand", "ideographDigital":
		return counting(n, "零一二三四五六七八九", "十百千")
	case "chineseLegalSimplified":
		return counting(n, "零壹贰叁肆伍陆柒捌玖", "拾佰仟")
	case "ideographLegalTraditional":
		return counting(n, "零壹貳參肆伍陸柒捌玖", "拾佰仟")
	case "ideographTraditional":
		return pick(n, "甲乙丙丁戊己庚辛壬癸")
	case "ideographZodiac":
		return pick(n, "子丑寅卯辰巳午未申酉戌亥")
	case "decimalEnclosedCircle", "decimalEnclosedCircleChinese":
		return pick(n, "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳")
	case "decimalFullWidth", "decimalFullWidth2":
		return strings.Map(func(r rune) rune { return r - '0' + '０' }, strconv.Itoa(n))
	}
	return strconv.Itoa(n)
}

func pick(n int, set string) string {
	r := []rune(set)
	if n < 1 || n > len(r) {
		return strconv.Itoa(n)
	}
	return string(r[n-1])
}

// letters counts A … Z, AA, BB …, as Word does.
func letters(n int) string {
	if n < 1 || n > 26*20 {
		return strconv.Itoa(n)
	}
	return strings.Repeat(string(rune('A'+(n-1)%26)), (n-1)/26+1)
}

func roman(n int) string {
	if n < 1 || n > 3999 {
		return strconv.Itoa(n)
	}
	var sb strings.Builder
	for _, d := range []struct {
		n int
		s string
	}{{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"}, {90, "XC"}, {50, "L"}, {40, "XL"}, {10, "X"}, {9, "IX"}, {5, "V"}, {4, "IV"}, {1, "I"}} {
		for n >= d.n {
			sb.WriteString(d.s)
			n -= d.n
		}
	}
	return sb.String()
}

// counting writes numbers below 10,000 in Chinese: 十, 二十一, 一百零三.
func counting(n int, digits, units string) string {
	if n <= 0 || n > 9999 {
		return strconv.Itoa(n)
	}
	d, u := []rune(digits), []rune(units)
	var out []rune
	zero := false
	for place := 3; place >= 0; place-- {
		div := []int{1, 10, 100, 1000}[place]
		v := n / div % 10
		if v == 0 {
			zero = len(out) > 0
			continue
		}
		if zero {
			out = append(out, d[0])
			zero = false
		}
		if !(v == 1 && place == 1 && len(out) == 0) { // 十, not 一十
			out = append(out, d[v])
		}
		if place > 0 {
			out = append(out, u[place-1])
		}
	}
	return string(out)
}
