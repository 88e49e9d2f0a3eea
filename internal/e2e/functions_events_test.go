package e2e

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

// published returns the events that a provider's module publishes, by file:
// JSON files, or the first JSON block of a text.
func published(t *testing.T, module, pattern string) map[string][]byte {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), filepath.FromSlash(pattern)))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, text := strings.Cut(string(raw), "```json"); text {
			block, _, _ := strings.Cut(rest, "```")
			raw = []byte(block)
		}
		if !json.Valid(raw) {
			continue // a text without an event, or an event that its module publishes as malformed
		}
		all[filepath.Base(f)] = raw
	}
	return all
}

// TestPublishedEventsThroughEveryFunction: what a function takes it answers,
// the rest it refuses by its keys, and it outlives all of them.
func TestPublishedEventsThroughEveryFunction(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
	aws := published(t, "github.com/aws/aws-lambda-go", "events/testdata/*.json")
	fc := published(t, "github.com/aliyun/fc-runtime-go-sdk", "events/README*.md")
	if len(aws) < 80 || len(fc) < 6 {
		t.Fatalf("%d and %d published events: the modules keep them elsewhere by now", len(aws), len(fc))
	}
	isRequest := func(name string) bool {
		return strings.HasPrefix(name, "apigw-") && strings.HasSuffix(name, "-request.json") && !strings.Contains(name, "custom-auth") && !strings.Contains(name, "websocket") ||
			strings.HasPrefix(name, "apigw-v2-request-") || strings.HasPrefix(name, "alb-lambda-target-request") || name == "lambda-urls-request.json" || name == "README_HTTP_TRIGGER.md"
	}
	for _, fn := range []string{"chat", "admin", "health", "ingest", "backup"} {
		l, _ := w.lambda(emulator.REST, w.options(fn))
		f, err := emulator.StartFC(t.Context(), w.options(fn))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(f.Close)
		answered := 0
		try := func(in instance, name string, event []byte) {
			t.Helper()
			rep, err := in.Invoke(t.Context(), event)
			var body []byte
			if err == nil {
				body, err = rep.Whole()
			}
			switch {
			case isRequest(name):
				answered++
				var r struct{ StatusCode int }
				if err != nil || json.Unmarshal(body, &r) != nil || r.StatusCode < 200 || r.StatusCode >= 500 {
					t.Errorf("%s: %s = %.200s %v, want an answer", fn, name, body, err)
				}
			case name == "sqs-event.json":
				if err != nil || !strings.Contains(string(body), `"batchItemFailures":[{"itemIdentifier":"MessageID_1"}]`) {
					t.Errorf("%s: %s = %s %v, want its message failed", fn, name, body, err)
				}
			case err == nil && !strings.HasPrefix(name, "s3-"): // notifications of other things than created objects need nothing
				t.Errorf("%s: %s = %.200s, want an error", fn, name, body)
			}
		}
		for name, event := range aws {
			try(l, name, event)
		}
		for _, task := range []string{"sweep", "backup", "nonsense"} {
			if (fn == "ingest" && task == "sweep") || (fn == "backup" && task == "backup") {
				continue // its own
			}
			try(l, "schedule of "+task, emulator.Schedule(task, time.Now()))
			try(f, "timer of "+task, emulator.Timer("t", `{"qa":"`+task+`"}`, time.Now()))
		}
		for name, event := range fc {
			try(f, name, event)
		}
		if !l.Alive() || !f.Alive() || answered < 9 {
			t.Errorf("%s: alive %v %v, %d requests answered\n%s", fn, l.Alive(), f.Alive(), answered, l.Output())
		}
	}
}

// TestAQueueBatchFailsMessageByMessage: what is wrong with one message is no
// matter of the others, and delivering all of it again changes nothing.
func TestAQueueBatchFailsMessageByMessage(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	var jobs []string
	for _, text := range []string{"台灯保修 24 个月。", "音箱保修 12 个月。"} {
		jobs = append(jobs, w.must(202, "POST", "/api/v1/documents", map[string]string{"title": "保修", "text": text})["job_id"].(string))
	}
	w.must(200, "GET", "/api/v1/documents?tenant=bank", nil)
	l, _ := w.lambda(emulator.REST, w.options("ingest"))
	for attempt := 1; attempt <= 2; attempt++ {
		rep, err := l.Invoke(t.Context(), emulator.SQSBatch(attempt,
			emulator.S3Created("b", "inbox/default/"+jobs[0], 1), emulator.S3Created("b", "inbox/bank/"+jobs[0], 1), emulator.S3Test("b"),
			[]byte("poison"), []byte(`{"qa":"object","key":"inbox/default/`+jobs[1]+`"}`), emulator.S3Created("b", "inbox/default/job_nobody", 1)))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			BatchItemFailures []struct{ ItemIdentifier string }
		}
		body, err := rep.Whole()
		if err != nil || json.Unmarshal(body, &got) != nil {
			t.Fatalf("%s %v", body, err)
		}
		var failed []string
		for _, f := range got.BatchItemFailures {
			failed = append(failed, f.ItemIdentifier)
		}
		if diff := cmp.Diff(failed, []string{"m1", "m3", "m5"}); diff != "" {
			t.Errorf("delivery %d: failed messages (-got +want):\n%s", attempt, diff)
		}
		for _, job := range jobs {
			if j := w.must(200, "GET", "/api/v1/jobs/"+job, nil); j["status"] != "ready" {
				t.Errorf("delivery %d: job %s is %v %v", attempt, job, j["status"], j["error"])
			}
		}
	}
	if n := len(w.must(200, "GET", "/api/v1/documents", nil)["documents"].([]any)); n != 2 {
		t.Errorf("%d documents, want 2", n)
	}
	errs := errorLines(t, l.Output(), func(m map[string]any) bool { return m["tenant"] == "bank" })
	if len(errs) == 0 {
		t.Errorf("no line says which tenant's event failed:\n%s", l.Output())
	}
}

// TestFailedEventsAreLinesOfTheirRequest: in JSON, on both platforms, although
// the SDKs print their own.
func TestFailedEventsAreLinesOfTheirRequest(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
	l, _ := w.lambda(emulator.REST, w.options("ingest"))
	f, err := emulator.StartFC(t.Context(), w.options("ingest"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	for in, event := range map[interface {
		instance
		Output() string
	}][]byte{
		l: emulator.S3Created("b", "inbox/default/job_nobody", 1),
		f: emulator.OSSCreated("b", "inbox/default/job_nobody", 1),
	} {
		if _, err := in.Invoke(t.Context(), event); err == nil {
			t.Fatal("an event without a job was taken")
		}
		said := func() string { return in.Output() }
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && !strings.Contains(said(), "errorMessage"); { // the SDK's, the last
			time.Sleep(10 * time.Millisecond)
		}
		if errs := errorLines(t, said(), func(m map[string]any) bool {
			return m["trace_id"] == "req-1" && m["tenant"] == "default" && m["job"] == "job_nobody"
		}); len(errs) == 0 {
			t.Errorf("no line names request, tenant and job:\n%s", said())
		}
	}
}

// errorLines are the ERROR lines that ok holds for. A line that is no JSON
// fails the test, except Function Compute's own marks.
func errorLines(t *testing.T, said string, ok func(map[string]any) bool) (found []map[string]any) {
	t.Helper()
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "FC Invoke ") {
			continue
		}
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Errorf("a line that is no JSON: %s", line)
			continue
		}
		if m["level"] == "ERROR" && ok(m) {
			found = append(found, m)
		}
	}
	return found
}

// TestAStreamOfAWebFunctionThatEndsEarly: a client that leaves ends the
// model's call, and what it had been told is remembered; an instance that is
// told to stop finishes what it is saying.
func TestAStreamOfAWebFunctionThatEndsEarly(t *testing.T) {
	t.Parallel()
	const sentence = "星芒台灯的保修期是 24 个月，自签收之日起计算，覆盖灯体、电源适配器、旋钮、底座和连接线，人为损坏、进水、私自拆修以及用于商业照明的情况除外"
	model := &llmtest.Server{TokenDelay: 60 * time.Millisecond}
	_, env := standIn(t, model)
	w := onFolder(t, "fc")
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		w.env[k] = v
	}
	w.env["DASHSCOPE_TIMEOUT"] = "30s"
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
	w.document("保修", sentence+"。")
	f, err := emulator.StartFCCustom(t.Context(), w.options("chat"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Kill)
	begin := func() (*http.Response, *bufio.Scanner, string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://qa.example/chat", strings.NewReader(`{"query":"星芒台灯的保修期是多久？","stream":true}`))
		req.Header.Set("X-API-Key", functionKey)
		res, err := f.RoundTrip(req)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v %v", res, err)
		}
		lines, session := bufio.NewScanner(res.Body), ""
		for lines.Scan() {
			var ev event
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &ev) == nil {
				if ev.Type == "start" {
					session = ev.Session
				}
				if ev.Type == "chunk" {
					return res, lines, session
				}
			}
		}
		t.Fatalf("no chunk: %v\n%s", lines.Err(), f.Output())
		return nil, nil, ""
	}
	res, _, session := begin()
	_ = res.Body.Close()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := send(f, "GET", "/api/v1/sessions/"+session, http.NoBody, "X-API-Key", functionKey)
		if err == nil && r.status == 200 && strings.Contains(string(r.body), "星芒") && strings.Count(string(r.body), `"role"`) != 1 {
			if strings.Contains(string(r.body), "商业照明") {
				t.Errorf("the model spoke to its end for a client that had left: %s", r.body)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("what was answered is not remembered: %d %s %v\n%s", r.status, r.body, err, f.Output())
		}
	}
	if now, _ := model.InFlight(llmtest.Chat); now != 0 {
		t.Errorf("%d calls of the model go on", now)
	}

	res, lines, _ := begin()
	defer res.Body.Close()
	code := make(chan int, 1)
	go func() { code <- f.Shutdown() }()
	last := ""
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			last = data
		}
	}
	if lines.Err() != nil || !strings.Contains(last, `"type":"end"`) {
		t.Errorf("told to stop in the middle of a stream: %s %v, want its end", last, lines.Err())
	}
	if c := <-code; c != 0 {
		t.Errorf("exit code %d, want 0\n%s", c, f.Output())
	}
}
