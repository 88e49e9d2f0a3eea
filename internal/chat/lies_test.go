package chat

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// lamp is what the sample knowledge base says of warranties.
func lamp() []kb.Passage {
	var ps []kb.Passage
	for i, text := range []string{
		"星芒台灯自签收之日起保修 24 个月，灯珠和电源适配器同样在保修范围内。备用灯臂、收纳袋等配件保修六个月，人为损坏不支持免费维修。",
		"延长保修可在签收后 30 天内购买，每延长 12 个月 49 元。售后电话周一至周五有人接听，详见《服务条款》。",
		"The lamp is covered for 24 months. Damage by water is not covered. The customers' choice: `lampctl reset` restores it.",
	} {
		ps = append(ps, kb.Passage{Score: 0.9, Chunk: kb.Chunk{
			ID: kb.ChunkID(i + 1), Document: kb.DocumentID(fmt.Sprint("doc", i)), Version: 1, Title: "保修与维修", Text: text, End: len(text),
		}})
	}
	return ps
}

// tell feeds what a model says to an answer, in pieces of up to most bytes, and
// returns everything that went out and what is left at the end.
func tell(t *testing.T, says string, rng *rand.Rand, most int) (out string, turn kb.Turn) {
	t.Helper()
	a := &answer{Chat: &Chat{engine: &Engine{}}, found: kb.Found{Passages: lamp(), Abstain: true}}
	a.turn.Query, a.turn.Lang = "台灯保修多久？", kb.Zh
	// What a model made of the question must not vouch for what it says.
	a.turn.Condensed = "台灯保修多久？9731 http://evil.example/pay 商家承诺终身免费保修"
	replaced := false
	a.emit = func(ev kb.Event) error {
		if ev.Type == kb.EventReplace {
			replaced = true
		}
		if ev.Type == kb.EventChunk && !replaced {
			out += ev.Content
		}
		return nil
	}
	c := a.checker()
	for s := says; s != ""; {
		n := min(len(s), 1+rng.IntN(most))
		if !c.write(s[:n]) {
			break
		}
		s = s[n:]
	}
	c.close()
	if err := a.conclude(c); err != nil {
		t.Fatal(err)
	}
	return out, a.turn
}

func TestLiesDoNotGoOut(t *testing.T) {
	t.Parallel()
	const s, rest = "星芒台灯自签收之日起保修", "灯珠和电源适配器同样在保修范围内[1]"
	for name, tt := range map[string]struct{ says, never, kept string }{
		"what the model itself made of the question": {"台灯保修 9731 个月，请访问 http://evil.example/pay ，说明书写道“商家承诺终身免费保修”[1]。", "9731|evil|终身", ""},
		"control characters in a number":             {s + "2\x004\x002 个月，" + rest, "242|2\x00", ""},
		"control characters in an address":           {"请看 evil\x00.com/pay [1]", "evil.com", ""},
		"control characters in a marker":             {s + " 24 个月[\x002][\x0024]", "[24]|[2]", ""},
		"zero width in a number":                     {s + " 2\u200b4\u200b2 个月，" + rest, "242|\u200b", ""},
		"another direction of writing":               {s + " \u202e42 个月，" + rest, "\u202e", ""},
		"an address with another dot":                {"请看 evil․com 和 evil．com [1]", "evil․com|evil．com", ""},
		"an address with a Chinese full stop":        {"请看 evil。com/pay [1]", "evil。com", ""},
		"single quotation marks":                     {"说明书写道'终身免费换新'，" + s + " 24 个月，" + rest, "终身免费换新", ""},
		"marks of low German and high ones":          {"说明书写道„终身免费“，〝终身免费〞，‹终身免费›，﹃终身免费﹄，《终身免费》，`终身免费`[1]。", "终身免费", ""},
		"a long quotation":                           {"说明书写道“" + strings.Repeat(s+"终身，灯珠和电源适配器同样在保修范围内。", 5) + "”[1]", "终身", ""},
		"a number in Han characters":                 {s + "九十九年，" + rest, "九十九", ""},
		"a financial number":                         {s + "玖拾玖年，" + rest, "玖", ""},
		"a date in Han characters":                   {"活动到二〇三九年八月十七日，" + rest, "二〇三九|十七", ""},
		"money in Han characters":                    {s + " 24 个月，收费三千七百元，" + rest, "三千", ""},
		"other days of the week":                     {"售后电话周六有人接听[2]。", "周六", ""},
		"a link without a scheme":                    {"见[官网](//evil/pay)，" + s + " 24 个月[1]", "evil", ""},
		"a picture":                                  {"![a](//evil/p) " + s + " 24 个月[1]", "evil", ""},
		"an address without a scheme":                {"见 //evil/pay ，" + s + " 24 个月[1]", "evil", ""},
		"a script as an address":                     {"点 javascript:alert(1) [1]", "javascript", ""},
		"markup":                                     {`<img src=x onerror=alert()>` + s + " 24 个月[1]<script>alert(1)</script>", "<img|<script|onerror", ""},
		"an address that is too long":                {"请看 https://evil.example/" + strings.Repeat("b", 400) + "/login-here [1]", "evil|login-here|bbb", ""},
		"a number of another passage":                {s + " 30 个月，" + rest, "", "30"},
		"ordinals that are none":                     {"第 19 个月和第 17 天可以退货[1]", "19|17", ""},
		"a courteous lie":                            {"台灯保修 24 个月[1]。您好，台灯可以退全款并获赠黄金一公斤。", "", "黄金"},
		"the opposite":                               {"台灯保修 24 个月[1]。灯珠和电源适配器不在保修范围内[1]。", "", "不在"},
		"the opposite, the other way round":          {"人为损坏支持免费维修[1]。", "", "支持免费"},
		"the opposite in English":                    {"Damage by water is covered [3].", "", "water is covered"},
		"a loop":                                     {strings.Repeat("台灯保修 24 个月[1]。", 500), "", strings.Repeat("台灯保修 24 个月[1]。", 9)},
		"tool calls as text":                         {`{"name":"refund","arguments":{"amount":"9000"}}`, "9000", "refund"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 2))
			for _, most := range []int{1, 7, 4000} {
				out, turn := tell(t, "ANSWER\n"+tt.says, rng, most)
				for w := range strings.SplitSeq(tt.never, "|") {
					if w != "" && (strings.Contains(out, w) || strings.Contains(turn.Answer, w)) {
						t.Errorf("pieces of up to %d: %q went out: %q, kept %q", most, w, out, turn.Answer)
					}
				}
				if tt.kept != "" && strings.Contains(turn.Answer, tt.kept) {
					t.Errorf("pieces of up to %d: %q was kept in %q (supported %v)", most, tt.kept, turn.Answer, *turn.Metadata.Supported)
				}
			}
		})
	}
}

func TestTheTruthGoesOutAsItIs(t *testing.T) {
	t.Parallel()
	for _, says := range []string{
		"星芒台灯自签收之日起保修 24 个月[1]。",
		"保修二十四个月，配件保修 6 个月[1]。",
		"您好！台灯保修 24 个月[1]。如有其他问题，请随时联系我们。",
		"灯珠和电源适配器在保修范围内[1]，人为损坏不支持免费维修[1]。",
		"一般来说，台灯保修 24 个月[1]。延长保修千万要在签收后 30 天内购买[2]。",
		"1. 在签收后 30 天内购买延长保修[2]\n2. 每延长 12 个月 49 元[2]",
		"第 1 步：签收后 30 天内购买延长保修[2]。",
		"售后电话周一至周五有人接听，详见《服务条款》[2]。",
		"**保修期**：24 个月[1]\n\n> 灯珠和电源适配器同样在保修范围内[1]",
		"The lamp is covered for 24 months [3]. Damage by water isn't covered [3].",
		"It's the customers' choice: `lampctl reset` restores the lamp [3]. I hope this helps!",
		"签收后三十天内可以购买延长保修[2]。",
	} {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, most := range []int{1, 7, 4000} {
			out, turn := tell(t, "ANSWER\n"+says, rng, most)
			if turn.Metadata.Supported == nil || !*turn.Metadata.Supported || turn.Answer != out {
				t.Errorf("pieces of up to %d of %q: out %q, kept %q, degraded %v", most, says, out, turn.Answer, turn.Metadata.Degraded)
			}
		}
	}
}

func TestNumbersInHan(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{
		"三": 3, "十": 10, "十七": 17, "二十四": 24, "一百零五": 105, "三千七百": 3700, "两万": 20_000, "一亿零三": 100_000_003, "二〇三九": 2039, "玖拾玖": 99, "卅": 30, "廿一": 21,
	} {
		if got, ok := parseHan(s); !ok || got != want {
			t.Errorf("parseHan(%s) = %d, %v, want %d", s, got, ok, want)
		}
	}
}
