package chat

import (
	"github.com/eino-qa/eino-qa/internal/kb"
)

// handOff passes the conversation on to a human, with exactly one note.
func (a *answer) handOff() error {
	note := textsOf(a.turn.Lang).handoff
	a.turn.Answer = note
	return a.emit(kb.Event{Type: kb.EventHandoff, Content: note})
}

// waiting answers while a human has the conversation, or is waited for: the
// assistant is silent, unless the customer takes the request back or nobody
// came in time. done is false when the assistant has the conversation again
// and should answer.
func (a *answer) waiting(i intent) (out outcome, done bool, err error) {
	texts := textsOf(a.turn.Lang)
	since := a.began.Sub(a.session.StateAt)
	switch {
	case i.act == actCancel:
		a.turn.Route = kb.Handoff
		return outcome{after: kb.StateAI, reason: "cancelled"}, true, a.say(texts.cancelled)
	case a.session.State == kb.StateWaiting && since > a.engine.cfg.HandoffTimeout:
		return outcome{}, false, a.say(texts.nobody + "\n\n")
	}
	a.turn.Route = kb.Handoff
	return outcome{after: a.session.State}, true, nil
}
