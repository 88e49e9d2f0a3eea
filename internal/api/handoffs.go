package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// noteText is what a customer reads when agents or time change a handoff.
func noteText(kind kb.NoteKind, lang kb.Lang, agent string) string {
	zh := lang == kb.Zh
	switch kind {
	case kb.NoteAccepted:
		if zh {
			return fmt.Sprintf("人工客服 %s 已接入，正在为您服务。", agent)
		}
		return fmt.Sprintf("%s has joined the conversation and is here to help.", agent)
	case kb.NoteClosed:
		if zh {
			return "人工服务已结束，由智能客服继续为您服务。"
		}
		return "The conversation with a person has ended; the assistant is back."
	case kb.NoteTimeout:
		if zh {
			return "抱歉，人工客服暂时没有接入，先由智能客服继续为您服务。"
		}
		return "Sorry, nobody was free to take over. The assistant will go on helping you for now."
	}
	return ""
}

// expire ends handoffs that nobody accepted in time. It is called before
// anybody looks: no clock runs between requests.
func (s *Server) expire(r *http.Request, t Tenant) error {
	return t.Handoffs.ExpireHandoffs(r.Context(), now().Add(-s.cfg.HandoffTime), noteText, now())
}

// agentTenant opens the tenant for an agent's request.
func (s *Server) agentTenant(w http.ResponseWriter, r *http.Request) (Tenant, error) {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return t, err
	}
	return t, s.expire(r, t)
}

func (s *Server) handoffList(w http.ResponseWriter, r *http.Request) error {
	t, err := s.agentTenant(w, r)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	state := r.URL.Query().Get("state")
	if !slices.Contains([]string{"", string(kb.StateWaiting), string(kb.StateHuman), kb.TicketClosed}, state) {
		return invalid("state", "use waiting, human or closed")
	}
	ts, next, err := t.Handoffs.Handoffs(r.Context(), state, p)
	if err != nil {
		return err
	}
	return list(w, "handoffs", ts, next)
}

// ticketBody is a handoff with what was said and done in it.
type ticketBody struct {
	kb.Ticket
	Notes []kb.Note `json:"notes"`
}

func (s *Server) handoffGet(w http.ResponseWriter, r *http.Request) error {
	t, err := s.agentTenant(w, r)
	if err != nil {
		return err
	}
	ticket, notes, err := t.Handoffs.Handoff(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, ticketBody{ticket, notes})
}

func (s *Server) handoffAccept(w http.ResponseWriter, r *http.Request) error {
	t, err := s.agentTenant(w, r)
	if err != nil {
		return err
	}
	var req struct {
		Agent string `json:"agent"`
	}
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	if err := checkWords("agent", &req.Agent, maxAgent); err != nil {
		return err
	}
	ticket, err := t.Handoffs.AcceptHandoff(r.Context(), r.PathValue("id"), req.Agent, noteText, now())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, ticket)
}

// Bounds of what agents send, in runes.
const (
	maxAgent = 100
	maxReply = 4000 // as a question
)

// checkWords trims words that people are to read and refuses what cannot be
// shown.
func checkWords(field string, words *string, most int) error {
	*words = strings.TrimSpace(*words)
	n := utf8.RuneCountInString(*words)
	switch {
	case n == 0:
		return invalid(field, "it is missing or empty")
	case n > most:
		return invalid(field, "longer than %d characters", most)
	case strings.ContainsFunc(*words, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }):
		return invalid(field, "it has control characters; remove them")
	}
	return nil
}

func (s *Server) handoffReply(w http.ResponseWriter, r *http.Request) error {
	t, err := s.agentTenant(w, r)
	if err != nil {
		return err
	}
	var req struct {
		Text string `json:"text"`
	}
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	if err := checkWords("text", &req.Text, maxReply); err != nil {
		return err
	}
	note, err := t.Handoffs.ReplyHandoff(r.Context(), r.PathValue("id"), req.Text, now())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, note)
}

func (s *Server) handoffClose(w http.ResponseWriter, r *http.Request) error {
	t, err := s.agentTenant(w, r)
	if err != nil {
		return err
	}
	ticket, err := t.Handoffs.CloseHandoff(r.Context(), r.PathValue("id"), noteText, now())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, ticket)
}
