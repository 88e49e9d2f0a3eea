package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

// walk is the scenario of one deployment and what it said.
type walk struct {
	*cloud
	said []string
}

func (w *walk) say(format string, args ...any) { w.said = append(w.said, fmt.Sprintf(format, args...)) }

// must sends a request with the key and wants status.
func (w *walk) must(status int, method, path string, v any) (body map[string]any) {
	w.t.Helper()
	r, err := w.do(method, path, v, "X-API-Key", functionKey)
	if err != nil || r.status != status {
		w.t.Fatalf("%s: %s %s: %d %.300s %v, want %d", w.platform, method, path, r.status, r.body, err, status)
	}
	if len(r.body) > 0 {
		r.into(w.t, &body)
	}
	return body
}

// ask asks as a visitor and notes what was answered.
func (w *walk) ask(query, session string) answer {
	w.t.Helper()
	r, err := w.do("POST", "/chat", map[string]any{"query": query, "session_id": session})
	if err != nil || r.status != http.StatusOK {
		w.t.Fatalf("%s: ask %q: %d %.300s %v", w.platform, query, r.status, r.body, err)
	}
	var a answer
	r.into(w.t, &a)
	if len(a.Metadata.Degraded) > 0 { // explains an answer unlike the others'
		w.t.Logf("%s: %q was answered in degraded modes %v", w.platform, query, a.Metadata.Degraded)
	}
	w.say("%s -> %s %v %s", query, a.Route, a.Metadata.Abstained, a.Answer)
	return a
}

// stream asks for a stream and returns its text.
func (w *walk) stream(query string) string {
	w.t.Helper()
	r, err := w.do("POST", "/chat", map[string]any{"query": query, "stream": true})
	if err != nil || r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), "text/event-stream") {
		w.t.Fatalf("%s: stream: %d %v %.300s %v", w.platform, r.status, r.header, r.body, err)
	}
	var text strings.Builder
	last := ""
	for block := range strings.SplitSeq(string(r.body), "\n\n") {
		var ev event
		for line := range strings.Lines(block) {
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				if err := json.Unmarshal([]byte(data), &ev); err != nil {
					w.t.Fatalf("%q: %v", line, err)
				}
			}
		}
		if ev.Type == "chunk" {
			text.WriteString(ev.Content)
		}
		if ev.Type != "" {
			last = ev.Type
		}
	}
	if last != "end" {
		w.t.Errorf("%s: the stream ended with %q, want end", w.platform, last)
	}
	return text.String()
}

// ready delivers a job's event and waits for its end.
func (w *walk) ready(job string) {
	w.t.Helper()
	if err := w.created("inbox/default/" + job); err != nil {
		w.t.Fatalf("%s: event of %s: %v", w.platform, job, err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		switch j := w.must(200, "GET", "/api/v1/jobs/"+job, nil); j["status"] {
		case "ready":
			return
		case "failed":
			w.t.Fatalf("%s: job failed: %v", w.platform, j["error"])
		}
		if w.platform != "local" || time.Now().After(end) {
			w.t.Fatalf("%s: job %s is not ready", w.platform, job)
		}
	}
}

// document posts one and has it ingested.
func (w *walk) document(title, text string) string {
	w.t.Helper()
	sub := w.must(202, "POST", "/api/v1/documents", map[string]string{"title": title, "text": text})
	w.ready(sub["job_id"].(string))
	return sub["document_id"].(string)
}

// upload announces a file and puts its bytes where the answer says.
func (w *walk) upload(name, text string) {
	w.t.Helper()
	sum := sha256.Sum256([]byte(text))
	sub := w.must(202, "POST", "/api/v1/uploads", map[string]any{"name": name, "size": len(text), "sha256": hex.EncodeToString(sum[:]), "mime": "text/markdown"})
	link := sub["upload"].(map[string]any)
	if err := w.created("inbox/default/" + sub["job_id"].(string) + ".expected"); err != nil { // the mark's own event
		w.t.Errorf("%s: event of a mark: %v", w.platform, err)
	}
	req, err := http.NewRequest(link["method"].(string), link["url"].(string), strings.NewReader(text))
	if err != nil {
		w.t.Fatal(err)
	}
	for k, v := range link["headers"].(map[string]any) {
		req.Header.Set(k, v.(string))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: upload to %s: %v %v", w.platform, req.URL.Host, res, err)
	}
	_ = res.Body.Close()
	if w.platform == "local" {
		time.Sleep(50 * time.Millisecond) // nobody tells a server of a file that went past it
		w.must(200, "GET", "/api/v1/documents", nil)
		w.document("awake", "This wakes the worker of the server.")
	}
	w.ready(sub["job_id"].(string))
}

// all is ingest → ask → follow-up → order → handoff → backup → restore.
func (w *walk) all() {
	h, err := w.do("GET", "/health", nil)
	if err != nil || h.status != 200 || !bytes.Contains(h.body, []byte(`"store":{"status":"up"`)) {
		w.t.Errorf("%s: health: %d %s %v", w.platform, h.status, h.body, err)
	}
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil) // a key's first use makes the tenant
	w.document("保修政策", "# 保修政策\n\n星芒台灯保修 24 个月。\n\n星芒音箱保修 12 个月。\n")
	w.upload("shipping.md", "# Shipping\n\nA parcel to Norway takes nine days.\n")
	a := w.ask("台灯保修多久？", "")
	if !strings.Contains(a.Answer, "24 个月") {
		w.t.Errorf("%s: %+v", w.platform, a)
	}
	if text := w.stream("台灯保修多久？"); text != a.Answer {
		w.t.Errorf("%s: streamed %q, answered %q", w.platform, text, a.Answer)
	}
	w.ask("那音箱呢？", a.Session)
	w.ask("How long does a parcel to Norway take?", "")
	w.ask("量子计算机的退相干时间是多少？", "")

	w.must(200, "POST", "/api/v1/orders", map[string]any{"orders": []any{map[string]any{
		"id": "20251114001", "user_id": "u1", "product": "星芒台灯", "amount": 199.5, "status": "已发货", "verifier": "5678",
	}}})
	o := w.ask("查询订单 #20251114001", "")
	w.ask("手机尾号 5678", o.Session)

	p := w.ask("转人工", "")
	id := w.must(200, "GET", "/api/v1/handoffs", nil)["handoffs"].([]any)[0].(map[string]any)["id"].(string)
	w.must(200, "POST", "/api/v1/handoffs/"+id+"/accept", map[string]string{"agent": "小王"})
	w.ask("在吗？", p.Session)
	w.must(200, "POST", "/api/v1/handoffs/"+id+"/reply", map[string]string{"text": "在的。"})
	w.must(200, "POST", "/api/v1/handoffs/"+id+"/close", map[string]any{})
	w.ask("音箱保修多久？", p.Session)

	if err := w.tick("backup", "backup"); err != nil {
		w.t.Fatalf("%s: backup: %v", w.platform, err)
	}
	if got := w.must(200, "POST", "/admin/tenants/default/backup", map[string]any{}); got["snapshot"] == "" { // at once, by who may delete nothing
		w.t.Errorf("%s: a backup on demand has no snapshot: %v", w.platform, got)
	}
	points := w.must(200, "GET", "/admin/tenants/default/backups", nil)
	commit := newest(w.t, points)
	w.document("保修政策", "# 保修政策\n\n星芒台灯保修 60 个月。\n")
	w.ask("台灯保修多久？", "")
	w.must(200, "POST", "/admin/tenants/default/restore", map[string]any{"commit": commit})
	if again := w.ask("台灯保修多久？", ""); again.Answer != a.Answer {
		w.t.Errorf("%s: after the restore %q, want %q", w.platform, again.Answer, a.Answer)
	}
}

// newest is the first commit of the list of what can be restored.
func newest(t testing.TB, body map[string]any) string {
	t.Helper()
	for _, list := range body {
		if ps, ok := list.([]any); ok && len(ps) > 0 {
			return ps[0].(map[string]any)["commit"].(string)
		}
	}
	t.Fatalf("nothing can be restored: %v", body)
	return ""
}

// TestTheSameScenarioOnEveryPlatform walks keyless, and with models: the same
// answers everywhere.
func TestTheSameScenarioOnEveryPlatform(t *testing.T) {
	store := s3Store(t)
	model := &llmtest.Server{Key: "sk-of-the-scenario"}
	provider := httptest.NewServer(model)
	t.Cleanup(func() { model.Close(); provider.Close() })
	for _, how := range []string{"keyless", "models"} {
		t.Run(how, func(t *testing.T) {
			var env map[string]string
			if how == "models" {
				env = map[string]string{
					"DASHSCOPE_BASE_URL": provider.URL + "/compatible-mode/v1", "DASHSCOPE_API_KEY": model.Key,
				}
			}
			platforms := []string{"local", "lambda-stream", "lambda-v2", "fc"}
			walks := make([]*walk, len(platforms))
			t.Run("walk", func(t *testing.T) {
				for i, p := range platforms {
					walks[i] = new(walk)
					t.Run(p, func(t *testing.T) {
						t.Parallel()
						walks[i].cloud = newCloud(t, p, store)
						maps.Copy(walks[i].env, env)
						if p == "local" {
							walks[i].local()
						}
						walks[i].all()
					})
				}
			})
			for i := range platforms[1:] {
				if diff := cmp.Diff(walks[0].said, walks[i+1].said); diff != "" {
					t.Errorf("answers (-%s +%s):\n%s", platforms[0], platforms[i+1], diff)
				}
			}
			for _, op := range []llmtest.Op{llmtest.Chat, llmtest.Embed} {
				if asked := len(model.Requests(op)); (asked > 0) != (env != nil) {
					t.Errorf("%s model: asked %d times", op, asked)
				}
			}
		})
	}
}

// fleet is several chat instances on one store, of which any may be frozen or
// killed at any time.
type fleet struct {
	*cloud
	mu    sync.Mutex
	ins   []*emulator.Lambda
	kills atomic.Int64
}

// pick returns one instance, a new one in the place of one that died.
func (f *fleet) pick(i int) *emulator.Gateway {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ins[i] == nil || !f.ins[i].Alive() {
		o := f.options("chat")
		o.Freeze = true
		f.ins[i], _ = f.lambda(emulator.REST, o)
	}
	return &emulator.Gateway{Instance: f.ins[i], Shape: emulator.REST}
}

func (f *fleet) kill(i int) {
	f.mu.Lock()
	in := f.ins[i]
	f.mu.Unlock()
	if in != nil && in.Alive() {
		f.kills.Add(1)
		in.Kill()
	}
}

// TestManyInstances: nothing acknowledged is lost, no answer comes from another
// tenant, and sessions go on wherever the next request lands.
func TestManyInstances(t *testing.T) {
	t.Parallel()
	store := s3Store(t)
	w := &walk{cloud: newCloud(t, "lambda-v2", store)}
	for id, months := range map[string]string{"shop": "24", "bank": "60"} {
		r, err := w.do("POST", "/api/v1/documents", map[string]string{"title": "保修", "text": "台灯保修 " + months + " 个月。"}, "X-API-Key", functionKey, "X-Tenant-ID", id)
		if err != nil || r.status != http.StatusAccepted {
			t.Fatalf("%d %s %v", r.status, r.body, err)
		}
		var sub submitted
		r.into(t, &sub)
		for range 2 { // delivered twice
			if err := w.created("inbox/" + id + "/" + sub.Job); err != nil {
				t.Fatal(err)
			}
		}
	}
	const instances, conversations, turns = 8, 8, 6
	f := &fleet{cloud: newCloud(t, "lambda-v2", store), ins: make([]*emulator.Lambda, instances)}
	f.env, f.stores = w.env, w.stores
	var wg sync.WaitGroup
	acked := make([][]string, conversations) // questions by conversation
	sessions := make([]string, conversations)
	for c := range conversations {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 1))
			id, months, other := "shop", "24", "60"
			if c%3 == 2 {
				id, months, other = "bank", "60", "24"
			}
			for turn := 0; turn < turns; {
				i := r.IntN(instances)
				query := "台灯保修多久？" + string(rune('😀'+turn)) // tells the turns apart, and asks for nothing
				body, _ := json.Marshal(map[string]string{"query": query, "session_id": sessions[c]})
				if r.IntN(2) == 0 { // somebody dies while this is asked, perhaps the one we ask
					go func(d time.Duration, i int) { time.Sleep(d); f.kill(i) }(time.Duration(r.IntN(60))*time.Millisecond, r.IntN(instances))
				}
				rep, err := send(f.pick(i), "POST", "/chat", bytes.NewReader(body), "X-API-Key", functionKey, "X-Tenant-ID", id)
				if err != nil || rep.status != http.StatusOK {
					continue // never acknowledged
				}
				var a answer
				if json.Unmarshal(rep.body, &a) != nil {
					continue
				}
				if !strings.Contains(a.Answer, months) || strings.Contains(a.Answer, other+" 个月") {
					t.Errorf("tenant %s was answered %q", id, a.Answer)
				}
				if sessions[c] != "" && a.Session != sessions[c] {
					t.Errorf("session %s became %s on another instance", sessions[c], a.Session)
				}
				sessions[c] = a.Session
				acked[c] = append(acked[c], query)
				turn++
			}
		})
	}
	wg.Wait()
	for c, questions := range acked {
		id := "shop"
		if c%3 == 2 {
			id = "bank"
		}
		r, err := w.do("GET", "/api/v1/sessions/"+sessions[c]+"?limit=200", nil, "X-API-Key", functionKey, "X-Tenant-ID", id)
		if err != nil || r.status != http.StatusOK {
			t.Fatalf("session: %d %s %v", r.status, r.body, err)
		}
		for _, q := range questions {
			if !bytes.Contains(r.body, []byte(q)) {
				t.Errorf("turn %q was acknowledged and is lost", q)
			}
		}
	}
	if f.kills.Load() < instances {
		t.Errorf("%d instances were killed, want many more", f.kills.Load())
	}
}
