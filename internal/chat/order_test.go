package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// shop has orders in memory; a verifier is kept as it is.
type shop struct {
	orders map[string]kb.ShopOrder
	tried  []kb.OrderClaim
	locked bool
}

func (s *shop) Order(_ context.Context, key string) (kb.ShopOrder, error) {
	o, ok := s.orders[key]
	if !ok {
		return o, kb.E(kb.NotFound, nil, "no order")
	}
	return o, nil
}

func (s *shop) OrdersOf(_ context.Context, user string, _ int) (list []kb.ShopOrder, err error) {
	for _, o := range s.orders {
		if o.User == user {
			list = append(list, o)
		}
	}
	return list, nil
}

func (s *shop) ProveOrder(_ context.Context, c kb.OrderClaim) (kb.ShopOrder, kb.Proof, error) {
	s.tried = append(s.tried, c)
	if s.locked {
		return kb.ShopOrder{}, kb.Locked, nil
	}
	for _, a := range c.Answers {
		if o, ok := s.orders[c.Key]; ok && kb.OrderAnswer(o.Verifier) == a {
			return o, kb.Proven, nil
		}
	}
	return kb.ShopOrder{}, kb.Refused, nil
}

func lampShop() *shop {
	return &shop{orders: map[string]kb.ShopOrder{
		"20251114001": {ID: "2025-1114-001", User: "u1", Product: "星芒台灯", Amount: json.RawMessage(`199.50`), Status: "已发货", Verifier: "5678", Fields: map[string]string{"carrier": "SF"}},
		"G77777":      {ID: "G-77777", Product: "Chair of a guest", Verifier: "4321"}, // of nobody with an account
		"A1":          {ID: "A1", User: "u2", Product: "Chair", Status: "paid", Verifier: "张三"},
	}}
}

// talk is a conversation with the shop's assistant.
type talk struct {
	t       *testing.T
	c       *Chat
	m       *memory
	session kb.SessionID
	user    string
}

func talkTo(t *testing.T, s *shop) *talk {
	t.Helper()
	m := &memory{}
	return &talk{t: t, m: m, c: New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{word: "取消", text: "在“我的订单”里取消。"}, Orders: s})}
}

func (k *talk) say(query string) (string, kb.Event) {
	k.t.Helper()
	evs, text, err := ask(k.t, k.c, kb.Question{Query: query, Session: k.session, User: k.user, Addr: "192.0.2.1"})
	if err != nil {
		k.t.Fatal(err)
	}
	k.session = evs[0].Session
	return text, end(evs)
}

func TestAnOrderIsShownOnlyToWhoProvesIt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says  []string
		shown bool
	}{
		"asked for, then given":        {[]string{"查询订单 #20251114001", "5678"}, true},
		"in a sentence":                {[]string{"where is my order 2025-1114-001", "my phone ends with 5678"}, true},
		"a name":                       {[]string{"order #A1", "我叫张三"}, true},
		"a name alone":                 {[]string{"订单号 A1", "张三"}, true},
		"all at once":                  {[]string{"查一下订单20251114001，手机尾号5678"}, true},
		"number asked for":             {[]string{"我的快递到哪了？", "20251114001", "5678"}, true},
		"second attempt":               {[]string{"订单 20251114001 发货了吗", "0000", "5678"}, true},
		"full-width digits":            {[]string{"查询订单２０２５１１１４００１", "５６７８"}, true},
		"after a word":                 {[]string{"订单 20251114001 到哪了", "不知道啊", "是 5678"}, true},
		"a guest's order":              {[]string{"order G-77777", "4321"}, true},
		"a guest's order, no proof":    {[]string{"order G-77777"}, false},
		"no proof":                     {[]string{"查询订单 #20251114001"}, false},
		"a wrong proof":                {[]string{"查询订单 #20251114001", "1234"}, false},
		"the proof of another order":   {[]string{"查询订单 #20251114001", "张三"}, false},
		"a proof, then another number": {[]string{"订单 20251114001", "5678", "订单号 A1"}, false},
		"a proof too late":             {[]string{"订单 20251114001", "怎么取消订单？", "5678"}, false},
		"the number again":             {[]string{"订单 20251114001", "20251114001"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := talkTo(t, lampShop())
			var text string
			var e kb.Event
			for _, q := range tt.says {
				text, e = k.say(q)
			}
			shown := strings.Contains(text, "星芒台灯") || strings.Contains(text, "Chair")
			if shown != tt.shown || shown != (e.Metadata.Order != nil && e.Metadata.Order.Proven) {
				t.Errorf("said %q, %+v; want shown: %v", text, e.Metadata.Order, tt.shown)
			}
		})
	}
}

func TestUnknownOrdersAndWrongProofsAnswerAlike(t *testing.T) {
	t.Parallel()
	scrub := func(s string) string { return strings.NewReplacer("20251114001", "ID", "20259999009", "ID").Replace(s) }
	var transcripts []string
	for _, id := range []string{"20251114001", "20259999009"} {
		k := talkTo(t, lampShop())
		var b strings.Builder
		for _, q := range []string{"查询订单 #" + id, "1234", "9999"} {
			text, e := k.say(q)
			e.Metadata.DurationMS, e.Metadata.Timestamp, e.Metadata.TurnID, e.Session = 0, 0, "", ""
			meta, _ := json.Marshal(e)
			b.WriteString(scrub(text + string(meta) + "\n"))
		}
		transcripts = append(transcripts, b.String())
	}
	if diff := cmp.Diff(transcripts[0], transcripts[1]); diff != "" {
		t.Errorf("a known and an unknown order (-known +unknown):\n%s", diff)
	}
}

func TestProofsAreNotKept(t *testing.T) {
	t.Parallel()
	k := talkTo(t, lampShop())
	for _, q := range []string{"查询订单 #20251114001", "尾号 1234", "1111 2222 3333 4444", "Alice SMITH", "5678", "订单 20251114001，手机号 13812345678"} {
		k.say(q)
	}
	for i := range k.m.turns { // any digits are in these
		k.m.turns[i].ID, k.m.turns[i].Metadata.TurnID, k.m.turns[i].Session, k.m.turns[i].Metadata.Timestamp, k.m.turns[i].CreatedAt = "", "", "", 0, time.Time{}
	}
	kept, _ := json.Marshal(k.m.turns)
	for _, secret := range []string{"1234", "4444", "SMITH", "5678", "13812345678"} {
		if strings.Contains(string(kept), secret) {
			t.Errorf("%s is kept: %s", secret, kept)
		}
	}
}

func TestWhoIsAskedForProofMaySayOtherThings(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]kb.Route{"转人工": kb.Handoff, "谢谢": kb.Direct, "talk to a human": kb.Handoff, "怎么取消订单？": kb.Knowledge, "我的订单": kb.Order, "5678": kb.Order} {
		k := talkTo(t, lampShop())
		k.say("查询订单 #20251114001")
		if _, e := k.say(said); e.Route != want {
			t.Errorf("%s went to %s, want %s", said, e.Route, want)
		}
	}
}

func TestAfterTooManyFailuresAHumanIsOffered(t *testing.T) {
	t.Parallel()
	s := lampShop()
	s.locked = true
	k := talkTo(t, s)
	k.say("查询订单 #20251114001")
	text, e := k.say("5678")
	if text != textsZh().locked || e.Metadata.Offer != kb.Handoff || len(s.tried) != 1 || s.tried[0].Addr != "192.0.2.1" {
		t.Errorf("%q %+v, tried %+v", text, e.Metadata, s.tried)
	}
}

func TestAProvenUserSeesTheirOrdersAndNoOthers(t *testing.T) {
	t.Parallel()
	s := lampShop()
	k := talkTo(t, s)
	k.user = "u1"
	for _, q := range []string{"查询订单 2025-1114-001", "我的订单到哪了", "Where is my order?"} {
		if text, _ := k.say(q); !strings.Contains(text, "星芒台灯") || !strings.Contains(text, "199.50") || !strings.Contains(text, "SF") {
			t.Errorf("%s: %q", q, text)
		}
	}
	if text, _ := k.say("订单号 A1"); text != fmt.Sprintf(textsZh().askProof, "A1") || len(s.tried) != 0 {
		t.Errorf("another's order: %q", text)
	}
	s.orders["B2"] = kb.ShopOrder{ID: "B-2", User: "u1", Product: "Desk"}
	if text, _ := k.say("我的订单"); !strings.Contains(text, "2025-1114-001 · 星芒台灯 · 已发货") || !strings.Contains(text, "B-2 · Desk") || strings.Contains(text, "Chair") {
		t.Errorf("my orders: %q", text)
	}
	k.user = "u3"
	if text, _ := k.say("我的订单"); text != textsZh().noneOfYours {
		t.Errorf("nobody's: %q", text)
	}
}

func TestAProvenOrderIsShownAgain(t *testing.T) {
	t.Parallel()
	k := talkTo(t, lampShop())
	k.say("查询订单 #20251114001")
	k.say("5678")
	if text, _ := k.say("现在到哪了？"); !strings.Contains(text, "已发货") {
		t.Errorf("again: %q", text)
	}
	if _, e := k.say("怎么取消订单？"); e.Route != kb.Knowledge {
		t.Errorf("a question in general went to %s", e.Route)
	}
	if text, _ := k.say("订单 20251114001 现在到哪了？"); strings.Contains(text, "已发货") {
		t.Errorf("the proof outlived its turn: %q", text)
	}
	k.say("5678")
	k.say("你好")
	if text, e := k.say("算了"); e.Route != kb.Knowledge {
		t.Errorf("%q, %s", text, e.Route)
	}
	k.say("订单 20251114001 现在到哪了？")
	if text, e := k.say("算了"); e.Route != kb.Direct || text != textsZh().direct[actCancel] {
		t.Errorf("dropped: %q, %s", text, e.Route)
	}
}

func TestRouteOfOrderQuestions(t *testing.T) {
	t.Parallel()
	orders := map[string]string{ // to the key that is meant
		"查询订单 #20251114001": "20251114001", "where is my order 2025-1114-001": "20251114001", "订单20251114001": "20251114001",
		"帮我查一下订单号为 DD-20251114 的物流": "DD20251114", "20251114001": "20251114001", "#20251114001": "20251114001",
		"查一下 20251114001 到哪了": "20251114001", "20251114001这个订单发货了吗": "20251114001", "单号：SF1234567890 到哪了？": "SF1234567890",
		"Order number A-77, has it shipped?": "A77", "What's the status of order 100234?": "100234", "Track package 9400111899223": "9400111899223",
		"订单 20251114001 怎么还没到": "20251114001", "Can you check order #5521 for me?": "5521", "我 11月14日 下的订单 20251114001 呢": "20251114001",
		"查询订单 o1": "O1", "order 42": "42",
		"我的订单到哪了": "", "我的快递怎么还没到": "", "查一下我的订单": "", "我的包裹什么时候到？": "", "查订单": "", "我的订单": "", "帮我查一下物流": "",
		"where is my order?": "", "Where's my package": "", "track my order": "", "My order hasn't arrived yet": "", "has my order shipped": "",
		"when will my order arrive?": "", "I never received my package": "", "could you tell me where my parcel is": "", "how's my order coming along": "", "I would like to track a parcel": "",
		"what is my order's status": "", "when do I get my order": "", "is there progress on the order I made on Monday": "", "Any update on my order?": "", "show me my recent orders": "",
	}
	for q, want := range orders {
		in, ok := readInquiry(q, nil)
		if !ok || in.key != want {
			t.Errorf("%q: %v, key %q; want an order question, key %q", q, ok, in.key, want)
		}
	}
	for _, q := range []string{
		"订单怎么取消？", "如何查询订单状态？", "怎么查物流？", "下单后多久发货？", "订单可以修改地址吗？", "我的订单怎么取消？", "订单超过 10000 元怎么开发票？", "一次能下 12345 个订单吗",
		"How do I cancel an order?", "How can I track my order?", "Can I change my order?", "What is your shipping policy?", "Can I order 100000 pieces?",
		"Where can I see my order?", "How long does delivery take?", "2025年双11的订单什么时候发货？", "E05 是什么故障？", "XM-200 保修多久？", "我的手机号 13812345678 怎么换绑？",
		"In order to use API 2, what do I configure?", "《三国志》成书于公元 280 年吗", "错误码 40012345 是什么意思？", "What does error 100234 mean?", "请联系 https://x.example/order/20251114001 的作者是谁",
		"What is the boiling point of water in order of magnitude 1000000?", "物流行业的发展历史", "快递公司有哪些？", "What is package management?", "退款多久到账？", "order by clause in SQL 2016", "我的账号怎么注销",
		"2025-11-14", "我们的货币政策现在状态如何", "Is my order eligible for free shipping?",
		"How do I track a package?", "Can I get updates about the delivery policy?", "What does the tracking node do?", "When can I order my own domain?",
	} {
		if in, ok := readInquiry(q, nil); ok {
			t.Errorf("%q went to orders, %+v", q, in)
		}
	}
}

func TestAModelsOrderRouteNeedsAParticularOrder(t *testing.T) {
	t.Parallel()
	for q, tt := range map[string]struct {
		folded string
		want   kb.Route
	}{
		"咦，东西咋还不来": {"我的快递怎么还没到", kb.Order},
		"能不能换个颜色？": {"订单能不能换个颜色？", kb.Knowledge},
		"那它呢":      {"订单 20251114001 到哪了", kb.Order},
	} {
		s := &llmtest.Server{Answer: func(r llmtest.Request) string {
			if r.JSON {
				return fmt.Sprintf(`{"route":"order","confidence":0.95,"question":%q}`, tt.folded)
			}
			return "NONE"
		}}
		e := withModel(t, s)
		evs, _, err := ask(t, e.For(Tenant{Memory: &memory{}, Retriever: books(), Orders: lampShop()}), kb.Question{Query: q})
		if err != nil || end(evs).Route != tt.want {
			t.Errorf("%s: %s, %v; want %s", q, end(evs).Route, err, tt.want)
		}
	}
}

func TestAProofIsNotShownToAModel(t *testing.T) {
	t.Parallel()
	asked := 0
	s := &llmtest.Server{Answer: func(llmtest.Request) string { asked++; return "NONE" }}
	m := &memory{}
	c := withModel(t, s).For(Tenant{Memory: m, Retriever: books(), Orders: lampShop()})
	var id kb.SessionID
	for _, q := range []string{"查询订单 #20251114001", "5678"} {
		evs, _, err := ask(t, c, kb.Question{Query: q, Session: id})
		if err != nil {
			t.Fatal(err)
		}
		id = evs[0].Session
	}
	if asked != 0 {
		t.Errorf("a model was asked %d times", asked)
	}
}

func FuzzReadInquiry(f *testing.F) {
	for _, q := range []string{"查询订单 #20251114001", "5678", "订单号：", "#", "order -1_", "ＡＢＣ１２３４５ 订单"} {
		f.Add(q, "20251114001", false)
		f.Add(q, "", true)
	}
	f.Fuzz(func(t *testing.T, q, id string, proven bool) {
		for _, last := range []*kb.OrderRef{nil, {ID: kb.OrderKey(id), Proven: proven}} {
			in, _ := readInquiry(q, last)
			if len(in.answers) > maxAnswers || len(in.key) > 4*maxOrderID && in.key != kb.OrderKey(id) {
				t.Errorf("%q: %+v", q, in)
			}
			_ = hide(q, in.hide)
		}
	})
}
