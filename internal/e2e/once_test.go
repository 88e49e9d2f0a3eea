package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

func TestARepeatedRequestHappensOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := []string{"TENANTS_SAMPLE=off", "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "RATE_LIMIT_CHAT_PER_MINUTE=0"}
	one, two := start(t, dir, env...), start(t, dir, env...)
	post := func(s *server, path, key string, v any) reply {
		return s.json("POST", path, v, "X-API-Key", one.key, "Idempotency-Key", key)
	}
	order := func(status string) any {
		return map[string]any{"orders": []any{map[string]any{"id": "A100", "user_id": "u", "product": "灯", "amount": 1, "status": status, "verifier": "5678"}}}
	}
	first := post(one, "/api/v1/orders", "k1", order("paid"))
	again := post(two, "/api/v1/orders", "k1", order("paid"))
	if first.status != 200 || again.status != 200 || string(first.body) != string(again.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("first %d %s, again %d %s (%v)", first.status, first.body, again.status, again.body, again.header)
	}
	if other := post(two, "/api/v1/orders", "k1", order("shipped")); other.status != 409 {
		t.Errorf("the key with another body: %d %s, want 409", other.status, other.body)
	}
	if bad := post(one, "/api/v1/orders", strings.Repeat("k", 256), order("paid")); bad.status != 400 {
		t.Errorf("a key that is too long: %d", bad.status)
	}
	// A refused request may be mended and sent again under its key.
	if r := post(one, "/api/v1/orders", "k2", map[string]any{"orders": "none"}); r.status != 400 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if r := post(one, "/api/v1/orders", "k2", order("paid")); r.status != 200 {
		t.Errorf("mended: %d %s", r.status, r.body)
	}

	// A form has another boundary each time.
	form := func() reply {
		var b bytes.Buffer
		f := multipart.NewWriter(&b)
		part, _ := f.CreateFormFile("file", "f.txt")
		_, _ = part.Write([]byte("营业时间是 10 点到 20 点。"))
		_ = f.Close()
		return one.do("POST", "/api/v1/documents", &b, "Content-Type", f.FormDataContentType(), "X-API-Key", one.key, "Idempotency-Key", "f1")
	}
	if a, b := form(), form(); a.status != 202 || b.status != 202 || string(a.body) != string(b.body) {
		t.Errorf("the same form twice: %d %s, %d %s", a.status, a.body, b.status, b.body)
	}
	// Visitors have no name: a key alone must not give one the answer, and the
	// session, of another.
	visit := func() (x answer) {
		one.json("POST", "/chat", map[string]any{"query": "你好"}, "Idempotency-Key", "1").into(t, &x)
		return x
	}
	if a, b := visit(), visit(); a.Session == b.Session {
		t.Errorf("two visitors share session %s", a.Session)
	}

	// A question asked again is not answered again.
	q := map[string]any{"query": "转人工", "session_id": "s1"}
	a, b := post(one, "/chat", "q1", q), post(two, "/chat", "q1", q)
	var x, y struct {
		Answer   string
		Metadata struct {
			TurnID   string `json:"turn_id"`
			Replayed bool
		}
	}
	a.into(t, &x)
	b.into(t, &y)
	if x.Answer != y.Answer || x.Metadata.TurnID != y.Metadata.TurnID || x.Metadata.Replayed || !y.Metadata.Replayed {
		t.Errorf("answers %s and %s, want the same turn", a.body, b.body)
	}
	// A reply of an agent reaches the customer once.
	var hs struct{ Handoffs []struct{ ID string } }
	one.do("GET", "/api/v1/handoffs", nil, "X-API-Key", one.key).into(t, &hs)
	if len(hs.Handoffs) != 1 {
		t.Fatalf("%d handoffs, want one", len(hs.Handoffs))
	}
	path := "/api/v1/handoffs/" + hs.Handoffs[0].ID
	if r := post(one, path+"/accept", "a1", map[string]any{"agent": "Li"}); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var wg sync.WaitGroup
	replies := make([]reply, 8)
	for i := range replies {
		wg.Go(func() {
			r, err := []*server{one, two}[i%2].try("POST", path+"/reply", strings.NewReader(`{"text":"您好"}`), "X-API-Key", one.key, "Idempotency-Key", "r1")
			if err != nil {
				t.Error(err)
			}
			replies[i] = r
		})
	}
	wg.Wait()
	for _, r := range replies {
		if r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	}
	detail := string(one.do("GET", path, nil, "X-API-Key", one.key).body)
	if n := strings.Count(detail, "您好"); n != 1 {
		t.Errorf("the reply is there %d times, want once: %s", n, detail)
	}
}

func TestAQuestionAskedTwiceAtOnceIsOneTurn(t *testing.T) {
	t.Parallel()
	model := &llmtest.Server{TokenDelay: 20 * time.Millisecond}
	web := httptest.NewServer(model)
	t.Cleanup(func() { model.Close(); web.Close() })
	s := start(t, t.TempDir(), "DASHSCOPE_BASE_URL="+web.URL+"/compatible-mode/v1", "DASHSCOPE_API_KEY=any", "DASHSCOPE_EMBED_MODEL=none", "RATE_LIMIT_PUBLIC_PER_MINUTE=0")
	s.sampled()
	body, _ := json.Marshal(map[string]any{"query": warranty, "session_id": "s1", "stream": true})
	var wg sync.WaitGroup
	got := make([][]event, 4)
	for i := range got {
		wg.Go(func() {
			r, err := s.try("POST", "/chat", strings.NewReader(string(body)), "X-API-Key", s.key, "Idempotency-Key", "same")
			if err != nil {
				t.Error(err)
				return
			}
			got[i] = events(t, r.body)
		})
	}
	wg.Wait()
	turns := map[string]int{}
	for _, evs := range got {
		if len(evs) == 0 || evs[len(evs)-1].Type != "end" {
			t.Fatalf("events %+v, want an end", evs)
		}
		var m struct {
			TurnID string `json:"turn_id"`
		}
		_ = json.Unmarshal(evs[len(evs)-1].Metadata, &m)
		turns[m.TurnID]++
	}
	kept := s.do("GET", "/api/v1/sessions/s1", nil, "X-API-Key", s.key)
	if n := strings.Count(string(kept.body), fmt.Sprintf("%q:%q", "query", warranty)); len(turns) != 1 || n != 1 {
		t.Errorf("%d turns told, %d kept, want one: %s", len(turns), n, kept.body)
	}
}
