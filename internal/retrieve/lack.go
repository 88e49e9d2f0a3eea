package retrieve

import (
	"slices"
	"sort"
	"strings"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// unit is a Han character or a word of the question that an answer should bear
// out. Terms overlap (a pair of characters across two words is a term, too, and
// is missing from nearly every text), units do not: a character is borne out
// by any pair it stands in.
type unit struct {
	start, end int         // bytes of the question
	weight     float32     // little for words that every question could have
	strong     uint64      // terms that bear it out: pairs with it, or the word
	single     uint64      // the term of the character alone, which is half of it
	asked      relationSet // that it is a word of: another word for them will do
}

// What a unit is worth beside the words that matter, and a character that is
// there without its neighbours.
const (
	genericWeight = 0.15
	singleShare   = 0.5
	wordWeight    = 1.9 // nearly two Han characters: one word alone may be missing for a synonym
	presentWeight = 2
	codeWeight    = 4 // what has a digit is a code, a model or a number: nothing else will do
	relatedShare  = 0.8
)

// units lists what an answer to the question should bear out, in order.
func (q *question) units(terms []lexical.TermStat) []unit {
	var out []unit
	ms := lexical.NewMatcher(terms).Find(q.Text, nil)
	at := make(map[int]int, len(ms)) // byte → unit that begins there
	for _, m := range ms {
		if runeLen(q.Text[m.Start:m.End]) == 1 && q.Text[m.Start] >= 0x80 || q.Text[m.Start] < 0x80 {
			i, ok := at[int(m.Start)]
			if !ok {
				i = len(out)
				at[int(m.Start)] = i
				out = append(out, unit{start: int(m.Start), end: int(m.End), weight: 1})
			}
			if q.Text[m.Start] < 0x80 {
				out[i].strong |= 1 << m.Term
				out[i].weight = wordWeight
				if strings.ContainsAny(q.Text[m.Start:m.End], "0123456789") {
					out[i].weight = codeWeight
				}
			} else {
				out[i].single |= 1 << m.Term
			}
		}
	}
	for _, m := range ms {
		if q.Text[m.Start] >= 0x80 && runeLen(q.Text[m.Start:m.End]) > 1 {
			for p := int(m.Start); p < int(m.End); p += 3 {
				if i, ok := at[p]; ok {
					out[i].strong |= 1 << m.Term
				}
			}
		}
	}
	mark := func(word string, f func(*unit)) {
		for from := 0; ; {
			i := strings.Index(q.Text[from:], word)
			if i < 0 {
				return
			}
			i += from
			from = i + len(word)
			j := sort.Search(len(out), func(j int) bool { return out[j].start >= i }) // they are in order
			for ; j < len(out) && out[j].end <= from; j++ {
				f(&out[j])
			}
		}
	}
	for _, w := range genericHan {
		mark(w, func(u *unit) { u.weight = genericWeight })
	}
	for _, w := range compounds {
		mark(w, func(u *unit) { u.weight = 1 })
	}
	for _, w := range present {
		mark(w, func(u *unit) { u.weight = presentWeight })
	}
	for i := range out {
		if u := &out[i]; q.Text[u.start] < 0x80 && isGeneric(q.Text[u.start:u.end]) {
			u.weight = genericWeight
		}
	}
	for _, s := range q.Same {
		var same uint64
		for _, other := range s.Others {
			same |= termsOf(other, terms)
		}
		mark(s.Phrase, func(u *unit) { u.strong |= same })
	}
	for i, words := range relations {
		if q.asked.has(i) {
			for _, w := range words {
				if len(w) > 3 {
					mark(w, func(u *unit) { u.asked.add(i) })
				}
			}
		}
	}
	return out
}

func runeLen(s string) int {
	n := 0
	for range s {
		n++
	}
	return n
}

// lack returns the share of the units that a text with these terms and words
// for these relations does not bear out, and the weight of the heaviest run of
// neighbours of which nothing is there.
func lack(us []unit, terms uint64, related relationSet) (part, run float32) {
	var missing, total, cur float32
	end := -1
	for _, u := range us {
		total += u.weight
		var has float32
		switch {
		case u.strong&terms != 0:
			has = 1
		case u.asked.meets(related):
			has = relatedShare
		case u.single&terms != 0:
			has = singleShare
		}
		missing += u.weight * (1 - has)
		if has > 0 || u.start != end {
			cur = 0
		}
		if has == 0 {
			cur += u.weight
		}
		if has == singleShare {
			cur += u.weight * 0.3
		}
		end = u.end
		run = max(run, cur)
	}
	return share(missing, total), run
}

// absent reports a unit that terms do not bear out at all, and no other word
// for its relation does.
func absent(us []unit, terms uint64, related relationSet) bool {
	return slices.ContainsFunc(us, func(u unit) bool {
		return u.weight >= 1 && (u.strong|u.single)&terms == 0 && !u.asked.meets(related)
	})
}

// apart is the share of neighbouring characters that are not neighbours in what
// the terms stand for: 货到付款 has two of three where only 付款 occurs.
func apart(us []unit, terms uint64) float32 {
	var all, missing float32
	for i := 1; i < len(us); i++ {
		a, b := us[i-1], us[i]
		if a.end != b.start || a.single == 0 || b.single == 0 || a.weight < 1 || b.weight < 1 {
			continue
		}
		all++
		missing += flag(a.strong&b.strong&terms == 0)
	}
	return share(missing, all)
}

// present are words for the moment of asking, which a document knows only if
// it says so.
var present = [...]string{"今天", "明天", "昨天", "后天", "今晚", "刚才", "today", "tomorrow", "yesterday", "tonight"}

// genericHan are words that any question may have beside what it is about.
var genericHan = [...]string{
	"支持", "提供", "能够", "需要", "使用", "应该", "必须", "进行", "时候", "地方", "问题", "情况", "方式", "办法", "方法", "相关", "操作", "弄",
	"意思", "含义", "叫做", "具体", "一般", "最近", "现在", "目前", "你们", "我们", "他们", "咱们", "这个", "那个", "一个", "一下", "大概", "大约", "通常",
	"能", "要", "会", "想", "有", "没", "不", "是", "的", "了", "着", "过", "在", "把", "被", "给", "让", "用", "做", "还", "也", "都", "就",
	"才", "最", "很", "和", "与", "或", "从", "到", "对", "为", "以", "么", "嘛", "啊", "呀", "咱", "我", "你", "您", "他", "她", "它", "这", "那",
	"啥", "叫", "钱", "个", "种", "些", "次", "怎", "样", "几", "该", "请", "问", "办", "出", "起", "来", "去", "上", "下", "里", "中", "后", "前", "时", "得", "地",
}

// compounds are services whose names are made of such words.
var compounds = [...]string{"货到付款", "到付", "以旧换新", "先用后付", "上门", "到店", "自提", "代收", "一对一"}

// isGeneric reports English words that any question may have.
func isGeneric(w string) bool {
	switch w {
	case "offer", "support", "provide", "give", "have", "get", "want", "need", "use", "make", "take", "go", "come", "let", "there",
		"possible", "available", "allow", "allowed", "accept", "long", "many", "often", "much", "far", "old", "big", "any", "some", "one",
		"be", "been", "being", "am", "this", "that", "these", "those", "other", "another", "from", "after", "before", "until", "during",
		"high", "tall", "deep", "wide", "large", "small", "heavy", "fast", "pick", "buy", "see", "look", "needed", "when", "what", "which", "who", "whose", "where", "why", "how", "do", "does", "did", "can", "could", "would", "should", "must", "may",
		"me", "my", "mine", "our", "us", "we", "your", "yours", "you", "i", "it", "its", "they", "them", "he", "she", "his", "her",
		"if", "so", "not", "no", "also", "just", "only", "please", "about", "up", "out", "over", "than", "more", "most", "now",
		"happen", "happens", "thing", "things", "way", "kind", "find", "know", "work", "works", "mean", "means", "year", "day", "days", "time":
		return true
	}
	return false
}
