package api

import (
	"net/http"
	"slices"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Model is one model that the configured providers offer.
type Model struct {
	ID         string `json:"id"`
	Type       string `json:"type"` // chat, embedding, rerank
	Provider   string `json:"provider"`
	Context    int    `json:"context,omitempty"`   // chat: tokens in and out together
	MaxInput   int    `json:"max_input,omitempty"` // tokens
	MaxOutput  int    `json:"max_output,omitempty"`
	Dimensions []int  `json:"dimensions,omitempty"` // embedding: the first is the default
	BatchRows  int    `json:"batch_rows,omitempty"` // embedding: texts, rerank: documents, per call
	Price      Price  `json:"price"`
	Default    bool   `json:"default"` // the settings name it
}

// Price is of a million tokens, in millionths of the currency.
type Price struct {
	InMicro  int64  `json:"input_micro"`
	OutMicro int64  `json:"output_micro"`
	Currency string `json:"currency,omitempty"`
}

// Models are the models of the configured providers.
type Models interface {
	// Models lists them, the default of each type first.
	Models() []Model
	// CheckModel returns kb.Invalid, with the choices, if there is no such one.
	CheckModel(kind, id string) error
}

// ChatModel is the setting that names a tenant's chat model.
const ChatModel = "chat_model"

// types of models, in the order they are shown.
func modelTypes() []string { return []string{"chat", "embedding", "rerank"} }

func (s *Server) models() []Model {
	if s.cfg.Models == nil {
		return nil
	}
	return s.cfg.Models.Models()
}

func (s *Server) modelList(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.tenantForAny(w, r, auth.Chat, auth.Admin, auth.Ingest); err != nil {
		return err
	}
	return list(w, "models", s.models(), "")
}

// current is the model of one type that a tenant uses.
type current struct {
	Model  string `json:"model"`
	Source string `json:"source"` // settings, tenant
}

func (s *Server) modelCurrent(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantForAny(w, r, auth.Chat, auth.Admin, auth.Ingest)
	if err != nil {
		return err
	}
	body := map[string]*current{}
	for _, kind := range modelTypes() {
		body[kind] = nil // none is configured
	}
	for _, m := range s.models() {
		if m.Default && body[m.Type] == nil {
			body[m.Type] = &current{m.ID, "settings"}
		}
	}
	chosen, err := t.Settings.Setting(r.Context(), ChatModel)
	if err != nil {
		return err
	}
	if body["chat"] != nil {
		*body["chat"] = s.inEffect(chosen)
	}
	return writeJSON(w, http.StatusOK, body)
}

// switchRequest is the body of POST /models/switch.
type switchRequest struct {
	Type  string `json:"type"`
	Model string `json:"model"` // "" = the one the settings name
}

// modelSwitch chooses the chat model of a tenant. Every instance uses it from
// its next request on.
func (s *Server) modelSwitch(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return err
	}
	var req switchRequest
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	switch {
	case !slices.Contains(modelTypes(), req.Type):
		return invalid("type", "use chat")
	case req.Type != "chat":
		return invalid("type", "only the chat model can be switched; %s models belong to the index, and to the settings", req.Type)
	case s.cfg.Models == nil:
		return kb.E(kb.Conflict, nil, "no models are configured; set dashscope.api_key (DASHSCOPE_API_KEY)")
	}
	if req.Model != "" {
		if err := s.cfg.Models.CheckModel(req.Type, req.Model); err != nil {
			return err
		}
	}
	var before string
	err = t.Settings.ChangeSetting(r.Context(), ChatModel, func(old string) (string, error) {
		before = old
		return req.Model, nil
	})
	if err != nil {
		return err
	}
	now, was := s.inEffect(req.Model), s.inEffect(before)
	return writeJSON(w, http.StatusOK, map[string]any{"success": true, "type": req.Type, "model": now.Model, "source": now.Source, "previous": was.Model})
}

// inEffect is the chat model that answers where the tenant chose one, "" for
// none: the settings' where the provider of today does not offer it.
func (s *Server) inEffect(chosen string) current {
	if chosen != "" && s.cfg.Models.CheckModel("chat", chosen) == nil {
		return current{chosen, "tenant"}
	}
	for _, m := range s.models() {
		if m.Default && m.Type == "chat" {
			return current{m.ID, "settings"}
		}
	}
	return current{Source: "settings"}
}

func (s *Server) modelInfo(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.tenantForAny(w, r, auth.Chat, auth.Admin, auth.Ingest); err != nil {
		return err
	}
	kind, name := r.PathValue("type"), r.PathValue("name")
	if !slices.Contains(modelTypes(), kind) {
		return invalid("type", "use chat, embedding or rerank")
	}
	for _, m := range s.models() {
		if m.Type == kind && m.ID == name {
			return writeJSON(w, http.StatusOK, m)
		}
	}
	return kb.E(kb.NotFound, nil, "no %s model %q; GET /models lists what there is", kind, name)
}
