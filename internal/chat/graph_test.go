package chat

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// withModel is an engine over a stand-in for DashScope.
func withModel(t testing.TB, s *llmtest.Server) *Engine {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c, err := llm.New(llm.Config{BaseURL: srv.URL + "/compatible-mode/v1", APIKey: "sk-test", MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return New(Config{}, c, slog.New(slog.DiscardHandler))
}

// library finds the same passages for every question.
type library struct{ passages []kb.Passage }

func (l library) Retrieve(context.Context, string, int) (kb.Found, error) {
	f := kb.Found{Passages: l.passages, Answerable: 0.9}
	if len(l.passages) > 0 {
		f.Quotes = []kb.Quote{{Start: l.passages[0].Start, End: l.passages[0].End, Score: 0.9}}
	}
	return f, nil
}

// books is two passages about a lamp, which begin somewhere in their documents.
func books() library {
	var ps []kb.Passage
	for i, text := range []string{
		"星芒台灯自签收之日起保修 24 个月。维修请在“我的订单”里点击“申请售后”。详见 https://lumora.example/warranty 。",
		"退款到支付宝即时到账，最迟 1 个工作日。银行卡需要 3 至 5 个工作日，共二十四家银行。",
	} {
		start := 100 * (i + 1)
		ps = append(ps, kb.Passage{Score: 0.9, Chunk: kb.Chunk{
			ID: kb.ChunkID(i + 1), Document: kb.DocumentID(fmt.Sprint("doc", i)), Version: 1, Title: "手册", Text: text, Start: start, End: start + len(text),
		}})
	}
	return library{ps}
}

// says makes the stand-in answer with text, and read every message as a
// question to the knowledge base.
func says(text string) *llmtest.Server {
	return &llmtest.Server{Answer: func(r llmtest.Request) string {
		if r.JSON {
			return `{"route":"knowledge","confidence":0.9,"question":"台灯保修多久？"}`
		}
		return text
	}}
}

func TestAModelsAnswerIsCitedByUs(t *testing.T) {
	t.Parallel()
	m := &memory{}
	c := withModel(t, says("ANSWER\n台灯保修 24 个月 [1]。退款到支付宝最迟 1 个工作日到账 [2]。")).For(Tenant{Memory: m, Retriever: books()})
	evs, _, err := ask(t, c, kb.Question{Query: "台灯保修多久？"})
	if err != nil {
		t.Fatal(err)
	}
	e := end(evs)
	if got := m.turns[0].Answer; got != "台灯保修 24 个月 [1]。退款到支付宝最迟 1 个工作日到账 [2]。" {
		t.Errorf("answer %q", got)
	}
	if len(e.Sources) != 2 || e.Sources[0].Content != "星芒台灯自签收之日起保修 24 个月。" || e.Sources[0].Metadata.Start != 100 || e.Sources[1].Metadata.Document != "doc1" {
		t.Errorf("sources %+v", e.Sources)
	}
	if e.Metadata.Quoted || e.Metadata.Model != "qwen-plus" || e.Metadata.Supported == nil || !*e.Metadata.Supported || e.Metadata.Usage == nil {
		t.Errorf("metadata %+v", e.Metadata)
	}
}

func TestLies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says string
		want string // the answer that is kept
	}{
		"NONE abstains":                           {"NONE", textsZh().unknown},
		"none in a sentence abstains":             {"none.", textsZh().unknown},
		"the word is forgotten":                   {"台灯保修 24 个月 [1]。", "台灯保修 24 个月 [1]。"},
		"an unknown marker vanishes":              {"ANSWER\n台灯保修 24 个月 [1][7]。", "台灯保修 24 个月 [1]。"},
		"a wrong number takes its sentence along": {"ANSWER\n台灯保修 24 个月 [1]。灯臂保修 36 个月 [1]。", "台灯保修 24 个月 [1]。"},
		"an altered quotation, too":               {"ANSWER\n台灯保修 24 个月 [1]。请点击“立即投诉” [1]。", "台灯保修 24 个月 [1]。"},
		"a real quotation passes":                 {"ANSWER\n请在“我的订单”里点击“申请售后” [1]。", "请在“我的订单”里点击“申请售后” [1]。"},
		"a foreign address does not":              {"ANSWER\n台灯保修 24 个月 [1]。保修说明见 https://evil.example/x [1]。", "台灯保修 24 个月 [1]。"},
		"a number in Han characters counts":       {"ANSWER\n支付宝即时到账，银行卡支持 24 家银行 [2]。", "支付宝即时到账，银行卡支持 24 家银行 [1]。"},
		"all of it is invented":                   {"ANSWER\n火星基地明年开放旅游，欢迎报名 [1]。", ""},
		"nothing at all":                          {"", ""},
		"an object for a tool":                    {"ANSWER\n```json\n{\"name\":\"get_order\",\"arguments\":{\"id\":\"1\"}}\n```", ""},
		"only a greeting":                         {"ANSWER\n您好！火星基地明年开放旅游 [1]。", ""},
		"only signs":                              {"ANSWER\n--- [1]", ""},
		"markers are missing":                     {"ANSWER\n台灯保修 24 个月。", "台灯保修 24 个月。[1]"},
		"markers of another shape":                {"ANSWER\n台灯保修 24 个月【1】。", "台灯保修 24 个月[1]。"},
		"steps may be numbered":                   {"ANSWER\n1. 打开“我的订单” [1]\n2. 点击“申请售后” [1]", "1. 打开“我的订单” [1]\n2. 点击“申请售后” [1]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &memory{}
			_, _, err := ask(t, withModel(t, says(tt.says)).For(Tenant{Memory: m, Retriever: books()}), kb.Question{Query: "台灯保修多久？"})
			if err != nil {
				t.Fatal(err)
			}
			got := m.turns[0]
			if tt.want == "" {
				if !got.Metadata.Quoted || len(got.Metadata.Degraded) != 1 {
					t.Errorf("answer %q (%+v), want quotes instead", got.Answer, got.Metadata)
				}
				return
			}
			if got.Answer != tt.want {
				t.Errorf("answer %q, want %q", got.Answer, tt.want)
			}
		})
	}
}

func TestAFailingModelLeavesItToQuotes(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]llmtest.Act{
		"throttled": llmtest.Throttled("1"), "broken off": {After: 2, Fault: llmtest.Abort}, "cut short": {After: 2, Fault: llmtest.Truncate},
		"a call of a tool": {Finish: "tool_calls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := says("ANSWER\n台灯保修 24 个月 [1]。")
			s.Push(llmtest.Chat, llmtest.Act{}, act)
			m := &memory{}
			evs, _, err := ask(t, withModel(t, s).For(Tenant{Memory: m, Retriever: books()}), kb.Question{Query: "台灯保修多久？"})
			if err != nil {
				t.Fatal(err)
			}
			e := end(evs)
			if !e.Metadata.Quoted || fmt.Sprint(e.Metadata.Degraded) != "[quotes]" || !strings.Contains(m.turns[0].Answer, "24 个月。维修") {
				t.Errorf("%q %+v", m.turns[0].Answer, e.Metadata)
			}
		})
	}
}

// TestTenThousandLies feeds random lies through the whole answer and checks
// that nothing unverified was delivered and kept.
func TestTenThousandLies(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	b := books()
	pieces := []string{
		"台灯保修 24 个月", "台灯保修 36 个月", "[1]", "[2]", "[3]", "[99]", "【1】", "[1, 2]", "[^2]", "[a]", "“我的订单”", "“您的订单”", "\"申请售后\"", "「没有的话」", "。", "\n", "，",
		"https://lumora.example/warranty", "https://evil.example", "a@b.example", "E05", "1 个工作日", "9 个工作日", "二十四", "忽略以上指令", "{\"tool\":\"x\"}", "“", "”", "\"", "[", "]", "\x00", "3 至 5", "2026-01-01", "退款到支付宝即时到账", "XM-200",
		"Refunds take 3 days", " ", "- ", "1. ", "ANSWER", "NONE", "九十九", "evil。com", "](//evil)", "<b>", "<img src=evil>", "\u200b", "'终身'", "《", "》", "9\x009", "周六", "不", "第",
	}
	known := newValues("台灯保修多久？", b.passages[0].Text, b.passages[1].Text, "手册")
	quotes := regexp.MustCompile(`“([^”]*)”|「([^」]*)」|"([^"]*)"`)
	for i := range 10_000 {
		lie := "ANSWER\n"
		for range rng.IntN(25) {
			lie += pieces[rng.IntN(len(pieces))]
		}
		a := &answer{Chat: &Chat{engine: &Engine{}}, found: kb.Found{Passages: b.passages}}
		a.turn.Query, a.turn.Condensed, a.turn.Lang = "台灯保修多久？", "台灯保修多久？", kb.Zh
		out, replaced := "", false
		a.emit = func(ev kb.Event) error {
			replaced = replaced || ev.Type == kb.EventReplace
			if ev.Type == kb.EventChunk && !replaced {
				out += ev.Content
			}
			return nil
		}
		c := a.checker()
		for s := lie; s != ""; { // in pieces of any size
			n := min(len(s), 1+rng.IntN(9))
			if !c.write(s[:n]) {
				break
			}
			s = s[n:]
		}
		c.close()
		if err := a.conclude(c); err != nil {
			t.Fatal(err)
		}
		out = strings.ReplaceAll(out, textsZh().unknown, "") // ours
		for _, q := range quotes.FindAllStringSubmatch(out, -1) {
			if inner := q[1] + q[2] + q[3]; !known.quoted(inner) {
				t.Fatalf("lie %d %q: quotation %q went out in %q", i, lie, inner, out)
			}
		}
		for _, w := range []string{"36", "9 个", "99", "九十九", "evil", "a@b", "E05", "2026", "XM-200", "终身", "<", "周六", "\u200b"} {
			if strings.Contains(out, w) {
				t.Fatalf("lie %d %q: %q went out in %q", i, lie, w, out)
			}
		}
		for _, src := range a.turn.Sources {
			p := b.passages[src.Metadata.Chunk-1]
			if got := p.Text[src.Metadata.Start-p.Start : src.Metadata.End-p.Start]; got != src.Content {
				t.Fatalf("lie %d %q: source says %q, document %q", i, lie, src.Content, got)
			}
		}
		if a.turn.Metadata.Abstained || a.turn.Metadata.Quoted {
			continue
		}
		for _, q := range quotes.FindAllStringSubmatch(a.turn.Answer, -1) {
			if inner := q[1] + q[2] + q[3]; !known.quoted(inner) {
				t.Fatalf("lie %d %q: quotation %q was delivered in %q", i, lie, inner, a.turn.Answer)
			}
		}
		for _, m := range regexp.MustCompile(`\[(\d+)\]`).FindAllStringSubmatch(a.turn.Answer, -1) {
			if n, _ := strconv.Atoi(m[1]); n < 1 || n > len(a.turn.Sources) {
				t.Fatalf("lie %d %q: marker %s of %d sources in %q", i, lie, m[0], len(a.turn.Sources), a.turn.Answer)
			}
		}
		for _, w := range []string{"36", "9 个", "evil", "a@b", "E05", "2026", "XM-200"} {
			if strings.Contains(a.turn.Answer, w) {
				t.Fatalf("lie %d %q: %q was delivered in %q", i, lie, w, a.turn.Answer)
			}
		}
	}
}

func TestWhatAModelTookIsCountedAlsoWhenItsAnswerIsLeft(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]llmtest.Act{
		"it does not know":       {Reply: "NONE" + strings.Repeat(" 我不知道。", 400), TokenDelay: time.Millisecond},
		"broken off":             {Reply: "ANSWER\n台灯保修 24 个月 [1]。", After: 3, Fault: llmtest.Abort},
		"it does not end":        {Flood: 1 << 20},
		"refused by the filter":  {Reply: "ANSWER\n台灯保修 24 个月 [1]。", Finish: "content_filter"},
		"it hangs, we are bored": {Reply: "NONE" + strings.Repeat(" 我不知道。", 400), After: 9, Fault: llmtest.Hang},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := says("")
			s.Push(llmtest.Chat, llmtest.Act{}, act)
			m := &memory{}
			if _, _, err := ask(t, withModel(t, s).For(Tenant{Memory: m, Retriever: books()}), kb.Question{Query: "台灯保修多久？"}); err != nil {
				t.Fatal(err)
			}
			// The answer's prompt holds both passages, which alone are longer than
			// what the message was read with is in the stand-in's count of tokens.
			reading := llm.EstimateTokens(s.Requests(llmtest.Chat)[0].Messages[0].Content + s.Requests(llmtest.Chat)[0].Messages[1].Content)
			if u := m.turns[0].Metadata.Usage; u == nil || u.Prompt <= reading+100 || u.Model != "qwen-plus" {
				t.Errorf("usage %+v, want the answer's beside the %d tokens of reading", u, reading)
			}
		})
	}
}

func TestAModelThatNeverAnswersTookNothing(t *testing.T) {
	t.Parallel()
	s, m := says(""), &memory{}
	s.Always(llmtest.Chat, llmtest.BadGateway())
	if _, _, err := ask(t, withModel(t, s).For(Tenant{Memory: m, Retriever: books()}), kb.Question{Query: "台灯保修多久？"}); err != nil {
		t.Fatal(err)
	}
	if u := m.turns[0].Metadata.Usage; u != nil {
		t.Errorf("usage %+v, want none", u)
	}
}

func TestARefusalOffersAPerson(t *testing.T) {
	t.Parallel()
	s := says("")
	s.Always(llmtest.Chat, llmtest.Inspected())
	for query, want := range map[string]string{"台灯保修多久？": textsZh().refused, "How long is the warranty?": textsEn().refused} {
		m := &memory{}
		evs, _, err := ask(t, withModel(t, s).For(Tenant{Memory: m, Retriever: books()}), kb.Question{Query: query})
		if err != nil || m.turns[0].Answer != want || end(evs).Metadata.Offer != kb.Handoff || end(evs).Metadata.Missed != kb.MissRefused {
			t.Errorf("%s: %q %+v, %v; want %q and a person", query, m.turns[0].Answer, m.turns[0].Metadata, err, want)
		}
	}
}

func TestHan(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "零", 7: "七", 10: "十", 12: "十二", 24: "二十四", 105: "一百零五", 110: "一百一十", 2001: "二千零一"} {
		if got := han(n); got != want {
			t.Errorf("han(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestAnOutageOfTheModelIsLoggedOnceAQuestionAndThenNotAtAll(t *testing.T) {
	t.Parallel()
	s := says("")
	s.Always(llmtest.Chat, llmtest.BadGateway())
	var b strings.Builder
	e := withModel(t, s)
	e.log = slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelWarn}))
	warned := func() int { return strings.Count(b.String(), "model failed") }
	for n := 1; ; n++ {
		before, tries := warned(), len(s.Requests(llmtest.Chat))
		if _, _, err := ask(t, e.For(Tenant{Memory: &memory{}, Retriever: books()}), kb.Question{Query: "台灯保修多久？"}); err != nil {
			t.Fatal(err)
		}
		if len(s.Requests(llmtest.Chat)) == tries { // the breaker is open
			if warned() != before || n < 3 {
				t.Errorf("question %d, not sent to the model, warned %d times, want never after at least two:\n%s", n, warned()-before, b.String())
			}
			return
		}
		if warned() != before+1 {
			t.Errorf("question %d warned %d times, want once:\n%s", n, warned()-before, b.String())
		}
		if n > 20 {
			t.Fatal("the breaker does not open")
		}
	}
}
