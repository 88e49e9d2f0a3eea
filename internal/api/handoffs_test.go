package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// reader reads the events of one stream.
type reader struct {
	t      *testing.T
	cancel context.CancelFunc
	lines  *bufio.Scanner
	id     string
}

func (o *office) follow(session, last string, headers ...string) *reader {
	o.t.Helper()
	ctx, cancel := context.WithCancel(o.t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", o.URL+"/api/v1/sessions/"+session+"/events", nil)
	if err != nil {
		o.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		o.t.Fatalf("events: %d %s", res.StatusCode, res.Header)
	}
	return &reader{o.t, cancel, bufio.NewScanner(res.Body), ""}
}

// next waits for the next event.
func (r *reader) next() (ev sessionEvent) {
	r.t.Helper()
	for r.lines.Scan() {
		line := r.lines.Text()
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			r.id = id
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &ev); err != nil {
				r.t.Fatal(err)
			}
			return ev
		}
	}
	r.t.Fatalf("the stream ended: %v", r.lines.Err())
	return ev
}

func (r *reader) wants(kind, state, content string) {
	r.t.Helper()
	ev := r.next()
	if ev.Type != kind || string(ev.State) != state || !strings.Contains(ev.Content, content) || content == "" && ev.Content != "" {
		r.t.Errorf("event %+v, want %s %s %q", ev, kind, state, content)
	}
}

func TestAHandoffReachesTheCustomerEventByEvent(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	asked := o.ask("", "", "转人工")
	id := asked["session_id"].(string)
	r := o.follow(id, "")
	r.wants("state", "waiting", "")
	hs := o.want(200, adminKey, "GET", "/api/v1/handoffs?state=waiting", "")["handoffs"].([]any)
	if len(hs) != 1 {
		t.Fatalf("handoffs %v", hs)
	}
	h := hs[0].(map[string]any)
	if h["session_id"] != id || h["state"] != "waiting" || h["query"] != "转人工" {
		t.Errorf("handoff %v", h)
	}
	path := "/api/v1/handoffs/" + h["id"].(string)
	o.want(409, adminKey, "POST", path+"/reply", `{"text":"too early"}`)
	o.want(400, adminKey, "POST", path+"/accept", `{"agent":" "}`)
	o.want(200, adminKey, "POST", path+"/accept", `{"agent":"小王"}`)
	o.want(200, adminKey, "POST", path+"/accept", `{"agent":"小王"}`)
	o.want(409, adminKey, "POST", path+"/accept", `{"agent":"小李"}`)
	r.wants("handoff", "human", "小王 已接入")
	if a := o.ask("", id, "保修多久？"); a["answer"] != "" || a["metadata"].(map[string]any)["state"] != "human" {
		t.Errorf("while a human has it the assistant said %v", a)
	}
	o.want(400, adminKey, "POST", path+"/reply", `{"text":""}`)
	o.want(200, adminKey, "POST", path+"/reply", `{"text":"两年。"}`)
	r.wants("message", "", "两年。")
	seen := r.id
	r.cancel()
	o.want(200, adminKey, "POST", path+"/reply", `{"text":"还有问题吗？"}`)
	again := o.follow(id, seen)
	again.wants("message", "", "还有问题吗？")
	again.wants("state", "human", "")
	o.want(200, adminKey, "POST", path+"/close", "")
	o.want(200, adminKey, "POST", path+"/close", "")
	again.wants("handoff", "ai", "已结束")
	if a := o.ask("", id, "你好"); a["answer"] == "" {
		t.Errorf("given back, the assistant is silent: %v", a)
	}
	// Whoever comes without having seen anything gets the latest handoff.
	late := o.want(200, "", "GET", "/api/v1/sessions/"+id+"/events", "", "Accept", "application/json")
	if evs := late["events"].([]any); len(evs) != 4 || late["state"] != "ai" {
		t.Errorf("from the start: %v", late)
	}
	detail := o.want(200, adminKey, "GET", path, "")
	var kinds []string
	for _, n := range detail["notes"].([]any) {
		kinds = append(kinds, n.(map[string]any)["kind"].(string))
	}
	if got, want := strings.Join(kinds, " "), "requested accepted customer reply reply closed"; got != want {
		t.Errorf("notes %s, want %s", got, want)
	}
	o.want(409, adminKey, "POST", path+"/accept", `{"agent":"小王"}`)
	o.want(404, adminKey, "GET", "/api/v1/handoffs/turn_none", "")
	o.want(400, adminKey, "GET", "/api/v1/handoffs?state=open", "")
	o.want(400, "", "GET", "/api/v1/sessions/"+id+"/events", "", "Last-Event-ID", "x")
	for _, key := range []string{"", chatKey} {
		o.want(404, key, "GET", "/api/v1/sessions/ses_unknown/events", "")
	}
	// A visitor's session is another tenant's nothing.
	o.want(404, otherKey, "GET", "/api/v1/sessions/"+id+"/events", "")
	o.want(404, otherKey, "GET", path, "")
}

func TestACancelledOrForgottenHandoffGoesBack(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{HandoffTime: 700 * time.Millisecond})
	id := o.ask("", "", "转人工")["session_id"].(string)
	r := o.follow(id, "")
	r.wants("state", "waiting", "")
	o.ask("", id, "取消转人工")
	ev := r.next()
	if ev.Type != "state" || ev.State != kb.StateAI || ev.Turn == "" || ev.Content != "" {
		t.Errorf("cancelled: %+v, want a state without a second note", ev)
	}
	o.ask("", id, "talk to a human")
	ev = r.next()
	if ev.Type != "state" || ev.State != kb.StateWaiting {
		t.Errorf("asked again: %+v", ev)
	}
	r.wants("handoff", "ai", "nobody was free")
	if v := o.want(200, adminKey, "GET", "/api/v1/sessions/"+id, ""); v["state"] != "ai" || v["turn_count"] != 3.0 || len(v["turns"].([]any)) != 3 {
		t.Errorf("session %v", v)
	}
	if hs := o.want(200, adminKey, "GET", "/api/v1/handoffs", "")["handoffs"].([]any); len(hs) != 2 || hs[0].(map[string]any)["reason"] != "timeout" || hs[1].(map[string]any)["reason"] != "cancelled" {
		t.Errorf("handoffs %v", hs)
	}
}

func TestStreamsEndWithTheServerAndLeaveNobodyBehind(t *testing.T) {
	t.Parallel()
	o := openOffice(t, Config{})
	id := o.ask("", "", "转人工")["session_id"].(string)
	var wg sync.WaitGroup
	for range 3 {
		r := o.follow(id, "")
		r.wants("state", "waiting", "")
		wg.Go(func() {
			for r.lines.Scan() {
			}
		})
	}
	o.api.Stop()
	o.api.Stop()
	wg.Wait() // hangs if a stream goes on
	for end := time.Now().Add(5 * time.Second); o.api.running.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d handlers go on", o.api.running.Load())
		}
	}
}
