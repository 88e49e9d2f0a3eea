//go:build !nochat

package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Options are the settings of one chat call; the zero value is the configured
// model with its own defaults.
type Options struct {
	Model       string // empty = the configured one
	Tenant      kb.TenantID
	Temperature float32 // 0 = the model's default; 0.01 is as good as greedy
	MaxTokens   int     // of the answer; 0 = the model's limit
	Stop        []string
	JSON        bool // response_format json_object
	Bulk        bool // nobody waits for the answer
	NoRetry     bool
	Observe     func(Usage) // as WithUsage
}

// eino returns o as options of an eino model.
func (o Options) eino() []model.Option {
	opts := []model.Option{option(func(c *callOptions) {
		c.tenant, c.bulk, c.json, c.noRetry, c.sink = o.Tenant, o.Bulk, o.JSON, o.NoRetry, o.Observe
	})}
	if o.Model != "" {
		opts = append(opts, model.WithModel(o.Model))
	}
	if o.Temperature > 0 {
		opts = append(opts, model.WithTemperature(o.Temperature))
	}
	if o.MaxTokens > 0 {
		opts = append(opts, model.WithMaxTokens(o.MaxTokens))
	}
	if len(o.Stop) > 0 {
		opts = append(opts, model.WithStop(o.Stop))
	}
	return opts
}

// Delta is one piece of a streamed answer.
type Delta struct {
	Text      string
	Reasoning string // of models that think aloud
	Finish    string // last piece: "stop", or "length" if cut at MaxTokens
	Usage     Usage  // last piece
}

// Stream asks the chat model and yields its answer in pieces of valid UTF-8.
// The last piece has Finish; a sequence that ends without it ended with an
// error, its last element. When the loop is left, at whatever point, the
// stream has been closed once, its connection released and its usage observed.
func (c *Client) Stream(ctx context.Context, in []*schema.Message, o Options) iter.Seq2[Delta, error] {
	return func(yield func(Delta, error) bool) {
		k := &call{}
		sr, err := c.model.Stream(ctx, in, append(o.eino(), option(func(c *callOptions) { c.call = k }))...)
		if err != nil {
			yield(Delta{}, err)
			return
		}
		defer k.end()
		defer sr.Close()
		relay(k, sr, yield)
	}
}

// relay passes a stream's pieces on until its end.
func relay(k *call, sr *schema.StreamReader[*schema.Message], yield func(Delta, error) bool) {
	finish := ""
	for {
		msg, err := sr.Recv()
		switch {
		case errors.Is(err, io.EOF): // the endpoint lets only finished streams end so
			yield(Delta{Finish: finish, Usage: k.spent()}, nil)
			return
		case err != nil:
			yield(Delta{}, err)
			return
		}
		if msg.ResponseMeta != nil && msg.ResponseMeta.FinishReason != "" {
			finish = msg.ResponseMeta.FinishReason
		}
		if msg.Content == "" && msg.ReasoningContent == "" {
			continue
		}
		if !yield(Delta{Text: msg.Content, Reasoning: msg.ReasoningContent}, nil) {
			return
		}
	}
}

// finished reports what is wrong with the finish reason of a call that offers
// no tools: one that ends in a call of one, or in anything unknown, is no
// answer, whatever text came before.
func finished(reason string) error {
	if reason == "stop" || reason == "length" {
		return nil
	}
	return fmt.Errorf("%w: finish reason %.40q", ErrBadReply, reason)
}

// Reply is a whole answer.
type Reply struct {
	Text   string
	Finish string
	Usage  Usage
}

// Generate asks the chat model and returns its whole answer.
func (c *Client) Generate(ctx context.Context, in []*schema.Message, o Options) (Reply, error) {
	k := &call{}
	msg, err := c.model.Generate(ctx, in, append(o.eino(), option(func(c *callOptions) { c.call = k }))...)
	if err != nil {
		return Reply{Usage: k.spent()}, err
	}
	if err := finished(msg.ResponseMeta.FinishReason); err != nil {
		return Reply{Usage: k.spent()}, c.model.explain(err)
	}
	return Reply{Text: msg.Content, Finish: msg.ResponseMeta.FinishReason, Usage: k.spent()}, nil
}
