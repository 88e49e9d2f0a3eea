package chat

import (
	"github.com/eino-qa/eino-qa/internal/kb"
)

// handOff passes the conversation on to a human, with exactly one note.
func (a *answer) handOff() error {
	a.turn.Route, a.after, a.reason = kb.Handoff, kb.StateWaiting, "requested"
	a.turn.Answer = textsOf(a.turn.Lang).handoff
	return a.emit(kb.Event{Type: kb.EventHandoff, Content: a.turn.Answer})
}

// waiting answers while a human has the conversation, or is waited for: the
// assistant is silent, unless the customer takes the request back or nobody
// came in time. done is false when the assistant has the conversation again
// and should answer.
func (a *answer) waiting() (done bool, err error) {
	texts := textsOf(a.turn.Lang)
	a.turn.Route = kb.Handoff
	switch {
	case a.intent.act == actCancel:
		a.reason = "cancelled"
		return true, a.say(texts.cancelled)
	case a.session.State == kb.StateWaiting && a.began.Sub(a.session.StateAt) > a.engine.cfg.HandoffTimeout:
		a.opening = texts.nobody + "\n\n"
		return false, a.say(a.opening)
	}
	a.after = a.session.State
	return true, nil
}
