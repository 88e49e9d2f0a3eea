package llm

import (
	"context"
	"errors"
	"testing"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

func TestAccounting(t *testing.T) {
	t.Parallel()
	var all []Usage
	s, c := stand(t, Config{Observe: func(_ context.Context, u Usage) { all = append(all, u) }})
	if _, err := c.Generate(t.Context(), ask("你好吗"), Options{Tenant: "acme"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Embed(t.Context(), []string{"你好吗"}, EmbedOptions{Tenant: "acme"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Rerank(t.Context(), "你", []string{"你好"}, RerankOptions{Tenant: "acme"}); err != nil {
		t.Fatal(err)
	}
	s.Always(llmtest.Chat, llmtest.Inspected())
	if _, err := c.Generate(t.Context(), ask("?"), Options{}); err == nil {
		t.Fatal("no error")
	}
	if len(all) != 4 {
		t.Fatalf("%d calls observed, want 4", len(all))
	}
	// The stand-in counts a token per Chinese character, four per message, and one per chunk.
	if u := all[0]; u.Op != OpChat || u.Tenant != "acme" || u.Prompt != 7 || u.Completion != 4 || u.CostMicro != Price(cny(0.8, 2)).Cost(7, 4) || u.Currency != "CNY" || u.Duration <= 0 {
		t.Errorf("chat: %+v", u)
	}
	if u := all[1]; u.Op != OpEmbed || u.Tenant != "acme" || u.Prompt != 3 || u.Completion != 0 || u.CostMicro != 3 {
		t.Errorf("embedding: %+v", u)
	}
	if u := all[2]; u.Op != OpRerank || u.Tenant != "acme" || u.Prompt != 3 {
		t.Errorf("rerank: %+v", u)
	}
	if u := all[3]; u.Prompt != 0 || u.CostMicro != 0 || !errors.Is(u.Err, ErrRefused) {
		t.Errorf("failure: %+v", u)
	}
}

func TestPricesAreRoundedUp(t *testing.T) {
	t.Parallel()
	p := cny(0.8, 2) // 0.8 and 2 millionths of a yuan per token
	for _, tt := range []struct {
		in, out int
		want    int64
	}{{0, 0, 0}, {1, 0, 1}, {5, 0, 4}, {0, 1, 2}, {1_000_000, 1_000_000, 2_800_000}} {
		if got := p.Cost(tt.in, tt.out); got != tt.want {
			t.Errorf("Cost(%d, %d) = %d, want %d", tt.in, tt.out, got, tt.want)
		}
	}
}
