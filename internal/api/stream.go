package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/aside"
	"github.com/eino-qa/eino-qa/internal/kb"
)

func now() time.Time { return time.Now() }

// sse writes one stream of server-sent events: data lines only, each with an
// id by which a client that lost the connection can say where it was.
type sse struct {
	mu      sync.Mutex // heartbeats come from another goroutine
	w       http.ResponseWriter
	rc      *http.ResponseController
	turn    kb.TurnID
	n       int
	renewed time.Time // the deadline for writing
	over    bool      // no more heartbeats
}

// Times of a stream: proxies cut connections that are silent for 30 s (API
// Gateway, edge) to 60 s (nginx); a client that takes nothing for writeTime, or
// renewEvery less, has left.
const (
	heartbeatEvery = 15 * time.Second
	writeTime      = 30 * time.Second
	renewEvery     = time.Second
)

func newSSE(w http.ResponseWriter) *sse {
	if rec, ok := w.(*recorder); ok {
		rec.stream = true
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx: pass it on at once
	w.WriteHeader(http.StatusOK)
	return &sse{w: w, rc: http.NewResponseController(w)}
}

func (s *sse) write(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.put(text)
}

// put writes text and flushes it. s.mu is held.
func (s *sse) put(text []byte) error {
	// A deadline for each write, in place of the server's for the whole answer.
	if at := now(); at.Sub(s.renewed) > renewEvery {
		if err := s.rc.SetWriteDeadline(at.Add(writeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		s.renewed = at
	}
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	if err := s.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

func (s *sse) send(ev kb.Event) error {
	if ev.Turn != "" {
		s.turn = ev.Turn
	}
	s.n++
	if ev.Type == kb.EventEnd || ev.Type == kb.EventHandoff && ev.Metadata != nil {
		s.n = endAt
	}
	p := sheets.Get().(*sheet)
	defer p.putAway()
	p.ev = ev
	p.text.WriteString("id: ")
	p.text.WriteString(string(s.turn))
	p.text.WriteByte('.')
	p.text.Write(strconv.AppendInt(p.text.AvailableBuffer(), int64(s.n), 10))
	return s.event(p, &p.ev)
}

// note writes what is no event of an answer.
func (s *sse) note(id int64, v any) error {
	p := sheets.Get().(*sheet)
	defer p.putAway()
	p.text.WriteString("id: ")
	p.text.Write(strconv.AppendInt(p.text.AvailableBuffer(), id, 10))
	return s.event(p, v)
}

// event writes an event after its id, which p has.
func (s *sse) event(p *sheet, v any) error {
	p.text.WriteString("\ndata: ")
	if err := p.json.Encode(v); err != nil { // with its line end
		return fmt.Errorf("encode event: %w", err)
	}
	p.text.WriteByte('\n')
	return s.write(p.text.Bytes())
}

// sheet is what an event is written on before it goes out.
type sheet struct {
	text bytes.Buffer
	json *json.Encoder // to text, as encode has it
	ev   kb.Event      // what the encoder is pointed to: one of its own would be allocated for each token
}

func (p *sheet) putAway() {
	p.text.Reset()
	p.ev = kb.Event{}
	sheets.Put(p)
}

// sheets go from event to event, whatever stream it is of.
var sheets = sync.Pool{New: func() any {
	p := new(sheet)
	p.json = json.NewEncoder(&p.text)
	p.json.SetEscapeHTML(false)
	return p
}}

// beat sends comments until the returned function is called, after which none
// is on its way. It waits by a timer: a goroutine would hold its stack for all
// of the stream.
func (s *sse) beat() (stop func()) {
	var timer *time.Timer
	s.mu.Lock() // a beat must not come before timer is set
	defer s.mu.Unlock()
	timer = time.AfterFunc(heartbeatEvery, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.over {
			_ = s.put([]byte(": still here\n\n")) // a client that left is noticed by the next event
			timer.Reset(heartbeatEvery)
		}
	})
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.over = true
		timer.Stop()
	}
}

// stream answers with events as they come. What waits here for a model is the
// stack of its callers, too: those keep little of their own, and what needs much
// is done aside, or it would take twice the size.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, t *Tenant, q *kb.Question) error {
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		return s.resume(w, r, t, q, last)
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.StreamTime)
	defer cancel()
	var out *sse
	for ev, err := range t.Chat.Answer(ctx, *q) {
		if err != nil {
			return s.breakOff(r, out, t, q, err)
		}
		if out == nil {
			out = newSSE(w)
			defer out.beat()()
		}
		if ev.Type == kb.EventChunk {
			err = out.send(ev)
		} else {
			err = s.announce(out, t.ID, ev)
		}
		if err != nil {
			return kb.E(kb.Canceled, err, "the client left")
		}
	}
	return nil
}

// breakOff ends a stream that failed.
func (s *Server) breakOff(r *http.Request, out *sse, t *Tenant, q *kb.Question, err error) error {
	switch {
	case out == nil:
		return err // nothing is out yet: an ordinary error
	case errors.Is(err, kb.ErrRepeated): // another request with the same key was first: its answer counts
		return s.sendInstead(r, out, t, q)
	}
	return out.send(s.errorEvent(r, err))
}

// announce sends an event that is no token: those are larger and fewer, and the
// first has the head of the answer before it.
func (s *Server) announce(out *sse, t kb.TenantID, ev kb.Event) (err error) {
	aside.Do(func() {
		if ev.Type == kb.EventEnd || ev.Type == kb.EventHandoff && ev.Metadata != nil {
			s.count(ev.Route, *ev.Metadata)
		}
		s.sign(t, ev.Sources)
		err = out.send(ev)
	})
	return err
}

// sendInstead replaces what is out by the turn of the request that was first.
func (s *Server) sendInstead(r *http.Request, out *sse, t *Tenant, q *kb.Question) error {
	rc, err := t.Receipts.Receipt(r.Context(), kb.ReceiptOf(r.Context()).ID, now())
	if err != nil {
		return out.send(s.errorEvent(r, err))
	}
	turn, err := t.Conversations.Turn(r.Context(), rc.Turn, q.Owner)
	if err != nil {
		return out.send(s.errorEvent(r, err))
	}
	turn.Metadata.Replayed = true
	return s.sendKept(out, *t, replay(turn))
}

// errorEvent tells a reader in mid-stream what happened; the turn is not kept.
func (s *Server) errorEvent(r *http.Request, err error) kb.Event {
	e := explain(r.Context(), err)
	if statusOf(e.Kind) >= 500 {
		s.log.ErrorContext(r.Context(), "answer failed", "error", err)
	}
	code := "failed"
	switch e.Kind {
	case kb.Unavailable:
		code = "not_saved"
	case kb.Conflict:
		code = "taken_over"
	}
	return kb.Event{Type: kb.EventError, Code: code, Message: e.Msg}
}

// resume answers a client that lost its connection: nothing if it had seen the
// end, the whole answer in place of what it has if the turn is kept, and
// stream_lost otherwise. The question is not asked a second time.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, t *Tenant, q *kb.Question, last string) error {
	id, n, _ := strings.Cut(last, ".")
	if seen, err := strconv.Atoi(n); err == nil && seen >= endAt {
		w.WriteHeader(http.StatusNoContent) // EventSource stops at 204
		return nil
	}
	turn, err := t.Conversations.Turn(r.Context(), kb.TurnID(id), q.Owner)
	if err != nil && kb.KindOf(err) != kb.NotFound {
		return err
	}
	if err != nil || q.Owner == "" && !provesTurn(*q, turn) {
		out := newSSE(w)
		out.turn = kb.TurnID(id)
		return out.send(kb.Event{Type: kb.EventError, Code: "stream_lost", Message: "the connection was lost before the answer was kept; ask again"})
	}
	return s.sendTurn(w, r, *t, turn)
}

// provesTurn reports whether a visitor whom nobody knows may have a turn again.
// Ids of turns are seen by more people than those of sessions, in logs and
// feedback: what is about an order needs the session too.
func provesTurn(q kb.Question, turn kb.Turn) bool {
	if q.Session == "" {
		return turn.Route != kb.Order
	}
	return turn.Session == q.Session
}

// sendTurn answers with a kept turn as events.
func (s *Server) sendTurn(w http.ResponseWriter, r *http.Request, t Tenant, turn kb.Turn) error {
	if err := s.stillQuotable(r, t, turn); err != nil {
		return err
	}
	return s.sendKept(newSSE(w), t, replay(turn))
}

func (s *Server) sendKept(out *sse, t Tenant, evs []kb.Event) error {
	for _, ev := range evs {
		s.sign(t.ID, ev.Sources)
		if err := out.send(ev); err != nil {
			return kb.E(kb.Canceled, err, "the client left")
		}
	}
	return nil
}

// stillQuotable refuses a kept answer that quotes what was deleted since.
func (s *Server) stillQuotable(r *http.Request, t Tenant, turn kb.Turn) error {
	gone, err := s.quotesGone(r.Context(), t, turn)
	if err == nil && gone {
		err = kb.E(kb.NotFound, nil, "a document that this answer quoted was deleted; ask again")
	}
	return err
}

// quotesGone reports whether the answer quotes a document that was deleted
// since: delete takes it out of every answer, also of those given.
func (s *Server) quotesGone(ctx context.Context, t Tenant, turn kb.Turn) (bool, error) {
	for _, src := range turn.Sources {
		_, err := t.Documents.Document(ctx, src.Metadata.Document)
		if kb.KindOf(err) == kb.NotFound && err != nil {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// endAt is the number in the id of the last event of a stream, so that
// Last-Event-ID tells a finished answer from one in the middle.
const endAt = 1 << 20

// replay is a kept turn as events.
func replay(t kb.Turn) []kb.Event {
	evs := []kb.Event{{Type: kb.EventStart, Session: t.Session, Turn: t.ID}}
	if len(t.Sources) > 0 {
		evs = append(evs, kb.Event{Type: kb.EventSources, Sources: t.Sources})
	}
	if t.Metadata.Late { // nobody is to go by it
		return append(evs, kb.Event{Type: kb.EventHandoff, Session: t.Session, Route: kb.Handoff, Metadata: &t.Metadata})
	}
	return slices.Concat(evs, []kb.Event{
		{Type: kb.EventReplace, Content: t.Answer},
		{Type: kb.EventEnd, Session: t.Session, Route: t.Route, Sources: t.Sources, Metadata: &t.Metadata},
	})
}
