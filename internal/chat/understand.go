package chat

import (
	"context"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	classifier "github.com/eino-qa/eino-qa/internal/intent"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
	"github.com/eino-qa/eino-qa/internal/llm"
)

// act is what a message does besides asking.
type act int

const (
	actNone act = iota
	actGreet
	actThanks
	actBye
	actWho
	actCancel
)

// intent is what a message wants.
type intent struct {
	route      kb.Route
	act        act
	confidence float64 // 0 to 1
}

// Rules match whole messages after bare has taken out what carries no
// meaning: a greeting in front of a question is a question.
var (
	greets  = whole(`你好|您好|哈喽|哈啰|嗨|喂|在吗|在么|有人吗|早|早安|早上好|上午好|中午好|下午好|晚上好|hi|hello|hey|yo|greetings|goodmorning|goodafternoon|goodevening|howareyou|howdy`, `啊|呀|哦|哈|呢|吗|亲|各位|客服|小助手|机器人|there|everyone|again|bot|assistant`)
	thanks  = whole(`谢谢|多谢|感谢|谢啦|谢了|辛苦了|thanks|thankyou|thx|ty|muchappreciated|好的|好|ok|okay|明白了|知道了|了解了|收到|gotit|isee|great|perfect`, `你|您|啊|呀|哦|啦|了|谢谢|感谢|你的帮助|您的帮助|thanks|thankyou|somuch|alot|verymuch|much|foryourhelp|forthehelp`)
	byes    = whole(`再见|拜拜|回见|晚安|下次见|bye|byebye|goodbye|seeyou|goodnight|cya`, `啊|啦|了|later|soon|谢谢|thanks`)
	whos    = whole(`你是谁|您是谁|你是什么|你叫什么|你叫什么名字|你能做什么|你会什么|你可以做什么|你能干什么|你有什么功能|你是机器人|你是真人|你是人工|你是ai|whoareyou|whatareyou|whatcanyoudo|areyouabot|areyouarobot|areyouhuman|whatisyourname|whatsyourname|howcanyouhelp|howcanyouhelpme`, `啊|呀|呢|吗|还是人|还是机器人|请问|forme|exactly`)
	cancels = whole(`取消转人工|取消人工|不转人工|不用转人工|不用人工|不需要人工|别转人工|回到智能客服|返回智能客服|取消|cancel|cancelthehandoff|cancelhandoff|nevermind|backtothebot|noneedforahuman|idontneedahuman`, `了|吧|谢谢|谢谢你|谢谢您|please|thanks|it|that|request|anymore`)
)

// phrase is a rule for whole messages: one of heads, then any of heads and
// tails, and nothing else. Both are words with "|" between them. Compiling
// these as regular expressions took .6 ms of a cold start.
type phrase struct{ heads, tails string }

func whole(heads, tails string) phrase { return phrase{heads, tails} }

// MatchString reports whether s is made of the rule's words.
func (p phrase) MatchString(s string) bool {
	var ends []bool // by position: the words before it are complete
	step := func(at int, words string) {
		for w := range strings.SplitSeq(words, "|") {
			if strings.HasPrefix(s[at:], w) {
				if ends == nil {
					ends = make([]bool, len(s)+1)
				}
				ends[at+len(w)] = true
			}
		}
	}
	step(0, p.heads)
	for at := range ends {
		if ends[at] {
			step(at, p.heads)
			step(at, p.tails)
		}
	}
	return ends != nil && ends[len(s)]
}

var (
	// Someone asks to be connected. Checked only in short messages.
	wantsHumanZh = lazily(`(转|接|换|找|叫|要|请|想|联系|来)(个|一个|一下|到|接|给|下|我|你们|你|的|和|跟|与){0,3}(人工|真人|活人|客服人员|客服专员|坐席|值班经理)|^(人工|真人|客服)(客服|服务|坐席|人员)?$|(和|跟|与|找)(真人|人工|客服|你们的?人|你们客服|负责人)(客服|人员)?(聊|说|谈|讲|沟通|对话|通话|联系)|人工(客服|服务)?(在吗|在不在|快来|接一下)|^(我要|我想|请|帮我)?(投诉|找客服|联系客服|转客服)$`)
	wantsHumanEn = lazily(`\b(talk|speak|chat|connect|transfer|pass|hand|put|get|reach|switch|escalate|forward|need|want|give)\b[^.?!]{0,30}\b(human|real person|live person|actual person|person|live agent|human agent|agent|representative|operator|someone real|a rep|human being|supervisor|manager|someone|somebody|customer (service|support|care)|support (team|staff))\b|^i (want|need|would like|'d like) to (complain|make a complaint|file a complaint)\b|^(a |an |the )?(real |live )?(human|agent|representative|operator|person)( agent| being| support| please)*$`)
	// … and does not ask about the connecting.
	asksAbout = lazily(`多久|几个|最多|排队|人工(智能|照明|授粉|成本|合成|呼吸|审核|标注|费|湖|草|翻译|录入)|如何|怎么|怎样|什么|几点|时间|多少|哪里|哪个|为什么|是否|区别|功能|配置|设置|节点|流程|收费|电话|\b(how (do|does|can|to|many|much|long)|what|when|where|which|why|configure|set ?up|node|workflow|feature|difference|hours|phone number|settings?|api)\b`)
)

// One of these words is in everything that the patterns match; most messages
// have none, and the patterns need not be compiled.
const (
	wantsHumanZhHas = `人工|真人|活人|客服|坐席|值班经理|负责人|你们|投诉`
	wantsHumanEnHas = `human|person|agent|operator|rep|someone|somebody|supervisor|manager|customer|support|complain`
)

// Shapes of a request that are too long are questions that mention a human.
const (
	handoffRunesZh = 24
	handoffWordsEn = 16
	refusalBytes   = 90 // of letters of a clause: thirty Han characters, or fifteen words
)

// understand tells what a message wants, and where it refuses a human and asks
// something besides, what that is. Rules only: what none of them claims is a
// question to the knowledge base.
func understand(query string) (in intent, besides string) {
	question, refuses := refusal(query)
	switch {
	case !refuses:
		return byRules(query), ""
	case question != "":
		if in = byRules(question); in.route != kb.Handoff {
			return in, question
		}
	}
	return intent{route: kb.Direct, act: actCancel, confidence: 1}, ""
}

func byRules(query string) intent {
	lower := lexical.Fold(query)
	b := bare(lower)
	switch {
	case b == "": // a wave, a question mark
		return intent{route: kb.Direct, act: actGreet, confidence: 1}
	case cancels.MatchString(b):
		return intent{route: kb.Direct, act: actCancel, confidence: 1}
	case wantsHuman(lower, b):
		return intent{route: kb.Handoff, confidence: 1}
	case greets.MatchString(b):
		return intent{route: kb.Direct, act: actGreet, confidence: 1}
	case whos.MatchString(b):
		return intent{route: kb.Direct, act: actWho, confidence: 1}
	case thanks.MatchString(b):
		return intent{route: kb.Direct, act: actThanks, confidence: 1}
	case byes.MatchString(b):
		return intent{route: kb.Direct, act: actBye, confidence: 1}
	}
	return intent{route: kb.Knowledge, confidence: 0.9}
}

// given are words that let go of what was asked for: while a human is waited
// for they take the request back; elsewhere they say nothing.
var given = whole(`算了|不用了|没事了|不需要了|不找了|不等了|forgetit|nvm|noneed|nolongerneeded`, `了|吧|谢谢|你|您|please|thanks|thankyou|anymore|nevermind`)

func drops(query string) bool { return given.MatchString(bare(lexical.Fold(query))) }

func wantsHuman(lower, bare string) bool {
	zh := utf8.RuneCountInString(bare) <= handoffRunesZh && hasAny(bare, wantsHumanZhHas)
	en := len(strings.Fields(lower)) <= handoffWordsEn && hasAny(lower, wantsHumanEnHas)
	if !zh && !en || asksAbout.MatchString(lower) {
		return false
	}
	return zh && wantsHumanZh.MatchString(bare) && !needsNoHuman.MatchString(bare) ||
		en && wantsHumanEn.MatchString(strings.TrimFunc(lower, func(r rune) bool { return !unicode.IsLetter(r) }))
}

// bare is s without blanks, punctuation and symbols.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			return r
		}
		return -1
	}, s)
}

// reference says whether a question needs the one before.
type reference int

const (
	standsAlone reference = iota
	mayRefer              // short: it may be about the last topic
	refers                // it says so
)

var (
	refersZh = lazily(`^(那|那么|那它|它|他们|它们|这个|那个|这些|那些|该|其|这|还有|另外|然后|接着|再|除此之外|除了这|上面|刚才|刚刚|前面|如果不|不然)|(它|它们|这个|那个|上述|前者|后者)(的|是|有|会|能|要|多|怎|在|支|需)|呢[?？]?$`)
	refersEn = lazily(`^(and|but|so|then|or|what about|how about|what if|also|why not|same|else|anything else|which one)\b|\b(it|its|they|them|their|that|those|this one|that one|these|the former|the latter|the same)\b`)
)

// turnsTo is how a message goes on to something else, which it names.
var turnsTo = lazily(`^(?i:另外|还有|对了|顺便问一下|顺便问下|再问一下|by the way|also|one more thing|another question)[,，:：]\s*`)

// Lengths up to which a question may leave its topic out.
const (
	shortRunesZh = 8
	shortWordsEn = 4
	longRunesZh  = 30 // beyond these a pronoun has its noun in the same question
	longWordsEn  = 14
)

func refersBack(query string) reference {
	q := strings.ToLower(strings.TrimSpace(query))
	n, short, long := len(strings.Fields(q)), shortWordsEn, longWordsEn
	re := refersEn
	if languageOf(q) == kb.Zh {
		n, short, long, re = utf8.RuneCountInString(q), shortRunesZh, longRunesZh, refersZh
	}
	switch {
	case n <= long && re.MatchString(q):
		return refers
	case n <= short:
		return mayRefer
	}
	return standsAlone
}

// understand tells what the message wants: rules first, for they are sure or
// silent; then a model, if there is one, or else the classifier. A model that
// fails leaves it to the classifier.
func (a *answer) understand(ctx context.Context) error {
	if a.intent.confidence < 1 {
		if a.engine.models == nil {
			a.classify()
		} else if err := a.understandByModel(ctx); err != nil {
			return err
		}
	}
	return a.emit(kb.Event{Type: kb.EventStage, Stage: "understand", Route: a.intent.route})
}

// sure is how likely a reading of the classifier has to be before anything but
// the knowledge base answers: a question that finds no answer costs less than
// a conversation that is handed over, or a request for the number of an order,
// where somebody asked something. Chosen on cmrc2018-trial, see docs/intent.md.
var sure = map[string]float64{classifier.Handoff: 0.65, classifier.Order: 0.65, classifier.Greet: 0.55, classifier.Thanks: 0.55, classifier.Bye: 0.55, classifier.About: 0.75}

// sureOfHandoff is for messages that ask how, when or what: most of them ask
// about people, not for one.
const sureOfHandoff = 0.85

// classify reads what no rule has claimed.
func (a *answer) classify() {
	class, p := classifier.Classify(a.asks)
	least, ok := sure[class]
	if class == classifier.Handoff && asksAbout.MatchString(lexical.Fold(a.asks)) {
		least = sureOfHandoff
	}
	if !ok || p < least || drops(a.asks) || class == classifier.Handoff && a.refuses {
		return
	}
	switch class {
	case classifier.Handoff:
		a.intent = intent{route: kb.Handoff, confidence: p}
	case classifier.Order:
		if a.inquireByModel() {
			a.intent = intent{route: kb.Order, confidence: p}
		}
	default:
		acts := map[string]act{classifier.Greet: actGreet, classifier.Thanks: actThanks, classifier.Bye: actBye, classifier.About: actWho}
		a.intent = intent{route: kb.Direct, act: acts[class], confidence: p}
	}
}

func (a *answer) understandByModel(ctx context.Context) error {
	r, err := a.read(ctx)
	if err != nil {
		call, ours := errors.AsType[*llm.CallError](err)
		if ctx.Err() != nil || !ours {
			return err
		}
		if !errors.Is(err, llm.ErrRefused) { // the answer will be refused, too
			a.failed(ctx, call)
			a.degrade(degradedUnderstanding)
			a.classify()
		}
		return nil
	}
	if q, err := cleanQuery(r.Question); err == nil {
		a.turn.Condensed = q
	}
	if r.Route == kb.Order && !a.inquireByModel() || r.Route == kb.Handoff && a.refuses {
		r.Route = kb.Knowledge
	}
	if r.Route != kb.Knowledge && r.Confidence >= a.engine.cfg.IntentConfidence {
		a.intent = intent{route: r.Route, confidence: r.Confidence}
		if r.Route == kb.Direct {
			a.intent.act = actGreet
		}
		return nil
	}
	a.intent.confidence = r.Confidence
	return nil
}

// direct answers what needs no documents.
func (a *answer) direct() error {
	a.turn.Route = kb.Direct
	return a.say(textsOf(a.turn.Lang).direct[a.intent.act])
}
