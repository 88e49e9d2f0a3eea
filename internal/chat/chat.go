// Package chat answers questions: understand, route, answer with quotes that
// can be checked, remember. One answer is a sequence of events; the JSON form
// is that sequence drained. It assumes nothing about where turns are kept or
// how passages are found: see the interfaces.
package chat

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/aside"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
)

// Memory keeps the conversations of one tenant.
type Memory interface {
	// Session returns a session and its last turns, oldest first, or kb.NotFound.
	Session(ctx context.Context, id kb.SessionID, owner string, turns int) (kb.Session, []kb.Turn, error)
	// SaveTurn remembers t and moves its session from before to after, or
	// returns kb.Conflict if the session is not in before.
	SaveTurn(ctx context.Context, t kb.Turn, owner string, before, after kb.SessionState, reason string) error
}

// Retriever finds passages of one tenant. The question is the last line; lines
// before it are what the conversation is about.
type Retriever interface {
	Retrieve(ctx context.Context, question string, n int) (kb.Found, error)
}

// Tenant is what answering needs of one tenant.
type Tenant struct {
	ID        kb.TenantID
	Memory    Memory
	Retriever Retriever
	Orders    Orders // nil: none to look at
	Model     string // chat model the tenant chose; "" = the configured one
}

// Config tunes answering. The zero value means the defaults.
type Config struct {
	TopK           int           // passages to look at; default 5
	HistoryTurns   int           // turns a follow-up may refer to; default 10
	SessionTimeout time.Duration // a follow-up refers to nothing older; default 30 m
	HandoffTimeout time.Duration // waiting for a human ends after; default 10 m
	// IntentConfidence is what a model's reading of a message needs at least; a
	// question it is less sure of goes to the knowledge base. Default 0.6.
	IntentConfidence float64
	// ScoreThreshold is the confidence an answer needs at least, 0 to 1; 0
	// leaves it to the calibrated default of retrieval.
	ScoreThreshold float64
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
	if c.IntentConfidence <= 0 {
		c.IntentConfidence = 0.6
	}
	return c
}

// Engine answers for all tenants. It keeps nothing between answers.
type Engine struct {
	cfg    Config
	models *llm.Client // nil: no chat model
	log    *slog.Logger
	graph  func() (runnable, error)
}

// New returns an engine. models may be nil or without a chat model: then
// answers are quoted sentences.
func New(cfg Config, models *llm.Client, log *slog.Logger) *Engine {
	if models != nil && !models.HasChat() {
		models = nil
	}
	e := &Engine{cfg: cfg.withDefaults(), models: models, log: log}
	e.graph = sync.OnceValues(e.compile)
	return e
}

// failed logs a model call that an answer went on without, once an answer. A
// call that was not made because the ones before failed says nothing new.
func (a *answer) failed(ctx context.Context, err error) {
	level := slog.LevelWarn
	if a.warned || errors.Is(err, llm.ErrCircuitOpen) {
		level = slog.LevelDebug
	}
	a.warned = a.warned || level == slog.LevelWarn
	a.engine.log.Log(ctx, level, "model failed, answering without it", "error", err)
}

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
		a := &answer{Chat: c, turn: kb.Turn{CreatedAt: time.Now()}, emit: func(ev kb.Event) error {
			if !yield(ev, nil) {
				return errStopped
			}
			return nil
		}}
		if err := a.run(ctx, q); err != nil && !errors.Is(err, errStopped) {
			fail(yield, err)
		}
	}
}

// fail ends a sequence with err. Inlined, the empty event would take stack of a
// caller that waits for a model.
//
//go:noinline
func fail(yield func(kb.Event, error) bool, err error) { yield(kb.Event{}, err) }

// answer is one answer on its way: the state that travels through the graph.
// There is one for each live stream: what another field tells is not in it twice.
type answer struct {
	*Chat
	emit func(kb.Event) error

	spoken  kb.Lang // in this session so far; "" = nothing
	wishes  kb.Lang // the customer's program, for messages that say nothing; "" = it does not say
	user    string  // proven
	addr    string  // of the client
	session kb.Session
	history []kb.Turn       // younger than the session timeout, oldest first
	turn    kb.Turn         // CreatedAt is when the answer began
	asks    string          // turn.Query, without the refusal of a human
	refuses bool            // there was one beside a question
	warned  bool            // that a model failed
	strange bool            // the question has a code that nothing found has
	text    strings.Builder // turn.Answer is its String: it grows without being copied
	intent  intent
	inquiry *inquiry // of route order; nil: it says nothing about one
	found   kb.Found
	opening string // said before the answer itself: nobody came
	spent   sync.Mutex
	usage   kb.Usage        // of models so far; guarded by spent
	after   kb.SessionState // of the session when the turn is kept
	reason  string          // of a change of state
}

func (a *answer) run(ctx context.Context, req kb.Question) error {
	query, err := cleanQuery(req.Query)
	if err != nil {
		return err
	}
	a.user, a.addr, a.wishes = req.User, req.Addr, req.Lang
	id := kb.TurnID(kb.NewID("turn", a.turn.CreatedAt))
	for try := 1; ; try++ {
		aside.Do(func() { err = a.recall(ctx, req) })
		if err != nil {
			return err
		}
		a.begin(id, query)
		a.after, a.reason = kb.StateAI, "timeout" // the reason if it had waited for a human
		if try == 1 {
			if err := a.start(); err != nil {
				return err
			}
		}
		err = a.answer(ctx)
		if errors.Is(err, errStopped) || err != nil && ctx.Err() != nil && a.turn.Answer != "" {
			a.turn.Metadata.Interrupted = true
			return errors.Join(err, a.keep(ctx))
		}
		if err != nil {
			return err
		}
		// Nothing was said, and the conversation changed hands: it may be ours
		// to answer by now.
		if err = a.end(ctx); a.turn.Answer != "" || kb.KindOf(err) != kb.Conflict || try == maxTries {
			return err
		}
	}
}

// begin makes the turn anew. Inlined, its literal would take stack of a caller
// that waits for a model.
//
//go:noinline
func (a *answer) begin(id kb.TurnID, query string) {
	a.text.Reset()
	a.asks, a.refuses = query, false
	a.turn = kb.Turn{
		ID: id, Session: a.session.ID, Query: query, Condensed: query,
		Lang: a.language(query), Sources: []kb.Citation{}, CreatedAt: a.turn.CreatedAt,
	}
}

// start sends the first event.
//
//go:noinline
func (a *answer) start() error {
	return a.emit(kb.Event{Type: kb.EventStart, Session: a.session.ID, Turn: a.turn.ID})
}

// stage tells what is done now.
//
//go:noinline
func (a *answer) stage(name string) error {
	return a.emit(kb.Event{Type: kb.EventStage, Stage: name, Route: a.turn.Route})
}

// maxTries bounds how often a message follows a conversation that changes
// hands; each change is somebody's decision, so a second is rare.
const maxTries = 3

// answer takes a message that a human is to see out of the way, and sends all
// others through the graph.
func (a *answer) answer(ctx context.Context) error {
	var besides string
	if a.intent, besides = understand(a.turn.Query); besides != "" {
		a.asks, a.turn.Condensed, a.refuses = besides, besides, true
	}
	if a.session.State != kb.StateAI {
		if done, err := a.waiting(); done || err != nil {
			return err
		}
	}
	a.inquire()
	return a.throughGraph(ctx)
}

// recall loads the session, or begins one. What is older than the session
// timeout is not referred to.
func (a *answer) recall(ctx context.Context, req kb.Question) error {
	a.history, a.opening, a.inquiry, a.spoken = nil, "", nil, ""
	if req.Session != "" {
		s, turns, err := a.tenant.Memory.Session(ctx, req.Session, req.Owner, a.engine.cfg.HistoryTurns)
		if err == nil {
			a.session = s
			a.session.Owner = req.Owner
			for _, t := range turns {
				a.spoken = t.Lang
				if a.turn.CreatedAt.Sub(t.CreatedAt) < a.engine.cfg.SessionTimeout {
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

// say adds text to the answer.
func (a *answer) say(text string) error {
	a.text.WriteString(text)
	a.turn.Answer = a.text.String()
	return a.emit(kb.Event{Type: kb.EventChunk, Content: text})
}

// set makes text the whole answer so far.
func (a *answer) set(text string) {
	a.text.Reset()
	a.text.WriteString(text)
	a.turn.Answer = text
}

// end commits the turn, then ends the sequence: an end event means that the
// turn is durable. If a human took over meanwhile, handoff is the last event.
func (a *answer) end(ctx context.Context) error {
	if err := a.keep(ctx); err != nil {
		return err
	}
	if a.turn.Metadata.Late {
		note := textsOf(a.turn.Lang).taken
		if a.after == kb.StateWaiting {
			note = textsOf(a.turn.Lang).queued
		}
		return a.emit(kb.Event{Type: kb.EventHandoff, Session: a.session.ID, Route: kb.Handoff, Content: note, Metadata: &a.turn.Metadata})
	}
	return a.emit(kb.Event{Type: kb.EventEnd, Session: a.session.ID, Route: a.turn.Route, Sources: a.turn.Sources, Metadata: &a.turn.Metadata})
}

// remember commits the turn. The reader may have left: what was answered is
// kept all the same.
func (a *answer) remember(ctx context.Context) error {
	m := &a.turn.Metadata
	m.Intent, m.Confidence = a.intent.route, a.intent.confidence
	m.TurnID, m.Lang = a.turn.ID, a.turn.Lang
	m.Timestamp = a.turn.CreatedAt.Unix()
	m.DurationMS = time.Since(a.turn.CreatedAt).Milliseconds()
	a.spent.Lock()
	if u := a.usage; u != (kb.Usage{}) {
		m.Usage = &u
	}
	a.spent.Unlock()
	if a.after != kb.StateAI {
		m.State = string(a.after)
	}
	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	return a.tenant.Memory.SaveTurn(save, a.turn, a.session.Owner, a.session.State, a.after, a.reason)
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

// language is whom this message is answered. One without a letter (5678, 👋) is
// in the language of the conversation; at its beginning, in the one whose signs
// it has, and else in the one that the customer's program asks for.
func (a *answer) language(query string) kb.Lang {
	switch {
	case strings.ContainsFunc(query, unicode.IsLetter):
		return languageOf(query)
	case a.spoken != "":
		return a.spoken
	case strings.ContainsAny(query, "？！。，、；：…～￥"):
		return kb.Zh
	case a.wishes != "":
		return a.wishes
	}
	return kb.En
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
