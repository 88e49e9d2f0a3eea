package chat

import (
	"strings"
	"unicode"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// halfWidth makes full-width letters and signs half width, and the digits of
// all scripts those of ASCII.
func halfWidth(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < 0x80:
			return r
		case r >= '！' && r <= '～':
			return r - '！' + '!'
		case unicode.IsDigit(r):
			return '0' + digitValue(r)
		}
		return r
	}, s)
}

// digitValue is what a decimal digit of any script counts: Unicode gives each
// script its ten in one row (chapter 4.6).
func digitValue(r rune) rune {
	for _, t := range unicode.Nd.R16 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if r >= rune(t.Lo) && r <= rune(t.Hi) {
			return (r - rune(t.Lo)) % 10
		}
	}
	return 0
}

var (
	orderWord = lazily(`订单|單號|訂單|单号|运单|包裹|快递|物流|\b(orders?|parcels?|packages?|shipments?|purchases?|tracking)\b`)

	otherOrder = lazily(`\b(in order (to|of|that|for)|orders? of|order by|package manage\w*)\b`) // what "order" means besides

	// A customer asks where an order of theirs is, without naming it.
	whereabouts = lazily(`(我|俺|咱)(们)?(的|买的|下的|订的|拍的|昨天|前天|上周|刚)?[^，。？?！!,]{0,6}(订单|訂單|快递|包裹|货|东西|宝贝|物流)[^。？?！!]{0,6}(到哪|到了没|到了吗|在哪|哪里了|哪儿了|发货了|发了吗|发货没|发出来了|寄出|还没|还未|没有?收到|没到|什么时候(到|发|送|能)|几时到|状态|进度|怎么样了|咋样了|出库)` +
		`|(怎么|为什么|为啥|咋)还?(没|不)(有)?(收到|发|到)[^。？?！!]{0,4}(我的)(订单|快递|包裹|货)` +
		`|(列出|看看|查看|显示|我有哪些)(一下|下)?(我的|我)?(所有|全部|最近)?的?订单$|^我的(订单|快递|包裹|物流)$` +
		`|\b(where('s| is| are)|where the (heck|hell) is|track|status (of|on|for)|check( on| up on)?|find|show( me)?|see|list|look up|locate|any (news|updates?) (on|about)|what('s| is) (the )?(status|state|eta) (of|on|for|with)|what('s| is) (up|happening|going on) with|what happened to)\b.{0,20}\bmy ((most )?recent |last |latest |current |open |new |online )*(orders?|packages?|parcels?|shipments?|deliver(y|ies)|purchases?|stuff|items?)\b` +
		`|\bwhere my (\w+ )?(orders?|packages?|parcels?|shipments?|deliver(y|ies)|purchases?|stuff|items?) (is|are)\b|\bhow('s| is| are) my (\w+ )?(orders?|packages?|parcels?|shipments?|deliver(y|ies)) (doing|coming|going|progressing)\b` +
		`|\bmy (\w+ )?(order|package|parcel|shipment|delivery)('?s)? (status|progress|whereabouts|tracking)\b|\b(status|progress|whereabouts|updates?) (of|on|for|about) (the|an|this) (order|package|parcel|shipment|purchase|delivery) (i|that i|we)\b` +
		`|\b(can|could|please|want|need|like|help|me|to|have)\b.{0,12}\btrack(ed|ing)? (an?|the|this|one of my) (order|package|parcel|shipment|delivery)\b|\b(when|what time) (will|do|should|can|would|is|does) (i|we|my) (get|receive|expect|have|order|package|parcel|shipment|delivery)\b.{0,12}\b(my (order|package|parcel|shipment|delivery|item)|getting here|arriv\w*|com(e|ing)|be here|get here)\b` +
		`|\b(has|is|did|was|will) my ((most )?recent |last |latest |online |delivery )*(order|package|parcel|shipment|delivery|purchase)( been| already| yet)* (shipped|ship|sent|dispatched|delivered|arrived?|on (its|the) way|out for delivery|be here|show(ed)? up|here yet)\b` +
		`|\bwhen (will|is|does) my (order|package|parcel|shipment|delivery|purchase)( be| going to)? (arrive|arriving|come|coming|ship|shipping|shipped|delivered|here)\b` +
		`|\bmy (order|package|parcel|shipment|delivery|purchase|stuff)\b.{0,20}\b(hasn'?t|has not|haven'?t|didn'?t|did not|never|still not|not)\b.{0,16}\b(arriv\w*|ship\w*|deliver\w*|come|came|show\w*|received?|dispatch\w*)\b` +
		`|\b(haven'?t|have not|didn'?t|did not|never) (yet )?(received|receive|got|gotten|get) my (order|package|parcel|shipment|delivery|purchase|stuff)\b|^my (last |recent )?orders?[?.!]?$|^order status[?.!]?$`)

	// … or says only that: nothing but a look-up.
	lookUp = lazily(`^(请|麻烦|帮我|帮忙|帮|我要|我想|想|给我|能|可以|您好|你好)*(查|查询|查看|查找|跟踪|追踪|看看|看)(一下|下)?(我)?(的)?(一个|个|一笔|笔)?(订单|快递|包裹|物流|单号|单子)(号|的)?(状态|进度|信息|情况|物流)?(吗|吧|呗)?$|^(please)?(track|check|find|lookup)(my|an|a|the)?(order|package|parcel|shipment)(status)?(please)?$`)

	// Who asks how something is done asks about orders in general.
	howTo = lazily(`如何|怎样|怎么(才|样才|能|可以|取消|修改|更改|改|退|换|查|看|查询|查看|下|开|申请|删|支付|付|追踪|跟踪|催|合并|导出|设置|配置|创建)|能不能|可不可以|可以(取消|修改|改|退|换|查|看)|能(取消|修改|改|退|换)|在哪(里|儿)?(可以|能|看|查)|哪里(可以|能|看|查)|多久|流程|规则|政策|多少钱|接口|\b(how (do|does|can|could|to|should|would|long)|can i|could i|may i|am i|is it possible|where (do|can|could|should) i|what if|what happens|what does|policy|policies|api)\b`)

	// After an order was shown: the same again.
	statusAgain = lazily(`(订单|快递|包裹|物流|它)?(现在)?(到哪|到了没|到了吗|在哪|发货|发了吗|物流|快递|什么时候(到|发|送)|几时到|状态|进度|出库|多少钱|金额|详情|再(看|查|发)一?(下|遍|次))|\b(status|shipped|ship|arrive|arrived|delivered|delivery|tracking|track|where is it|eta|again|amount|total|carrier)\b`)

	// What names itself as proof.
	proofCue = lazily(`手机|电话|尾号|后四位|末四位|后4位|验证|校验|密码|邮箱|邮件|姓名|名字|邮编|收货人|口令|@|\b(phone|mobile|ends?|ending|digits|code|verif\w*|email|mail|pin|zip|postcode|password|name)\b`)

	noIdea        = lazily(`不知道|不清楚|忘了|忘记|不记得|没有(手机|验证|预留)|\b(don'?t know|no idea|forgot|forgotten|don'?t remember|don'?t have)\b`)
	dropsIt       = lazily(`^(算了|不用了|不用|没事了?|不查了|不用查了|不需要了?|不想查了|nevermind|forgetit|nothanks|no|stop|skip)(吧|谢谢|thanks)?$`)
	asksSomething = lazily(`[?？]|吗$|呢$|如何|怎么|怎样|什么|多少|哪里|哪个|为什么|是否|可以.*么|^(how|what|when|where|why|which|who|can|could|do|does|is|are|will|should|may)\b`)

	// A proof without digits that is called by its name.
	namedProof = lazily(`(姓名|名字|收货人|我叫|\b(?:last |first |sur|my )?name)\s*(?:是|为|叫|is|:|：)?\s*(\p{Han}[\p{Han}·]{1,7}|[a-z][a-z'-]+(?: [a-z][a-z'-]+){0,2})\s*(?:[,，。.!！?？;；]|$)`)

	// What stands before a proof: "my phone ends with".
	leadIn = lazily(`^\s*((好的?|嗯|那|就|ok|okay|sure|yes|well)[,，。.\s]*)*(我的?|收货人?的?|预留的?|下单的?|订单的?|的|my|the|it'?s?|i'?m|i am)?\s*(手机号?码?|电话号?码?|号码|尾号|后四位|末四位|姓名|名字|名|邮箱|邮件|邮编|验证码?|验证信息|校验码|密码|口令|收货人|last name|first name|surname|name|phone( number)?|mobile( number)?|e-?mail( address)?|zip( code)?|post ?code|code|pin|verifier|password|last (four|4)( digits)?)?(的?(尾号|后四位|末四位))?\s*(是|为|叫|:|：|=|ends (with|in)|ending (with|in)|is|are|was)?\s*[:：]?\s*`)
)

// Each match of a pattern has one of these: compiling takes long, for a question
// that has none of them.
const (
	whereaboutsHas = `我|俺|咱|订单|my |order|package|parcel|shipment|purchase|delivery|when |what time `
	lookUpHas      = `订单|快递|包裹|物流|单号|单子|order|package|parcel|shipment`
	orderWordHas   = `订单|單號|訂單|单号|运单|包裹|快递|物流|order|parcel|package|shipment|purchase|tracking`
	strongMarkHas  = `订单|訂單|单号|單號|order`
)

// hasAny reports whether s has one of words, which stand between "|".
func hasAny(s, words string) bool {
	for w := range strings.SplitSeq(words, "|") {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// saysWhereabouts reports whether a message of small letters asks for an order
// of its sender's and does not name it.
func saysWhereabouts(lower string) bool {
	return hasAny(lower, whereaboutsHas) && whereabouts.MatchString(lower) && !howTo.MatchString(lower)
}

// saysLookUp reports whether a bare message is nothing but a look-up.
func saysLookUp(bare string) bool { return hasAny(bare, lookUpHas) && lookUp.MatchString(bare) }

// idToken finds what may be an order's id: words of letters and digits, joined
// by signs.
var idToken = lazily(`[A-Za-z0-9]+(?:[-_./][A-Za-z0-9]+)*`)

var (
	strongMark = lazily(`(?i)(订单编号|订单号码?|訂單編號|訂單號|单号|單號|运单号|order\s*(number|num|no\.?|id|#))\s*(是|为|is|:|：|=)?\s*[#№]?\s*$`)
	datelike   = lazily(`^(19|20)\d\d(?:[-/.](0?[1-9]|1[0-2])[-/.](0?[1-9]|[12]\d|3[01])|(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]))$`)
	fillerOnly = lazily(`^(请|麻烦|帮我|帮忙|帮|我要|我想|想|给我|查询|查看|查找|查|跟踪|追踪|看看|看|一下|下|的|这个|这笔|状态|进度|到哪里?了?|在哪里?|发货|了吗|了没|了|吗|呢|是|你好|您好|hi|hello|订单|订单号|运单|order|please|check|track|status|of|where|is|find|look|up|show|me|for|my|what|whats|the|it|its|number|no|id)*$`)
)

// What stands before and after a number, and says what it is.
const (
	nearMarks   = `订单|訂單|运单|order`
	nearAfters  = `订单|訂單`
	nearFillers = `号|这个|这笔|这单|这|的|那个`
	proofMarks  = `手机|手机号|手机码|手机号码|电话|电话号|电话码|电话号码|尾号|后四位|末四位|验证|验证码|密码|邮编|` +
		`phone|phone number|mobile|mobile number|ending|ending in|ending with|ends|ends in|ends with|code|pin|zip`
	units = `个|件|元|块|条|笔|份|台|套|箱|天|年|月|日|号|人|次|%|分钟|小时|万|千|` +
		`piece|unit|pcs|item|times|copies|dollars|usd|rmb|cny|yuan|day|hour|people|orders|requests`
)

const space = " \t\n\f\r" // \s of a pattern

// calls reports whether before ends with one of words, and maybe a word that
// says that what follows is it.
func calls(before, words string) bool {
	before = strings.TrimRight(strings.ToLower(before), space)
	if endsIn(before, words) {
		return true
	}
	for _, is := range [...]string{"是", "为", "is", ":", "：", "="} {
		if rest, ok := strings.CutSuffix(before, is); ok {
			return endsIn(strings.TrimRight(rest, space), words)
		}
	}
	return false
}

// endsIn reports whether s ends with one of words; "order" is a whole word.
func endsIn(s, words string) bool {
	for w := range strings.SplitSeq(words, "|") {
		rest, ok := strings.CutSuffix(s, w)
		if ok && (w != "order" || rest == "" || !isWord(rest[len(rest)-1])) {
			return true
		}
	}
	return false
}

// isWord reports whether c is of a word, for \b of a pattern.
func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// beginsWith reports whether s begins with one of words, and returns the rest.
func beginsWith(s, words string) (rest string, ok bool) {
	for w := range strings.SplitSeq(words, "|") {
		if rest, ok := strings.CutPrefix(s, w); ok {
			return rest, true
		}
	}
	return s, false
}

// counts reports whether after begins with what is counted or measured.
func counts(after string) bool {
	_, ok := beginsWith(strings.ToLower(strings.TrimLeft(after, space)), units)
	return ok
}

// belongs reports whether after says that what stands before is an order's.
func belongs(after string) bool {
	after = strings.TrimLeft(after, space)
	for {
		if _, ok := beginsWith(after, nearAfters); ok {
			return true
		}
		rest, ok := beginsWith(after, nearFillers)
		if !ok {
			return false
		}
		after = rest
	}
}

// aboutOrders reports whether a message of small letters has a word for orders.
func aboutOrders(lower string) bool {
	return hasAny(lower, orderWordHas) && orderWord.MatchString(lower)
}

// orderID returns the id of the order that a message names, "" if it names
// none. wanted says that one was asked for. Numbers that are dates, amounts or
// phones are none, unless they are called so.
func orderID(q string, wanted bool) string {
	lower := strings.ToLower(q)
	about := aboutOrders(lower) && aboutOrders(otherOrder.ReplaceAllString(lower, ""))
	best, bestRank := "", 0
	if !strings.ContainsAny(q, "0123456789") {
		return ""
	}
	for _, at := range idToken.FindAllStringIndex(q, maxWords) {
		word, before, after := withoutPath(q[at[0]:at[1]]), near(q[:at[0]], -1), near(q[at[1]:], 1)
		if rank := idRank(word, before, after, about, wanted); rank > bestRank {
			best, bestRank = word, rank
		}
	}
	return best
}

// near is the part of s that may say what a word at its end (side < 0) or at
// its beginning is. Looking at all of s for each word took seconds for a
// message of nothing but numbers.
func near(s string, side int) string {
	const bytes = 120 // forty Han characters: longer than any phrase of the patterns
	if len(s) <= bytes {
		return s
	}
	if side < 0 {
		return "…" + strings.ToValidUTF8(s[len(s)-bytes:], "")
	}
	return strings.ToValidUTF8(s[:bytes], "") + "…"
}

const (
	maxOrderID = 64  // characters of an order's id
	maxWords   = 100 // words that are looked at: who writes more numbers asks about something else
)

// withoutPath returns 1234 of "order/1234", which is how some write an id.
func withoutPath(word string) string {
	if path, id, ok := strings.Cut(word, "/"); ok && (strings.EqualFold(path, "order") || strings.EqualFold(path, "orders")) {
		return id
	}
	return word
}

// idRank tells how surely a word is an order's id: 0 is not at all.
func idRank(word, before, after string, about, wanted bool) int {
	letters, digits := 0, 0
	for _, r := range word {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r):
			letters++
		}
	}
	long := digits >= 5 || letters > 0 && digits >= 4 // what a year, a model or an error code is not
	marked := strings.TrimRight(before, space)
	hash := strings.HasSuffix(marked, "#") || strings.HasSuffix(marked, "№")
	switch {
	case digits == 0 || len(word) > maxOrderID:
		return 0
	case strings.Contains(word, "/") && letters > 0 && strings.ContainsFunc(word[:strings.LastIndexByte(word, '/')], unicode.IsLetter):
		return 0 // a path
	case strings.HasSuffix(before, "@") || strings.HasPrefix(after, "@") || strings.HasSuffix(before, "/") || strings.HasPrefix(after, "://"):
		return 0 // of an address
	case hasAny(strings.ToLower(before), strongMarkHas) && strongMark.MatchString(before):
		return 5
	case calls(before, proofMarks):
		return 0
	case hash && about:
		return 4
	case counts(after) && !belongs(after):
		return 0
	case calls(before, nearMarks) && fillerOnly.MatchString(bare(strings.ToLower(before+" "+after))):
		return 3
	case long && (calls(before, nearMarks) || belongs(after)):
		return 3
	case letters+digits < 3:
		return 0
	case wanted && (long || hash || fillerOnly.MatchString(bare(strings.ToLower(before+" "+after)))):
		return 2
	case long && about && !datelike.MatchString(word):
		return 2
	case (hash && long || digits >= 6 && !datelike.MatchString(word)) && fillerOnly.MatchString(bare(strings.ToLower(before+" "+after))):
		return 1
	}
	return 0
}

// answerToken finds words that may be a proof by themselves: those with a
// digit or an '@'.
var answerToken = lazily(`[A-Za-z0-9@._+-]*[0-9@][A-Za-z0-9@._+-]*`)

// answerTokens returns all words of a message that may be a proof, without
// those that name the order, and the one that counts as its answer: what is
// called a proof, or else the last. It is one, since a message is one attempt:
// with all of them, five attempts were as many guesses as the words in five
// messages.
func answerTokens(q, key string) (answer string, all []string) {
	called := false
	for _, at := range answerToken.FindAllStringIndex(q, maxWords) {
		w := strings.Trim(q[at[0]:at[1]], ".-_+")
		if len(w) < 3 || kb.OrderKey(w) == key {
			continue
		}
		all = append(all, w)
		if c := calls(near(q[:at[0]], -1), proofMarks); c || !called {
			answer, called = w, c
		}
	}
	return answer, all
}
