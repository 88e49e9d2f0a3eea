package fc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// moduleDir finds the SDK in the module cache: its README files hold the
// provider's sample events.
var moduleDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aliyun/fc-runtime-go-sdk").Output()
	return strings.TrimSpace(string(out)), err
})

// sample returns the first JSON block of a README of the SDK.
func sample(t testing.TB, readme string) []byte {
	t.Helper()
	dir, err := moduleDir()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "events", readme))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```json")
	block, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatalf("%s has no sample", readme)
	}
	return []byte(block)
}

// httpEvent is an HTTP trigger's event as events.HTTPTriggerEvent documents it.
const httpEvent = `{"version":"v1","rawPath":"/a%2Fb/%E4%B8%AD","body":"aGk=","isBase64Encoded":true,
"headers":{"Accept":"application/json, text/event-stream","Host":"qa.example","X-Fc-Security-Token":"tok","X-Fc-Access-Key-Id":"id","X-Fc-Access-Key-Secret":"sec","Cookie":"a=1; b=2","Content-Length":"4"},
"queryParameters":{"x":"1,2","y":"a b"},
"requestContext":{"accountId":"1","domainName":"d","domainPrefix":"p","http":{"method":"POST","path":"/a/b/中","protocol":"HTTP/1.1","sourceIp":"1.2.3.4","userAgent":"curl"},"requestId":"r","time":"2024-01-01T00:00:00Z","timeEpoch":"1704067200000"}}`

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

type answer struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	Body            string            `json:"body"`
}

func call(t *testing.T, cfg function.Config, h http.HandlerFunc, raw string) answer {
	t.Helper()
	b, err := New(cfg, function.Handlers{HTTP: h}).Invoke(soon(t), []byte(raw))
	if err != nil {
		t.Fatalf("Invoke = %v", err)
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return a
}

func TestHTTPTriggersArriveWhole(t *testing.T) {
	t.Parallel()
	var creds function.Credentials
	var r *http.Request
	var body []byte
	a := call(t, function.Config{Credentials: &creds}, func(w http.ResponseWriter, req *http.Request) {
		r = req
		body, _ = io.ReadAll(req.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Add("Vary", "A")
		w.Header().Add("Vary", "B")
		w.WriteHeader(201)
		io.WriteString(w, `{"ok":"中"}`)
	}, httpEvent)
	if diff := cmp.Diff(a, answer{StatusCode: 201, Headers: map[string]string{"Content-Type": "application/json", "Vary": "A, B"}, Body: `{"ok":"中"}`}); diff != "" {
		t.Errorf("answer (-got +want):\n%s", diff)
	}
	got := []string{r.Method, r.URL.Path, r.RequestURI, r.Host, r.RemoteAddr, string(body), r.Header.Get("Accept"), r.Header.Get("Content-Length")}
	want := []string{"POST", "/a/b/中", "/a%2Fb/%E4%B8%AD?x=1%2C2&y=a+b", "qa.example", "1.2.3.4:0", "hi", "application/json, text/event-stream", "2"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("request (-got +want):\n%s", diff)
	}
	for k := range r.Header {
		if strings.HasPrefix(k, "X-Fc-") {
			t.Errorf("the handler sees %s", k)
		}
	}
	if tr, err := creds.Get(t.Context()); err == nil {
		t.Errorf("credentials = %v: a client's headers were taken for the platform's", tr)
	}
}

func TestBadHTTPTriggersAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, old, new string
		status         int
		says           string
	}{
		{"base64 that is none", `"aGk="`, `"%%"`, 400, "body:"},
		{"no method", `"method":"POST"`, `"method":""`, 400, "method:"},
		{"a header with a line break", `"Cookie":"a=1; b=2"`, `"Cookie":"a\r\nb"`, 400, "header:"},
		{"a header name that is none", `"Cookie"`, `"Coo kie"`, 400, "header:"},
		{"a huge event", `"aGk="`, `"` + strings.Repeat("A", maxPayload) + `"`, 413, "POST /api/v1/uploads"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := call(t, function.Config{}, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }, strings.Replace(httpEvent, tt.old, tt.new, 1))
			if a.StatusCode != tt.status || !strings.Contains(a.Body, tt.says) {
				t.Errorf("answer = %d %.300q, want %d saying %q", a.StatusCode, a.Body, tt.status, tt.says)
			}
		})
	}
	a := call(t, function.Config{}, func(http.ResponseWriter, *http.Request) { panic("boom") }, httpEvent)
	if a.StatusCode != 500 {
		t.Errorf("a panic = %+v, want 500", a)
	}
	a = call(t, function.Config{}, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 25<<20)) }, httpEvent)
	if a.StatusCode != 413 {
		t.Errorf("25 MB of bytes = %d, want 413: their base64 is over 32 MB", a.StatusCode)
	}
	a = call(t, function.Config{}, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }, strings.Replace(httpEvent, `/a%2Fb/%E4%B8%AD`, `/50%`, 1))
	if a.StatusCode != 200 || a.Body != "/50%" {
		t.Errorf("a bad escape = %+v, want it taken literally", a)
	}
	a = call(t, function.Config{}, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte{0, 255}) }, httpEvent)
	if b, _ := base64.StdEncoding.DecodeString(a.Body); !a.IsBase64Encoded || string(b) != "\x00\xff" {
		t.Errorf("bytes = %+v", a)
	}
}

func TestEventsOfFunctionCompute(t *testing.T) {
	t.Parallel()
	var objs []function.ObjectEvent
	var ticks []function.ScheduleEvent
	fail := error(nil)
	a := New(function.Config{Platform: function.FCRuntime}, function.Handlers{
		Object: func(_ context.Context, o function.ObjectEvent) error {
			objs = append(objs, o)
			if o.Key == "panic" {
				panic("boom")
			}
			return fail
		},
		Schedule: func(_ context.Context, s function.ScheduleEvent) error { ticks = append(ticks, s); return nil },
	})
	do := func(raw []byte) error { _, err := a.Invoke(soon(t), raw); return err }
	if err := do(sample(t, "README_OSS.md")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(objs, []function.ObjectEvent{{Bucket: "testbucket", Key: "image/a.jpg", Size: 29203, ETag: "7D73E1052AF595535DE90994F4C3E6D5", Source: "oss"}}); diff != "" {
		t.Errorf("objects (-got +want):\n%s", diff)
	}
	if err := do(sample(t, "README_TIMER.md")); err != nil {
		t.Fatal(err)
	}
	due := time.Date(2022, 7, 29, 10, 2, 58, 0, time.UTC)
	for _, payload := range []string{`"{\"qa\":\"backup\"}"`, `"sweep"`, `""`} {
		if err := do([]byte(`{"triggerTime":"2022-07-29T10:02:58Z","triggerName":"nightly","payload":` + payload + `}`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := do([]byte(`{"qa":"backup","time":"2022-07-29T10:02:58Z"}`)); err != nil {
		t.Fatal(err)
	}
	want := []function.ScheduleEvent{
		{Task: "TestPayload", Name: "TestTimer", Time: due, Source: "fc_timer"},
		{Task: "backup", Name: "nightly", Time: due, Source: "fc_timer"},
		{Task: "sweep", Name: "nightly", Time: due, Source: "fc_timer"},
		{Task: "nightly", Name: "nightly", Time: due, Source: "fc_timer"},
		{Task: "backup", Time: due, Source: "fc_timer"},
	}
	if diff := cmp.Diff(ticks, want); diff != "" {
		t.Errorf("ticks (-got +want):\n%s", diff)
	}
	objs = nil
	if err := do([]byte(`{"qa":"object","key":"inbox/a/j"}`)); err != nil || len(objs) != 1 || objs[0].Source != "direct" {
		t.Errorf("continuation = %v, %+v", err, objs)
	}
	fail = errors.New("store is down")
	if err := do(sample(t, "README_OSS.md")); !errors.Is(err, fail) {
		t.Errorf("a failed object = %v, want its error", err)
	}
	if err := do([]byte(`{"qa":"object","key":"panic"}`)); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("a panic = %v, want an error", err)
	}
	removed := strings.Replace(string(sample(t, "README_OSS.md")), "ObjectCreated:PutObject", "ObjectRemoved:DeleteObject", 1)
	objs, fail = nil, nil
	if err := do([]byte(removed)); err != nil || len(objs) > 0 {
		t.Errorf("a removed object = %v, %v, want it ignored", err, objs)
	}
	var b bytes.Buffer
	a.cfg.Log = slog.New(slog.NewTextHandler(&b, nil))
	ctx := function.WithInvocation(soon(t), function.Invocation{RequestID: "req-1"})
	if _, err := a.objects(ctx, []byte(removed)); err != nil || !strings.Contains(b.String(), "event_name=ObjectRemoved:DeleteObject trace_id=req-1") {
		t.Errorf("a removed object: %v; logged %q, want its name and the request's trace_id", err, b.String())
	}
}

func TestEventsThatAreNoneOfOurs(t *testing.T) {
	t.Parallel()
	a := New(function.Config{}, function.Handlers{
		Object:   func(context.Context, function.ObjectEvent) error { t.Error("ran"); return nil },
		Schedule: func(context.Context, function.ScheduleEvent) error { t.Error("ran"); return nil },
	})
	for _, raw := range []string{
		``, `{`, `null`, `[]`, `"x"`, `{"salary":"Bob"}`, `{"events":[{"eventSource":"acs:mns"}]}`, `{"events":[null]}`,
		`{"events":[{"eventSource":"acs:oss","eventName":"ObjectCreated:Put","oss":{}}]}`, `{"events":[{"eventSource":"acs:oss","eventName":"ObjectCreated:Put","oss":{"object":{"key":7}}}]}`,
		`{"qa":"object"}`, `{"version":"v1","requestContext":7}`, `{"version":"v1"}`,
	} {
		if _, err := a.Invoke(soon(t), []byte(raw)); kb.KindOf(err) != kb.Invalid || strings.Contains(err.Error(), "Bob") {
			t.Errorf("%s = %v, want Invalid without its content", raw, err)
		}
	}
	past, cancel := context.WithDeadline(t.Context(), time.UnixMilli(0))
	defer cancel()
	if _, err := a.Invoke(past, []byte(`{"qa":"backup"}`)); kb.KindOf(err) != kb.Unavailable {
		t.Errorf("a deadline of 0 = %v, want Unavailable", err)
	}
	b, err := New(function.Config{}, function.Handlers{HTTP: http.NotFoundHandler()}).Invoke(past, []byte(httpEvent))
	if err != nil || !strings.Contains(string(b), `"statusCode":503`) {
		t.Errorf("a request with a deadline of 0 = %s, %v, want 503", b, err)
	}
}

func FuzzInvoke(f *testing.F) {
	for _, s := range []string{
		httpEvent, string(sample(f, "README_OSS.md")), string(sample(f, "README_TIMER.md")),
		`{"version":"v1","requestContext":{"http":{"method":"GET","path":"%"}},"queryParameters":{"":"#"},"headers":{"":""}}`,
		`{"version":"v1","rawPath":"%zz?#","requestContext":{"http":{"method":"GET"}}}`, `{"qa":"object"}`, `{"triggerTime":"x","triggerName":""}`, `{"events":[{"eventSource":"acs:oss"},null]}`,
	} {
		f.Add([]byte(s))
	}
	a := New(function.Config{}, function.Handlers{
		HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/") || r.Header.Get("X-Fc-Security-Token") != "" || r.Method == "" {
				panic("a request that net/http would not make")
			}
			if _, err := io.Copy(w, r.Body); err != nil {
				panic(err)
			}
		}),
		Object:   func(context.Context, function.ObjectEvent) error { return nil },
		Schedule: func(context.Context, function.ScheduleEvent) error { return nil },
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := a.Invoke(soon(t), raw)
		if err != nil && kb.KindOf(err) == kb.Internal {
			t.Fatalf("unclassified error %v", err)
		}
		if strings.HasPrefix(string(b), `{"statusCode":500`) {
			t.Fatalf("the request was not what net/http makes: %s", b)
		}
	})
}

// BenchmarkAdapter is what one warm request costs beside its handler.
func BenchmarkAdapter(b *testing.B) {
	a := New(function.Config{}, function.Handlers{HTTP: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })})
	ctx := soon(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Invoke(ctx, []byte(httpEvent)); err != nil {
			b.Fatal(err)
		}
	}
}
