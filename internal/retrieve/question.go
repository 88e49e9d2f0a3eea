package retrieve

import (
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Kind is what a question asks for.
type Kind int

// Kinds of questions.
const (
	Other    Kind = iota
	Person        // 谁, who
	Time          // 何时, when
	Quantity      // 多少, how many
	Place         // 哪里, where
	Reason        // 为什么, why
	Method        // 怎么, how to
	List          // 哪些, which … are
	Thing         // 什么X, 哪个X, what X
	Yes           // 是否, does it
	kinds
)

// asking is a phrase that tells the kind of a question. Longer and more telling
// ones come first; the first that occurs decides.
type asking struct {
	phrase string
	kind   Kind
}

var askings = [...]asking{
	{"为什么", Reason},
	{"原因为何", Reason},
	{"理由为何", Reason},
	{"目的为何", Reason},
	{"时间为何", Time},
	{"地点为何", Place},
	{"为何?", Thing}, // 其首都为何: what, not why
	{"为何", Reason},
	{"何以", Reason},
	{"为甚么", Reason},
	{"什么原因", Reason},
	{"怎么会", Reason},
	{"何故", Reason},
	{"因何", Reason},
	{"原因是什么", Reason},
	{"因为什么", Reason},
	{"什么时候", Time},
	{"何时", Time},
	{"哪一年", Time},
	{"哪年", Time},
	{"哪一天", Time},
	{"哪天", Time},
	{"几点", Time},
	{"几月", Time},
	{"几年几月", Time},
	{"哪个月", Time},
	{"哪一月", Time},
	{"什么时间", Time},
	{"何年", Time},
	{"几号", Time},
	{"多久以前", Time},
	{"哪个时期", Time},
	{"什么年代", Time},
	{"哪个年代", Time},
	{"哪个世纪", Time},
	{"什么时期", Time},
	{"何日", Time},
	{"哪一时期", Time},
	{"哪个朝代", Time},
	{"什么朝代", Time},
	{"哪几年", Time},
	{"几世纪", Time},
	{"西元几年", Time},
	{"公元几年", Time},
	{"民国几年", Time},
	{"于几年", Time},
	{"在几年", Time},
	{"哪一日", Time},
	{"几日", Time},
	{"何月", Time},
	{"多少年的时候", Time},
	{"日期", Time},
	{"时间是", Time},
	{"的时间", Time},
	{"原因是", Reason},
	{"理由是", Reason},
	{"目的是", Reason},
	{"什么目的", Reason},
	{"有哪些", List},
	{"哪些", List},
	{"哪几", List},
	{"分别是", List},
	{"包括什么", List},
	{"有哪几", List},
	{"多少", Quantity},
	{"几个", Quantity},
	{"多长", Quantity},
	{"多高", Quantity},
	{"多大", Quantity},
	{"多远", Quantity},
	{"多久", Quantity},
	{"多重", Quantity},
	{"多宽", Quantity},
	{"多深", Quantity},
	{"第几", Quantity},
	{"几成", Quantity},
	{"几", Quantity},
	{"什么地方", Place},
	{"哪里", Place},
	{"哪儿", Place},
	{"何处", Place},
	{"何地", Place},
	{"哪个国家", Place},
	{"哪国", Place},
	{"哪个城市", Place},
	{"什么城市", Place},
	{"哪个省", Place},
	{"哪个地区", Place},
	{"哪个地方", Place},
	{"哪一国", Place},
	{"哪座城市", Place},
	{"哪一个国家", Place},
	{"什么国家", Place},
	{"哪个区", Place},
	{"何国", Place},
	{"何省", Place},
	{"哪一省", Place},
	{"哪省", Place},
	{"哪个州", Place},
	{"哪一州", Place},
	{"哪个县", Place},
	{"哪一县", Place},
	{"哪个市", Place},
	{"哪座岛", Place},
	{"哪一洲", Place},
	{"哪个洲", Place},
	{"哪一地区", Place},
	{"哪一个城市", Place},
	{"谁", Person},
	{"何人", Person},
	{"哪位", Person},
	{"什么人", Person},
	{"哪一位", Person},
	{"哪个人", Person},
	{"出生地", Place},
	{"地点是", Place},
	{"位置是", Place},
	{"人数", Quantity},
	{"面积是", Quantity},
	{"方式是", Method},
	{"方法是", Method},
	{"怎么样", Thing},
	{"如何", Method},
	{"怎么", Method},
	{"怎样", Method},
	{"步骤", Method},
	{"咋", Method},
	{"是否", Yes},
	{"能否", Yes},
	{"可否", Yes},
	{"有没有", Yes},
	{"是不是", Yes},
	{"能不能", Yes},
	{"可不可以", Yes},
	{"什么", Thing},
	{"甚么", Thing},
	{"哪一", Thing},
	{"哪个", Thing},
	{"哪种", Thing},
	{"何种", Thing},
	{"何者", Thing},
	{"哪", Thing},
	{"何", Thing},
	{"how many", Quantity},
	{"how much", Quantity},
	{"how long", Quantity},
	{"how far", Quantity},
	{"how tall", Quantity},
	{"how old", Quantity},
	{"how large", Quantity},
	{"how big", Quantity},
	{"how often", Quantity},
	{"what percentage", Quantity},
	{"what number", Quantity},
	{"how come", Reason},
	{"why", Reason},
	{"what is the reason", Reason},
	{"what caused", Reason},
	{"when ", Time},
	{"what year", Time},
	{"which year", Time},
	{"what date", Time},
	{"what time", Time},
	{"what day", Time},
	{"where", Place},
	{"what country", Place},
	{"what city", Place},
	{"which country", Place},
	{"which city", Place},
	{"whose", Person},
	{"whom", Person},
	{"who ", Person},
	{"how to", Method},
	{"how do", Method},
	{"how can", Method},
	{"how should", Method},
	{"how ", Method},
	{"steps to", Method},
	{"what are", List},
	{"which", Thing},
	{"what", Thing},
	{"can i ", Yes},
	{"does ", Yes},
	{"do you ", Yes},
	{"is it ", Yes},
	{"is there ", Yes},
	{"do i ", Yes},
	{"are ", Yes},
	{"is ", Yes},
	{"can ", Yes},
	{"do ", Yes},
	{"may ", Yes},
	{"吗", Yes},
	{"因为?", Reason},
	{"位于?", Place},
	{"为?", Thing},
	{"是?", Thing},
	{"叫?", Thing},
	{"指?", Thing},
}

// question is what the scorers know of a question.
type question struct {
	lexical.Query
	ask     string // Text without the lines before the last: those are what it is about
	kind    Kind
	at      int         // where the asking phrase begins in Text; −1 without one
	end     int         // where it ends
	focus   focus       // the noun asked for
	after   string      // up to two characters behind it: 多少公里 → 公里
	near    []float32   // by term: 1 beside the asking phrase, falling to 0
	asked   relationSet // that it names
	profile bool        // asks for what the first sentence of an article is about
	define  bool        // asks what its topic is
	runes   []rune      // Text without the asking phrase
}

func understand(q lexical.Query) question {
	out := question{Query: q, at: -1}
	from := strings.LastIndexByte(q.Text, '\n') + 1
	out.ask = q.Text[from:]
	for _, a := range askings {
		i := phraseAt(out.ask, a.phrase)
		if i < 0 {
			continue
		}
		i += from
		out.kind, out.at, out.end = a.kind, i, i+len(a.phrase)
		if a.phrase == "为什么" && namesWhat(q.Text[from:i], q.Text[out.end:]) {
			out.kind, out.at = Thing, i+len("为")
		}
		break
	}
	if out.at < 0 {
		out.runes = []rune(q.Text)
	} else {
		out.runes = []rune(q.Text[:out.at] + "\x00" + q.Text[out.end:])
		out.after = firstRunes(q.Text[out.end:], 2)
		if out.kind == Thing {
			out.after = firstRunes(unmeasured(q.Text, out.end), 2)
		}
	}
	out.focus = focusOf(q.Text, out.at, out.end)
	if k := out.focus.kindOf(); (out.kind == Thing || out.kind == Other) && k != Other {
		out.kind = k
	}
	out.asked = related(out.ask)
	out.profile = !out.asked.empty() && out.asked.meets(profiled()) || out.kind == Place && strings.HasPrefix(q.Text[out.end:], "?")
	out.define = definition(out.ask)
	return out
}

// namesWhat reports that 为什么 asks for what something is or is called, not
// why: 特色为什么设施, 被称为什么.
func namesWhat(before, behind string) bool {
	if before == "" {
		return false
	}
	behind = strings.TrimRight(behind, "?!. ")
	if behind == "" {
		return !strings.HasSuffix(before, "是") && !strings.HasSuffix(before, "这") && !strings.HasSuffix(before, ",")
	}
	if r, _ := utf8.DecodeLastRuneInString(before); strings.ContainsRune("称名译改命作算视定分化认成", r) {
		return true
	}
	r, _ := utf8.DecodeLastRuneInString(behind)
	return utf8.RuneCountInString(behind) <= 4 && strings.ContainsRune("位施方作色人国构称字型物品业质度制派系类语族园路站场院校司社队会书剧片曲歌奖号式", r)
}

// measures stand between 哪 and what is asked for.
const measures = "个间家所支座条位种部本首项场次只名款篇届类份段张栋颗"

// unmeasured returns what follows the asking phrase that ends at end without
// a number and a measure: 哪一家公司 → 公司.
func unmeasured(text string, end int) string {
	behind := text[end:]
	asked := text[:end]
	if strings.HasSuffix(asked, "哪") || strings.HasSuffix(asked, "哪一") || strings.HasSuffix(asked, "哪几") || strings.HasSuffix(asked, "几") {
		r, n := utf8.DecodeRuneInString(behind)
		if strings.ContainsRune("一两三四几", r) && n > 0 {
			behind = behind[n:]
			r, n = utf8.DecodeRuneInString(behind)
		}
		if n > 0 && strings.ContainsRune(measures, r) {
			behind = behind[n:]
		}
	}
	return behind
}

// profiled are the relations that first sentences are about.
var profiled = sync.OnceValue(func() relationSet {
	return related("出生 别名 职业 位于 属于 国籍 成立 性质 业务")
})

// definition reports questions for what something or who somebody is.
func definition(text string) bool {
	text = strings.TrimRight(text, "? .!。啊呢")
	for _, p := range [...]string{"什么是", "何谓", "何为", "what is ", "what are ", "who is ", "what's ", "what does ", "介绍", "define "} {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	for _, p := range [...]string{"是什么", "是谁", "指什么", "是什么意思", "是什么人", "指的是什么", "的定义", "是什么样的人", "是什么东西", "是哪里", "mean"} {
		if strings.HasSuffix(text, p) {
			return true
		}
	}
	return false
}

// phraseAt finds an asking phrase; one in English must begin a word.
func phraseAt(text, phrase string) int {
	for from := 0; ; {
		i := strings.Index(text[from:], phrase)
		if i < 0 {
			return -1
		}
		i += from
		if phrase[0] >= utf8.RuneSelf || i == 0 || !isLetter(text[i-1]) {
			return i
		}
		from = i + 1
	}
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' }

// nearness falls with the distance between a term and the asking phrase: what
// stands beside 什么 stands beside the answer.
func (q *question) nearness(key string) float32 {
	i := strings.Index(q.Text, key)
	if q.at < 0 || i < 0 {
		return 0
	}
	gap := 0
	switch {
	case i >= q.end:
		gap = utf8.RuneCountInString(q.Text[q.end:i])
	case i+len(key) <= q.at:
		gap = utf8.RuneCountInString(q.Text[i+len(key) : q.at])
	}
	if key[0] < utf8.RuneSelf {
		gap /= 4 // letters to characters
	}
	return 1 / float32(1+gap)
}

func firstRunes(s string, n int) string {
	for i, r := range s {
		if n == 0 || r < utf8.RuneSelf || r == '？' || r == '，' {
			return s[:i]
		}
		n--
	}
	return s
}
