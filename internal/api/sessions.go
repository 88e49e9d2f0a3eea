package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// sessionBody is a session as operators see it.
type sessionBody struct {
	ID        kb.SessionID    `json:"id"`
	Owner     string          `json:"owner,omitempty"` // key and user; none for visitors
	State     kb.SessionState `json:"state"`
	CreatedAt time.Time       `json:"created_at"`
	StateAt   time.Time       `json:"state_at"` // since when
	LastAt    time.Time       `json:"last_at"`
	Count     int             `json:"turn_count"`
	Turns     []kb.Turn       `json:"turns,omitempty"` // the last ones, oldest first; not in lists
}

func bodyOf(s kb.Session, turns []kb.Turn) sessionBody {
	return sessionBody{s.ID, s.Owner, s.State, s.CreatedAt, s.StateAt, s.LastAt, s.Turns, turns}
}

func (s *Server) sessionList(w http.ResponseWriter, r *http.Request) error {
	t, err := s.agentTenant(w, r)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	state := kb.SessionState(r.URL.Query().Get("state"))
	if !slices.Contains([]kb.SessionState{"", kb.StateAI, kb.StateWaiting, kb.StateHuman}, state) {
		return invalid("state", "use ai, waiting or human")
	}
	found, next, err := t.Sessions.Sessions(r.Context(), state, p)
	if err != nil {
		return err
	}
	bodies := make([]sessionBody, len(found))
	for i, ses := range found {
		bodies[i] = bodyOf(ses, nil)
	}
	return list(w, "sessions", bodies, next)
}

// sessionTurns is how many of its last turns a session is shown with.
const sessionTurns = 100

func (s *Server) sessionGet(w http.ResponseWriter, r *http.Request) error {
	t, err := s.agentTenant(w, r)
	if err != nil {
		return err
	}
	id := kb.SessionID(r.PathValue("id"))
	found, err := t.Sessions.SessionsOf(r.Context(), id)
	if err != nil {
		return err
	}
	if owner, named := r.URL.Query().Get("owner"), r.URL.Query().Has("owner"); named {
		found = slices.DeleteFunc(found, func(ses kb.Session) bool { return ses.Owner != owner })
	}
	if len(found) == 0 {
		return kb.E(kb.NotFound, nil, "no session %q", id)
	}
	ses, turns, err := t.Sessions.Session(r.Context(), id, found[0].Owner, sessionTurns)
	if err != nil {
		return err
	}
	for i := range turns {
		s.sign(t.ID, turns[i].Sources)
	}
	return writeJSON(w, http.StatusOK, bodyOf(ses, turns))
}

// sessionEvent is one event of a session's stream.
type sessionEvent struct {
	Type    string          `json:"type"` // state, handoff, message
	Session kb.SessionID    `json:"session_id"`
	State   kb.SessionState `json:"state,omitempty"` // state, handoff: who answers from now on
	Content string          `json:"content,omitempty"`
	Agent   string          `json:"agent,omitempty"`
	Turn    kb.TurnID       `json:"turn_id,omitempty"` // whose answer told it already
	At      *time.Time      `json:"created_at,omitempty"`
}

// eventOf is what a note means to the customer; ok is false for the customer's
// own messages.
func eventOf(id kb.SessionID, n kb.Note) (ev sessionEvent, ok bool) {
	ev = sessionEvent{Session: id, State: n.Kind.State(), Content: n.Text, Agent: n.Agent, At: &n.CreatedAt}
	switch {
	case n.Kind == kb.NoteCustomer:
		return ev, false
	case n.Kind == kb.NoteReply:
		ev.Type = "message"
	case n.Turn != "": // the answer to that message said so: one note is enough
		ev.Type, ev.Turn, ev.Content = "state", n.Turn, ""
	default:
		ev.Type = "handoff"
	}
	return ev, true
}

// Pace of looking at the store: at once after something happened, then slower.
// While a human has the conversation nobody waits longer than humanPause for a
// reply; a look is two small reads of the store.
const (
	firstPause = 250 * time.Millisecond
	humanPause = 2 * time.Second
	idlePause  = 10 * time.Second
)

// sessionEvents streams what happens in a conversation besides its answers:
// replies of agents, and who has it. A visitor's session is open to who knows
// its id, 130 random bits; a key's to that key.
func (s *Server) sessionEvents(w http.ResponseWriter, r *http.Request) error {
	p, err := s.keys.Principal(r)
	if err != nil {
		return err
	}
	if !p.Public() {
		if err := p.Require(auth.Chat); err != nil {
			return err
		}
	}
	t, err := s.open(w, r, p, "")
	if err != nil {
		return err
	}
	user, err := s.user(r, t)
	if err != nil {
		return err
	}
	f := follower{s: s, t: t, id: kb.SessionID(r.PathValue("id")), owner: owner(p, user), after: -1}
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if f.after, err = strconv.ParseInt(last, 10, 64); err != nil || f.after < 0 {
			return invalid("Last-Event-ID", "use the id of an event of this stream")
		}
	}
	if err := s.expire(r, t); err != nil {
		return err
	}
	notes, err := f.look(r.Context())
	if kb.KindOf(err) == kb.NotFound && f.owner != "" { // a visitor's, watched by a key
		f.owner = ""
		notes, err = f.look(r.Context())
	}
	if err != nil {
		return err
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") && strings.Contains(r.Header.Get("Accept"), "application/json") {
		return f.snapshot(w, notes)
	}
	return f.stream(w, r, notes)
}

// follower follows one session.
type follower struct {
	s     *Server
	t     Tenant
	id    kb.SessionID
	owner string
	after int64 // note that was sent last; -1 = since the latest handoff began
	state kb.SessionState
}

// look returns the notes that came since the last look.
func (f *follower) look(ctx context.Context) (notes []kb.Note, err error) {
	state, notes, from, err := f.t.Sessions.Follow(ctx, f.id, f.owner, f.after)
	if err != nil {
		return nil, err
	}
	f.state, f.after = state, from
	return notes, nil
}

// snapshot answers at once, for platforms that cannot stream: clients poll
// with Last-Event-ID, the value of next.
func (f *follower) snapshot(w http.ResponseWriter, notes []kb.Note) error {
	evs := []sessionEvent{}
	next := f.after
	for _, n := range notes {
		if ev, ok := eventOf(f.id, n); ok {
			evs = append(evs, ev)
		}
		next = n.Seq
	}
	return writeJSON(w, http.StatusOK, map[string]any{"state": f.state, "events": evs, "next": strconv.FormatInt(next, 10)})
}

// stream sends events until the client leaves, the longest time of a stream is
// over, or the server stops. It looks itself: no goroutine stays behind.
func (f *follower) stream(w http.ResponseWriter, r *http.Request, notes []kb.Note) error {
	ctx, cancel := context.WithTimeout(r.Context(), f.s.cfg.StreamTime)
	defer cancel()
	out := newSSE(w)
	_ = out.rc.SetReadDeadline(time.Time{}) // of the request, long since read; not on every platform
	pause, beat := firstPause, now().Add(heartbeatEvery)
	for first := true; ; first = false {
		if len(notes) > 0 {
			pause, beat = firstPause, now().Add(heartbeatEvery)
		}
		if err := f.send(out, notes); err != nil {
			return gone(err)
		}
		// Then how it stands: who has caught up may trust it.
		if first {
			if err := out.note(f.after, sessionEvent{Type: "state", Session: f.id, State: f.state}); err != nil {
				return gone(err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-f.s.stopping:
			return nil
		case <-time.After(min(pause, time.Until(beat))):
		}
		if !now().Before(beat) {
			if err := out.write([]byte(": still here\n\n")); err != nil {
				return gone(err)
			}
			notes, beat = nil, now().Add(heartbeatEvery)
			continue
		}
		longest := idlePause
		if f.state != kb.StateAI {
			longest = humanPause
		}
		pause = min(pause*3/2, longest)
		var err error
		if notes, err = f.refresh(ctx, r); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return f.s.sayFailed(out, r, err)
		}
	}
}

// send sends what the notes mean to the customer.
func (f *follower) send(out *sse, notes []kb.Note) error {
	for _, n := range notes {
		f.after = n.Seq
		ev, ok := eventOf(f.id, n)
		if !ok {
			continue
		}
		if err := out.note(n.Seq, ev); err != nil {
			return err
		}
	}
	return nil
}

// refresh is look at what all instances did, and the clock.
func (f *follower) refresh(ctx context.Context, r *http.Request) ([]kb.Note, error) {
	if err := f.t.Sessions.Refresh(ctx); err != nil {
		return nil, err
	}
	if f.state == kb.StateWaiting {
		if err := f.s.expire(r.WithContext(ctx), f.t); err != nil {
			return nil, err
		}
	}
	return f.look(ctx)
}

func gone(err error) error { return kb.E(kb.Canceled, err, "the client left") }

// sayFailed ends a stream with what went wrong; the client comes again.
func (s *Server) sayFailed(out *sse, r *http.Request, err error) error {
	ev := s.errorEvent(r, err)
	ev.Code = "stream_lost"
	data, err := encode(ev)
	if err != nil {
		return err
	}
	return out.write(fmt.Appendf(nil, "data: %s\n", data))
}

// Stop ends the streams that would go on for as long as somebody listens.
func (s *Server) Stop() { s.stop.Do(func() { close(s.stopping) }) }
