package retrieve

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cues counts what a sentence holds of the kinds of answers.
type cues struct {
	times, numbers, places, persons, reasons, methods, lists, names, people, foreign int
	asks, pronoun                                                                    bool
}

// isSurname reports the most frequent Chinese ones, folded.
func isSurname(r rune) bool {
	switch r {
	case '王', '李', '张', '刘', '陈', '杨', '黄', '赵', '周', '吴', '徐', '孙', '朱', '马', '胡', '郭', '林', '何', '高',
		'梁', '郑', '罗', '宋', '谢', '唐', '韩', '曹', '许', '邓', '萧', '冯', '曾', '程', '蔡', '彭', '潘', '袁', '于', '董',
		'余', '苏', '叶', '吕', '魏', '蒋', '田', '杜', '丁', '沈', '姜', '范', '江', '傅', '钟', '卢', '汪', '戴', '崔', '任',
		'陆', '廖', '姚', '方', '金', '邱', '夏', '谭', '韦', '贾', '邹', '石', '熊', '孟', '秦', '阎', '薛', '侯', '雷', '白',
		'龙', '段', '郝', '孔', '邵', '史', '毛', '常', '万', '顾', '赖', '武', '康', '贺', '严', '尹', '钱', '施', '牛', '洪',
		'龚', '司':
		return true
	}
	return false
}

// soundsForeign reports characters that foreign names are written with.
func soundsForeign(r rune) bool {
	switch r {
	case '斯', '尔', '特', '克', '拉', '德', '里', '亚', '巴', '尼', '布', '罗', '马', '卡', '伊', '利', '维', '奥', '格',
		'萨', '莱', '托', '西', '安', '纳', '米', '兰', '弗', '埃', '诺', '基', '加', '达', '科', '菲', '塞', '瓦', '迪', '莫',
		'蒂', '丹', '洛', '恩', '哈', '曼', '帕', '赫', '鲁', '丽', '娜', '贝', '凯', '勒', '森', '汉', '伯', '阿', '路', '易',
		'约', '翰', '雅', '各', '詹', '姆', '士', '威', '廉', '乔', '治', '查', '理', '爱', '艾', '普', '切', '茨', '扎', '泰',
		'沃', '戈', '夫', '耶', '佩', '雷', '桑', '索', '奇', '吉', '杰', '林', '肯', '内':
		return true
	}
	return false
}

// look reads the cues of a folded sentence in one pass over its runes and a
// few searches.
//
// Numbers that the question itself has do not answer it.
func look(runes []rune, question string) cues {
	var c cues
	foreign := 0  // characters so far of a name written by sound
	fresh := true // the numeral we are in, or were in last, is not in the question
	for i, r := range runes {
		var prev rune
		if i > 0 {
			prev = runes[i-1]
		}
		switch r {
		case '年', '月', '日', '号', '时', '分':
			if fresh && isNumeral(prev) {
				c.times++
			}
		case '纪', '朝', '代', '期', '晚', '夏', '春', '秋', '冬', '周':
			c.times++
		case '省', '市', '县', '区', '镇', '村', '州', '国', '岛', '山', '路', '街', '港', '洲', '河', '湖', '湾', '城', '乡', '站', '部', '于', '在':
			c.places++
		case '、', '和', '与', '及', '或', ';':
			c.lists++
		case '·', '他', '她', '师', '家', '员', '王', '帝', '者', '长', '由', '被':
			c.persons++
		case '《', '「', '“', '"', '『', '(', '是', '为', '叫', '称', '即', '指':
			c.names++
		case '因', '故', '致', '使':
			c.reasons++
		case '用', '通', '先', '再', '将', '把', '点', '选':
			c.methods++
		case '?':
			c.asks = true
		}
		if r == '·' || r == '・' || r == '‧' {
			c.persons += 2
		}
		if isName(runes[i:]) && !strings.Contains(question, string(runes[i:i+2])) {
			c.people++
		}
		if soundsForeign(r) {
			if foreign++; foreign == 3 && !strings.Contains(question, string(runes[i-2:i+1])) {
				c.people++
				c.foreign++
			}
		} else {
			foreign = 0
		}
		if isNumeral(r) && !isNumeral(prev) {
			end := i
			for end < len(runes) && isNumeral(runes[end]) {
				end++
			}
			fresh = !strings.Contains(question, string(runes[i:end]))
			if fresh && r != '一' {
				c.numbers++
			}
			if fresh && year(runes[i:end]) {
				c.times++
			}
		}
	}
	c.pronoun = len(runes) > 1 && strings.ContainsRune("其他她它该此这那", runes[0])
	return c
}

// add counts the cues of a further clause.
func (c *cues) add(o cues, first bool) {
	c.times += o.times
	c.numbers += o.numbers
	c.places += o.places
	c.persons += o.persons
	c.reasons += o.reasons
	c.methods += o.methods
	c.lists += o.lists
	c.names += o.names
	c.people += o.people
	c.foreign += o.foreign
	c.asks = c.asks || o.asks
	c.pronoun = c.pronoun || first && o.pronoun
}

// of returns how many cues there are of what a kind of question asks for,
// those that a clause can be told by.
func (c *cues) of(k Kind) int {
	switch k {
	case Time:
		return c.times
	case Quantity:
		return c.numbers
	case Place:
		return c.places
	case Person:
		return c.people
	case Reason:
		return c.reasons
	}
	return 0
}

// year reports a number of four digits between 1000 and 2199.
func year(r []rune) bool {
	if len(r) != 4 {
		return false
	}
	for _, d := range r {
		if d < '0' || d > '9' {
			return false
		}
	}
	return r[0] == '1' || r[0] == '2' && r[1] <= '1'
}

func isNumeral(r rune) bool {
	if r >= '0' && r <= '9' {
		return true
	}
	switch r {
	case '一', '二', '三', '四', '五', '六', '七', '八', '九', '十', '百', '千', '万', '亿', '零', '两', '半', '数', '几', '%':
		return true
	}
	return false
}

func hasLatin(runes []rune) bool {
	n := 0
	for _, r := range runes {
		if r >= 'a' && r <= 'z' {
			n++
		}
	}
	return 2*n > len(runes)
}

// english adds the cues of an English sentence.
func (c *cues) english(s string) {
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' }) {
		switch w {
		case "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
			"century", "day", "days", "week", "weeks", "month", "months", "year", "years", "hour", "hours", "minutes", "minute", "seconds", "today",
			"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "daily", "weekly", "monthly", "until", "before", "after", "during":
			c.times++
		case "because", "due", "since", "therefore", "cause", "causes", "caused", "reason", "reasons", "so":
			c.reasons++
		case "click", "run", "select", "set", "use", "open", "go", "choose", "enter", "add", "create", "install", "press", "then", "first", "next", "by", "using":
			c.methods++
		case "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "hundred", "thousand", "million", "billion", "percent", "half":
			c.numbers++
		case "in", "at", "near", "north", "south", "east", "west", "city", "country", "located":
			c.places++
		case "include", "includes", "including", "and", "or":
			c.lists++
		case "he", "she", "president", "founder", "ceo", "manager", "mr", "mrs", "dr", "team":
			c.persons++
		case "is", "are", "called", "named", "means":
			c.names++
		}
	}
	for _, p := range [...]string{"it ", "this ", "these ", "they ", "he ", "she ", "its "} {
		c.pronoun = c.pronoun || strings.HasPrefix(s, p)
	}
}

// newNoun reports whether a character of noun ends a word that the question
// does not have: asked 什么制度, the answer is 联邦制.
func newNoun(runes []rune, noun, question string) bool {
	var room [8]rune
	ends := room[:0]
	for _, r := range noun {
		if r >= 0x2E80 {
			ends = append(ends, r)
		}
	}
	for i := 1; i < len(runes); i++ {
		if slices.Contains(ends, runes[i]) && runes[i-1] >= 0x2E80 && !isPunct(runes[i-1]) && !strings.Contains(question, string(runes[i-1:i+1])) {
			return true
		}
	}
	return false
}

func isPunct(r rune) bool {
	switch r {
	case '的', '了', '是', '在', '和', '与', '为', '有':
		return true
	}
	return r >= 0x3000 && r <= 0x3020 || r >= 0xFF00
}

// unitAfterNumber reports a numeral directly before the first rune of unit.
func unitAfterNumber(runes []rune, unit string) bool {
	u, _ := utf8.DecodeRuneInString(unit)
	for i := 1; i < len(runes); i++ {
		if runes[i] == u && isNumeral(runes[i-1]) {
			return true
		}
	}
	return false
}
