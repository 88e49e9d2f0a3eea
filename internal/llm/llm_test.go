package llm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cloudwego/eino/schema"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// secret is the key of every test; it must never be in an error.
const secret = "sk-0123456789abcdef0123456789abcdef"

// stand starts a provider and a client for it. Set what is special in cfg; the
// times are long, for slow machines: tests of time limits set their own.
func stand(t testing.TB, cfg Config) (*llmtest.Server, *Client) {
	t.Helper()
	s := &llmtest.Server{Key: secret}
	web := httptest.NewServer(s)
	cfg.BaseURL, cfg.APIKey = or(cfg.BaseURL, web.URL+"/compatible-mode/v1"), secret
	cfg.Timeout = or(cfg.Timeout, 20*time.Second)
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
		web.Close()
	})
	return s, c
}

func ask(text string) []*schema.Message { return []*schema.Message{schema.UserMessage(text)} }

// drain reads a stream to its end.
func drain(ctx context.Context, c *Client, in []*schema.Message, o Options) (text, thoughts string, last Delta, err error) {
	for d, e := range c.Stream(ctx, in, o) {
		if e != nil {
			return text, thoughts, last, e
		}
		text += d.Text
		thoughts += d.Reasoning
		last = d
	}
	return text, thoughts, last, nil
}

// settled fails the test if more goroutines run than before, after some time.
func settled(t testing.TB, c *Client, before int) {
	t.Helper()
	for range 100 {
		c.Close()
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// wantErr checks an error's kind and sentinel, and that it tells no secret.
func wantErr(t testing.TB, err error, kind kb.Kind, sentinel error) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", sentinel)
	}
	if kb.KindOf(err) != kind || sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("error %q of kind %d, want kind %d and %v", err, kb.KindOf(err), kind, sentinel)
	}
	for _, s := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, err)} {
		if strings.Contains(s, secret) || strings.Contains(s, secret[3:]) {
			t.Errorf("error tells the key: %s", s)
		}
	}
	if e, ok := errors.AsType[*kb.Error](err); !ok {
		t.Errorf("error %T is no *kb.Error", err)
	} else if strings.Contains(e.Msg, "127.0.0.1") || strings.Contains(e.Msg, "{") {
		t.Errorf("message for the user %q tells internals", e.Msg)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  Config
		want string // part of the error; empty = none
	}{
		{"the zero config is DashScope without a key", Config{}, ""},
		{"a key is enough", Config{APIKey: secret}, ""},
		{"a key may end with a newline", Config{APIKey: secret + "\n"}, ""},
		{"a key with a space in it is a copying mistake", Config{APIKey: "sk-abc def"}, "white space"},
		{"a base URL needs a scheme", Config{BaseURL: "dashscope.example/v1"}, "base_url"},
		{"a base URL must not hold a password", Config{Chat: Endpoint{BaseURL: "https://u:" + secret + "@h/v1"}}, "llm.chat.base_url: leave out user"},
		{"a broken URL with a password is not repeated", Config{BaseURL: "https://u:" + secret + "@h:bad/v1"}, "base_url"},
		{"an unknown provider is named", Config{Chat: Endpoint{Provider: "azure"}}, "llm.chat.provider"},
		{"a proxy must be a URL", Config{Proxy: "localhost"}, "proxy"},
		{"v2 has 1536 dimensions", Config{APIKey: secret, Dimensions: 1536}, ""},
		{"v2 has no 1024 dimensions", Config{APIKey: secret, Dimensions: 1024}, "use one of [1536]"},
		{"v3 has no 1536 dimensions", Config{APIKey: secret, Dimensions: 1536, Embedding: Endpoint{Model: "text-embedding-v3"}}, "embedding_dimension"},
		{"an unknown model has any", Config{APIKey: secret, Dimensions: 999, Embedding: Endpoint{Model: "bge-m3"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(tt.cfg)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("New = %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || kb.KindOf(err) != kb.Invalid):
				t.Errorf("New = %v, want Invalid with %q", err, tt.want)
			case err != nil && strings.Contains(err.Error(), secret):
				t.Errorf("New tells the key: %v", err)
			}
		})
	}
}

func TestWhatIsConfigured(t *testing.T) {
	t.Parallel()
	local := "http://127.0.0.1:1/v1"
	tests := []struct {
		name                string
		cfg                 Config
		chat, embed, rerank string
	}{
		{"nothing without a key", Config{}, "", "", ""},
		{"the defaults with one", Config{APIKey: "k"}, DefaultChatModel, DefaultEmbeddingModel, DefaultRerankModel},
		{"models by name", Config{APIKey: "k", Chat: Endpoint{Model: "qwen-max"}}, "qwen-max", DefaultEmbeddingModel, DefaultRerankModel},
		{"elsewhere only what is named", Config{BaseURL: local, Chat: Endpoint{Model: "m"}}, "m", "", ""},
		{"a key does not go to another base URL", Config{APIKey: "k", Embedding: Endpoint{BaseURL: "https://ws.aliyuncs.com/compatible-mode/v1"}}, DefaultChatModel, "", DefaultRerankModel},
		{"each of its own", Config{Chat: Endpoint{BaseURL: local, Model: "c"}, Embedding: Endpoint{BaseURL: local, Model: "e"}, Rerank: Endpoint{BaseURL: local, Model: "r"}}, "c", "e", "r"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := New(tt.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if c.ChatModel() != tt.chat || c.EmbeddingModel() != tt.embed || c.RerankModel() != tt.rerank {
				t.Errorf("models %q %q %q, want %q %q %q", c.ChatModel(), c.EmbeddingModel(), c.RerankModel(), tt.chat, tt.embed, tt.rerank)
			}
			if c.HasChat() != (tt.chat != "") || c.HasEmbedding() != (tt.embed != "") || c.HasRerank() != (tt.rerank != "") {
				t.Error("Has… disagrees with the names")
			}
		})
	}
}

func TestNothingConfigured(t *testing.T) {
	t.Parallel()
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, err = drain(t.Context(), c, ask("hi"), Options{})
	wantErr(t, err, kb.Unavailable, ErrNotConfigured)
	_, err = c.Generate(t.Context(), ask("hi"), Options{})
	wantErr(t, err, kb.Unavailable, ErrNotConfigured)
	_, _, err = c.Embed(t.Context(), []string{"a"}, EmbedOptions{})
	wantErr(t, err, kb.Unavailable, ErrNotConfigured)
	_, _, err = c.Rerank(t.Context(), "a", []string{"b"}, RerankOptions{})
	wantErr(t, err, kb.Unavailable, ErrNotConfigured)
	wantErr(t, c.Ready(t.Context()), kb.Unavailable, ErrNotConfigured)
	if got := c.Models(); len(got) != 0 {
		t.Errorf("Models = %v, want none", got)
	}
}

func TestNewIsQuiet(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	met := make(chan struct{}, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
			met <- struct{}{}
		}
	}()
	before := runtime.NumGoroutine()
	c, err := New(Config{BaseURL: "http://" + l.Addr().String() + "/compatible-mode/v1", APIKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	c.Models()
	c.Chat()
	select {
	case <-met:
		t.Error("New made a connection")
	case <-time.After(50 * time.Millisecond):
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("New started %d goroutines", n-before)
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	c, err := New(Config{
		APIKey: "k", Chat: Endpoint{Model: "qwen-max", Models: []string{"my-tuned"}},
		Prices: map[string]Price{"my-tuned": {1, 2, "CNY"}},
		Rerank: Endpoint{BaseURL: "http://localhost:1/v1", Model: "bge"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range c.Models() {
		ids = append(ids, string(m.Op)+" "+m.ID)
		if m.ID == "my-tuned" && m.Price.OutMicro != 2 {
			t.Errorf("price of my-tuned = %v", m.Price)
		}
	}
	if got, want := ids[:2], "[chat qwen-max chat my-tuned]"; fmt.Sprint(got) != want {
		t.Errorf("first models %v, want %s", got, want)
	}
	if got, want := ids[len(ids)-1], "rerank bge"; got != want {
		t.Errorf("last model %q, want %q", got, want)
	}
	for id, ok := range map[string]bool{"qwen-plus": true, "my-tuned": true, "text-embedding-v2": false, "gpt": false, "": false} {
		if err := c.CheckModel(OpChat, id); (err == nil) != ok {
			t.Errorf("CheckModel(chat, %q) = %v", id, err)
		} else if err != nil && kb.KindOf(err) != kb.Invalid {
			t.Errorf("CheckModel(chat, %q) is of kind %d", id, kb.KindOf(err))
		}
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	if err := c.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
	if n := len(s.Requests(llmtest.Chat)); n != 0 {
		t.Errorf("%d chat requests, want none", n)
	}
	c, err := New(Config{BaseURL: "http://127.0.0.1:1/compatible-mode/v1", APIKey: secret})
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, c.Ready(t.Context()), kb.Unavailable, nil)
}

// TestEveryPatternCompiles: a broken one would panic only when it is used.
func TestEveryPatternCompiles(t *testing.T) {
	t.Parallel()
	for _, p := range []func() *regexp.Regexp{keyLike, lengthLike, batchLike, tokenLike, throttleLike, burstLike, jsonLike, debtLike, filterLike, titleTag} {
		if p().MatchString("") {
			t.Errorf("%s matches nothing", p())
		}
	}
}
