package chat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// memory keeps one conversation.
type memory struct {
	session kb.Session
	turns   []kb.Turn
	fail    error
}

func (m *memory) Session(_ context.Context, id kb.SessionID, owner string, n int) (kb.Session, []kb.Turn, error) {
	if m.session.ID != id || m.session.Owner != owner {
		return kb.Session{}, nil, kb.E(kb.NotFound, nil, "no session")
	}
	return m.session, m.turns[max(0, len(m.turns)-n):], nil
}

func (m *memory) SaveTurn(_ context.Context, t kb.Turn, owner string, before, after kb.SessionState, _ string) error {
	if m.fail != nil {
		return m.fail
	}
	if m.session.ID != "" && m.session.State != before {
		return kb.E(kb.Conflict, nil, "taken over")
	}
	if m.session.State != after {
		m.session.StateAt = t.CreatedAt
	}
	m.session.ID, m.session.Owner, m.session.State = t.Session, owner, after
	m.turns = append(m.turns, t)
	return nil
}

// shelf finds its one passage when the question has the word.
type shelf struct {
	word, text string
	asked      []string
}

func (s *shelf) Retrieve(_ context.Context, q string, _ int) (kb.Found, error) {
	s.asked = append(s.asked, q)
	if !strings.Contains(q, s.word) {
		return kb.Found{Abstain: true}, nil
	}
	p := kb.Passage{Chunk: kb.Chunk{ID: 7, Document: "doc_1", Version: 2, Title: "T", Text: s.text, Start: 100, End: 100 + len(s.text)}}
	return kb.Found{Passages: []kb.Passage{p}, Quotes: []kb.Quote{{Start: 100, End: 100 + len(s.text), Score: 0.9}}, Answerable: 0.9}, nil
}

// ask drains one answer.
func ask(t *testing.T, c *Chat, q kb.Question) (evs []kb.Event, answer string, err error) {
	t.Helper()
	for ev, e := range c.Answer(t.Context(), q) {
		if e != nil {
			return evs, answer, e
		}
		evs = append(evs, ev)
		answer += ev.Content
	}
	return evs, answer, nil
}

func end(evs []kb.Event) kb.Event { return evs[len(evs)-1] }

func TestAnswerQuotesWithCitations(t *testing.T) {
	t.Parallel()
	m, s := &memory{}, &shelf{word: "保修", text: "保修 24 个月。"}
	evs, answer, err := ask(t, New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: s}), kb.Question{Query: "台灯保修多久？"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "保修 24 个月。 [1]"; answer != want {
		t.Errorf("answer = %q, want %q", answer, want)
	}
	var kinds []string
	for _, e := range evs {
		kinds = append(kinds, string(e.Type))
	}
	if got, want := strings.Join(kinds, " "), "start stage stage sources stage chunk end"; got != want {
		t.Errorf("events = %s, want %s", got, want)
	}
	e := end(evs)
	if e.Route != kb.Knowledge || !e.Metadata.Quoted || e.Metadata.Abstained || len(e.Sources) != 1 || e.Sources[0].Metadata.Start != 100 {
		t.Errorf("end = %+v, %+v", e, e.Metadata)
	}
	if len(m.turns) != 1 || m.turns[0].Answer != answer || m.turns[0].Session != evs[0].Session {
		t.Errorf("remembered %+v", m.turns)
	}
}

func TestAnswerSaysWhenItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{"天上有几颗星？": textsZh().unknown, "How many stars are there?": textsEn().unknown} {
		evs, answer, err := ask(t, New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: &shelf{word: "x-none"}}), kb.Question{Query: query})
		if err != nil || answer != want {
			t.Errorf("%s: %q, %v", query, answer, err)
		}
		if m := end(evs).Metadata; !m.Abstained || m.Offer != kb.Handoff || m.Quoted {
			t.Errorf("%s: metadata = %+v, want an abstention that offers a human", query, m)
		}
	}
}

func TestFollowUpsCarryTheTopic(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ first, then string }{
		{"企业版支持单点登录吗？", "那价格呢"},
		{"企业版支持单点登录吗？", "它怎么收费？"},
		{"Does the enterprise plan have SSO?", "and what does it cost?"},
		{"Does the enterprise plan have SSO?", "What about the price?"},
	} {
		m, s := &memory{}, &shelf{word: "nter", text: "企业版价格为每年 9800 元，按年收费。 The price of the enterprise plan: it costs 1400 dollars."}
		if strings.HasPrefix(tt.first, "企") {
			s.word = "企业版"
		}
		c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: s})
		evs, _, err := ask(t, c, kb.Question{Query: tt.first})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := ask(t, c, kb.Question{Query: tt.then, Session: evs[0].Session}); err != nil {
			t.Fatal(err)
		}
		if got, want := s.asked[len(s.asked)-1], tt.first+"\n"+tt.then; got != want {
			t.Errorf("searched for %q, want %q", got, want)
		}
		if m.turns[1].Query != tt.then || m.turns[1].Condensed == tt.then {
			t.Errorf("remembered %+v", m.turns[1])
		}
	}
}

func TestAFollowUpThatSaysNothingNewIsNotAnsweredAgain(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"比特币呢", "会爆炸吗", "asdfgh", "bitcoin?", "你真笨"} {
		m, s := &memory{}, &shelf{word: "保修", text: "台灯保修 24 个月。"}
		c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: s})
		evs, _, err := ask(t, c, kb.Question{Query: "台灯保修多久？"})
		if err != nil {
			t.Fatal(err)
		}
		evs, answer, err := ask(t, c, kb.Question{Query: then, Session: evs[0].Session})
		if err != nil || !end(evs).Metadata.Abstained {
			t.Errorf("%s: %q, %v", then, answer, err)
		}
	}
}

func TestACodeThatNoPassageHasIsNotAnswered(t *testing.T) {
	t.Parallel()
	c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: &shelf{word: "故障", text: "E05：灯板故障。请申请维修。"}})
	for query, want := range map[string]bool{"E03 是什么故障？": true, "E05 是什么故障？": false, "e05是什么故障": false} {
		evs, _, err := ask(t, c, kb.Question{Query: query})
		if err != nil || end(evs).Metadata.Abstained != want {
			t.Errorf("%s: abstained %v, %v, want %v", query, end(evs).Metadata.Abstained, err, want)
		}
	}
}

func TestFormDecidesWhereStatisticsCannot(t *testing.T) {
	t.Parallel()
	codes, reset := "- E01: the battery is too hot.\n- E02: wrong adapter voltage. Use the original adapter.\n", "With the lamp off, hold both keys. Release them after three flashes."
	ps := []kb.Passage{
		{Chunk: kb.Chunk{ID: 1, Document: "d", Version: 1, Heading: "Error codes", Text: codes, End: len(codes)}},
		{Chunk: kb.Chunk{ID: 2, Document: "d", Version: 1, Heading: "Factory reset", Text: reset, Start: 500, End: 500 + len(reset)}},
	}
	for query, want := range map[string]string{
		"E02 是什么意思":                    "E02: wrong adapter voltage. Use the original adapter. [1]",
		"What does e01 mean?":          "E01: the battery is too hot. [1]",
		"How do I do a factory reset?": "With the lamp off, hold both keys. [1]\n\nRelease them after three flashes. [2]",
		"Is the factory in Berlin?":    textsEn().unknown,
	} {
		shy := unsure{ps}
		_, answer, err := ask(t, New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: shy}), kb.Question{Query: query})
		if err != nil || strings.TrimPrefix(answer, "- ") != want {
			t.Errorf("%s: %q, %v, want %q", query, answer, err, want)
		}
	}
}

// unsure finds passages and does not trust them.
type unsure struct{ passages []kb.Passage }

func (u unsure) Retrieve(context.Context, string, int) (kb.Found, error) {
	return kb.Found{Passages: u.passages, Abstain: true}, nil
}

func TestWhatMayBeRelatedIsShownAsThat(t *testing.T) {
	t.Parallel()
	text := "微信支付即时到账。"
	ps := []kb.Passage{{Chunk: kb.Chunk{ID: 1, Document: "d", Version: 1, Text: text, End: len(text)}}}
	for _, tt := range []struct {
		sure  float64
		query string
		shown bool
	}{{0.3, "微信支付多久到账？", true}, {0.05, "微信支付多久到账？", false}, {0.3, "量子计算机有多大？", false}} {
		sure, shown := tt.sure, tt.shown
		found := kb.Found{Passages: ps, Quotes: []kb.Quote{{End: len(text), Score: sure}}, Answerable: sure, Abstain: true}
		evs, answer, err := ask(t, New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: fixed(found)}), kb.Question{Query: tt.query})
		m := end(evs).Metadata
		if err != nil || !m.Abstained || strings.Contains(answer, text) != shown || strings.HasPrefix(answer, textsZh().related) != shown || len(end(evs).Sources) > 0 != shown {
			t.Errorf("at %.1f: %q, %+v, %v", sure, answer, m, err)
		}
	}
}

// fixed finds the same for every question.
type fixed kb.Found

func (f fixed) Retrieve(context.Context, string, int) (kb.Found, error) { return kb.Found(f), nil }

func TestASessionThatTimedOutRefersToNothing(t *testing.T) {
	t.Parallel()
	m, s := &memory{}, &shelf{word: "企业版", text: "x"}
	c := New(Config{SessionTimeout: time.Hour}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: s})
	evs, _, err := ask(t, c, kb.Question{Query: "企业版支持单点登录吗？"})
	if err != nil {
		t.Fatal(err)
	}
	m.turns[0].CreatedAt = time.Now().Add(-2 * time.Hour)
	if _, _, err := ask(t, c, kb.Question{Query: "那价格呢", Session: evs[0].Session}); err != nil {
		t.Fatal(err)
	}
	if got := s.asked[len(s.asked)-1]; got != "那价格呢" {
		t.Errorf("searched for %q", got)
	}
}

func TestHandoffSilencesTheAssistant(t *testing.T) {
	t.Parallel()
	m, s := &memory{}, &shelf{word: "保修", text: "x"}
	c := New(Config{HandoffTimeout: time.Minute}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: s})
	evs, answer, err := ask(t, c, kb.Question{Query: "转人工"})
	if err != nil || answer != textsZh().handoff || end(evs).Route != kb.Handoff || end(evs).Metadata.State != "waiting" {
		t.Fatalf("%q, %+v, %v", answer, end(evs), err)
	}
	id := evs[0].Session
	evs, answer, err = ask(t, c, kb.Question{Query: "保修多久？", Session: id})
	if err != nil || answer != "" || end(evs).Metadata.State != "waiting" || len(s.asked) != 0 {
		t.Errorf("while waiting the assistant said %q (%v), searched %v", answer, err, s.asked)
	}
	if !drops("算了，不用了") || !drops("forget it, never mind please") {
		t.Error("letting go of a request is not understood")
	}
	_, answer, err = ask(t, c, kb.Question{Query: "取消转人工", Session: id})
	if err != nil || answer != textsZh().cancelled+textsZh().next || m.session.State != kb.StateAI {
		t.Errorf("cancel: %q, %v, state %s", answer, err, m.session.State)
	}
	if _, _, err = ask(t, c, kb.Question{Query: "talk to a human", Session: id}); err != nil {
		t.Fatal(err)
	}
	m.session.StateAt = time.Now().Add(-2 * time.Minute)
	evs, answer, err = ask(t, c, kb.Question{Query: "保修多久？", Session: id})
	if err != nil || !strings.HasPrefix(answer, textsZh().nobody) || !strings.Contains(answer, "[1]") || end(evs).Metadata.State != "" {
		t.Errorf("after the timeout: %q, %+v, %v", answer, end(evs).Metadata, err)
	}
}

func TestSessionsOfOthersAreNotJoined(t *testing.T) {
	t.Parallel()
	m := &memory{session: kb.Session{ID: "theirs", Owner: "key_1", State: kb.StateHuman}}
	c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{}})
	evs, _, err := ask(t, c, kb.Question{Query: "hello", Session: "theirs"})
	if err == nil && evs[0].Session == "theirs" {
		t.Error("a visitor joined the session of a key")
	}
	m.session = kb.Session{}
	evs, _, err = ask(t, c, kb.Question{Query: "hello", Session: "mine", Owner: "key_1"})
	if err != nil || evs[0].Session != "mine" {
		t.Errorf("a caller with a key got session %q, %v, want its own id", evs[0].Session, err)
	}
}

func TestNoEndWithoutHavingSaved(t *testing.T) {
	t.Parallel()
	down := kb.E(kb.Unavailable, nil, "store down")
	evs, _, err := ask(t, New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{fail: down}, Retriever: &shelf{word: "a", text: "x"}}), kb.Question{Query: "what is a b c d e f g h"})
	if !errors.Is(err, error(down)) {
		t.Errorf("err = %v, want the store's", err)
	}
	for _, ev := range evs {
		if ev.Type == kb.EventEnd {
			t.Error("end was told for a turn that was not saved")
		}
	}
}

func TestATurnIsKeptWhenTheReaderLeaves(t *testing.T) {
	t.Parallel()
	m := &memory{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for ev, err := range New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{word: "保修", text: "x"}}).Answer(ctx, kb.Question{Query: "保修多久？"}) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type == kb.EventChunk {
			cancel()
		}
	}
	if len(m.turns) != 1 {
		t.Errorf("%d turns kept, want 1", len(m.turns))
	}
}

func TestQuestionsAreChecked(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"": "empty", " \x00\t\n": "empty", "\xff\xfe": "UTF-8", strings.Repeat("问", MaxQueryRunes+1): "too long",
	} {
		evs, _, err := ask(t, New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: &shelf{}}), kb.Question{Query: query})
		if kb.KindOf(err) != kb.Invalid || !strings.Contains(fmt.Sprint(err), want) || len(evs) != 0 {
			t.Errorf("%.10q: %v after %d events, want invalid (%s) before any", query, err, len(evs), want)
		}
	}
}

func TestUnderstand(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]intent{
		"你好":               {route: kb.Direct, act: actGreet},
		"您好，在吗？":           {route: kb.Direct, act: actGreet},
		"Hi there!":        {route: kb.Direct, act: actGreet},
		"谢谢你的帮助":           {route: kb.Direct, act: actThanks},
		"ok thanks":        {route: kb.Direct, act: actThanks},
		"再见":               {route: kb.Direct, act: actBye},
		"你是谁？":             {route: kb.Direct, act: actWho},
		"What can you do?": {route: kb.Direct, act: actWho},
		"转人工":              {route: kb.Handoff},
		"我要转人工客服":          {route: kb.Handoff},
		"帮我找个真人":           {route: kb.Handoff},
		"可以转人工吗":           {route: kb.Handoff},
		"人工":               {route: kb.Handoff},
		"我想和真人聊聊":          {route: kb.Handoff},
		"talk to a human":  {route: kb.Handoff},
		"I want to speak with a real person please": {route: kb.Handoff},
		"Can I talk to an agent?":                   {route: kb.Handoff},
		"human agent please":                        {route: kb.Handoff},
		"你好，台灯保修多久？":                                {route: kb.Knowledge},
		"如何转人工？":                                    {route: kb.Knowledge},
		"人工客服的工作时间是几点到几点？":                          {route: kb.Knowledge},
		"How do I add a human input node?":          {route: kb.Knowledge},
		"What does the agent node do?":              {route: kb.Knowledge},
		"人工智能是什么？":                                  {route: kb.Knowledge},
		"不要转人工":                                     {route: kb.Direct, act: actCancel},
		"我不需要人工客服，谢谢":                               {route: kb.Direct, act: actCancel},
		"Please don't transfer me to a human":       {route: kb.Direct, act: actCancel},
		"轉人工":                                       {route: kb.Handoff},
		"我特别要找人工客服":                                 {route: kb.Handoff},
		"no human please":                           {route: kb.Direct, act: actCancel},
		"好的，不用转人工了，谢谢。":                             {route: kb.Direct, act: actCancel},
		"不要转人工，你能帮我吗？":                              {route: kb.Direct, act: actCancel},
		"不要转人工，你是谁？":                                {route: kb.Direct, act: actWho},
		"该产品不需要人工干预":                                {route: kb.Knowledge},
		"台灯坏了，取消":                                   {route: kb.Knowledge},
		"客服":                                        {route: kb.Handoff},
		"please connect me to customer service":     {route: kb.Handoff},
		"can I talk to someone?":                    {route: kb.Handoff},
		"I want to complain":                        {route: kb.Handoff},
		"台灯能转人工照明吗":                                 {route: kb.Knowledge},
		"转人工要多久":                                    {route: kb.Knowledge},
		"👋":                                         {route: kb.Direct, act: actGreet},
		"《战国无双3》是由哪两个公司合作开发的？":                      {route: kb.Knowledge},
		"How do I connect an agent to my app?":      {route: kb.Knowledge},
	} {
		if got, _ := understand(query); got.route != want.route || got.act != want.act {
			t.Errorf("understand(%q) = %+v, want %+v", query, got, want)
		}
	}
}

func TestAMessageWithoutLettersIsAnsweredInTheLanguageOfItsSender(t *testing.T) {
	t.Parallel()
	m := &memory{}
	c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{}})
	for _, tt := range []struct {
		query string
		wish  kb.Lang
		want  kb.Lang
	}{
		{"？？？", "", kb.Zh},
		{"？？？", kb.En, kb.Zh}, // nobody types these signs in English
		{"???", "", kb.En},
		{"👍", kb.Zh, kb.Zh},
		{"...", kb.Zh, kb.Zh},
		{"hello", kb.Zh, kb.En},
	} {
		evs, _, err := ask(t, c, kb.Question{Query: tt.query, Lang: tt.wish})
		if err != nil || end(evs).Metadata.Lang != tt.want {
			t.Errorf("%s of one who wishes %q is answered in %q, %v; want %q", tt.query, tt.wish, end(evs).Metadata.Lang, err, tt.want)
		}
	}
	evs, _, err := ask(t, c, kb.Question{Query: "你好"})
	if err != nil {
		t.Fatal(err)
	}
	m.turns[len(m.turns)-1].CreatedAt = time.Now().Add(-2 * time.Hour) // long ago, and in Chinese
	evs, _, err = ask(t, c, kb.Question{Query: "👍", Session: evs[0].Session, Lang: kb.En})
	if err != nil || end(evs).Metadata.Lang != kb.Zh {
		t.Errorf("in a Chinese conversation a sign is answered in %q, %v", end(evs).Metadata.Lang, err)
	}
}

func TestOnlyQuestionsWithoutAnAnswerAreMissed(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]kb.Miss{
		"火星基地什么时候开业？": kb.MissNotFound,
		"台灯保修多久？":     "",
		"你好":          "",
		"转人工":         "",
		"不要转人工":       "",
		"？？？":         "",
		"我的订单":        "",
	} {
		m := &memory{}
		c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{word: "保修", text: "保修 24 个月。"}, Orders: lampShop()})
		if _, _, err := ask(t, c, kb.Question{Query: query}); err != nil || len(m.turns) != 1 || m.turns[0].Metadata.Missed != want {
			t.Errorf("%s is kept as %+v, %v; want one turn missed for %q", query, m.turns, err, want)
		}
	}
}
