package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/eino-qa/eino-qa/internal/aside"
	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// chatRequest is the body of POST /chat.
type chatRequest struct {
	Query   string       `json:"query"`
	Session kb.SessionID `json:"session_id"`
	Tenant  string       `json:"tenant_id"`
	Stream  bool         `json:"stream"`
}

func (s *Server) chatPost(w http.ResponseWriter, r *http.Request) error {
	return s.chat(w, r, s.readPost)
}

// chatGet is for EventSource, which can only GET.
func (s *Server) chatGet(w http.ResponseWriter, r *http.Request) error {
	return s.chat(w, r, s.readGet)
}

// chat answers what read makes of the request.
func (s *Server) chat(w http.ResponseWriter, r *http.Request, read reading) (err error) {
	var t *Tenant
	var q *kb.Question
	var stream bool
	aside.Do(func() { t, q, stream, err = s.asked(w, r, read) })
	switch {
	case err != nil:
		return err
	case stream:
		return s.stream(w, r, t, q)
	}
	return s.whole(w, r, t, q)
}

// reading is a way to read a request.
type reading func(w http.ResponseWriter, r *http.Request) (chatRequest, error)

func (s *Server) readPost(w http.ResponseWriter, r *http.Request) (req chatRequest, err error) {
	err = readJSON(w, r, s.cfg.MaxBody, &req)
	return req, err
}

func (s *Server) readGet(_ http.ResponseWriter, r *http.Request) (chatRequest, error) {
	q := r.URL.Query()
	stream, err := strconv.ParseBool(q.Get("stream"))
	if err != nil && q.Has("stream") {
		return chatRequest{}, kb.E(kb.Invalid, err, "stream: use true or false").With("field", "stream")
	}
	return chatRequest{Query: q.Get("query"), Session: kb.SessionID(q.Get("session_id")), Tenant: q.Get("tenant_id"), Stream: stream}, nil
}

// admit lets in keys with scope chat, and visitors up to their limit.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (auth.Principal, error) {
	p, err := s.keys.Principal(r)
	if err != nil {
		return p, err
	}
	if p.Public() {
		if len(s.cfg.PublicTenants) == 0 {
			return p, p.Require(auth.Chat)
		}
		return p, s.limit(w, "address "+s.clientAddr(r), s.cfg.PublicMinute)
	}
	return p, p.Require(auth.Chat)
}

// asked opens the tenant and makes the question, if the caller may ask it, and
// tells whether the answer is to be a stream.
func (s *Server) asked(w http.ResponseWriter, r *http.Request, read reading) (*Tenant, *kb.Question, bool, error) {
	p, err := s.admit(w, r)
	if err != nil {
		return nil, nil, false, err
	}
	req, err := read(w, r)
	if err != nil {
		return nil, nil, false, err
	}
	if err := checkSession(req.Session); err != nil {
		return nil, nil, false, err
	}
	t, err := s.open(w, r, p, req.Tenant)
	if err != nil {
		return nil, nil, false, err
	}
	if err := s.limit(w, "chat "+string(t.ID), s.cfg.ChatPerMinute); err != nil {
		return nil, nil, false, err
	}
	user, err := s.user(r, t)
	if err != nil {
		return nil, nil, false, err
	}
	return &t, &kb.Question{
		Query: req.Query, Session: req.Session, Owner: owner(p, user), User: user, Addr: origin(s.clientAddr(r)),
		Lang: preferred(r.Header.Get("Accept-Language")),
	}, req.Stream || strings.Contains(r.Header.Get("Accept"), "text/event-stream"), nil
}

// preferred is the language of ours that an Accept-Language ranks first, "" if
// it names none. Without a weight, and among equals, the order counts.
func preferred(header string) (lang kb.Lang) {
	best := 0.0
	for part := range strings.SplitSeq(header, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
			w, err := strconv.ParseFloat(q, 64)
			if err != nil {
				continue
			}
			weight = w
		}
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if l := kb.Lang(primary); (l == kb.Zh || l == kb.En) && weight > best {
			lang, best = l, weight
		}
	}
	return lang
}

// whole answers with JSON when all is said.
func (s *Server) whole(w http.ResponseWriter, r *http.Request, t *Tenant, q *kb.Question) error {
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.RequestTime)
	defer cancel()
	answer, err := drain(t.Chat.Answer(ctx, *q))
	if err != nil {
		return err
	}
	s.count(answer.Route, answer.Metadata)
	s.sign(t.ID, answer.Sources)
	return writeJSON(w, http.StatusOK, answer)
}

// owner is whom a session belongs to: the key, and the user it speaks for; or
// nobody for a visitor.
func owner(p auth.Principal, user string) string {
	if p.Public() || user == "" {
		return p.KeyID
	}
	return p.KeyID + "/" + user
}

// checkSession bounds ids that callers choose.
func checkSession(id kb.SessionID) error {
	const longest = 128
	bad := len(id) > longest || strings.ContainsFunc(string(id), func(r rune) bool { return r <= ' ' || r > '~' })
	if bad {
		return kb.E(kb.Invalid, nil, "session_id: use at most %d printable ASCII characters without blanks, or leave it out", longest).With("field", "session_id")
	}
	return nil
}

// drain makes the JSON answer of a sequence of events.
func drain(events func(func(kb.Event, error) bool)) (kb.Answer, error) {
	a := kb.Answer{Sources: []kb.Citation{}}
	for ev, err := range events {
		if err != nil {
			return a, err
		}
		switch ev.Type {
		case kb.EventStart:
			a.Session = ev.Session
		case kb.EventChunk:
			a.Answer += ev.Content
		case kb.EventHandoff:
			if ev.Metadata == nil {
				a.Answer += ev.Content
				continue
			}
			// The last one: a human took over, and the answer is late.
			a.Answer, a.Route, a.Metadata, a.Sources = ev.Content, ev.Route, *ev.Metadata, []kb.Citation{}
		case kb.EventReplace:
			a.Answer = ev.Content
		case kb.EventEnd:
			a.Route, a.Metadata = ev.Route, *ev.Metadata
			if ev.Sources != nil {
				a.Sources = ev.Sources
			}
		}
	}
	return a, nil
}

// sign fills in the links of citations.
func (s *Server) sign(t kb.TenantID, cs []kb.Citation) {
	for i := range cs {
		m := cs[i].Metadata
		cs[i].URL = s.links.URL(auth.Target{Tenant: t, Document: m.Document, Version: m.Version, Start: m.Start, End: m.End}, now())
	}
}
