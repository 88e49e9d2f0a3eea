package aws

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

func TestPublishedRequestsArriveWhole(t *testing.T) {
	t.Parallel()
	tests := []struct {
		file string
		want seenRequest // Header: only what is checked
	}{
		{restSample, seenRequest{
			Method: "POST", Path: "/hello/world", Query: "name=me", URI: "/hello/world?name=me",
			Host: "gy415nuibc.execute-api.us-east-1.amazonaws.com", Remote: "192.168.196.186:0", Kind: "rest_v1",
			Header: http.Header{"Headername": {"headerValue"}, "X-Forwarded-For": {"54.240.196.186, 54.182.214.83"}},
		}},
		{v2Sample, seenRequest{
			Method: "GET", Path: "/", URI: "/", Host: "aaaaaaaaaa.execute-api.us-west-2.amazonaws.com", Remote: "1.2.3.4:0", Kind: "http_v2",
			Header: http.Header{"Accept": {"*/*"}, "User-Agent": {"curl/7.58.0"}},
		}},
		{urlSample, seenRequest{
			Method: "POST", Path: "/my/path", Query: "parameter1=value1&parameter1=value2&parameter2=value",
			URI:  "/my/path?parameter1=value1&parameter1=value2&parameter2=value",
			Host: "<url-id>.lambda-url.us-west-2.on.aws", Remote: "123.123.123.123:0", Body: "Hello from client!", Length: 18, Kind: "function_url",
			Header: http.Header{"Cookie": {"cookie1; cookie2"}, "Header2": {"value1,value2"}},
		}},
		{albSample, seenRequest{
			Method: "GET", Path: "/", Query: "key=hello", URI: "/?key=hello",
			Host: "lambda-test-alb-1334523864.us-east-1.elb.amazonaws.com", Remote: "25.12.198.67:0", Kind: "alb",
			Header: http.Header{"X-Myheader": {"123"}},
		}},
		{albMulti, seenRequest{
			Method: "GET", Path: "/", Query: "key=hello", URI: "/?key=hello",
			Host: "lambda-test-alb-1234567.us-east-1.elb.amazonaws.com", Remote: "72.21.198.67:0", Kind: "alb",
			Header: http.Header{"X-Myheader": {"123"}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			raw := sample(t, tt.file)
			got := see(t, raw)
			for k, v := range tt.want.Header {
				if diff := cmp.Diff(got.Header[k], v); diff != "" {
					t.Errorf("header %s (-got +want):\n%s", k, diff)
				}
			}
			got.Header, tt.want.Header = nil, nil
			if tt.file == restSample {
				if !strings.Contains(got.Body, "key1") && got.Body == "" {
					t.Error("no body")
				}
				got.Body, got.Length = "", 0
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("request (-got +want):\n%s", diff)
			}
		})
	}
}

func TestRequestsThatAreHardToTranslate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file string
		change     map[string]any
		check      func(seenRequest) (got, want any)
	}{
		{
			"an Accept of several types stays one value", v2Sample,
			map[string]any{"headers.accept": "application/json, text/event-stream"},
			func(s seenRequest) (any, any) {
				return s.Header["Accept"], []string{"application/json, text/event-stream"}
			},
		},
		{
			"a signature with commas stays whole", v2Sample,
			map[string]any{"headers.x-sig": "t=1,v1=abc"},
			func(s seenRequest) (any, any) { return s.Header["X-Sig"], []string{"t=1,v1=abc"} },
		},
		{
			"several cookies are one header", v2Sample,
			map[string]any{"cookies": []string{"a=1", "b=2"}, "headers.cookie": "a=1, b=2"},
			func(s seenRequest) (any, any) { return s.Header["Cookie"], []string{"a=1; b=2"} },
		},
		{
			"a bad escape is a literal percent sign", v2Sample,
			map[string]any{"rawPath": "/50%"},
			func(s seenRequest) (any, any) { return s.Path + " " + s.URI, "/50% /50%25" },
		},
		{
			"an escape is undone once", v2Sample,
			map[string]any{"rawPath": "/a%2Fb/%E4%B8%AD"},
			func(s seenRequest) (any, any) { return s.Path + " " + s.URI, "/a/b/中 /a%2Fb/%E4%B8%AD" },
		},
		{
			"a question mark in a decoded path is no query", restSample,
			map[string]any{"path": "/q?x=1#y"},
			func(s seenRequest) (any, any) { return s.Path + " " + s.Query, "/q?x=1#y name=me" },
		},
		{
			"a named stage is no part of the path", v2Sample,
			map[string]any{"rawPath": "/prod/chat", "requestContext.stage": "prod"},
			func(s seenRequest) (any, any) { return s.Path, "/chat" },
		},
		{
			"a stage alone is the root", v2Sample,
			map[string]any{"rawPath": "/prod", "requestContext.stage": "prod"},
			func(s seenRequest) (any, any) { return s.Path, "/" },
		},
		{
			"a stage's name within a path stays", v2Sample,
			map[string]any{"rawPath": "/products", "requestContext.stage": "prod"},
			func(s seenRequest) (any, any) { return s.Path, "/products" },
		},
		{
			"repeated parameters all arrive", restSample,
			map[string]any{"multiValueQueryStringParameters": map[string]any{"a": []string{"1", "2&3"}}},
			func(s seenRequest) (any, any) { return s.Query, "a=1&a=2%263" },
		},
		{
			"a REST event without multi-values has its headers", restSample,
			map[string]any{"multiValueHeaders": map[string]any{}},
			func(s seenRequest) (any, any) { return s.Header["Headername"], []string{"headerValue"} },
		},
		{
			"a load balancer's query stays encoded once", albSample,
			map[string]any{"queryStringParameters": map[string]any{"q": "a%20b"}},
			func(s seenRequest) (any, any) { return s.Query, "q=a%20b" },
		},
		{
			"the address that the balancer added counts", albSample,
			map[string]any{"headers.x-forwarded-for": "6.6.6.6, 1.2.3.4"},
			func(s seenRequest) (any, any) { return s.Remote, "1.2.3.4:0" },
		},
		{
			"an IPv6 address is bracketed", v2Sample,
			map[string]any{"requestContext.http.sourceIp": "2001:db8::1"},
			func(s seenRequest) (any, any) { return s.Remote, "[2001:db8::1]:0" },
		},
		{
			"base64 is undone and counted", v2Sample,
			map[string]any{"body": "AAH/", "isBase64Encoded": true, "headers.content-length": "4"},
			func(s seenRequest) (any, any) {
				return []any{s.Length, s.Header.Get("Content-Length")}, []any{int64(3), "3"}
			},
		},
		{
			"a forged context is ignored", restSample,
			map[string]any{"multiValueHeaders": map[string]any{"X-GoLambdaProxy-ApiGw-Context": []string{"{}"}, "x-fc-control-path": []string{"/invoke"}, "X-Ok": []string{"1"}}},
			func(s seenRequest) (any, any) { return s.Header, http.Header{"X-Ok": {"1"}} },
		},
		{
			"a method keeps its case", v2Sample,
			map[string]any{"requestContext.http.method": "PROPFIND"},
			func(s seenRequest) (any, any) { return s.Method, "PROPFIND" },
		},
		{
			"without a Host header the domain counts", restSample,
			map[string]any{"multiValueHeaders.Host": nil, "requestContext.domainName": "qa.example"},
			func(s seenRequest) (any, any) { return s.Host, "qa.example" },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, want := tt.check(see(t, edit(t, sample(t, tt.file), tt.change)))
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func TestBasePathIsStripped(t *testing.T) {
	t.Parallel()
	raw := edit(t, sample(t, restSample), map[string]any{"path": "/qa/v1/chat"})
	a := callConfig(t, function.Config{BasePath: "qa/v1"}, echo, raw)
	var s seenRequest
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil || s.Path != "/chat" {
		t.Errorf("path = %q, %v, want /chat", s.Path, err)
	}
}

func TestBadRequestsAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change map[string]any
		status int
		says   string
	}{
		{"base64 that is none", map[string]any{"body": "%%%", "isBase64Encoded": true}, 400, "body: marked as base64"},
		{"a method that is none", map[string]any{"requestContext.http.method": "GE T"}, 400, "method:"},
		{"no method", map[string]any{"requestContext.http.method": ""}, 400, "method:"},
		{"a header name that is none", map[string]any{"headers.bad name": "x"}, 400, "header:"},
		{"a header value with a line break", map[string]any{"headers.x": "a\r\nSet-Cookie: b"}, 400, "header:"},
		{"headers of a wrong type", map[string]any{"headers": []int{1}}, 400, "headers is not a map"},
		{"a huge event", map[string]any{"body": strings.Repeat("x", maxPayload)}, 413, "POST /api/v1/uploads"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := call(t, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }, edit(t, sample(t, v2Sample), tt.change))
			var e struct {
				Code    int
				Message string
			}
			if err := json.Unmarshal([]byte(a.Body), &e); err != nil || a.StatusCode != tt.status || e.Code != tt.status || !strings.Contains(e.Message, tt.says) {
				t.Errorf("answer = %d %q (%v), want %d saying %q", a.StatusCode, a.Body, err, tt.status, tt.says)
			}
		})
	}
}

func answerWith(header map[string][]string, status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func TestRepliesTakeTheirPlatformsShape(t *testing.T) {
	t.Parallel()
	h := answerWith(map[string][]string{"Content-Type": {"text/plain"}, "Vary": {"A", "B"}, "Set-Cookie": {"a=1", "b=2"}}, 201, "ok <b>")
	tests := []struct {
		file string
		want answer
	}{
		{restSample, answer{StatusCode: 201, Body: "ok <b>", MultiValueHeaders: map[string][]string{"Content-Type": {"text/plain"}, "Vary": {"A", "B"}, "Set-Cookie": {"a=1", "b=2"}}}},
		{v2Sample, answer{StatusCode: 201, Body: "ok <b>", Headers: map[string]string{"Content-Type": "text/plain", "Vary": "A, B"}, Cookies: []string{"a=1", "b=2"}}},
		{albMulti, answer{StatusCode: 201, StatusDescription: "201 Created", Body: "ok <b>", MultiValueHeaders: map[string][]string{"Content-Type": {"text/plain"}, "Vary": {"A", "B"}, "Set-Cookie": {"a=1", "b=2"}}}},
		{albSample, answer{StatusCode: 201, StatusDescription: "201 Created", Body: "ok <b>", Headers: map[string]string{"Content-Type": "text/plain", "Vary": "A, B", "Set-Cookie": "b=2"}}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(call(t, h, sample(t, tt.file)), tt.want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", tt.file, diff)
		}
	}
}

func TestRepliesOverTheLimit(t *testing.T) {
	t.Parallel()
	text := map[string][]string{"Content-Type": {"text/plain"}}
	bin := map[string][]string{"Content-Type": {"application/pdf"}}
	tests := []struct {
		name, file string
		h          http.HandlerFunc
		status     int
	}{
		{"6 MB less the envelope pass", v2Sample, answerWith(text, 200, strings.Repeat("x", maxPayload-200)), 200},
		{"6 MB and a bit do not", v2Sample, answerWith(text, 200, strings.Repeat("x", maxPayload)), 413},
		{"4.6 MB of bytes are over 6 MB of base64", v2Sample, answerWith(bin, 200, strings.Repeat("x", 4_800_000)), 413},
		{"escapes count: 3.2 MB of quotes", v2Sample, answerWith(text, 200, strings.Repeat(`"`, 3_200_000)), 413},
		{"a load balancer takes 1 MB", albSample, answerWith(text, 200, strings.Repeat("x", maxALB-300)), 200},
		{"and no more", albSample, answerWith(text, 200, strings.Repeat("x", maxALB)), 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := call(t, tt.h, sample(t, tt.file))
			if a.StatusCode != tt.status || tt.status == 413 && !strings.Contains(a.Body, "presigned") {
				t.Errorf("answer = %d %.200q, want %d", a.StatusCode, a.Body, tt.status)
			}
		})
	}
}

func TestNothingThatAHandlerDoesEndsTheProcess(t *testing.T) {
	t.Parallel()
	a := call(t, func(http.ResponseWriter, *http.Request) { panic("boom") }, sample(t, restSample))
	if a.StatusCode != 500 || !strings.Contains(a.Body, `"code":500`) {
		t.Errorf("answer = %+v, want a JSON 500", a)
	}
	v, err := New(function.Config{}, function.Handlers{}).Handle(soon(t), sample(t, restSample))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(v.(io.Reader)); !strings.Contains(string(b), `"statusCode":404`) {
		t.Errorf("answer = %s, want 404 of a function without HTTP", b)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	var left time.Duration
	a := New(function.Config{Margin: 5 * time.Second, MaxStream: 10 * time.Second}, function.Handlers{HTTP: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		end, _ := r.Context().Deadline()
		left = time.Until(end)
	})})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	defer cancel()
	if _, err := a.Handle(ctx, sample(t, v2Sample)); err != nil || left > 95*time.Second || left < 94*time.Second {
		t.Errorf("the handler had %v (%v), want 95 s", left, err)
	}
	past, cancel2 := context.WithDeadline(t.Context(), time.UnixMilli(0))
	defer cancel2()
	v, err := a.Handle(past, sample(t, v2Sample))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(v.(io.Reader)); !strings.Contains(string(b), `"statusCode":503`) || !strings.Contains(string(b), "deadline") {
		t.Errorf("answer = %s, want 503 that names the deadline", b)
	}
	var said bytes.Buffer
	past = lambdacontext.NewContext(past, &lambdacontext.LambdaContext{AwsRequestID: "req-9"})
	if _, err := New(function.Config{Log: slog.New(slog.NewJSONHandler(&said, nil))}, function.Handlers{Schedule: func(context.Context, function.ScheduleEvent) error {
		t.Error("the handler ran")
		return nil
	}}).Handle(past, []byte(`{"qa":"backup"}`)); kb.KindOf(err) != kb.Unavailable {
		t.Errorf("event with a passed deadline = %v, want Unavailable", err)
	}
	if s := said.String(); !strings.Contains(s, `"level":"ERROR"`) || !strings.Contains(s, `"trace_id":"req-9"`) {
		t.Errorf("log = %s, want the failed event with its request", s)
	}
}

func TestStreamedReplies(t *testing.T) {
	t.Parallel()
	h := answerWith(map[string][]string{"Content-Type": {"text/event-stream"}, "Vary": {"A", "B"}, "Set-Cookie": {"a=1", "b=2"}}, 200, "data: 1\n\n")
	a := New(function.Config{Mode: function.Stream}, function.Handlers{HTTP: h})
	t.Run("of a REST API", func(t *testing.T) {
		t.Parallel()
		v, err := a.Handle(soon(t), sample(t, restSample))
		r, ok := v.(*events.APIGatewayProxyStreamingResponse)
		if !ok || err != nil {
			t.Fatalf("Handle = %T, %v", v, err)
		}
		defer r.Close()
		body, _ := io.ReadAll(r.Body)
		if r.StatusCode != 200 || r.Headers["Content-Type"] != "text/event-stream" || string(body) != "data: 1\n\n" ||
			!cmp.Equal(r.MultiValueHeaders, map[string][]string{"Vary": {"A", "B"}}) || !cmp.Equal(r.Cookies, []string{"a=1", "b=2"}) {
			t.Errorf("response = %+v, body %q", r, body)
		}
	})
	t.Run("of a function URL", func(t *testing.T) {
		t.Parallel()
		v, err := a.Handle(soon(t), sample(t, urlSample))
		r, ok := v.(*events.LambdaFunctionURLStreamingResponse)
		if !ok || err != nil {
			t.Fatalf("Handle = %T, %v", v, err)
		}
		defer r.Close()
		body, _ := io.ReadAll(r.Body)
		if r.Headers["Vary"] != "A, B" || !cmp.Equal(r.Cookies, []string{"a=1", "b=2"}) || string(body) != "data: 1\n\n" {
			t.Errorf("response = %+v, body %q", r, body)
		}
	})
	t.Run("not of what cannot stream", func(t *testing.T) {
		t.Parallel()
		for _, f := range []string{v2Sample, albSample} {
			if v, err := a.Handle(soon(t), sample(t, f)); err != nil {
				t.Error(err)
			} else if _, ok := v.(*encoded); !ok {
				t.Errorf("%s: %T, want a buffered response", f, v)
			}
		}
	})
	t.Run("even of an error before the handler", func(t *testing.T) {
		t.Parallel()
		v, err := a.Handle(soon(t), edit(t, sample(t, restSample), map[string]any{"httpMethod": "G T"}))
		r, ok := v.(*events.APIGatewayProxyStreamingResponse)
		if err != nil || !ok || r.StatusCode != 400 {
			t.Errorf("Handle = %+v, %v, want a streamed 400", v, err)
		}
	})
	t.Run("with headers that do not fit are a 500", func(t *testing.T) {
		t.Parallel()
		big := New(function.Config{Mode: function.Stream}, function.Handlers{HTTP: answerWith(map[string][]string{"X": {strings.Repeat("x", maxPrelude)}}, 200, "x")})
		v, err := big.Handle(soon(t), sample(t, restSample))
		if r, ok := v.(*events.APIGatewayProxyStreamingResponse); err != nil || !ok || r.StatusCode != 500 {
			t.Errorf("Handle = %+v, %v, want a streamed 500", v, err)
		}
	})
}

func TestAStreamHasALongestTime(t *testing.T) {
	t.Parallel()
	a := New(function.Config{Mode: function.Stream, MaxStream: 30 * time.Millisecond}, function.Handlers{HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		<-r.Context().Done()
		io.WriteString(w, "data: end\n\n")
	})})
	v, err := a.Handle(soon(t), sample(t, restSample))
	if err != nil {
		t.Fatal(err)
	}
	r := v.(*events.APIGatewayProxyStreamingResponse)
	defer r.Close()
	start := time.Now()
	if body, err := io.ReadAll(r.Body); string(body) != "data: end\n\n" || err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("body = %q, %v after %v", body, err, time.Since(start))
	}
}

func TestBinaryRepliesSurvive(t *testing.T) {
	t.Parallel()
	want := "\x00\x01\x02\x03\xff"
	a := call(t, answerWith(map[string][]string{"Content-Type": {"application/octet-stream"}}, 200, want), sample(t, restSample))
	got, err := base64.StdEncoding.DecodeString(a.Body)
	if err != nil || !a.IsBase64Encoded || string(got) != want {
		t.Errorf("body = %q (base64 %v, %v), want %q", got, a.IsBase64Encoded, err, want)
	}
}
