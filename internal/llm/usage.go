package llm

import (
	"context"
	"math"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Op is what a call asks of a model.
type Op string

// The operations, also the type of a Model.
const (
	OpChat   Op = "chat"
	OpEmbed  Op = "embedding"
	OpRerank Op = "rerank"
)

// Usage is what one call took. It is complete when the call has ended, also by
// an error or because the reader left.
type Usage struct {
	Tenant     kb.TenantID
	Op         Op
	Model      string
	Prompt     int   // tokens
	Completion int   // tokens, thoughts included
	Cached     int   // of Prompt, read from the provider's cache
	Estimated  bool  // the provider did not say; counted by EstimateTokens
	CostMicro  int64 // millionths of Currency; 0 without a price
	Currency   string
	Calls      int           // HTTP requests sent, retries included
	Queued     time.Duration // waiting for the limiter
	FirstToken time.Duration // from the start to the first chunk; 0 if there was none
	Duration   time.Duration
	Err        error // how it ended; nil = well
}

// Price is per million tokens, in millionths of Currency.
type Price struct {
	InMicro  int64  `json:"input_micro"`
	OutMicro int64  `json:"output_micro"`
	Currency string `json:"currency,omitempty"`
}

// cny makes a price from yuan per million tokens.
func cny(in, out float64) Price {
	return Price{int64(math.Round(in * 1e6)), int64(math.Round(out * 1e6)), "CNY"}
}

// Cost is the price of so many tokens, in millionths, rounded up.
func (p Price) Cost(prompt, completion int) int64 {
	sum := p.InMicro*int64(prompt) + p.OutMicro*int64(completion)
	return (sum + 999_999) / 1_000_000
}

// Add sums tokens, cost, calls and times of u and v, for calls that belong
// together; the rest is u's.
func (u Usage) Add(v Usage) Usage {
	u.Prompt += v.Prompt
	u.Completion += v.Completion
	u.Cached += v.Cached
	u.Estimated = u.Estimated || v.Estimated
	u.CostMicro += v.CostMicro
	u.Currency = or(u.Currency, v.Currency)
	u.Model = or(u.Model, v.Model)
	u.Op = or(u.Op, v.Op)
	u.Tenant = or(u.Tenant, v.Tenant)
	u.Calls += v.Calls
	u.Queued += v.Queued
	u.Duration += v.Duration
	return u
}

// observe prices u and tells whoever wants to know. It is the one place where
// a call's accounting ends.
func (c *Client) observe(ctx context.Context, k *call, u Usage) {
	price, ok := c.prices[u.Model]
	if !ok {
		if m, known := Lookup(u.Model); known {
			price, ok = m.Price, true
		}
	}
	if ok {
		u.CostMicro, u.Currency = price.Cost(u.Prompt, u.Completion), price.Currency
	}
	k.usage.Store(&u)
	if k.sink != nil {
		k.sink(u)
	}
	if c.cfg.Observe != nil {
		c.cfg.Observe(ctx, u)
	}
}

// EstimateTokens is a cautious guess of the tokens of s for Qwen: one for each
// CJK character, one for three bytes of ASCII, two for any other character. The
// provider's billing page says one character, and three to four letters.
func EstimateTokens(s string) int {
	thirds := 0
	for _, r := range s {
		thirds += weight(r)
	}
	return (thirds + 2) / 3
}

// Trim cuts s so that EstimateTokens is at most n, between characters.
func Trim(s string, n int) string {
	if len(s) <= n { // a token is at least a byte
		return s
	}
	thirds := 0
	for i, r := range s {
		thirds += weight(r)
		if thirds > 3*n {
			return s[:i]
		}
	}
	return s
}

// weight is a character's share of tokens, in thirds.
func weight(r rune) int {
	switch {
	case r < 0x80:
		return 1
	case r >= 0x2E80 && r < 0x1F000: // CJK radicals up to before the emoji
		return 3
	}
	return 6
}
