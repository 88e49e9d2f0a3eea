package e2e

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

// admin sends JSON with the server's key and wants status.
func (s *server) admin(status int, method, path string, v any) (body map[string]any) {
	s.t.Helper()
	r := s.json(method, path, v, "X-API-Key", s.key)
	if r.status != status {
		s.t.Fatalf("%s %s: %d %s, want %d", method, path, r.status, r.body, status)
	}
	r.into(s.t, &body)
	return body
}

// userToken vouches for a user as a tenant's own site would.
func userToken(user, secret string) string {
	enc := base64.RawURLEncoding
	claims := fmt.Sprintf(`{"sub":%q,"tenant":"default","exp":%d}`, user, time.Now().Add(time.Minute).Unix())
	message := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString([]byte(claims))
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(message))
	return message + "." + enc.EncodeToString(h.Sum(nil))
}

// shop puts one order in.
func (s *server) shop() {
	s.t.Helper()
	s.admin(200, "POST", "/api/v1/orders", map[string]any{"orders": []any{map[string]any{
		"id": "20251114001", "user_id": "u1", "product": "星芒台灯", "amount": 199.5, "status": "已发货", "verifier": "5678",
	}}})
}

func TestAnOrderIsShownOnlyToWhoProvesIt(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "TENANTS_SAMPLE=off", "RATE_LIMIT_PUBLIC_PER_MINUTE=0", "RATE_LIMIT_CHAT_PER_MINUTE=0")
	s.shop()
	for _, ask := range []string{"查询订单 #20251114001", "where is my order 2025-1114-001"} {
		a := s.ask(ask, "")
		if a.Route != "order" || strings.Contains(a.Answer, "台灯") {
			t.Errorf("%s: %+v, want to be asked for proof", ask, a)
		}
		if a = s.ask("手机尾号 5678", a.Session); !strings.Contains(a.Answer, "星芒台灯") || !strings.Contains(a.Answer, "199.5") {
			t.Errorf("after proof: %+v", a)
		}
	}
	if a := s.ask("订单怎么取消？", ""); a.Route != "knowledge" {
		t.Errorf("a question in general went to %s", a.Route)
	}
	token := userToken("u1", s.admin(201, "POST", "/api/v1/user-token/secrets", map[string]any{})["secret"].(string))
	var mine answer
	s.json("POST", "/chat", map[string]string{"query": "我的订单到哪了"}, "X-User-Token", token).into(t, &mine)
	if !strings.Contains(mine.Answer, "已发货") {
		t.Errorf("my orders: %+v", mine)
	}
	// Failures outlive sessions; a known and an unknown order look alike.
	for _, id := range []string{"20251114001", "20259999999"} {
		var said []string
		for i := range 7 {
			a := s.ask("查询订单 #"+id, "")
			said = append(said, strings.ReplaceAll(a.Answer, id, "ID"), s.ask(fmt.Sprintf("%04d", i), a.Session).Answer)
		}
		if slices.Contains(said, "") || said[1] != said[9] || said[11] == said[9] || said[11] != said[13] {
			t.Errorf("%s: %q, want five refusals, then a lock", id, said)
		}
	}
	s.json("POST", "/chat", map[string]string{"query": "订单 20251114001"}, "X-User-Token", token).into(t, &mine)
	if !strings.Contains(mine.Answer, "已发货") {
		t.Errorf("the lock shuts out the owner with a token: %+v", mine)
	}
	if strings.Contains(s.out.String(), "5678") {
		t.Error("the log has a verifier")
	}
}

// listen reads the events of a session until the test ends.
func (s *server) listen(session, last string) (next func() event, ended <-chan struct{}) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/api/v1/sessions/"+session+"/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("events: %v, %v", res, err)
	}
	evs, done := make(chan event, 100), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		var cur event
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				cur.ID = id
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &cur) == nil {
				evs <- cur
				cur = event{}
			}
		}
	})
	s.t.Cleanup(func() { cancel(); _ = res.Body.Close(); wg.Wait() })
	return func() event {
		s.t.Helper()
		select {
		case ev := <-evs:
			return ev
		case <-time.After(15 * time.Second):
			s.t.Fatal("no event within 15 s")
			return event{}
		}
	}, done
}

func TestAPersonTakesOverAndGivesBack(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "TENANTS_SAMPLE=off", "SERVER_READ_TIMEOUT=1s", "SERVER_WRITE_TIMEOUT=1s", "SERVER_REQUEST_TIMEOUT=1s")
	s.admin(200, "GET", "/api/v1/sessions", nil) // a key's first use makes the tenant
	a := s.ask("转人工", "")
	if a.Route != "handoff" || a.Metadata.State != "waiting" {
		t.Fatalf("%+v", a)
	}
	next, _ := s.listen(a.Session, "")
	if ev := next(); ev.Type != "state" {
		t.Errorf("first %+v", ev)
	}
	time.Sleep(2500 * time.Millisecond) // longer than every timeout of a request
	id := s.admin(200, "GET", "/api/v1/handoffs", nil)["handoffs"].([]any)[0].(map[string]any)["id"].(string)
	s.admin(200, "POST", "/api/v1/handoffs/"+id+"/accept", map[string]string{"agent": "小王"})
	if ev := next(); ev.Type != "handoff" || !strings.Contains(ev.Content, "小王") {
		t.Errorf("accepted: %+v", ev)
	}
	if silent := s.ask("在吗？", a.Session); silent.Answer != "" || silent.Metadata.State != "human" {
		t.Errorf("while a person has it: %+v", silent)
	}
	s.admin(200, "POST", "/api/v1/handoffs/"+id+"/reply", map[string]string{"text": "在的。"})
	ev := next()
	if ev.Type != "message" || ev.Content != "在的。" {
		t.Errorf("replied: %+v", ev)
	}
	again, ended := s.listen(a.Session, ev.ID)
	again() // the state
	s.admin(200, "POST", "/api/v1/handoffs/"+id+"/close", nil)
	if ev := again(); ev.Type != "handoff" || !strings.Contains(ev.Content, "已结束") {
		t.Errorf("closed: %+v", ev)
	}
	if back := s.ask("你好", a.Session); back.Answer == "" {
		t.Errorf("given back: %+v", back)
	}
	// A server that is asked to stop does not wait for its listeners.
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the stream goes on after SIGTERM")
	}
}

func TestSynonymsReachEveryServerOfAStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := start(t, dir), start(t, dir)
	const question = "萤火虫保修多久？"
	for _, s := range []*server{one, two} {
		if a := s.ask(question, ""); !a.Metadata.Abstained {
			t.Fatalf("answered before anybody said what 萤火虫 is: %q", a.Answer)
		}
	}
	one.admin(200, "PUT", "/api/v1/synonyms", map[string]any{"synonyms": [][]string{{"星芒台灯", "萤火虫"}}})
	for _, s := range []*server{two, one} {
		if a := s.ask(question, ""); a.Metadata.Abstained || !strings.Contains(a.Answer, "24 个月") {
			t.Errorf("with the synonym: %q", a.Answer)
		}
	}
}

func TestASwitchedModelReachesEveryServerOfAStore(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	model := httptest.NewServer(&llmtest.Server{Answer: func(r llmtest.Request) string {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Model)
		if r.JSON {
			return `{"route":"knowledge","confidence":0.9,"question":"退货要在几天内申请？"}`
		}
		return "NONE"
	}})
	t.Cleanup(model.Close)
	dir := t.TempDir()
	env := []string{"DASHSCOPE_BASE_URL=" + model.URL + "/compatible-mode/v1", "DASHSCOPE_API_KEY=sk-of-the-stand-in", "DASHSCOPE_EMBED_MODEL=none", "TENANTS_SAMPLE=off"}
	one, two := start(t, dir, env...), start(t, dir, env...)
	one.admin(200, "GET", "/api/v1/sessions", nil) // a key's first use makes the tenant
	used := func(s *server) []string {
		mu.Lock()
		asked = nil
		mu.Unlock()
		s.ask("退货要在几天内申请？", "")
		mu.Lock()
		defer mu.Unlock()
		return slices.Compact(slices.Clone(asked))
	}
	for _, s := range []*server{one, two} {
		if got := used(s); !slices.Equal(got, []string{"qwen-plus"}) {
			t.Errorf("at first %q", got)
		}
	}
	one.admin(400, "POST", "/models/switch", map[string]string{"type": "chat", "model": "no-such-model"})
	one.admin(200, "POST", "/models/switch", map[string]string{"type": "chat", "model": "qwen-turbo"})
	for _, s := range []*server{two, one} {
		if got := used(s); !slices.Equal(got, []string{"qwen-turbo"}) {
			t.Errorf("after the switch %q", got)
		}
	}
	cur := two.admin(200, "GET", "/models/current", nil)
	if got := fmt.Sprint(cur["chat"]); got != "map[model:qwen-turbo source:tenant]" {
		t.Errorf("current %s", got)
	}
	models := two.admin(200, "GET", "/models", nil)["models"].([]any)
	if len(models) < 3 || models[0].(map[string]any)["id"] != "qwen-plus" {
		t.Errorf("models %v", models)
	}
	usage := two.admin(200, "GET", "/api/v1/usage", nil)
	if total := usage["total"].(map[string]any); total["turns"] != 4.0 || total["prompt_tokens"].(float64) <= 0 {
		t.Errorf("usage %v", usage)
	}
}
