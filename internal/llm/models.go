package llm

import (
	"slices"
	"sync"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Model is one model of the catalogue, as GET /models shows it.
type Model struct {
	ID         string   `json:"id"`
	Op         Op       `json:"type"` // chat, embedding, rerank
	Provider   Provider `json:"provider,omitempty"`
	Context    int      `json:"context,omitempty"`    // chat: tokens in and out together
	MaxInput   int      `json:"max_input,omitempty"`  // tokens: chat a prompt, embedding a text, rerank a document
	MaxOutput  int      `json:"max_output,omitempty"` // chat: tokens
	Thinking   bool     `json:"thinking,omitempty"`   // chat: can think, and is told not to
	Dimensions []int    `json:"dimensions,omitempty"` // embedding: the first is the default
	BatchRows  int      `json:"batch_rows,omitempty"` // embedding: texts, rerank: documents, per call
	BatchSize  int      `json:"batch_size,omitempty"` // rerank: tokens per call, query counted once per document
	Fixed      bool     `json:"-"`                    // embedding: takes no dimensions parameter
	Price      Price    `json:"price"`
}

// catalogue is what DashScope offers that this product can use. Limits and
// prices are the provider's pages of 2025-12 to 2026-06 (Beijing, in CNY per
// million tokens, thinking off, first price tier): model-studio/models,
// text-embedding-synchronous-api, rerank, "AI PaaS billing rules"; see
// facts/dependencies.md §4. Prices change: Config.Prices overrides.
var catalogue = sync.OnceValue(func() []Model {
	wide := []int{1024, 2048, 1536, 768, 512, 256, 128, 64}
	return []Model{
		{ID: "qwen-plus", Op: OpChat, Context: 131_072, MaxInput: 129_024, MaxOutput: 32_768, Thinking: true, Price: cny(0.8, 2)},
		{ID: "qwen-flash", Op: OpChat, Context: 1_000_000, MaxInput: 997_952, MaxOutput: 32_768, Thinking: true, Price: cny(0.15, 1.5)},
		{ID: "qwen-turbo", Op: OpChat, Context: 131_072, MaxInput: 129_024, MaxOutput: 16_384, Thinking: true, Price: cny(0.3, 0.6)},
		{ID: "qwen-max", Op: OpChat, Context: 32_768, MaxInput: 30_720, MaxOutput: 8_192, Price: cny(2.4, 9.6)},
		{ID: "qwen3-max", Op: OpChat, Context: 262_144, MaxInput: 258_048, MaxOutput: 65_536, Price: cny(6, 24)},
		{ID: "qwen3-235b-a22b", Op: OpChat, Context: 131_072, MaxInput: 129_024, MaxOutput: 16_384, Thinking: true, Price: cny(2, 8)},
		{ID: "qwen3-32b", Op: OpChat, Context: 131_072, MaxInput: 129_024, MaxOutput: 16_384, Thinking: true, Price: cny(2, 8)},
		{ID: "text-embedding-v4", Op: OpEmbed, MaxInput: 8192, Dimensions: wide, BatchRows: 10, Price: cny(0.5, 0)},
		{ID: "text-embedding-v3", Op: OpEmbed, MaxInput: 8192, Dimensions: []int{1024, 768, 512, 256, 128, 64}, BatchRows: 10, Price: cny(0.5, 0)},
		{ID: "text-embedding-v2", Op: OpEmbed, MaxInput: 2048, Dimensions: []int{1536}, BatchRows: 25, Fixed: true, Price: cny(0.7, 0)},
		{ID: "text-embedding-v1", Op: OpEmbed, MaxInput: 2048, Dimensions: []int{1536}, BatchRows: 25, Fixed: true, Price: cny(0.7, 0)},
		{ID: "qwen3-rerank", Op: OpRerank, MaxInput: 4_000, BatchRows: 500, BatchSize: 30_000, Price: cny(0.5, 0)},
		{ID: "gte-rerank-v2", Op: OpRerank, MaxInput: 4_000, BatchRows: 500, BatchSize: 30_000, Price: cny(0.8, 0)},
	}
})

// Lookup finds a model of the catalogue by its id.
func Lookup(id string) (Model, bool) {
	all := catalogue()
	i := slices.IndexFunc(all, func(m Model) bool { return m.ID == id })
	if i < 0 {
		return Model{}, false
	}
	return all[i], true
}

// Models lists what this client can be asked for: the catalogue of DashScope
// endpoints and the models the settings name, the configured one first of each
// kind. Endpoints that are not configured list nothing.
func (c *Client) Models() []Model {
	var out []Model
	for _, e := range []*endpoint{c.chat, c.embedding, c.rerank} {
		if e.on {
			out = append(out, e.offers(c.prices)...)
		}
	}
	return out
}

func (e *endpoint) offers(prices map[string]Price) []Model {
	ids := append([]string{e.model}, e.models...)
	if e.provider == DashScope {
		for _, m := range catalogue() {
			if m.Op == e.op {
				ids = append(ids, m.ID)
			}
		}
	}
	var out []Model
	for _, id := range ids {
		if slices.ContainsFunc(out, func(m Model) bool { return m.ID == id }) {
			continue
		}
		m, known := Lookup(id)
		if !known || m.Op != e.op || e.provider != DashScope {
			m = Model{ID: id, Op: e.op}
		}
		m.Provider = e.provider
		if p, ok := prices[id]; ok {
			m.Price = p
		}
		out = append(out, m)
	}
	return out
}

// CheckModel returns an Invalid error that lists the choices if the client
// cannot be asked for model id by op. Package api calls it before a switch.
func (c *Client) CheckModel(op Op, id string) error {
	e := c.endpoint(op)
	if e == nil || !e.on {
		return notConfigured(op)
	}
	var ids []string
	for _, m := range e.offers(nil) {
		ids = append(ids, m.ID)
	}
	if slices.Contains(ids, id) {
		return nil
	}
	return kb.E(kb.Invalid, nil, "model: no %s model %q; choose one of %v", op, id, ids).With("field", "model")
}

func (c *Client) endpoint(op Op) *endpoint {
	switch op {
	case OpChat:
		return c.chat
	case OpEmbed:
		return c.embedding
	case OpRerank:
		return c.rerank
	}
	return nil
}
