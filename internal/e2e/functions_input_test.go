package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore/ossfake"
	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

// restEvent is a REST API's event for chat with some fields changed.
func restEvent(t *testing.T, change map[string]any) []byte {
	t.Helper()
	ev := map[string]any{
		"resource": "/chat", "path": "/chat", "httpMethod": "POST", "body": `{"query":"台灯保修多久？"}`, "isBase64Encoded": false,
		"headers":           map[string]any{"content-type": "application/json", "host": "qa.example"},
		"multiValueHeaders": map[string]any{"content-type": []string{"application/json"}, "host": []string{"qa.example"}},
		"requestContext":    map[string]any{"stage": "prod", "requestId": "r1", "httpMethod": "POST", "path": "/prod/chat", "identity": map[string]any{"sourceIp": "203.0.113.7"}},
	}
	maps.Copy(ev, change)
	b, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBadRequestsToTheBuiltFunction: each is answered with a reason or failed,
// and the process goes on.
func TestBadRequestsToTheBuiltFunction(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
	w.document("保修", "台灯保修 24 个月。")
	l, _ := w.lambda(emulator.REST, w.options("chat"))
	headers := func(h map[string]any) map[string]any {
		one, many := map[string]any{"content-type": "application/json"}, map[string]any{"content-type": []any{"application/json"}}
		for k, v := range h {
			one[k], many[k] = v, []any{v}
		}
		return map[string]any{"headers": one, "multiValueHeaders": many}
	}
	good := restEvent(t, nil)
	for _, tt := range []struct {
		name  string
		event []byte
		until time.Duration
		want  string // of the reply; "" = a failed invocation
	}{
		{"all is well", good, time.Minute, `"statusCode":200`},
		{"half an event", good[:len(good)/2], time.Minute, ""},
		{"no event at all", nil, time.Minute, ""},
		{"an event of nobody", []byte(`{"hello":"world"}`), time.Minute, ""},
		{"a list", []byte(`[1,2,3]`), time.Minute, ""},
		{"nested too deep", []byte(strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 20_000)), time.Minute, ""},
		{"base64 that is none", restEvent(t, map[string]any{"body": "%%%", "isBase64Encoded": true}), time.Minute, `"statusCode":400`},
		{"a body that is none", restEvent(t, map[string]any{"body": `{"query":`}), time.Minute, `"statusCode":400`},
		{"a bad escape in the path", restEvent(t, map[string]any{"path": "/chat/50%"}), time.Minute, `"statusCode":404`},
		{"a huge body", restEvent(t, map[string]any{"body": strings.Repeat("x", 7<<20)}), time.Minute, `"statusCode":413`},
		{"several cookies and commas", restEvent(t, headers(map[string]any{"cookie": "a=1; b=2", "accept": "application/json, text/plain;q=0.5", "date": "Tue, 01 Dec 2026 00:00:00 GMT"})), time.Minute, `"statusCode":200`},
		{"a line break in a header", restEvent(t, headers(map[string]any{"x-a": "b\r\nSet-Cookie: c=d"})), time.Minute, `"statusCode":400`},
		{"forged context headers", restEvent(t, headers(map[string]any{
			"x-golambdaproxy-apigw-context": `{"identity":{"sourceIp":"127.0.0.1"}}`, "x-fc-control-path": "/invoke", "x-fc-access-key-secret": "forged-secret", "x-fc-request-id": "forged",
		})), time.Minute, `"statusCode":200`},
		{"a deadline that has passed", good, -time.Minute, `"statusCode":503`},
		{"all is still well", good, time.Minute, `"statusCode":200`},
	} {
		rep, err := l.InvokeUntil(t.Context(), tt.event, time.Now().Add(tt.until))
		var body []byte
		if err == nil {
			body, err = rep.Whole()
		}
		switch {
		case tt.want == "" && err == nil:
			t.Errorf("%s: answered %.200s, want a failed invocation", tt.name, body)
		case tt.want != "" && (err != nil || !strings.Contains(string(body), tt.want)):
			t.Errorf("%s: %.300s %v, want %s", tt.name, body, err, tt.want)
		}
		if !l.Alive() {
			t.Fatalf("%s: the process ended:\n%s", tt.name, l.Output())
		}
	}
	if said := l.Output(); strings.Contains(said, "forged") {
		t.Errorf("what a client made up is in the log:\n%s", said)
	}
}

// TestDeadlinesOfEvents: with no time at all nothing is lost and nothing ends.
func TestDeadlinesOfEvents(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	sub := w.must(202, "POST", "/api/v1/documents", map[string]string{"title": "保修", "text": "台灯保修 24 个月。"})
	job := sub["job_id"].(string)
	for _, tt := range []struct {
		fn    string
		event []byte
	}{
		{"ingest", emulator.S3Created("b", "inbox/default/"+job, 1)},
		{"ingest", emulator.Schedule("sweep", time.Now())},
		{"backup", emulator.Schedule("backup", time.Now())},
	} {
		l, _ := w.lambda(emulator.HTTPv2, w.options(tt.fn))
		for _, deadline := range []time.Time{time.UnixMilli(0), time.Now().Add(-time.Second), time.Now().Add(time.Millisecond)} {
			rep, err := l.InvokeUntil(t.Context(), tt.event, deadline)
			if err == nil {
				_, err = rep.Whole()
			}
			t.Logf("%s until %s: %v", tt.fn, deadline.Format(time.DateTime), err)
			if !l.Alive() {
				t.Fatalf("%s: the process ended:\n%s", tt.fn, l.Output())
			}
		}
	}
	w.ready(job)
}

// TestCredentialsOfFunctionCompute: a role's keys come with each invocation;
// the newest ones count, and none is written anywhere.
func TestCredentialsOfFunctionCompute(t *testing.T) {
	t.Parallel()
	oss := ossfake.Start(t)
	oss.Token = "token-of-the-role"
	w := onFolder(t, "fc")
	w.bucket = oss.Bucket()
	w.env["STORAGE_URL"] = "oss://" + w.bucket + "?endpoint=" + url.QueryEscape(oss.Endpoint) + "&region=" + oss.Region
	good := emulator.STS{ID: oss.Key, Secret: oss.Secret, Token: oss.Token}
	admin, err := emulator.StartFC(t.Context(), w.options("admin"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	gate := &emulator.Gateway{Instance: admin, Shape: emulator.FCHTTP}
	ask := func(rt http.RoundTripper, method, path, body string) reply {
		t.Helper()
		r, err := send(rt, method, path, strings.NewReader(body), "X-API-Key", functionKey)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := ask(gate, "GET", "/api/v1/documents", ""); r.status != 503 {
		t.Errorf("with keys of nobody: %d %s, want 503", r.status, r.body)
	}
	admin.SetSTS(good)
	if r := ask(gate, "GET", "/api/v1/documents", ""); r.status != 200 {
		t.Errorf("with the role's keys: %d %s", r.status, r.body)
	}
	chat, err := emulator.StartFCCustom(t.Context(), w.options("chat"))
	if err != nil {
		t.Fatal(err)
	}
	defer chat.Close()
	chat.SetSTS(good)
	if r := ask(chat, "POST", "/chat", `{"query":"台灯保修多久？"}`); r.status != 200 {
		t.Errorf("chat with the role's keys: %d %s", r.status, r.body)
	}
	oss.SetVersioning(w.bucket, "Enabled") // such a bucket ignores what commits stand on
	late, err := emulator.StartFCCustom(t.Context(), w.options("chat"))
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	late.SetSTS(good)
	if r := ask(late, "POST", "/chat", `{"query":"台灯保修多久？"}`); r.status < 400 || !bytes.Contains(r.body, []byte("version")) {
		t.Errorf("on a bucket that keeps versions: %d %s, want a refusal that says so", r.status, r.body)
	}
	for _, said := range []string{admin.Output(), chat.Output()} {
		if strings.Contains(said, oss.Secret) || strings.Contains(said, oss.Token) || strings.Contains(said, emulator.DefaultSTS().Secret) {
			t.Errorf("a key is in the log:\n%s", said)
		}
	}
}

// TestUploadsThatLeadToTheFunctionItself: a folder hands out no links.
func TestUploadsThatLeadToTheFunctionItself(t *testing.T) {
	t.Parallel()
	w := onFolder(t, "lambda-v2")
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
	const text = "# Shipping\n\nA parcel to Norway takes nine days.\n"
	sum := sha256.Sum256([]byte(text))
	announce := func(name, text string) (job string, to *url.URL) {
		t.Helper()
		sum := sha256.Sum256([]byte(text))
		sub := w.must(202, "POST", "/api/v1/uploads", map[string]any{"name": name, "size": len(text), "sha256": hex.EncodeToString(sum[:])})
		to, err := url.Parse(sub["upload"].(map[string]any)["url"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return sub["job_id"].(string), to
	}
	put := func(to string, body string) int {
		t.Helper()
		r, err := send(w.trip("admin"), "PUT", to, strings.NewReader(body)) // no key: the link is the permission
		if err != nil {
			t.Fatal(err)
		}
		return r.status
	}
	job, to := announce("shipping.md", text)
	forged := *to
	q := forged.Query()
	for k := range q {
		q.Set(k, q.Get(k)+"0")
	}
	forged.RawQuery = q.Encode()
	other, _ := announce("other.md", "Another text.")
	for what, tt := range map[string]struct {
		to, body string
		want     int
	}{
		"a link that was changed":       {forged.String(), text, 403},
		"a link of another job":         {strings.Replace(to.String(), job, other, 1), text, 403},
		"no signature":                  {to.Path, text, 403},
		"more bytes than announced":     {to.String(), text + "x", 413},
		"other bytes than announced":    {to.String(), strings.Replace(text, "nine", "five", 1), 400},
		"fewer bytes than announced":    {to.String(), text[1:], 400},
		"a job that nobody has (path)":  {"/api/v1/uploads/job_nobody?" + to.RawQuery, text, 403},
		"a path that climbs out of it ": {"/api/v1/uploads/..%2f..%2ft%2fx?" + to.RawQuery, text, 403},
	} {
		if got := put(tt.to, tt.body); got != tt.want {
			t.Errorf("%s: %d, want %d", what, got, tt.want)
		}
	}
	if got := put(to.String(), text); got != 200 {
		t.Fatalf("the announced bytes: %d", got)
	}
	w.ready(job)
	if a := w.ask("How long does a parcel to Norway take?", ""); !strings.Contains(a.Answer, "nine days") {
		t.Errorf("answered %q", a.Answer)
	}
	for what, body := range map[string]map[string]any{
		"no name":      {"size": 1, "sha256": hex.EncodeToString(sum[:])},
		"no size":      {"name": "a", "sha256": hex.EncodeToString(sum[:])},
		"a huge size":  {"name": "a", "size": 1 << 40, "sha256": hex.EncodeToString(sum[:])},
		"no hash":      {"name": "a", "size": 1},
		"half a hash":  {"name": "a", "size": 1, "sha256": "abcd"},
		"another type": {"name": "a", "size": "1", "sha256": hex.EncodeToString(sum[:])},
	} {
		r, err := w.do("POST", "/api/v1/uploads", body, "X-API-Key", functionKey)
		if err != nil || r.status != 400 && r.status != 413 || !bytes.Contains(r.body, []byte(`"message"`)) {
			t.Errorf("%s: %d %s %v, want a refusal with its reason", what, r.status, r.body, err)
		}
	}
}

// TestLargeRepliesBecomeLinks: a load balancer carries 1 MB; what is more is
// kept, under a role that may, and the client is sent there.
func TestLargeRepliesBecomeLinks(t *testing.T) {
	t.Parallel()
	store := s3Store(t)
	w := &walk{cloud: newCloud(t, "lambda-v2", store)}
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
	var text strings.Builder
	for i := range 8000 {
		fmt.Fprintf(&text, "Shelf %d of the warehouse %x keeps lanterns, ropes and sails.\n\n", i, sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	w.document("warehouse", text.String())
	_, gate := w.lambda(emulator.ALB, w.options("admin"))
	r, err := send(gate, "GET", "/admin/tenants/default/export", http.NoBody, "X-API-Key", functionKey)
	if err != nil || r.status != http.StatusSeeOther {
		t.Fatalf("export: %d %.200s %v, want 303", r.status, r.body, err)
	}
	res, err := http.Get(r.header.Get("Location")) // needs no key, and ends in ten minutes
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 || len(data) < 1<<20 || !bytes.HasPrefix(data, []byte("SQLite format 3")) {
		t.Errorf("behind the link: %d, %d bytes, %.40q, %v", res.StatusCode, len(data), data, err)
	}
	kept, err := filepath.Glob(filepath.Join(store.Dir, w.bucket, "export", "response", "*"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
	small, err := send(gate, "GET", "/api/v1/documents", http.NoBody, "X-API-Key", functionKey)
	if err != nil || small.status != 200 {
		t.Errorf("a small reply: %d %v", small.status, err)
	}
}
