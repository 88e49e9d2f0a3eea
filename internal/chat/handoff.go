package chat

import (
	"context"
	"errors"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// handOff passes the conversation on to a human, with exactly one note.
func (a *answer) handOff() error {
	a.turn.Route, a.after, a.reason = kb.Handoff, kb.StateWaiting, "requested"
	a.set(textsOf(a.turn.Lang).handoff)
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
	case a.intent.act == actCancel, a.session.State == kb.StateWaiting && drops(a.turn.Query):
		a.intent = intent{route: kb.Direct, act: actCancel, confidence: 1}
		a.reason = "cancelled"
		return true, a.say(texts.cancelled + texts.next)
	case a.refuses:
		a.reason = "cancelled"
		a.opening = texts.cancelled + "\n\n"
		return false, a.say(a.opening)
	case a.session.State == kb.StateWaiting && a.turn.CreatedAt.Sub(a.session.StateAt) > a.engine.cfg.HandoffTimeout:
		a.opening = texts.nobody + "\n\n"
		return false, a.say(a.opening)
	}
	a.after = a.session.State
	return true, nil
}

// keep remembers the turn, whoever has the conversation by now. An answer that
// a human overtook is kept as late: it moves nothing. A turn that said nothing
// is kept only if nothing changed; otherwise keep returns kb.Conflict.
func (a *answer) keep(ctx context.Context) error {
	err := a.remember(ctx)
	for range maxTries {
		state, moved := movedTo(err)
		if !moved || a.turn.Answer == "" {
			return err
		}
		a.session.State = state
		switch {
		case a.intent.act == actCancel, a.refuses:
			// Taken back, from whomever.
		case state == kb.StateAI:
			a.after = kb.StateAI
		default:
			a.after = state
			a.turn.Metadata.Late = a.intent.route != kb.Handoff
		}
		err = a.remember(ctx)
	}
	return err
}

// movedTo returns the state a session is in if a turn was refused for it.
func movedTo(err error) (kb.SessionState, bool) {
	e, ok := errors.AsType[*kb.Error](err)
	if !ok || e.Kind != kb.Conflict {
		return "", false
	}
	state, ok := e.Details["state"].(kb.SessionState)
	return state, ok
}
