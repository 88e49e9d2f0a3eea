// Package chat answers questions: understand, route, answer with quotes that
// can be checked, remember. One answer is a sequence of events; the JSON form
// is that sequence drained. It assumes nothing about where turns are kept or
// how passages are found: see the interfaces.
package chat

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Memory keeps the conversations of one tenant.
type Memory interface {
	// Session returns a session and its last turns, oldest first, or kb.NotFound.
	Session(ctx context.Context, id kb.SessionID, owner string, turns int) (kb.Session, []kb.Turn, error)
	// SaveTurn remembers t and moves its session from before to after, or
	// returns kb.Conflict if the session is not in before.
	SaveTurn(ctx context.Context, t kb.Turn, owner string, before, after kb.SessionState, reason string) error
}

// Retriever finds passages of one tenant.
type Retriever interface {
	Retrieve(ctx context.Context, question string, n int) (kb.Found, error)
}

// Tenant is what answering needs of one tenant.
type Tenant struct {
	Memory    Memory
	Retriever Retriever
}

// Config tunes answering. The zero value means the defaults.
type Config struct {
	TopK           int           // passages to look at; default 5
	HistoryTurns   int           // turns a follow-up may refer to; default 10
	SessionTimeout time.Duration // a follow-up refers to nothing older; default 30 m
	HandoffTimeout time.Duration // waiting for a human ends after; default 10 m
}

func (c Config) withDefaults() Config {
	if c.TopK <= 0 {
		c.TopK = 5
	}
	if c.HistoryTurns <= 0 {
		c.HistoryTurns = 10
	}
	if c.SessionTimeout <= 0 {
		c.SessionTimeout = 30 * time.Minute
	}
	if c.HandoffTimeout <= 0 {
		c.HandoffTimeout = 10 * time.Minute
	}
	return c
}

// Engine answers for all tenants. It keeps nothing between answers.
type Engine struct{ cfg Config }

// New returns an engine.
func New(cfg Config) *Engine { return &Engine{cfg: cfg.withDefaults()} }

// MaxQueryRunes bounds a question; a longer one is a document, not a question.
const MaxQueryRunes = 4000

// errStopped ends an answer whose reader has left.
var errStopped = errors.New("reader left")

// Chat is an engine that answers for one tenant.
type Chat struct {
	engine *Engine
	tenant Tenant
}

// For returns the engine bound to a tenant.
func (e *Engine) For(t Tenant) *Chat { return &Chat{engine: e, tenant: t} }

// Answer yields the events of one answer: start first, end or error last. An
// error beside an event ends the sequence: before start nothing has happened;
// after it the turn was not remembered.
func (c *Chat) Answer(ctx context.Context, q kb.Question) iter.Seq2[kb.Event, error] {
	return func(yield func(kb.Event, error) bool) {
		a := &answer{engine: c.engine, tenant: c.tenant, began: time.Now(), emit: func(ev kb.Event) error {
			if !yield(ev, nil) {
				return errStopped
			}
			return nil
		}}
		if err := a.run(ctx, q); err != nil && !errors.Is(err, errStopped) {
			yield(kb.Event{}, err)
		}
	}
}

// answer is one answer on its way.
type answer struct {
	engine *Engine
	tenant Tenant
	began  time.Time
	emit   func(kb.Event) error

	owner   string
	session kb.Session
	history []kb.Turn // younger than the session timeout, oldest first
	turn    kb.Turn
}

// outcome is what a route made of the question.
type outcome struct {
	after  kb.SessionState
	reason string // of a change of state
}

func (a *answer) run(ctx context.Context, req kb.Question) error {
	query, err := cleanQuery(req.Query)
	if err != nil {
		return err
	}
	if err := a.recall(ctx, req); err != nil {
		return err
	}
	a.turn = kb.Turn{
		ID: kb.TurnID(kb.NewID("turn", a.began)), Session: a.session.ID, Query: query, Condensed: query,
		Lang: languageOf(query), Sources: []kb.Citation{}, CreatedAt: a.began,
	}
	if err := a.emit(kb.Event{Type: kb.EventStart, Session: a.session.ID, Turn: a.turn.ID}); err != nil {
		return err
	}
	out, err := a.route(ctx)
	if err != nil {
		return err
	}
	return a.remember(ctx, out)
}

// recall loads the session, or begins one. What is older than the session
// timeout is not referred to.
func (a *answer) recall(ctx context.Context, req kb.Question) error {
	a.owner = req.Owner
	if req.Session != "" {
		s, turns, err := a.tenant.Memory.Session(ctx, req.Session, req.Owner, a.engine.cfg.HistoryTurns)
		if err == nil {
			a.session = s
			for _, t := range turns {
				if a.began.Sub(t.CreatedAt) < a.engine.cfg.SessionTimeout {
					a.history = append(a.history, t)
				}
			}
			return nil
		}
		if kb.KindOf(err) != kb.NotFound {
			return err
		}
	}
	a.session = kb.Session{ID: kb.NewSessionID(), Owner: req.Owner, State: kb.StateAI}
	if req.Owner != "" && req.Session != "" { // a caller with a key chooses its ids
		a.session.ID = req.Session
	}
	return nil
}

// route answers by the session's state first, then by what is asked.
func (a *answer) route(ctx context.Context) (outcome, error) {
	before := a.session.State
	intent := understand(a.turn.Query)
	a.turn.Metadata.Intent, a.turn.Metadata.Confidence = intent.route, intent.confidence
	if before != kb.StateAI {
		if out, done, err := a.waiting(intent); done || err != nil {
			return out, err
		}
	}
	if err := a.emit(kb.Event{Type: kb.EventStage, Stage: "understand", Route: intent.route}); err != nil {
		return outcome{}, err
	}
	a.turn.Route = intent.route
	switch intent.route {
	case kb.Direct:
		return outcome{after: kb.StateAI, reason: "timeout"}, a.say(textsOf(a.turn.Lang).direct[intent.act])
	case kb.Handoff:
		return outcome{after: kb.StateWaiting, reason: "requested"}, a.handOff()
	}
	return outcome{after: kb.StateAI, reason: "timeout"}, a.fromKnowledge(ctx)
}

// say adds text to the answer.
func (a *answer) say(text string) error {
	a.turn.Answer += text
	return a.emit(kb.Event{Type: kb.EventChunk, Content: text})
}

// remember commits the turn, then ends the sequence: an end event means that
// the turn is durable.
func (a *answer) remember(ctx context.Context, out outcome) error {
	m := &a.turn.Metadata
	m.TurnID, m.Lang = a.turn.ID, a.turn.Lang
	m.Timestamp = a.began.Unix()
	m.DurationMS = time.Since(a.began).Milliseconds()
	if out.after != kb.StateAI {
		m.State = string(out.after)
	}
	// The reader may leave now; what was answered is remembered all the same.
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	err := a.tenant.Memory.SaveTurn(save, a.turn, a.owner, a.session.State, out.after, out.reason)
	if err != nil {
		return err
	}
	return a.emit(kb.Event{Type: kb.EventEnd, Session: a.session.ID, Route: a.turn.Route, Sources: a.turn.Sources, Metadata: m})
}

// saveTime bounds the commit of a turn.
const saveTime = 10 * time.Second

// cleanQuery returns the question without control characters and outer blanks.
func cleanQuery(q string) (string, error) {
	if !utf8.ValidString(q) {
		return "", kb.E(kb.Invalid, nil, "query: send valid UTF-8").With("field", "query")
	}
	q = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || r == '\ufeff' {
			return -1
		}
		return r
	}, q))
	if q == "" {
		return "", kb.E(kb.Invalid, nil, "query: ask something; it is empty").With("field", "query")
	}
	if n := utf8.RuneCountInString(q); n > MaxQueryRunes {
		return "", kb.E(kb.Invalid, nil, "query: %d characters are too long for a question; use at most %d, and upload documents instead", n, MaxQueryRunes).With("field", "query")
	}
	return q, nil
}

// languageOf tells whom we answer: Han characters make it Chinese.
func languageOf(q string) kb.Lang {
	for _, r := range q {
		if unicode.Is(unicode.Han, r) {
			return kb.Zh
		}
	}
	return kb.En
}
