package llm

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// Every failure before the answer, on every interface: what the user sees, what
// callers can branch on, and whether it is tried again.
func TestFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		act      llmtest.Act
		kind     kb.Kind
		sentinel error
		retried  bool
	}{
		{"a refused key", llmtest.BadKey(), kb.Unavailable, ErrUnauthorized, false},
		{"a refused key that is said back", llmtest.Act{Status: 401, Code: "invalid_api_key", Message: "Incorrect API key provided: " + secret + "."}, kb.Unavailable, ErrUnauthorized, false},
		{"too many requests", llmtest.Throttled("0.01"), kb.RateLimited, ErrThrottled, true},
		{"too many tokens", with(llmtest.ThrottledTokens(), "0.01"), kb.RateLimited, ErrThrottled, true},
		{"a burst", with(llmtest.ThrottledBurst(), "0.01"), kb.RateLimited, ErrThrottled, true},
		{"too many requests, native", with(llmtest.ThrottledNative(), "0.01"), kb.RateLimited, ErrThrottled, true},
		{"an overdue account", llmtest.Arrears(), kb.Unavailable, ErrArrears, false},
		{"an overdue account as 429", llmtest.Act{Status: 429, Code: "PrepaidBillOverdue", Message: "The prepaid bill is overdue."}, kb.Unavailable, ErrArrears, false},
		{"a used up free quota", llmtest.Act{Status: 403, Code: "AllocationQuota.FreeTierOnly", Message: "The free tier of the model has been exhausted."}, kb.Unavailable, ErrArrears, false},
		{"refused content", llmtest.Inspected(), kb.Invalid, ErrRefused, false},
		{"refused content, newer words", llmtest.InspectedNew(), kb.Invalid, ErrRefused, false},
		{"a prompt too long", llmtest.TooLong(), kb.TooLarge, ErrContextLength, false},
		{"an unknown model", llmtest.Act{Status: 404, Code: "model_not_found", Message: "The model `x` does not exist"}, kb.Unavailable, ErrNoModel, false},
		{"a model without permission", llmtest.Act{Status: 403, Code: "access_denied", Message: "Access denied."}, kb.Unavailable, ErrNoModel, false},
		{"a failure", llmtest.Failed(), kb.Unavailable, nil, true},
		{"a proxy's page", llmtest.BadGateway(), kb.Unavailable, nil, true},
		{"a page with status 200", llmtest.HTMLPage(), kb.Unavailable, ErrBadReply, true},
		{"a redirect", llmtest.Redirected("http://127.0.0.1:1/steal"), kb.Unavailable, ErrBadReply, false},
		{"a broken connection", llmtest.Act{Fault: llmtest.Abort, After: -1}, kb.Unavailable, nil, true},
		{"another wrong parameter", llmtest.Act{Status: 400, Code: "invalid_parameter_error", Message: "Temperature should be in [0.0, 2.0)"}, kb.Unavailable, ErrBadReply, false},
		{"an error that is a text", llmtest.Act{Status: 500, Raw: `{"error":"model crashed"}`, RawType: "application/json"}, kb.Unavailable, nil, true},
		{"a huge error page", llmtest.Act{Status: 503, Raw: strings.Repeat("<p>sorry</p>", 100_000)}, kb.Unavailable, nil, true},
		{"an error object with status 200", llmtest.Act{Status: 200, Raw: `{"error":{"code":"internal_error","message":"oops"}}`, RawType: "application/json"}, kb.Unavailable, ErrBadReply, true},
	}
	calls := map[llmtest.Op]func(*Client) error{
		llmtest.Chat: func(c *Client) error {
			_, err := c.Generate(t.Context(), ask("?"), Options{})
			return err
		},
		llmtest.Embed: func(c *Client) error {
			_, _, err := c.Embed(t.Context(), []string{"a"}, EmbedOptions{})
			return err
		},
		llmtest.Rerank: func(c *Client) error {
			_, _, err := c.Rerank(t.Context(), "q", []string{"a"}, RerankOptions{})
			return err
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for op, do := range calls {
				s, c := stand(t, Config{MaxRetries: 1})
				s.Always(op, tt.act)
				err := do(c)
				wantErr(t, err, tt.kind, tt.sentinel)
				want := 1
				if tt.retried {
					want = 2
				}
				if n := len(s.Requests(op)); n != want {
					t.Errorf("%s: %d requests, want %d (%v)", op, n, want, err)
				}
				if len(err.Error()) > 1000 {
					t.Errorf("%s: an error of %d bytes", op, len(err.Error()))
				}
			}
			s, c := stand(t, Config{MaxRetries: 1})
			s.Always(llmtest.Chat, tt.act)
			_, _, _, err := drain(t.Context(), c, ask("?"), Options{})
			wantErr(t, err, tt.kind, tt.sentinel)
		})
	}
}

func with(a llmtest.Act, retryAfter string) llmtest.Act {
	a.RetryAfter = retryAfter
	return a
}

func TestRetriesUntilItWorks(t *testing.T) {
	t.Parallel()
	try := func(t *testing.T, act llmtest.Act) {
		s, c := stand(t, Config{})
		s.Push(llmtest.Chat, act, act)
		var u Usage
		reply, err := c.Generate(t.Context(), ask("你好"), Options{Observe: func(v Usage) { u = v }})
		if err != nil || reply.Text != "You said: 你好" || reply.Finish != "stop" {
			t.Errorf("%+v: %+v, %v", act, reply, err)
		}
		if u.Calls != 3 || u.Err != nil || u != reply.Usage {
			t.Errorf("%+v: usage %+v, observed %+v", act, reply.Usage, u)
		}
		s.Push(llmtest.Chat, act, act)
		text, _, last, err := drain(t.Context(), c, ask("你好"), Options{})
		if err != nil || text != "You said: 你好" || last.Usage.Calls != 3 {
			t.Errorf("%+v streamed: %q, %+v, %v", act, text, last, err)
		}
	}
	for name, act := range map[string]llmtest.Act{
		"after 429": llmtest.Throttled("0.05"), "after 502": llmtest.BadGateway(),
		"after a broken connection": {Fault: llmtest.Abort, After: -1}, "after half an answer": {Fault: llmtest.Truncate}, "after a broken answer": {Fault: llmtest.Abort},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			try(t, act)
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	s.Push(llmtest.Chat, llmtest.Throttled("0.3"))
	start := time.Now()
	if _, err := c.Generate(t.Context(), ask("?"), Options{}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < 300*time.Millisecond {
		t.Errorf("tried again after %v, want at least 300 ms", d)
	}
	t.Run("but not waited for in vain", func(t *testing.T) {
		for after, limit := range map[string]time.Duration{"60": time.Hour, "7": 6 * time.Second} { // over our patience; over the caller's deadline
			s, c := stand(t, Config{})
			s.Always(llmtest.Chat, llmtest.Throttled(after))
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			_, err := c.Generate(ctx, ask("?"), Options{})
			wantErr(t, err, kb.RateLimited, ErrThrottled)
			if d := time.Since(start); d > 3*time.Second {
				t.Errorf("gave up after %v, want at once", d)
			}
			if e, _ := errors.AsType[*kb.Error](err); e.Retry < time.Second {
				t.Errorf("Retry = %v, want what the provider said", e.Retry)
			}
			// The next call knows that it has no chance, and does not ask.
			_, err = c.Generate(ctx, ask("?"), Options{})
			wantErr(t, err, kb.RateLimited, ErrThrottled)
			if n := len(s.Requests(llmtest.Chat)); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		}
	})
}

func TestBreakerInTheRoad(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{MaxRetries: -1})
	s.Always(llmtest.Chat, llmtest.BadGateway())
	for range breakAfter {
		_, err := c.Generate(t.Context(), ask("?"), Options{})
		wantErr(t, err, kb.Unavailable, nil)
	}
	_, err := c.Generate(t.Context(), ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrCircuitOpen)
	if e, _ := errors.AsType[*kb.Error](err); e.Retry <= 0 {
		t.Error("no hint when to try again")
	}
	if n := len(s.Requests(llmtest.Chat)); n != breakAfter {
		t.Errorf("%d requests, want %d", n, breakAfter)
	}
	if _, _, err := c.Embed(t.Context(), []string{"a"}, EmbedOptions{}); err != nil {
		t.Errorf("embeddings suffer from chat's breaker: %v", err)
	}
	s.Reset()
	c.chat.breaker.until = time.Now() // the pause is over
	if _, err := c.Generate(t.Context(), ask("?"), Options{}); err != nil {
		t.Errorf("after the pause: %v", err)
	}
}

// While the breaker is open nobody stands in line for a place.
func TestBreakerIsAskedBeforeTheLimiter(t *testing.T) {
	t.Parallel()
	_, c := stand(t, Config{Chat: Endpoint{MaxConcurrent: 1}})
	if _, v := c.chat.limiter(DefaultChatModel).acquire(t.Context(), &call{}); v != nil {
		t.Fatal(v)
	}
	c.chat.breaker.failure(time.Now(), true, ErrArrears)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := c.Generate(ctx, ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrCircuitOpen)
	wantErr(t, err, kb.Unavailable, ErrArrears)
}

func TestHangingEndpointOpensTheBreaker(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{MaxRetries: -1, Timeout: 100 * time.Millisecond})
	s.Always(llmtest.Chat, llmtest.Act{Fault: llmtest.Hang, After: -1})
	for range breakAfter {
		_, err := c.Generate(t.Context(), ask("?"), Options{})
		wantErr(t, err, kb.Unavailable, ErrTimeout)
	}
	start := time.Now()
	_, _, _, err := drain(t.Context(), c, ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrCircuitOpen)
	if d := time.Since(start); d > time.Second {
		t.Errorf("the sixth call took %v", d)
	}
}

func TestRedirectsTakeNoKeyAlong(t *testing.T) {
	t.Parallel()
	var met atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { met.Add(1) }))
	defer thief.Close()
	s, c := stand(t, Config{})
	for _, op := range []llmtest.Op{llmtest.Chat, llmtest.Embed, llmtest.Rerank} {
		s.Always(op, llmtest.Redirected(thief.URL))
	}
	_, err := c.Generate(t.Context(), ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrBadReply)
	_, _, _, err = drain(t.Context(), c, ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrBadReply)
	_, _, err = c.Embed(t.Context(), []string{"a"}, EmbedOptions{})
	wantErr(t, err, kb.Unavailable, ErrBadReply)
	if met.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

func TestWholeAnswersAreBounded(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{MaxOutputBytes: 1000})
	s.Push(llmtest.Chat, llmtest.Act{Flood: 1001})
	_, err := c.Generate(t.Context(), ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrTooMuchOutput)
	s.Push(llmtest.Chat, llmtest.Act{Flood: 100 << 10})
	_, err = c.Generate(t.Context(), ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrTooMuchOutput)
	s.Push(llmtest.Chat, llmtest.Act{Flood: 1000})
	if r, err := c.Generate(t.Context(), ask("?"), Options{}); err != nil || len(r.Text) != 1000 {
		t.Errorf("1000 bytes: %d, %v", len(r.Text), err)
	}
}

func TestEndlessBodiesAreNotRead(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.Contains(r.URL.Path, "rerank") {
			w.WriteHeader(http.StatusBadRequest)
		}
		for r.Context().Err() == nil {
			n, err := w.Write(make([]byte, 64<<10))
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer web.Close()
	c, err := New(Config{BaseURL: web.URL + "/compatible-mode/v1", APIKey: secret, MaxRetries: -1, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Generate(t.Context(), ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, ErrTooMuchOutput)
	_, _, err = c.Embed(t.Context(), []string{"a"}, EmbedOptions{})
	wantErr(t, err, kb.Unavailable, ErrTooMuchOutput)
	_, _, err = c.Rerank(t.Context(), "a", []string{"a"}, RerankOptions{})
	wantErr(t, err, kb.Unavailable, nil)
	if n := sent.Load(); n > 32<<20 {
		t.Errorf("%d MiB were read", n>>20)
	}
}

func TestWholeAnswersAreChecked(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	for name, tt := range map[string]struct {
		act      llmtest.Act
		kind     kb.Kind
		sentinel error
	}{
		"no finish reason":      {llmtest.Act{Reply: "x", NoFinish: true}, kb.Unavailable, ErrTruncated},
		"stopped by a filter":   {llmtest.Act{Reply: "x", Finish: "content_filter"}, kb.Invalid, ErrRefused},
		"finish reason error":   {llmtest.Act{Reply: "x", Finish: "error"}, kb.Unavailable, ErrBadReply},
		"a call of a tool":      {llmtest.Act{Reply: "x", Finish: "tool_calls"}, kb.Unavailable, ErrBadReply},
		"an unknown end":        {llmtest.Act{Reply: "x", Finish: "function_call"}, kb.Unavailable, ErrBadReply},
		"no choices":            {llmtest.Act{Status: 200, RawType: "application/json", Raw: `{"choices":[]}`}, kb.Unavailable, ErrBadReply},
		"sound from nowhere":    {llmtest.Act{Status: 200, RawType: "application/json", Raw: `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"x","audio":{"id":"1","data":"AAAA"}}}]}`}, kb.Unavailable, ErrBadReply},
		"content that is a map": {llmtest.Act{Status: 200, RawType: "application/json", Raw: `{"choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":{"a":1}}}]}`}, kb.Unavailable, ErrBadReply},
		"not even JSON":         {llmtest.Act{Status: 200, RawType: "application/json", Raw: `{"choices":[`}, kb.Unavailable, ErrBadReply},
	} {
		s.Always(llmtest.Chat, tt.act)
		_, err := c.Generate(t.Context(), ask("?"), Options{NoRetry: true})
		t.Log(name)
		wantErr(t, err, tt.kind, tt.sentinel)
	}
	s.Always(llmtest.Chat, llmtest.Act{Reply: "one two", Finish: "tool_calls"})
	var last error
	for d, err := range c.Stream(t.Context(), ask("?"), Options{NoRetry: true}) {
		if last = err; d.Finish != "" {
			t.Errorf("a stream that calls a tool was finished with %q", d.Finish)
		}
	}
	wantErr(t, last, kb.Unavailable, ErrBadReply)
	s.Always(llmtest.Chat, llmtest.Act{Tokens: []string{"a\xffb"}})
	if r, err := c.Generate(t.Context(), ask("?"), Options{}); err != nil || r.Text != "a\uFFFDb" {
		t.Errorf("broken characters: %q, %v", r.Text, err)
	}
}

func TestWholeAnswersEndInTime(t *testing.T) {
	s, c := stand(t, Config{Timeout: 200 * time.Millisecond})
	base := runtime.NumGoroutine()
	for _, act := range []llmtest.Act{{Fault: llmtest.Hang, After: -1}, {Fault: llmtest.Hang}} { // before and amid the body
		for _, op := range []llmtest.Op{llmtest.Chat, llmtest.Embed, llmtest.Rerank} {
			s.Always(op, act)
		}
		_, err := c.Generate(t.Context(), ask("?"), Options{})
		wantErr(t, err, kb.Unavailable, ErrTimeout)
		_, _, err = c.Embed(t.Context(), []string{"a"}, EmbedOptions{})
		wantErr(t, err, kb.Unavailable, ErrTimeout)
		_, _, err = c.Rerank(t.Context(), "a", []string{"a"}, RerankOptions{})
		wantErr(t, err, kb.Unavailable, ErrTimeout)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, _, err = c.Embed(ctx, []string{"a", "b"}, EmbedOptions{Bulk: true})
		wantErr(t, err, kb.Canceled, context.Canceled)
	}
	settled(t, c, base)
}

// Models differ in how they want to be told not to think; one refusal teaches it.
func TestThinkingIsLearned(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{Chat: Endpoint{Model: "qwen3-8b"}}) // thinks by default, and then only streams
	for range 2 {
		if _, err := c.Generate(t.Context(), ask("?"), Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Requests(llmtest.Chat)); n != 3 {
		t.Errorf("%d requests, want one refused and two more", n)
	}
	s, c = stand(t, Config{}) // qwen-plus as a model that only ever thinks
	s.Push(llmtest.Chat, llmtest.Act{Status: 400, Code: "invalid_parameter_error", Message: "parameter.enable_thinking only support true"})
	for range 2 {
		if _, _, _, err := drain(t.Context(), c, ask("?"), Options{}); err != nil {
			t.Fatal(err)
		}
	}
	reqs := s.Requests(llmtest.Chat)
	if len(reqs) != 3 || reqs[0].Fields["enable_thinking"] != false || reqs[1].Fields["enable_thinking"] != nil || reqs[2].Fields["enable_thinking"] != nil {
		t.Errorf("%d requests, want the parameter only in the first", len(reqs))
	}
	s.Always(llmtest.Chat, llmtest.Act{Status: 400, Code: "invalid_parameter_error", Message: "enable_thinking: never right"})
	_, err := c.Generate(t.Context(), ask("?"), Options{})
	wantErr(t, err, kb.Unavailable, errThinking)
}

func TestBackoffIsJitteredAndBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{timeout: time.Minute}
		v := &verdict{retry: true, err: kb.E(kb.Unavailable, nil, "x")}
		k := &call{retries: 100, start: time.Now(), bulk: true}
		low, high := time.Hour, time.Duration(0)
		for try := range 50 {
			wait, again := e.again(t.Context(), k, v, try)
			if !again || wait >= backoffMax || wait >= backoffBase<<min(try, 10) {
				t.Fatalf("try %d: wait %v, again %v", try, wait, again)
			}
			low, high = min(low, wait), max(high, wait)
		}
		if high < backoffMax/2 || low > backoffMax/4 {
			t.Errorf("waits from %v to %v are no jitter", low, high)
		}
		k = &call{retries: 3, start: time.Now()}
		if _, again := e.again(t.Context(), k, v, 3); again {
			t.Error("a fourth retry of three")
		}
		time.Sleep(time.Minute)
		if _, again := e.again(t.Context(), k, v, 1); again {
			t.Error("a new try after the time for tries")
		}
	})
}
