package chat

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestWhoRefusesAHumanAndAsksIsAnswered(t *testing.T) {
	t.Parallel()
	for query, asked := range map[string]string{
		"我不要转人工，台灯保修多久？":                                                         "台灯保修多久？",
		"台灯保修多久？不要转人工！":                                                          "台灯保修多久？",
		"别转人工台灯保修多久":                                                             "台灯保修多久",
		"不需要人工客服，请告诉我保修政策":                                                       "请告诉我保修政策",
		"請不要轉人工，檯燈保修多久？":                                                         "檯燈保修多久？",
		"no human please, how long is the lamp's 保修?":                            "how long is the lamp's 保修?",
		"I don't want to talk to a human. What does the 保修 cover, up to 3.5 kg?": "What does the 保修 cover, up to 3.5 kg?",
		"Please don't transfer me to a human but tell me about the 保修 terms":     "tell me about the 保修 terms",
	} {
		s := &shelf{word: "保修", text: "保修 24 个月。"}
		c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: s})
		evs, answer, err := ask(t, c, kb.Question{Query: query})
		if err != nil || end(evs).Route != kb.Knowledge || !strings.Contains(answer, "24 个月") {
			t.Errorf("%s: %q by %s, %v", query, answer, end(evs).Route, err)
		}
		if len(s.asked) == 0 || s.asked[0] != asked {
			t.Errorf("%s: searched for %q, want %q", query, s.asked, asked)
		}
	}
}

func TestWhoWaitsForAHumanRefusesAndAsksIsAnsweredByTheAssistant(t *testing.T) {
	t.Parallel()
	m := &memory{session: kb.Session{ID: "s", State: kb.StateWaiting, StateAt: time.Now()}}
	c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{word: "保修", text: "保修 24 个月。"}})
	_, answer, err := ask(t, c, kb.Question{Query: "不要转人工了，台灯保修多久？", Session: "s"})
	if err != nil || !strings.HasPrefix(answer, textsZh().cancelled) || !strings.Contains(answer, "24 个月") || m.session.State != kb.StateAI {
		t.Errorf("%q in state %s, %v", answer, m.session.State, err)
	}
}

// TestADeviceThatDoesNotConnectRefusesNobody: what is asked about it is kept whole.
func TestADeviceThatDoesNotConnectRefusesNobody(t *testing.T) {
	t.Parallel()
	for _, q := range []string{"Why does the speaker not connect to wifi?", "The device does not connect, how do I fix it?"} {
		if question, refuses := refusal(q); refuses {
			t.Errorf("%q refuses a human, and asks %q", q, question)
		}
	}
}

// TestWhoWantsNoMachineWantsAHuman: not the other way round.
func TestWhoWantsNoMachineWantsAHuman(t *testing.T) {
	t.Parallel()
	for q, human := range map[string]bool{
		"I do not like to talk to bots, connect me to a human": true,
		"I don't want to speak to a bot. Human please.":        true,
		"I don't want to talk to a robot":                      true,
		"I don't want to talk to anyone":                       false,
		"I do not want to speak with a real person":            false,
		"I don't want to talk.":                                false,
		"don't connect me, I do not need a human":              false,
	} {
		c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: &memory{}, Retriever: &shelf{word: "保修", text: "保修 24 个月。"}})
		evs, answer, err := ask(t, c, kb.Question{Query: q})
		if got := end(evs).Route == kb.Handoff && !strings.Contains(answer, textsEn().cancelled); err != nil || got != human {
			t.Errorf("%q: %q by %s, %v; want a human: %t", q, answer, end(evs).Route, err, human)
		}
	}
}
