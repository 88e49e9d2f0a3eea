package api

import (
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// feedbackRequest is the body of POST /api/v1/feedback.
type feedbackRequest struct {
	Turn    kb.TurnID `json:"turn_id"`
	Rating  string    `json:"rating"`
	Comment string    `json:"comment"`
}

const maxComment = 2000 // runes

func (s *Server) feedbackPost(w http.ResponseWriter, r *http.Request) error {
	p, err := s.admit(w, r)
	if err != nil {
		return err
	}
	t, err := s.open(w, r, p, "")
	if err != nil {
		return err
	}
	user, err := s.user(r, t)
	if err != nil {
		return err
	}
	var req feedbackRequest
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	switch {
	case req.Turn == "":
		return invalid("turn_id", "it is missing; an answer has it in metadata.turn_id")
	case req.Rating != "up" && req.Rating != "down":
		return invalid("rating", "use up or down")
	case utf8.RuneCountInString(req.Comment) > maxComment:
		return invalid("comment", "longer than %d characters", maxComment)
	}
	if err := t.Feedback.PutFeedback(r.Context(), req.Turn, owner(p, user), req.Rating, req.Comment, now()); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"success": true})
}

func (s *Server) feedbackList(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	rating := r.URL.Query().Get("rating")
	if rating != "" && rating != "up" && rating != "down" {
		return invalid("rating", "use up or down")
	}
	fs, next, err := t.Feedback.Feedback(r.Context(), rating, p)
	if err != nil {
		return err
	}
	return list(w, "feedback", fs, next)
}

// usageDays is how far back usage goes without from.
const usageDays = 30

// usageGet sums up what answers took, by day and model.
func (s *Server) usageGet(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return err
	}
	to := now().UTC()
	from := to.AddDate(0, 0, -usageDays)
	for name, day := range map[string]*time.Time{"from": &from, "to": &to} {
		v := r.URL.Query().Get(name)
		if v == "" {
			continue
		}
		if *day, err = time.Parse(time.DateOnly, v); err != nil {
			return invalid(name, "use a date such as 2026-01-31 (UTC)")
		}
	}
	us, err := t.Feedback.Usage(r.Context(), from.Format(time.DateOnly), to.Format(time.DateOnly))
	if err != nil {
		return err
	}
	var sum kb.UsageDay
	for _, u := range us {
		sum.Turns += u.Turns
		sum.Abstained += u.Abstained
		sum.Prompt += u.Prompt
		sum.Completion += u.Completion
		sum.CostMicro += u.CostMicro
	}
	if us == nil {
		us = []kb.UsageDay{}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"usage": us, "total": map[string]int64{
		"turns": sum.Turns, "abstained": sum.Abstained, "prompt_tokens": sum.Prompt, "completion_tokens": sum.Completion, "cost_micro": sum.CostMicro,
	}})
}
