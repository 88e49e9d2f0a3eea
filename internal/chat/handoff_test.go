package chat

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// takenOver is a memory where somebody moves the session before a turn is kept.
type takenOver struct {
	memory
	moves []kb.SessionState // one before each attempt
}

func (m *takenOver) SaveTurn(ctx context.Context, t kb.Turn, owner string, before, after kb.SessionState, reason string) error {
	if len(m.moves) > 0 {
		m.session.ID, m.session.State, m.session.StateAt, m.moves = t.Session, m.moves[0], time.Now(), m.moves[1:]
	}
	if m.session.ID != "" && m.session.State != before {
		return kb.E(kb.Conflict, nil, "taken over").With("state", m.session.State)
	}
	return m.memory.SaveTurn(ctx, t, owner, before, after, reason)
}

func TestAnAnswerThatAHumanOvertakesIsLate(t *testing.T) {
	t.Parallel()
	for state, note := range map[kb.SessionState]string{kb.StateHuman: textsZh().taken, kb.StateWaiting: textsZh().queued} {
		m := &takenOver{moves: []kb.SessionState{state}}
		c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{word: "保修", text: "保修 24 个月。"}})
		evs, _, err := ask(t, c, kb.Question{Query: "保修多久？"})
		if err != nil {
			t.Fatal(err)
		}
		e := end(evs)
		if e.Type != kb.EventHandoff || e.Content != note || !e.Metadata.Late || e.Metadata.State != string(state) {
			t.Errorf("%s: the last event is %+v, %+v; want a handoff", state, e, e.Metadata)
		}
		if len(m.turns) != 1 || !m.turns[0].Metadata.Late || m.session.State != state {
			t.Errorf("%s: kept %+v in state %s; want one late turn that moves nothing", state, m.turns, m.session.State)
		}
	}
}

func TestAMessageFollowsAConversationThatChangesHands(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		starts, moves kb.SessionState
		query         string
		says          string // part of what the customer reads
		ends          kb.SessionState
	}{
		"accepted while a message was on its way": {kb.StateWaiting, kb.StateHuman, "保修多久？", "", kb.StateHuman},
		"given back meanwhile":                    {kb.StateWaiting, kb.StateAI, "保修多久？", "24 个月", kb.StateAI},
		"cancelled while an agent accepted":       {kb.StateWaiting, kb.StateHuman, "取消转人工", textsZh().cancelled, kb.StateAI},
		"cancelled when it was over":              {kb.StateHuman, kb.StateAI, "取消转人工", textsZh().cancelled, kb.StateAI},
		"asked for twice":                         {kb.StateAI, kb.StateWaiting, "转人工", textsZh().handoff, kb.StateWaiting},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &takenOver{moves: []kb.SessionState{tt.moves}}
			m.session = kb.Session{ID: "s", State: tt.starts, StateAt: time.Now()}
			c := New(Config{}, nil, slog.New(slog.DiscardHandler)).For(Tenant{Memory: m, Retriever: &shelf{word: "保修", text: "保修 24 个月。"}})
			evs, text, err := ask(t, c, kb.Question{Query: tt.query, Session: "s"})
			if err != nil {
				t.Fatal(err)
			}
			starts := 0
			for _, e := range evs {
				if e.Type == kb.EventStart {
					starts++
				}
			}
			if e := end(evs); e.Type != kb.EventEnd || e.Metadata.Late || starts != 1 || m.session.State != tt.ends || len(m.turns) != 1 {
				t.Errorf("ended %+v %+v after %d starts, state %s, %d turns", e, e.Metadata, starts, m.session.State, len(m.turns))
			}
			if !strings.Contains(text, tt.says) || tt.says == "" && text != "" {
				t.Errorf("said %q, want %q", text, tt.says)
			}
		})
	}
}
