package llm

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cloudwego/eino/components/model"
	"github.com/cloudwego/eino/compose"
	"github.com/cloudwego/eino/schema"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// These tests hold the model to what an eino graph needs of it; the numbers
// are the pitfalls of facts/dependencies.md §3.2.

type runnable = compose.Runnable[[]*schema.Message, *schema.Message]

// graph is the smallest graph with the model in it.
func graph(t *testing.T, c *Client) runnable {
	t.Helper()
	g := compose.NewGraph[[]*schema.Message, *schema.Message]()
	for _, err := range []error{
		g.AddChatModelNode("model", c.Chat()),
		g.AddEdge(compose.START, "model"),
		g.AddEdge("model", compose.END),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := g.Compile(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// run streams through a graph and reads to the end.
func run(ctx context.Context, r runnable, opts ...compose.Option) (string, error) {
	sr, err := r.Stream(ctx, ask("你好"), opts...)
	if err != nil {
		return "", err
	}
	defer sr.Close()
	text := ""
	for {
		m, err := sr.Recv()
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return text, err
		}
		text += m.Content
	}
}

func TestGraphStreams(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	r := graph(t, c)
	var u Usage
	text, err := run(t.Context(), r, compose.WithChatModelOption(WithTenant("acme"), WithUsage(func(v Usage) { u = v }),
		model.WithModel("qwen-max"), model.WithTemperature(0.5)))
	if err != nil || text != "You said: 你好" {
		t.Fatalf("%q, %v", text, err)
	}
	if u.Tenant != "acme" || u.Model != "qwen-max" || u.Prompt == 0 || u.Err != nil {
		t.Errorf("usage %+v", u)
	}
	req := s.Requests(llmtest.Chat)[0]
	if req.Model != "qwen-max" || req.Fields["temperature"] != 0.5 || req.Fields["enable_thinking"] != nil || !req.Stream {
		t.Errorf("sent %s", req.Body)
	}
	if msg, err := r.Invoke(t.Context(), ask("你好")); err != nil || msg.Content != "You said: 你好" {
		t.Errorf("Invoke = %v, %v", msg, err)
	}
}

// 2, 3, 4: what goes wrong below the graph arrives above it classified.
func TestGraphSeesErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		act      llmtest.Act
		kind     kb.Kind
		sentinel error
	}{
		{"a clean end without a finish reason", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Truncate}, kb.Unavailable, ErrTruncated},
		{"an error object in the stream", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.ErrorObject, Code: "data_inspection_failed", Message: "x"}, kb.Invalid, ErrRefused},
		{"a broken connection", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Abort}, kb.Unavailable, nil},
		{"a 429 with its time", llmtest.Throttled("77"), kb.RateLimited, ErrThrottled},
		{"a proxy's page", llmtest.BadGateway(), kb.Unavailable, nil},
		{"a hang", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Hang}, kb.Unavailable, ErrTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := stand(t, Config{MaxRetries: -1, IdleTimeout: 500 * time.Millisecond})
			r := graph(t, c)
			s.Always(llmtest.Chat, tt.act)
			_, err := run(t.Context(), r)
			if kb.KindOf(err) != tt.kind || tt.sentinel != nil && !errors.Is(err, tt.sentinel) {
				t.Errorf("error %v of kind %d", err, kb.KindOf(err))
			}
			if e, ok := errors.AsType[*kb.Error](err); ok && tt.act.RetryAfter != "" && e.Retry != 77*time.Second {
				t.Errorf("Retry = %v, want 77s", e.Retry)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Error("the error tells the key")
			}
		})
	}
}

// 5: a stream that is left must not hold its connection and its place longer
// than its context, and closing one twice must not panic.
func TestStreamsEndWithTheirContext(t *testing.T) {
	s, c := stand(t, Config{})
	base := runtime.NumGoroutine()
	s.Always(llmtest.Chat, llmtest.Act{Reply: strings.Repeat("word ", 1000)})
	ctx, cancel := context.WithCancel(t.Context())
	func() {
		for range 20 {
			sr, err := c.Chat().Stream(ctx, ask("?"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sr.Recv(); err != nil {
				t.Fatal(err)
			}
		}
	}()
	cancel()
	settled(t, c, base)
	ctx, cancel = context.WithCancel(t.Context())
	sr, err := c.Chat().Stream(ctx, ask("?"))
	if err != nil {
		t.Fatal(err)
	}
	sr.Close()
	sr.Close()
	cancel()
	settled(t, c, base)
	lim := c.chat.limiter(DefaultChatModel)
	lim.mu.Lock()
	defer lim.mu.Unlock()
	if lim.used != 0 {
		t.Errorf("%d places still taken", lim.used)
	}
}

// 6: a cancelled context ends a stream that waits for the provider at once.
func TestGraphCancels(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	r := graph(t, c)
	s.Always(llmtest.Chat, llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	var at time.Time
	time.AfterFunc(100*time.Millisecond, func() { at = time.Now(); cancel() })
	_, err := run(ctx, r)
	if !errors.Is(err, context.Canceled) || kb.KindOf(err) != kb.Canceled {
		t.Errorf("error %v", err)
	}
	if d := time.Since(at); d > 2*time.Second {
		t.Errorf("ended %v after cancel", d)
	}
}

func TestTools(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	m, err := c.Chat().WithTools([]*schema.ToolInfo{{Name: "lookup", Desc: "finds", ParamsOneOf: schema.NewParamsOneOfByParams(map[string]*schema.ParameterInfo{"id": {Type: schema.String}})}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Generate(t.Context(), ask("?")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Chat().Generate(t.Context(), ask("?")); err != nil {
		t.Fatal(err)
	}
	reqs := s.Requests(llmtest.Chat)
	if reqs[0].Fields["tools"] == nil || reqs[1].Fields["tools"] != nil {
		t.Error("tools must be of the model they were given to, and of no other")
	}
}

// 7: eino's OpenAI client dereferences nil at an answer with sound in it.
func TestPanicsBelowAreErrors(t *testing.T) {
	t.Parallel()
	s, base := stand(t, Config{})
	c, err := New(Config{BaseURL: base.chat.base.Scheme + "://" + base.chat.base.Host + "/v1", APIKey: secret, Chat: Endpoint{Model: "qwen-plus"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s.Always(llmtest.Chat, llmtest.Act{
		Status: 200, RawType: "application/json",
		Raw: `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"x","audio":{"id":"1","data":"AAAA"}}}]}`,
	})
	_, err = c.Generate(t.Context(), ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrBadReply)
}

// Other endpoints are reached through OpenAI's client, at their own path, and
// without DashScope's parameters.
func TestChatElsewhere(t *testing.T) {
	t.Parallel()
	s, base := stand(t, Config{})
	web := base.chat.base.Scheme + "://" + base.chat.base.Host
	c, err := New(Config{BaseURL: web + "/v1", APIKey: secret, Chat: Endpoint{Model: "qwen-plus"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text, _, last, err := drain(t.Context(), c, ask("hi"), Options{})
	if err != nil || text != "You said: hi" || last.Usage.Prompt == 0 {
		t.Errorf("%q, %+v, %v", text, last, err)
	}
	req := s.Requests(llmtest.Chat)[0]
	if req.Path != "/v1/chat/completions" || req.Fields["enable_thinking"] != nil {
		t.Errorf("sent %s to %s", req.Body, req.Path)
	}
}
