package aws

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/core"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
)

// TestWhatTheProxyGetsWrong pins why this adapter does not hand whole events
// to aws-lambda-go-api-proxy v0.16.2: each case shows what the proxy makes of
// an event and what we make of it. A case whose upstream half fails after an
// upgrade has been fixed there, and its correction here may go.
func TestWhatTheProxyGetsWrong(t *testing.T) {
	t.Parallel()
	v2 := func(t *testing.T, change map[string]any, h http.HandlerFunc) (events.APIGatewayV2HTTPResponse, error) {
		var ev events.APIGatewayV2HTTPRequest
		decode(t, edit(t, sample(t, v2Sample), change), &ev)
		return httpadapter.NewV2(h).ProxyWithContext(soon(t), ev)
	}
	rest := func(t *testing.T, change map[string]any, h http.HandlerFunc) (events.APIGatewayProxyResponse, error) {
		var ev events.APIGatewayProxyRequest
		decode(t, edit(t, sample(t, restSample), change), &ev)
		return httpadapter.New(h).ProxyWithContext(soon(t), ev)
	}
	alb := func(t *testing.T, file string, change map[string]any, h http.HandlerFunc) (events.ALBTargetGroupResponse, error) {
		var ev events.ALBTargetGroupRequest
		decode(t, edit(t, sample(t, file), change), &ev)
		return httpadapter.NewALB(h).ProxyWithContext(soon(t), ev)
	}
	// both runs probe under the proxy and under us and compares what it saw.
	both := func(t *testing.T, file string, change map[string]any, upstream func(http.HandlerFunc), probe func(*http.Request) string, theirs, ours string) {
		t.Helper()
		var got string
		h := func(w http.ResponseWriter, r *http.Request) { got = probe(r); w.WriteHeader(204) }
		upstream(h)
		if got != theirs {
			t.Errorf("the proxy saw %q, not %q any more", got, theirs)
		}
		call(t, h, edit(t, sample(t, file), change))
		if got != ours {
			t.Errorf("we see %q, want %q", got, ours)
		}
	}

	t.Run("V2 splits an Accept at its commas", func(t *testing.T) {
		t.Parallel()
		change := map[string]any{"headers.accept": "application/json, text/event-stream"}
		both(t, v2Sample, change, func(h http.HandlerFunc) { v2(t, change, h) },
			func(r *http.Request) string { return r.Header.Get("Accept") }, "application/json", "application/json, text/event-stream")
	})
	t.Run("V2 cuts a signature", func(t *testing.T) {
		t.Parallel()
		change := map[string]any{"headers.x-sig": "t=1,v1=abc"}
		both(t, v2Sample, change, func(h http.HandlerFunc) { v2(t, change, h) },
			func(r *http.Request) string { return r.Header.Get("X-Sig") }, "t=1", "t=1,v1=abc")
	})
	t.Run("V2 leaves the stage in the path", func(t *testing.T) {
		t.Parallel()
		change := map[string]any{"rawPath": "/prod/chat", "requestContext.stage": "prod"}
		both(t, v2Sample, change, func(h http.HandlerFunc) { v2(t, change, h) },
			func(r *http.Request) string { return r.URL.Path }, "/prod/chat", "/chat")
	})
	t.Run("a remote address without a port", func(t *testing.T) {
		t.Parallel()
		both(t, v2Sample, nil, func(h http.HandlerFunc) { v2(t, nil, h) },
			func(r *http.Request) string { return r.RemoteAddr }, "1.2.3.4", "1.2.3.4:0")
	})
	t.Run("a load balancer's client has no address at all", func(t *testing.T) {
		t.Parallel()
		both(t, albMulti, nil, func(h http.HandlerFunc) { alb(t, albMulti, nil, h) },
			func(r *http.Request) string { return r.RemoteAddr + r.Host }, "", "72.21.198.67:0lambda-test-alb-1234567.us-east-1.elb.amazonaws.com")
	})
	t.Run("a load balancer's query is encoded twice", func(t *testing.T) {
		t.Parallel()
		change := map[string]any{"queryStringParameters": map[string]any{"q": "a%20b"}}
		both(t, albSample, change, func(h http.HandlerFunc) { alb(t, albSample, change, h) },
			func(r *http.Request) string { return r.URL.Query().Get("q") }, "a%20b", "a b")
	})
	t.Run("a decoded question mark starts a query", func(t *testing.T) {
		t.Parallel()
		change := map[string]any{"path": "/q?x=1", "multiValueQueryStringParameters": nil, "queryStringParameters": nil}
		both(t, restSample, change, func(h http.HandlerFunc) { rest(t, change, h) },
			func(r *http.Request) string { return r.URL.Path + " " + r.URL.RawQuery }, "/q x=1", "/q?x=1 ")
	})
	t.Run("a percent sign is an invocation error", func(t *testing.T) {
		t.Parallel()
		ok := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }
		if res, err := rest(t, map[string]any{"path": "/50%"}, ok); err == nil || res.StatusCode != 504 {
			t.Errorf("the proxy says %d, %v, not 504 and an error any more", res.StatusCode, err)
		}
		if a := call(t, ok, edit(t, sample(t, restSample), map[string]any{"path": "/50%"})); a.StatusCode != 204 {
			t.Errorf("we say %d", a.StatusCode)
		}
	})
	t.Run("a silent handler is an invocation error", func(t *testing.T) {
		t.Parallel()
		silent := func(http.ResponseWriter, *http.Request) {}
		if res, err := v2(t, nil, silent); err == nil || res.StatusCode != 504 {
			t.Errorf("the proxy says %d, %v, not 504 and an error any more", res.StatusCode, err)
		}
		if a := call(t, silent, sample(t, v2Sample)); a.StatusCode != 200 {
			t.Errorf("we say %d", a.StatusCode)
		}
	})
	t.Run("the last status wins", func(t *testing.T) {
		t.Parallel()
		twice := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) }
		if res, _ := rest(t, nil, twice); res.StatusCode != 500 {
			t.Errorf("the proxy says %d, not 500 any more", res.StatusCode)
		}
		if a := call(t, twice, sample(t, restSample)); a.StatusCode != 201 {
			t.Errorf("we say %d", a.StatusCode)
		}
	})
	t.Run("only V1 can flush", func(t *testing.T) {
		t.Parallel()
		var err error
		flush := func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "x")
			err = http.NewResponseController(w).Flush()
		}
		if v2(t, nil, flush); err == nil {
			t.Error("the proxy's V2 can flush now")
		}
		if alb(t, albSample, nil, flush); err == nil {
			t.Error("the proxy's ALB can flush now")
		}
		if call(t, flush, sample(t, v2Sample)); err != nil {
			t.Errorf("we cannot flush: %v", err)
		}
	})
	t.Run("bytes that happen to be UTF-8 are sent as text", func(t *testing.T) {
		t.Parallel()
		bin := answerWith(map[string][]string{"Content-Type": {"application/octet-stream"}}, 200, "\x00\x01\x02\x03")
		if res, _ := rest(t, nil, bin); res.IsBase64Encoded {
			t.Error("the proxy encodes them now")
		}
		if a := call(t, bin, sample(t, restSample)); !a.IsBase64Encoded {
			t.Error("we do not encode them")
		}
	})
	t.Run("a client's context header is believed", func(t *testing.T) {
		t.Parallel()
		change := map[string]any{"multiValueHeaders": map[string]any{core.APIGwContextHeader: []string{`{"accountId":"forged"}`}}}
		var acc core.RequestAccessor
		both(t, restSample, change, func(h http.HandlerFunc) { rest(t, change, h) },
			func(r *http.Request) string {
				c, _ := acc.GetAPIGatewayContext(r)
				return c.AccountID
			}, "forged", "")
	})
	t.Run("a panic is the caller's", func(t *testing.T) {
		t.Parallel()
		boom := func(http.ResponseWriter, *http.Request) { panic("boom") }
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the proxy recovers now")
				}
			}()
			rest(t, nil, boom)
		}()
		if a := call(t, boom, sample(t, restSample)); a.StatusCode != 500 {
			t.Errorf("we say %d", a.StatusCode)
		}
	})
}

// TestWhatTheProxyGetsRight keeps the reason to use it: its context accessors
// work on our requests.
func TestWhatTheProxyGetsRight(t *testing.T) {
	t.Parallel()
	var account string
	call(t, func(_ http.ResponseWriter, r *http.Request) {
		c, ok := core.GetAPIGatewayContextFromContext(r.Context())
		if !ok {
			t.Error("no context")
		}
		account = c.AccountID
	}, sample(t, restSample))
	if account != "12345678912" {
		t.Errorf("account = %q", account)
	}
}

// TestSameAsNetHTTP sends one request through a real server and, as an event,
// through the adapter: a handler must not be able to tell.
func TestSameAsNetHTTP(t *testing.T) {
	t.Parallel()
	var real seenRequest
	srv := httptest.NewServer(http.HandlerFunc(echo))
	defer srv.Close()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/a%2Fb/%E4%B8%AD?x=1&y=a+b", strings.NewReader("body"))
	req.Header.Set("Accept", "a/b, c/d")
	req.Header.Set("X-Empty", "")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&real); err != nil {
		t.Fatal(err)
	}
	headers := map[string]string{"host": real.Host}
	for k, v := range real.Header {
		headers[strings.ToLower(k)] = strings.Join(v, ",")
	}
	ev := see(t, edit(t, sample(t, v2Sample), map[string]any{
		"headers": headers, "rawPath": "/a%2Fb/%E4%B8%AD", "rawQueryString": "x=1&y=a+b", "requestContext.http.method": "POST", "body": "body",
	}))
	real.Remote, ev.Remote, ev.Kind = "", "", ""
	a, _ := json.Marshal(real)
	b, _ := json.Marshal(ev)
	if string(a) != string(b) {
		t.Errorf("net/http: %s\nlambda:   %s", a, b)
	}
}

func decode(t *testing.T, raw []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(raw, v); err != nil {
		t.Fatal(err)
	}
}
