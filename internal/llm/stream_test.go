package llm

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

const zh = "保修期为两年,自购买之日起计算。The warranty is two years 👍🏽."

func TestStreamGivesTheAnswer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		act    llmtest.Act
		opts   Options
		text   string
		think  string
		finish string
	}{
		{"in pieces", llmtest.Act{Reply: zh}, Options{}, zh, "", "stop"},
		{"over CRLF lines", llmtest.Act{Reply: zh, CRLF: true}, Options{}, zh, "", "stop"},
		{"byte by byte on the wire", llmtest.Act{Reply: "两年", OneByte: true}, Options{}, "两年", "", "stop"},
		{"with thoughts apart", llmtest.Act{Reply: "两年", Reasoning: "let me see"}, Options{}, "两年", "let me see", "stop"},
		{"cut at max tokens", llmtest.Act{Reply: "one two three four"}, Options{MaxTokens: 2}, "one two", "", "length"},
		{"cut at a stop word", llmtest.Act{Reply: "one two three"}, Options{Stop: []string{" three"}}, "one two", "", "stop"},
		{"without usage", llmtest.Act{Reply: zh, NoUsage: true}, Options{}, zh, "", "stop"},
		{"without [DONE]", llmtest.Act{Reply: zh, NoDone: true}, Options{}, zh, "", "stop"},
		{"empty", llmtest.Act{Empty: true}, Options{}, "", "", "stop"},
		{"cut between bytes, one each", llmtest.Act{Tokens: llmtest.Bytes(zh, 1)}, Options{}, zh, "", "stop"},
		{"cut between bytes, two each", llmtest.Act{Tokens: llmtest.Bytes(zh, 2)}, Options{}, zh, "", "stop"},
		{"cut between bytes, seven each", llmtest.Act{Tokens: llmtest.Bytes(zh, 7)}, Options{}, zh, "", "stop"},
		{"with bytes that are no character", llmtest.Act{Tokens: []string{"a\xff", "b\xe4\xb8", "c", "\xf0"}}, Options{}, "a\uFFFDb\uFFFDc", "", "stop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := stand(t, Config{})
			s.Push(llmtest.Chat, tt.act)
			text, think, last, err := drain(t.Context(), c, ask("?"), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if text != tt.text || think != tt.think || last.Finish != tt.finish {
				t.Errorf("got %q, thoughts %q, finish %q; want %q, %q, %q", text, think, last.Finish, tt.text, tt.think, tt.finish)
			}
			if !utf8.ValidString(text) {
				t.Errorf("text is no UTF-8: %q", text)
			}
			if last.Usage.Prompt == 0 || last.Usage.Estimated != tt.act.NoUsage || last.Usage.Calls != 1 {
				t.Errorf("usage %+v", last.Usage)
			}
			if n := len(s.Requests(llmtest.Chat)); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func TestStreamFails(t *testing.T) {
	tests := []struct {
		name     string
		act      llmtest.Act
		text     string // before the error
		kind     kb.Kind
		sentinel error
		requests int
	}{
		{"when the body ends early", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Truncate}, "one two", kb.Unavailable, ErrTruncated, 1},
		{"when [DONE] comes without a finish reason", llmtest.Act{Reply: "one", NoFinish: true}, "one", kb.Unavailable, ErrTruncated, 1},
		{"when the connection breaks", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Abort}, "one two", kb.Unavailable, nil, 1},
		{"when nothing more comes", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Hang}, "one two", kb.Unavailable, ErrTimeout, 1},
		{"when only comments come", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Comments}, "one two", kb.Unavailable, ErrTimeout, 1},
		{"at an error object", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.ErrorObject}, "one two", kb.Unavailable, nil, 1},
		{"at a native error", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.NativeError, Code: "Throttling.RateQuota", Message: "Requests rate limit exceeded"}, "one two", kb.RateLimited, ErrThrottled, 1},
		{"when the inspection stops it", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.ErrorObject, Code: "data_inspection_failed", Message: "Output data may contain inappropriate content."}, "one two", kb.Invalid, ErrRefused, 1},
		{"when the filter stops it", llmtest.Act{Reply: "one", Finish: "content_filter"}, "one", kb.Invalid, ErrRefused, 1},
		{"at half a chunk", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.Garbage}, "one two", kb.Unavailable, ErrBadReply, 1},
		{"at a line without end", llmtest.Act{Reply: "one two three", After: 2, Fault: llmtest.LongLine}, "one two", kb.Unavailable, ErrBadReply, 1},
		{"at too much output", llmtest.Act{Flood: 1 << 20}, "", kb.Unavailable, ErrTooMuchOutput, 1},
		{"after its retries when it never begins", llmtest.Act{Fault: llmtest.Abort}, "", kb.Unavailable, nil, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{MaxRetries: 2, MaxOutputBytes: 4096}
			if errors.Is(tt.sentinel, ErrTimeout) {
				cfg.IdleTimeout = 200 * time.Millisecond
			}
			s, c := stand(t, cfg)
			base := runtime.NumGoroutine() // the web server's included
			for range tt.requests {
				s.Push(llmtest.Chat, tt.act)
			}
			var seen Usage
			text, _, _, err := drain(t.Context(), c, ask("?"), Options{Observe: func(u Usage) { seen = u }})
			wantErr(t, err, tt.kind, tt.sentinel)
			if _, bare := err.(*kb.Error); !bare { //nolint:errorlint // its decoration is what is tested
				t.Errorf("error %T is decorated: %v", err, err)
			}
			if tt.act.Flood == 0 && text != tt.text {
				t.Errorf("text before the error %q, want %q", text, tt.text)
			}
			if len(text) > 4096 {
				t.Errorf("%d bytes of text, want at most 4096", len(text))
			}
			if n := len(s.Requests(llmtest.Chat)); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if seen.Err == nil || seen.Calls != tt.requests {
				t.Errorf("observed %+v", seen)
			}
			settled(t, c, base)
		})
	}
}

func TestStreamEndsWhenLeft(t *testing.T) {
	for name, leave := range map[string]func(*Client) error{
		"by break": func(c *Client) error {
			for range c.Stream(context.Background(), ask("?"), Options{}) {
				break
			}
			return nil
		},
		"by cancel while waiting": func(c *Client) error {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(50*time.Millisecond, cancel)
			start := time.Now()
			_, _, _, err := drain(ctx, c, ask("?"), Options{})
			if d := time.Since(start); d > 2*time.Second {
				return errors.New("cancel took " + d.String())
			}
			if kb.KindOf(err) != kb.Canceled || !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
		"by deadline while waiting": func(c *Client) error {
			ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			_, _, _, err := drain(ctx, c, ask("?"), Options{})
			if kb.KindOf(err) != kb.Unavailable || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) {
				return err
			}
			return nil
		},
		"by panic in the loop": func(c *Client) error {
			defer func() { _ = recover() }()
			for range c.Stream(context.Background(), ask("?"), Options{}) {
				panic("the reader's own")
			}
			return errors.New("no panic")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := stand(t, Config{})
			base := runtime.NumGoroutine()
			for range 20 {
				s.Push(llmtest.Chat, llmtest.Act{Reply: strings.Repeat("word ", 100), After: 3, Fault: llmtest.Hang})
			}
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					if err := leave(c); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if lim := c.chat.limiter(DefaultChatModel); lim.used != 0 {
				t.Errorf("%d places still taken", lim.used)
			}
			settled(t, c, base)
			if now, _ := s.InFlight(llmtest.Chat); now != 0 {
				t.Errorf("%d requests still served", now)
			}
		})
	}
}

func TestStreamIsAccountedWhenLeft(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	s.Push(llmtest.Chat, llmtest.Act{Reply: strings.Repeat("word ", 1000), TokenDelay: time.Millisecond})
	var seen []Usage
	for d, err := range c.Stream(t.Context(), ask("a question"), Options{Tenant: "acme", Observe: func(u Usage) { seen = append(seen, u) }}) {
		if err != nil || d.Text != "" {
			break
		}
	}
	if len(seen) != 1 {
		t.Fatalf("observed %d times, want once", len(seen))
	}
	u := seen[0]
	if !u.Estimated || u.Prompt == 0 || u.Completion == 0 || u.Tenant != "acme" || u.Model != DefaultChatModel || kb.KindOf(u.Err) != kb.Canceled || u.FirstToken <= 0 {
		t.Errorf("observed %+v", u)
	}
}

func TestStreamIsIncremental(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	s.Push(llmtest.Chat, llmtest.Act{Reply: "one two three four five six", TokenDelay: 30 * time.Millisecond})
	start := time.Now()
	var at []time.Duration
	for d, err := range c.Stream(t.Context(), ask("?"), Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Text != "" {
			at = append(at, time.Since(start))
		}
	}
	if len(at) != 6 || at[0] > at[5]/2 {
		t.Errorf("pieces at %v, want six, spread", at)
	}
}

// The finish reason makes an answer whole; what follows is only bookkeeping.
func TestStreamNeedsNothingAfterItsFinish(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{IdleTimeout: 200 * time.Millisecond})
	s.Push(llmtest.Chat, llmtest.Act{Reply: "whole", Fault: llmtest.Linger})
	start := time.Now()
	text, _, last, err := drain(t.Context(), c, ask("?"), Options{})
	if err != nil || text != "whole" || last.Finish != "stop" || !last.Usage.Estimated {
		t.Errorf("got %q, %+v, %v", text, last, err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("waited %v for nothing", d)
	}
}

func TestManyStreamsAtOnce(t *testing.T) {
	const streams = 200
	s, c := stand(t, Config{Timeout: time.Minute, Chat: Endpoint{MaxConcurrent: streams}})
	base := runtime.NumGoroutine()
	answer := strings.Repeat("流式回答 ", 20)
	var here sync.WaitGroup // nobody is answered before all are there
	here.Add(streams)
	var first atomic.Int32
	s.Answer = func(llmtest.Request) string {
		if first.Add(1) <= streams {
			here.Done()
		}
		here.Wait()
		return answer
	}
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			if i%5 == 4 { // some leave, and come back
				for range c.Stream(context.Background(), ask("?"), Options{}) {
					break
				}
			}
			text, _, last, err := drain(t.Context(), c, ask("?"), Options{Tenant: kb.TenantID([]string{"a", "b", "c"}[i%3])})
			if err != nil || last.Finish != "stop" || text != answer {
				t.Errorf("stream %d: %q %v", i, text, err)
			}
		})
	}
	wg.Wait()
	// The server may count more: it hears later than the client that one left.
	if _, peak := s.InFlight(llmtest.Chat); peak < streams {
		t.Errorf("at most %d at once, want %d", peak, streams)
	}
	if lim := c.chat.limiter(DefaultChatModel); lim.used != 0 {
		t.Errorf("%d places still taken", lim.used)
	}
	settled(t, c, base)
}
