// Package llmtest provides Server, a stand-in for DashScope's HTTP interfaces:
// compatible-mode chat, embeddings and model list, both rerank forms. It keeps
// the provider's rules (keys, batch limits, JSON mode, thinking) and its error
// bodies, answers deterministically, records every request, and misbehaves on
// demand: see Act. Nothing in it is shared with package llm, so that a wrong
// belief about the protocol cannot hide on both sides.
package llmtest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Op names one interface of the provider.
type Op string

// The interfaces Server speaks.
const (
	Chat   Op = "chat"
	Embed  Op = "embedding"
	Rerank Op = "rerank"
	Models Op = "models"
)

// maxBody is the largest request read; DashScope's gateway refuses bodies over
// 6 MB, as its error page for 413 says.
const maxBody = 6 << 20

// Message is one chat message of a request.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Request is one recorded request.
type Request struct {
	Op       Op
	Path     string
	Header   http.Header
	Body     []byte // as received
	At       time.Time
	Model    string
	Stream   bool           // chat
	JSON     bool           // chat: response_format json_object
	Messages []Message      // chat
	Inputs   []string       // embedding: the texts; rerank: the documents
	Query    string         // rerank
	Fields   map[string]any // every field of the body
}

// Server is an http.Handler. Its zero value accepts any bearer key, knows the
// models of limits.go and answers from the passages in the prompt. Fields are
// set before the first request; methods are safe for concurrent use.
type Server struct {
	Key        string               // the accepted key; empty = any
	Answer     func(Request) string // what the model says; nil = Extract, or Fields for JSON mode
	FirstDelay time.Duration        // before the first byte of every chat answer
	TokenDelay time.Duration        // between the chunks of every streamed answer
	Forgetful  bool                 // records no requests, for long runs

	mu       sync.Mutex
	queue    map[Op][]Act
	always   map[Op]Act
	requests []Request
	inflight map[Op]int
	peak     map[Op]int
	closed   chan struct{}
}

// Push queues behaviours: each is used by one request to op, in order.
func (s *Server) Push(op Op, acts ...Act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue == nil {
		s.queue = map[Op][]Act{}
	}
	s.queue[op] = append(s.queue[op], acts...)
}

// Always sets the behaviour of every request to op that finds the queue empty.
func (s *Server) Always(op Op, act Act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.always == nil {
		s.always = map[Op]Act{}
	}
	s.always[op] = act
}

// Reset forgets queued behaviours and recorded requests.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue, s.always, s.requests, s.peak = nil, nil, nil, nil
}

// Requests returns the recorded requests to op, in order of arrival.
func (s *Server) Requests(op Op) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Request
	for _, r := range s.requests {
		if r.Op == op {
			out = append(out, r)
		}
	}
	return out
}

// InFlight returns how many requests to op are being served now, and the most
// there ever were at once.
func (s *Server) InFlight(op Op) (now, peak int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inflight[op], s.peak[op]
}

// Close lets every hanging request end, so that an httptest.Server can close.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = make(chan struct{})
	}
	select {
	case <-s.closed:
	default:
		close(s.closed)
	}
}

func (s *Server) done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = make(chan struct{})
	}
	return s.closed
}

func (s *Server) enter(op Op, r Request) (Act, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.Forgetful {
		s.requests = append(s.requests, r)
	}
	if s.inflight == nil {
		s.inflight = map[Op]int{}
	}
	if s.peak == nil {
		s.peak = map[Op]int{}
	}
	s.inflight[op]++
	s.peak[op] = max(s.peak[op], s.inflight[op])
	act := s.always[op]
	if q := s.queue[op]; len(q) > 0 {
		act, s.queue[op] = q[0], q[1:]
	}
	return act, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inflight[op]--
	}
}

// route maps a path to the interface behind it. Any prefix before the last two
// segments is accepted for the OpenAI-shaped ones, as other providers have it.
func route(path string) (Op, bool) {
	switch {
	case strings.HasSuffix(path, "/chat/completions"):
		return Chat, true
	case strings.HasSuffix(path, "/embeddings"):
		return Embed, true
	case path == "/compatible-api/v1/reranks", strings.HasSuffix(path, "/v1/rerank"), path == nativeRerank:
		return Rerank, true
	case strings.HasSuffix(path, "/models"):
		return Models, true
	}
	return "", false
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, ok := route(r.URL.Path)
	if !ok {
		writeError(w, notFoundPath())
		return
	}
	if want := http.MethodPost; r.Method != want && op != Models {
		writeError(w, wrongMethod(r.Method))
		return
	}
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer || key == "" || s.Key != "" && key != s.Key {
		writeError(w, badKey())
		return
	}
	req, bad := read(op, w, r)
	act, leave := s.enter(op, req)
	defer leave()
	if !s.wait(r, act.Delay) {
		return
	}
	if s.broken(w, r, act) {
		return
	}
	if bad != nil {
		writeError(w, bad)
		return
	}
	switch op {
	case Chat:
		s.chat(w, r, req, act)
	case Embed:
		s.embed(w, r, req, act)
	case Rerank:
		s.rerank(w, r, req, act)
	case Models:
		s.models(w)
	}
}

// wait pauses, and reports false when the client left or Close was called.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.done():
	}
	return false
}

func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.done():
	}
}

// read decodes a request body; the second result is the error to answer with.
func read(op Op, w http.ResponseWriter, r *http.Request) (Request, *apiError) {
	req := Request{Op: op, Path: r.URL.Path, Header: r.Header.Clone(), At: time.Now()}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	req.Body = body
	if _, is := errors.AsType[*http.MaxBytesError](err); is {
		return req, bodyTooLarge()
	}
	if err != nil || op == Models {
		return req, nil
	}
	if err := json.Unmarshal(body, &req.Fields); err != nil {
		return req, invalid("Required body invalid, please check the request body format.")
	}
	req.Model, _ = req.Fields["model"].(string)
	req.Stream, _ = req.Fields["stream"].(bool)
	if f, ok := req.Fields["response_format"].(map[string]any); ok {
		req.JSON = f["type"] == "json_object"
	}
	var shape struct {
		Messages  []json.RawMessage `json:"messages"`
		Query     string            `json:"query"`
		Documents []string          `json:"documents"`
		Input     json.RawMessage   `json:"input"`
	}
	if err := json.Unmarshal(body, &shape); err != nil {
		return req, invalid("Input should be a valid object: " + err.Error())
	}
	for _, raw := range shape.Messages {
		req.Messages = append(req.Messages, message(raw))
	}
	req.Query, req.Inputs = shape.Query, shape.Documents
	return req, readInput(&req, shape.Input)
}

// message reads one chat message; content may be a text or a list of parts.
func message(raw json.RawMessage) Message {
	var m Message
	if json.Unmarshal(raw, &m) == nil {
		return m
	}
	var parts struct {
		Role    string `json:"role"`
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	if json.Unmarshal(raw, &parts) == nil {
		m.Role = parts.Role
		for _, p := range parts.Content {
			m.Content += p.Text
		}
	}
	return m
}

// readInput reads the input field: a text, a list of texts, or the native
// rerank's {query, documents}.
func readInput(req *Request, raw json.RawMessage) *apiError {
	if len(raw) == 0 {
		return nil
	}
	var one string
	var many []string
	var native struct {
		Query     string   `json:"query"`
		Documents []string `json:"documents"`
	}
	switch {
	case json.Unmarshal(raw, &one) == nil:
		req.Inputs = []string{one}
	case json.Unmarshal(raw, &many) == nil:
		req.Inputs = many
	case json.Unmarshal(raw, &native) == nil:
		req.Query, req.Inputs = native.Query, native.Documents
	default:
		return invalid("<400> InternalError.Algo.InvalidParameter: Value error, contents is neither str nor list of str.: input.contents")
	}
	return nil
}
