// Package llm reaches the models: chat through eino, embeddings and reranking
// through small clients of its own, all over one guarded road per endpoint
// (limiter, circuit breaker, retries, bounded and checked answers). It speaks
// DashScope's compatible mode by default and any OpenAI-compatible endpoint by
// base URL. Nothing here touches the network before the first call.
//
// Errors are *kb.Error with a message fit for the user; the provider's own
// words are in its cause, and errors.Is finds the sentinels of errors.go.
package llm

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// DefaultBaseURL is DashScope's compatible mode in Beijing; Singapore and
// workspace endpoints have their own (facts/dependencies.md §4).
const DefaultBaseURL = "https://dashscope.aliyuncs.com/compatible-mode/v1"

// Default models on DashScope, as the deployment guide has them.
const (
	DefaultChatModel      = "qwen-plus"
	DefaultEmbeddingModel = "text-embedding-v2"
	DefaultRerankModel    = "qwen3-rerank"
)

// Config says where the models are. The zero value is DashScope without a key:
// nothing is configured, and every call returns ErrNotConfigured.
type Config struct {
	// BaseURL and APIKey are used by every endpoint that names no base URL of
	// its own. A key is never sent to another endpoint's base URL.
	BaseURL string // empty = DefaultBaseURL
	APIKey  string

	Chat      Endpoint
	Embedding Endpoint
	Rerank    Endpoint

	// Dimensions of embeddings; 0 = the model's default. A model that cannot
	// have them is refused by New.
	Dimensions int

	// Timeout bounds one try up to the first token of a stream, or up to the
	// whole answer otherwise. A call starts no new try later than this after
	// its first, so two of them bound a call. 0 = 30 s (the guide's dashscope.timeout).
	Timeout time.Duration
	// IdleTimeout bounds the wait for the next chunk of a stream. 0 = Timeout.
	IdleTimeout time.Duration
	// MaxStream bounds a whole stream. 0 = 10 min.
	MaxStream time.Duration
	// MaxRetries is how often a failed try is repeated. 0 = 3 (the guide's
	// dashscope.max_retries), negative = never.
	MaxRetries int
	// MaxOutputBytes bounds the text of one chat answer, thoughts included. 0 = 256 KiB.
	MaxOutputBytes int64

	// Proxy is the URL of an HTTP proxy; empty = none. The environment is not asked.
	Proxy string

	// Prices replace or extend the catalogue's, by model.
	Prices map[string]Price
	// Observe is told of every finished call, from the goroutine that finished
	// it; it must not block. May be nil.
	Observe func(context.Context, Usage)
}

// Endpoint is one interface of one provider.
type Endpoint struct {
	BaseURL  string // empty = Config.BaseURL
	APIKey   string // empty = Config.APIKey where the base URL is Config's
	Model    string // empty = the default on DashScope, not configured elsewhere
	Provider Provider
	Models   []string // further models that may be switched to

	MaxConcurrent     int // calls at once per model; 0 = 256 for chat, 8 else
	RequestsPerMinute int // 0 = unlimited until the provider throttles
	TokensPerMinute   int // the same
	BatchRows         int // embeddings: texts per call; 0 = the model's limit, or 16 if unknown
}

// Provider is the dialect an endpoint speaks.
type Provider string

// The dialects. Empty means: DashScope where the base URL looks like it (host
// under aliyuncs.com, or a path with /compatible-mode/), OpenAI elsewhere.
const (
	DashScope Provider = "dashscope"
	OpenAI    Provider = "openai"
)

// Defaults of Config.
const (
	defaultTimeout   = 30 * time.Second // the guide's dashscope.timeout
	defaultMaxStream = 10 * time.Minute // 32k tokens of output at 55 tokens/s
	defaultRetries   = 3                // the guide's dashscope.max_retries
	defaultMaxOutput = 256 << 10        // 32k tokens, the largest output on offer, at 8 bytes
	defaultChatSlots = 256              // 200 streams and room; a provider that allows fewer says so
	defaultBulkSlots = 8                // embeddings and reranks: throughput saturates well before
)

// Client is one process's access to the models. It is safe for concurrent use
// and holds no goroutines between calls.
type Client struct {
	cfg       Config
	chat      *endpoint
	embedding *endpoint
	rerank    *endpoint
	model     *chatModel
	prices    map[string]Price
	rows      sync.Map // model → int: batch limits learned from refusals
	noJSON    sync.Map // model → struct{}: refused response_format
	thinking  sync.Map // model → bool: whether to send enable_thinking: false, learned from refusals
}

// New checks cfg and makes a client. It does no I/O; transports and eino
// models are made on first use.
func New(cfg Config) (*Client, error) {
	cfg.Timeout = or(cfg.Timeout, defaultTimeout)
	cfg.IdleTimeout = or(cfg.IdleTimeout, cfg.Timeout)
	cfg.MaxStream = or(cfg.MaxStream, defaultMaxStream)
	cfg.MaxOutputBytes = or(cfg.MaxOutputBytes, defaultMaxOutput)
	cfg.MaxRetries = max(0, or(cfg.MaxRetries, defaultRetries))
	c := &Client{cfg: cfg, prices: cfg.Prices}
	road, err := newRoad(cfg)
	if err != nil {
		return nil, err
	}
	for _, e := range []struct {
		to    **endpoint
		op    Op
		from  Endpoint
		model string
		slots int
	}{
		{&c.chat, OpChat, cfg.Chat, DefaultChatModel, defaultChatSlots},
		{&c.embedding, OpEmbed, cfg.Embedding, DefaultEmbeddingModel, defaultBulkSlots},
		{&c.rerank, OpRerank, cfg.Rerank, DefaultRerankModel, defaultBulkSlots},
	} {
		ep, err := newEndpoint(e.op, cfg, e.from, e.model, e.slots)
		if err != nil {
			return nil, err
		}
		ep.road, ep.report = road, c.observe
		*e.to = ep
	}
	if err := c.checkDimensions(); err != nil {
		return nil, err
	}
	c.model = newChatModel(c)
	return c, nil
}

// newEndpoint resolves one endpoint's settings. One without a model, or on
// DashScope without a key, is left unconfigured.
func newEndpoint(op Op, cfg Config, ep Endpoint, model string, slots int) (*endpoint, error) {
	field := "llm." + string(op)
	if ep.BaseURL == "" {
		ep.BaseURL = or(cfg.BaseURL, DefaultBaseURL)
		ep.APIKey = or(ep.APIKey, cfg.APIKey)
	}
	base, err := parseBase(field, ep.BaseURL)
	if err != nil {
		return nil, err
	}
	ep.APIKey = strings.TrimSpace(ep.APIKey) // secrets from files end with a newline
	if strings.ContainsAny(ep.APIKey, " \t\r\n") {
		return nil, kb.E(kb.Invalid, nil, "%s: the API key contains white space; copy it again", field)
	}
	switch ep.Provider {
	case "":
		ep.Provider = guess(base)
	case DashScope, OpenAI:
	default:
		return nil, kb.E(kb.Invalid, nil, "%s.provider: use %q or %q", field, DashScope, OpenAI)
	}
	if ep.Provider == DashScope {
		ep.Model = or(ep.Model, model)
	}
	e := &endpoint{
		op: op, base: base, key: ep.APIKey, provider: ep.Provider,
		model: ep.Model, models: ep.Models, rows: ep.BatchRows,
		timeout: cfg.Timeout, idle: cfg.IdleTimeout, maxStream: cfg.MaxStream,
		maxOutput: cfg.MaxOutputBytes, retries: cfg.MaxRetries,
		limits: limits{
			slots:  or(ep.MaxConcurrent, slots),
			perSec: float64(ep.RequestsPerMinute) / 60,
			tokens: float64(ep.TokensPerMinute) / 60,
		},
	}
	e.on = e.model != "" && (e.key != "" || ep.Provider != DashScope || loopback(base))
	return e, nil
}

// or returns v, or def if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// HasChat reports whether a chat model is configured; without one the product
// answers with quotes.
func (c *Client) HasChat() bool { return c.chat.on }

// HasEmbedding reports whether an embedding model is configured.
func (c *Client) HasEmbedding() bool { return c.embedding.on }

// HasRerank reports whether a rerank model is configured.
func (c *Client) HasRerank() bool { return c.rerank.on }

// ChatModel names the configured chat model; empty if there is none.
func (c *Client) ChatModel() string { return c.chat.name() }

// EmbeddingModel names the configured embedding model; empty if there is none.
func (c *Client) EmbeddingModel() string { return c.embedding.name() }

// RerankModel names the configured rerank model; empty if there is none.
func (c *Client) RerankModel() string { return c.rerank.name() }

// Dimensions is the length of the vectors Embed returns, 0 if only the first
// answer will tell.
func (c *Client) Dimensions() int {
	if c.cfg.Dimensions > 0 {
		return c.cfg.Dimensions
	}
	if m, ok := Lookup(c.embedding.model); ok && len(m.Dimensions) > 0 {
		return m.Dimensions[0]
	}
	return 0
}

func (c *Client) checkDimensions() error {
	d := c.cfg.Dimensions
	if d < 0 {
		return kb.E(kb.Invalid, nil, "embedding_dimension: %d is negative", d)
	}
	m, known := Lookup(c.embedding.model)
	if d == 0 || !known || !c.embedding.on || m.Op != OpEmbed || slices.Contains(m.Dimensions, d) {
		return nil
	}
	return kb.E(kb.Invalid, nil, "embedding_dimension: %s cannot have %d; use one of %v", m.ID, d, m.Dimensions)
}

// Close releases idle connections. The client can still be used.
func (c *Client) Close() {
	if t, ok := c.chat.road.tripper().(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// Ready probes that the chat endpoint answers HTTP at all, for health pages. It
// sends no key and counts any status as alive.
func (c *Client) Ready(ctx context.Context) error {
	if !c.chat.on {
		return notConfigured(OpChat)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, c.chat.base.String(), nil)
	if err != nil {
		return err
	}
	res, err := c.chat.road.tripper().RoundTrip(req)
	if err != nil {
		return kb.E(kb.Unavailable, &CallError{Op: OpChat, cause: err}, "the language model cannot be reached")
	}
	return res.Body.Close()
}
