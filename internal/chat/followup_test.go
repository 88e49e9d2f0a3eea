package chat

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// manual finds the one sentence of a manual that has all a question's names,
// and abstains from questions for two things at once, as retrieval does.
type manual struct{ asked []string }

func (m *manual) Retrieve(_ context.Context, q string, _ int) (kb.Found, error) {
	m.asked = append(m.asked, q)
	f := kb.Found{Abstain: true}
	for i, p := range []struct{ thing, what, heading, text string }{
		{"云帆音箱", "续航", "云帆音箱 › 参数", "充满一次可以播放 18 小时，续航在同类里最长。"},
		{"云帆音箱", "价格", "云帆音箱 › 价格", "零售价格是 899 元。"},
		{"星河投影仪", "价格", "星河投影仪 › 价格", "零售价格是 3299 元。"},
	} {
		both := strings.Contains(q, "续航") && strings.Contains(q, "价格")
		if both || !strings.Contains(q, p.what) || !strings.Contains(q, p.thing) {
			continue
		}
		f = kb.Found{
			Answerable: 0.9, Quotes: []kb.Quote{{End: len(p.text), Score: 0.9}},
			Passages: []kb.Passage{{Score: 0.9, Chunk: kb.Chunk{ID: kb.ChunkID(i + 1), Document: "d", Version: 1, Title: "手册", Heading: p.heading, Text: p.text, End: len(p.text)}}},
		}
	}
	return f, nil
}

func TestAFollowUpDropsWhatTheQuestionBeforeAskedFor(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first, then string
		want        string // in the answer; "" = it abstains
		condensed   string
	}{
		"the price of the same thing": {"云帆音箱续航多久？", "那价格呢", "899", "云帆音箱\n那价格呢"},
		"of one said in other words":  {"请问云帆音箱的续航怎么样", "它的价格是多少", "899", "云帆音箱\n它的价格是多少"},
		"of what the manual lacks":    {"云帆音箱续航多久？", "那重量呢", "", "那重量呢"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, r := &memory{}, new(manual)
			c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: r})
			evs, _, err := ask(t, c, kb.Question{Query: tt.first})
			if err != nil {
				t.Fatal(err)
			}
			evs, answer, err := ask(t, c, kb.Question{Query: tt.then, Session: evs[0].Session})
			if err != nil {
				t.Fatal(err)
			}
			if abstained := end(evs).Metadata.Abstained; abstained != (tt.want == "") || !strings.Contains(answer, tt.want) {
				t.Errorf("%q, abstained %t, after %q; want %q", answer, abstained, r.asked, tt.want)
			}
			if got := m.turns[1].Condensed; got != tt.condensed {
				t.Errorf("remembered as %q, want %q", got, tt.condensed)
			}
		})
	}
}

func TestAFollowUpOnWhatWasNotAnsweredIsNotAnsweredWithAnything(t *testing.T) {
	t.Parallel()
	for then, want := range map[string]bool{"那老板是谁呢": true, "那保修呢": false} {
		m := &memory{
			session: kb.Session{ID: "s", Owner: "k", State: kb.StateAI},
			turns:   []kb.Turn{{Session: "s", Route: kb.Knowledge, Query: "台灯有几种颜色？", Condensed: "台灯有几种颜色？", CreatedAt: time.Now(), Metadata: kb.Metadata{Abstained: true}}},
		}
		c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{word: "台灯", text: "台灯保修 24 个月。"}})
		evs, answer, err := ask(t, c, kb.Question{Query: then, Session: "s", Owner: "k"})
		if err != nil || end(evs).Metadata.Abstained != want {
			t.Errorf("%s: %q, %v; want abstained %t", then, answer, err, want)
		}
	}
}

func TestLongestCommon(t *testing.T) {
	t.Parallel()
	for _, tt := range [][3]string{
		{"云帆音箱续航多久", "手册\n云帆音箱 › 参数", "云帆音箱"},
		{"XM-300 保修多久", "xm-300 说明书", "xm-300"},
		{"保修多久", "退货", ""},
		{"的", "的", ""}, // one character is no name
		{"", "x", ""},
	} {
		if got := longestCommon(tt[0], tt[1]); got != tt[2] {
			t.Errorf("longestCommon(%q, %q) = %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}

func TestAMessageThatTurnsToSomethingElseIsAskedAlone(t *testing.T) {
	t.Parallel()
	for _, turn := range []string{"另外，", "还有，", "对了，", "By the way, "} {
		m := new(manual)
		c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: m})
		evs, _, err := ask(t, c, kb.Question{Query: "云帆音箱续航多久？"})
		if err != nil {
			t.Fatal(err)
		}
		const query = "星河投影仪的价格是多少？"
		_, answer, err := ask(t, c, kb.Question{Query: turn + query, Session: evs[0].Session})
		if err != nil || !strings.Contains(answer, "3299") || m.asked[1] != query {
			t.Errorf("%s: %q, %v, after a search for %q", turn, answer, err, m.asked[1])
		}
	}
}

// readsTheBeginning keeps what it is asked and answers it.
type readsTheBeginning struct{ asked string }

func (r *readsTheBeginning) Retrieve(_ context.Context, q string, _ int) (kb.Found, error) {
	r.asked = q
	const text = "退货运费由买家承担，保修期是 24 个月。"
	return kb.Found{
		Answerable: 0.9, Fits: true, Quotes: []kb.Quote{{End: len(text), Score: 0.9}},
		Passages: []kb.Passage{{Score: 0.9, Chunk: kb.Chunk{ID: 1, Document: "d", Version: 1, Title: "手册", Text: text, End: len(text)}}},
	}, nil
}

func TestATopicLeavesRoomForTheQuestion(t *testing.T) {
	t.Parallel()
	const read = 6000 // bytes that a search reads
	for name, first := range map[string]string{
		"a long first question": "台灯保修多久？" + strings.Repeat("它从桌子上掉了下来，", 350),
		"many follow-ups":       "台灯保修多久？",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &readsTheBeginning{}
			c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: r})
			evs, _, err := ask(t, c, kb.Question{Query: first})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 100 {
				query := "那第 " + strings.Repeat("九", i%9) + "年的运费要由谁来出呢"
				if _, _, err := ask(t, c, kb.Question{Query: query, Session: evs[0].Session}); err != nil {
					t.Fatal(err)
				}
				if len(r.asked) > read || !strings.HasPrefix(r.asked, "台灯保修多久？") || !strings.HasSuffix(r.asked, "\n"+query) {
					t.Fatalf("follow-up %d is searched for as %d bytes, %.40q … %q", i+1, len(r.asked), r.asked, r.asked[max(0, len(r.asked)-80):])
				}
			}
		})
	}
}
