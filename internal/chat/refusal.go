package chat

import (
	"strings"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// refusesHuman is someone who does not want to be connected. What needs no
// human by itself (该产品不需要人工干预) is no refusal.
var (
	refusesHumanZh = lazily(`(不要|不想|不用|不需要|无需|别|不必|没必要|不愿)(再|给我|帮我|要|找|转|接|联系){0,3}((转|接|找|联系)(给|到|接)?(人工|真人|客服)(客服|服务|坐席|人员)?|(人工|真人|客服)(客服|服务|坐席|人员)?([了吧啊呀哦帮来接介谢]|[^\p{L}\p{N}]|$))`)
	needsNoHuman   = lazily(`(不要|不用|不需要|无需|不必)(人工|真人|客服)`)
	refusesHumanEn = lazily(`\b(don'?t|do not|no need to|not) (want|need|like|wish)?( to)? ?((talk|speak)(\W*$| (to|with) (an? |any |the |your )?((real|live|actual) )?(human|person|people|agent|operator|representative|someone|somebody|anyone|anybody|staff)\b)|(transfer|connect) (me|us)|be transferred|be connected|a human|a person|human)|^\W*(please,? )?no (real |live )?(humans?|person|people|agents?|operators?|representatives?)( please| needed| necessary| required)?\W*$`)
)

var (
	clauses = lazily(`.+?(?:[,，.。!！?？;；、\n:：—]+|\b(?i:but|just|and|so)\b|$)`)
	// asks is whether a clause wants to know something, …
	asks = lazily(`[?？]|多久|多少|几[天年个点时]|吗|怎么|如何|怎样|什么|哪|谁|为何|是否|能不能|可不可以|有没有|(告诉我|介绍|说说|讲讲|想知道|想问|请问|问一?下|查一?下|帮我查)\S{2,}|\b(what|how|when|where|which|who|why|whether)\b|^\W*(please )?(is|are|do|does|did|can|could|will|would|may) (i|you|we|the|my|your|it|this|that|there|a|an)\b|\b(tell me (about|the|how|what)|explain|show me)\b`)
	// … and these do not: they are about who answers.
	hollow  = whole(`行吗|可以吗|好吗|好不好|行不行|你行吗|你能帮我吗|能帮我吗|你可以帮我吗|你能回答吗|你来回答可以吗|okay|ok|isthatok|canyouhelp|canyouhelpme|canyouanswer|canyouanswerit|canyouansweryourself|couldyouhelpme`, `你|您|我|谢谢|please|instead|yourself|thanks`)
	fillers = whole(`我|您|你|了|吧|啊|的|请|请问|谢谢|麻烦|就|先|please|thanks|thankyou|i|just|but|so|and|ok|okay|hi|hello|你好|您好`, ``)
)

// One of these words is in everything that the patterns match, and in what of
// cancels is a refusal: "cancel" alone may be about an order.
const (
	refusesHumanZhHas = "人工|真人|客服"
	refusesHumanEnHas = "human|talk|speak|transfer|connect|person|people|agent|operator|representative"
	cancelsHumanHas   = "人工|客服|human|handoff|bot"
)

// refusal tells whether a message refuses to be connected to a human, and what
// it asks besides; "" if nothing.
func refusal(query string) (question string, refuses bool) {
	if !hasAny(lexical.Fold(query), refusesHumanZhHas+"|"+refusesHumanEnHas+"|"+cancelsHumanHas) {
		return "", false
	}
	var rest strings.Builder
	for _, clause := range clauses.FindAllString(query, -1) {
		folded := strings.ReplaceAll(lexical.Fold(clause), "特别", "很") // it has 别 in it
		b := bare(folded)
		switch {
		case len(b) > refusalBytes: // mentions a human
		case hasAny(b, cancelsHumanHas) && cancels.MatchString(b), hasAny(folded, refusesHumanEnHas) && refusesHumanEn.MatchString(folded):
			refuses = true
			continue
		case hasAny(folded, refusesHumanZhHas) && refusesHumanZh.MatchString(folded):
			refuses = true
			clause = refusesHumanZh.ReplaceAllString(folded, "")
			b = bare(clause)
		}
		if b != "" && !fillers.MatchString(b) {
			rest.WriteString(clause)
		}
	}
	if !refuses {
		return "", false
	}
	question = strings.TrimLeft(strings.TrimSpace(rest.String()), ",，.。!！;；、:：— ")
	if folded := lexical.Fold(question); !asks.MatchString(folded) || hollow.MatchString(bare(folded)) {
		question = ""
	}
	return question, true
}
