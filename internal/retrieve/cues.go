package retrieve

import (
	"strings"
	"unicode"
)

// cues counts what a sentence holds of the kinds of answers.
type cues struct {
	times, numbers, places, persons, reasons, methods, lists, names, people, foreign int
	asks, pronoun                                                                    bool
}

// surnames are the most frequent Chinese ones, folded.
const surnames = "王李张刘陈杨黄赵周吴徐孙朱马胡郭林何高梁郑罗宋谢唐韩曹许邓萧冯曾程蔡彭潘袁于董余苏叶吕魏蒋田杜丁沈姜范江傅钟卢汪戴崔任陆廖姚方金邱夏谭韦贾邹石熊孟秦阎薛侯雷白龙段郝孔邵史毛常万顾赖武康贺严尹钱施牛洪龚司"

// transliterating are characters that foreign names are written with.
const transliterating = "斯尔特克拉德里亚巴尼布罗马卡伊利维奥格萨莱托西安纳米兰弗埃诺基加达科菲塞瓦迪莫蒂丹洛恩哈曼帕赫鲁丽娜贝凯勒森汉伯阿路易约翰雅各詹姆士威廉乔治查理爱德艾普切茨扎泰沃戈夫耶佩雷桑索奇吉姆杰林肯内"

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
		if strings.ContainsRune(surnames, r) && i+2 < len(runes) && runes[i+1] >= 0x4E00 && runes[i+2] >= 0x4E00 &&
			!strings.Contains(question, string(runes[i:i+2])) && !strings.ContainsRune("的了是在和与为有人年", runes[i+1]) {
			c.people++
		}
		if strings.ContainsRune(transliterating, r) {
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
	if hasLatin(runes) {
		c.english(string(runes))
	}
	return c
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
	for i := 1; i < len(runes); i++ {
		if runes[i] >= 0x2E80 && runes[i-1] >= 0x2E80 && !isPunct(runes[i-1]) && strings.ContainsRune(noun, runes[i]) &&
			!strings.Contains(question, string(runes[i-1:i+1])) {
			return true
		}
	}
	return false
}

func isPunct(r rune) bool {
	return r >= 0x3000 && r <= 0x3020 || r >= 0xFF00 || strings.ContainsRune("的了是在和与为有", r)
}

// unitAfterNumber reports a numeral directly before the first rune of unit.
func unitAfterNumber(runes []rune, unit string) bool {
	u := []rune(unit)
	for i := 1; i < len(runes); i++ {
		if runes[i] == u[0] && isNumeral(runes[i-1]) {
			return true
		}
	}
	return false
}
