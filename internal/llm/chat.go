//go:build !nochat

package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"

	"github.com/cloudwego/eino-ext/components/model/openai"
	"github.com/cloudwego/eino-ext/components/model/qwen"
	"github.com/cloudwego/eino/callbacks"
	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/schema"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// callOptions are this package's options of a chat call through eino.
type callOptions struct {
	tenant  kb.TenantID
	bulk    bool
	json    bool
	noRetry bool
	sink    func(Usage)
	call    *call // made by Stream and Generate, which want to see it end
	ctx     context.Context
}

func option(set func(*callOptions)) model.Option { return model.WrapImplSpecificOptFn(set) }

// WithTenant says for whom a chat call is made: tenants take turns in the
// limiter, and Usage names them.
func WithTenant(id kb.TenantID) model.Option {
	return option(func(o *callOptions) { o.tenant = id })
}

// WithUsage has f told what the call took when it has ended: once, or twice
// where the first request taught what the model refuses.
func WithUsage(f func(Usage)) model.Option { return option(func(o *callOptions) { o.sink = f }) }

// Hold is what a streamed call can be ended by. The zero value is ready and
// serves one call.
type Hold struct{ call call }

// WithHold has this call ended by h, or by ctx in place of the context that a
// graph made of it: the graph's values would stay as long as the stream. Who
// made h calls its End, also where ctx has ended or MaxStream is over: a stream
// that is held has no timer of its own, which is seen when it is next read.
func WithHold(ctx context.Context, h *Hold) model.Option {
	return option(func(o *callOptions) { o.ctx, o.call = ctx, &h.call })
}

// End closes the call's stream, wherever it was left, and returns when its usage
// was told. Without a stream it returns at once.
func (h *Hold) End() { h.call.end() }

// WithJSON asks for a JSON object (response_format json_object). A message must
// contain the word JSON; see also JSON.
func WithJSON() model.Option { return option(func(o *callOptions) { o.json = true }) }

// WithBulk says that nobody waits for the answer: others go first, and the
// provider's minute limits are waited out.
func WithBulk() model.Option { return option(func(o *callOptions) { o.bulk = true }) }

// WithoutRetry has a failed call fail at once.
func WithoutRetry() model.Option { return option(func(o *callOptions) { o.noRetry = true }) }

// Chat is the chat model for an eino graph, with every guarantee of this
// package: a stream that ends with io.EOF was finished by the model, all else
// is an error that kb.KindOf knows. It takes eino's common options (model,
// temperature, max tokens, stop, tools) and this package's. A stream ends with
// its context, which has to be cancelled where it is left before its end, or be
// ended by a Hold: eino has no way to tell the model that a stream was closed
// but a goroutine for it.
func (c *Client) Chat() model.ToolCallingChatModel { return c.model }

// chatModel wraps eino's client for the provider.
type chatModel struct {
	c     *Client
	tools bool                                       // it offers some
	inner func() (model.ToolCallingChatModel, error) // made on first use
}

var _ model.ToolCallingChatModel = (*chatModel)(nil)

func newChatModel(c *Client) *chatModel {
	return &chatModel{c: c, inner: sync.OnceValues(c.openChat)}
}

// openChat makes eino's client: Qwen's for DashScope, OpenAI's elsewhere.
func (c *Client) openChat() (model.ToolCallingChatModel, error) {
	e := c.chat
	if !e.on {
		return nil, notConfigured(OpChat)
	}
	client := &http.Client{Transport: e} // no Timeout: it would cut streams; the endpoint has its own
	ctx := context.Background()
	if e.provider == DashScope {
		return qwen.NewChatModel(ctx, &qwen.ChatModelConfig{APIKey: e.key, BaseURL: e.base.String(), Model: e.model, HTTPClient: client})
	}
	return openai.NewChatModel(ctx, &openai.ChatModelConfig{APIKey: e.key, BaseURL: e.base.String(), Model: e.model, HTTPClient: client})
}

// GetType names the model in eino's callbacks.
func (m *chatModel) GetType() string { return "Guarded" }

// IsCallbacksEnabled says that eino has to report to its callbacks itself.
func (m *chatModel) IsCallbacksEnabled() bool { return false }

// WithTools returns a model that offers tools.
func (m *chatModel) WithTools(tools []*schema.ToolInfo) (model.ToolCallingChatModel, error) {
	in, err := m.inner()
	if err != nil {
		return nil, err
	}
	with, err := in.WithTools(tools)
	if err != nil {
		return nil, err
	}
	return &chatModel{c: m.c, tools: true, inner: func() (model.ToolCallingChatModel, error) { return with, nil }}, nil
}

// prepare makes the call of a chat request and the options for eino's client.
func (m *chatModel) prepare(ctx context.Context, in []*schema.Message, stream bool, opts []model.Option) (context.Context, model.ToolCallingChatModel, []model.Option, error) {
	inner, err := m.inner()
	if err != nil {
		return nil, nil, nil, err
	}
	if len(in) == 0 {
		return nil, nil, nil, kb.E(kb.Internal, nil, "chat without messages")
	}
	e := m.c.chat
	common := model.GetCommonOptions(&model.Options{Model: &e.model}, opts...)
	own := model.GetImplSpecificOptions(&callOptions{}, opts...)
	k := own.call
	if k == nil {
		k = &call{}
	}
	k.held = own.ctx != nil // WithHold
	k.op, k.model, k.streams, k.stream = OpChat, *common.Model, stream, nil
	k.tenant, k.bulk, k.sink, k.retries = own.tenant, own.bulk, own.sink, e.retries
	k.tokens = 0
	k.maxBody = 8*e.maxOutput + 64<<10 // JSON escapes a character as up to six bytes; the rest is the frame
	if own.noRetry {
		k.retries = 0
	}
	for _, msg := range in {
		k.tokens += EstimateTokens(msg.Content) + 4 // role and delimiters
	}
	extra := map[string]any{}
	if own.json && !m.c.refusesJSON(k.model) {
		extra["response_format"] = map[string]string{"type": "json_object"}
	}
	if m.c.unthinking(k.model) {
		extra["enable_thinking"] = false // a thought delays the first token, and JSON mode refuses it
	}
	if len(extra) > 0 {
		opts = append(slices.Clip(opts), openai.WithExtraFields(extra))
	}
	if own.ctx != nil {
		ctx = own.ctx
	}
	ctx = callbacks.InitCallbacks(ctx, nil) // eino reports for this model, the client below need not
	return withCall(ctx, k), inner, opts, nil
}

// unthinking reports whether a model has to be told not to think. Elsewhere
// than on DashScope the parameter is unknown.
func (c *Client) unthinking(id string) bool {
	if v, learned := c.thinking.Load(id); learned {
		return v.(bool)
	}
	known, ok := Lookup(id)
	return ok && known.Thinking && c.chat.provider == DashScope
}

// learns reports whether err taught how a model wants enable_thinking: some
// refuse to think without a stream unless told not to, some only ever think.
func (m *chatModel) learns(err error, opts []model.Option) bool {
	if !errors.Is(err, errThinking) {
		return false
	}
	id := *model.GetCommonOptions(&model.Options{Model: &m.c.chat.model}, opts...).Model
	_, known := m.c.thinking.LoadOrStore(id, !m.c.unthinking(id))
	return !known
}

// Generate implements eino's model: one whole answer.
func (m *chatModel) Generate(ctx context.Context, in []*schema.Message, opts ...model.Option) (*schema.Message, error) {
	out, err := m.generate(ctx, in, opts)
	if m.learns(err, opts) {
		return m.generate(ctx, in, opts)
	}
	return out, err
}

func (m *chatModel) generate(ctx context.Context, in []*schema.Message, opts []model.Option) (out *schema.Message, err error) {
	ctx, inner, opts, err := m.prepare(ctx, in, false, opts)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil { // the client below trusts the shape of the answer
			out, err = nil, m.explain(fmt.Errorf("%w: %v", ErrBadReply, r))
		}
	}()
	out, err = inner.Generate(ctx, in, opts...)
	if err != nil {
		return nil, m.explain(err)
	}
	if err := m.check(out); err != nil {
		return nil, err
	}
	return out, nil
}

// check applies to a whole answer what sse applies to a stream.
func (m *chatModel) check(out *schema.Message) error {
	switch {
	case out.ResponseMeta == nil || out.ResponseMeta.FinishReason == "" || out.ResponseMeta.FinishReason == "null":
		return m.explain(ErrTruncated)
	case out.ResponseMeta.FinishReason == "error":
		return m.explain(fmt.Errorf("%w: finish reason error", ErrBadReply))
	case out.ResponseMeta.FinishReason == "content_filter":
		return m.c.chat.classify(http.StatusOK, nil, filtered).err
	case int64(len(out.Content)+len(out.ReasoningContent)) > m.c.chat.maxOutput:
		return m.explain(ErrTooMuchOutput)
	}
	return nil
}

// Stream implements eino's model: an answer as it is written.
func (m *chatModel) Stream(ctx context.Context, in []*schema.Message, opts ...model.Option) (*schema.StreamReader[*schema.Message], error) {
	sr, err := m.stream(ctx, in, opts)
	if m.learns(err, opts) {
		return m.stream(ctx, in, opts)
	}
	return sr, err
}

func (m *chatModel) stream(ctx context.Context, in []*schema.Message, opts []model.Option) (*schema.StreamReader[*schema.Message], error) {
	ctx, inner, opts, err := m.prepare(ctx, in, true, opts)
	if err != nil {
		return nil, err
	}
	sr, err := inner.Stream(ctx, in, opts...)
	b := callOf(ctx).stream
	switch {
	case err == nil && b != nil:
		sr.Close() // empty, see begin
		return m.pull(b), nil
	case b != nil:
		_ = b.Close()
	}
	return nil, m.explain(err)
}

// pull is a stream that is read by whoever asks for its next message. It closes
// b at its end; wherever it was left, its context does.
func (m *chatModel) pull(b *streamBody) *schema.StreamReader[*schema.Message] {
	asked := make([]struct{}, math.MaxInt32) // takes no memory
	return schema.StreamReaderWithConvert(schema.StreamReaderFromArray(asked), func(struct{}) (*schema.Message, error) {
		err := b.wait()
		return m.pulled(b, err)
	})
}

// pulled is what came of a stream, or how waiting for it failed.
func (m *chatModel) pulled(b *streamBody, err error) (*schema.Message, error) {
	var msg *schema.Message
	if err == nil {
		p := b.take()
		msg, err = p.message()
		if err == nil && p.finish != "" && !m.tools {
			err = finished(p.finish)
		}
	}
	if err != nil {
		_ = b.Close()
	}
	if err == nil || errors.Is(err, io.EOF) {
		return msg, err
	}
	return nil, m.explain(err)
}

// message is p for eino.
func (p *piece) message() (*schema.Message, error) {
	msg := &schema.Message{Role: schema.Assistant, Content: p.text, ReasoningContent: p.thought}
	if len(p.tools) > 0 {
		if err := json.Unmarshal(p.tools, &msg.ToolCalls); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadReply, err)
		}
	}
	if p.finish != "" || p.usage != nil {
		msg.ResponseMeta = &schema.ResponseMeta{FinishReason: p.finish}
	}
	if u := p.usage; u != nil {
		msg.ResponseMeta.Usage = &schema.TokenUsage{
			PromptTokens: u.Prompt, CompletionTokens: u.Completion, TotalTokens: u.Total,
			PromptTokenDetails: schema.PromptTokenDetails{CachedTokens: u.Details.Cached},
		}
	}
	return msg, nil
}

// explain gives an error from the client below its *kb.Error: the one that the
// endpoint made, if it is in the chain, without the client's decoration.
func (m *chatModel) explain(err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*kb.Error](err); ok {
		return known
	}
	if errors.Is(err, context.Canceled) {
		return kb.E(kb.Canceled, &CallError{Op: OpChat, cause: context.Canceled}, "the request was cancelled")
	}
	return m.c.chat.broken(context.Background(), context.Background(), badReply(err)).err
}

// badReply marks an error of the client below, which then could not read what
// it was given, unless it is one of our sentinels already.
func badReply(err error) error {
	if knownCause(err) != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrBadReply, err)
}

func (c *Client) refusesJSON(model string) bool {
	_, ok := c.noJSON.Load(model)
	return ok
}
