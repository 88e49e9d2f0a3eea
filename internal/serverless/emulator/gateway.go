package emulator

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Shape is the form in which a gateway hands on an HTTP request.
type Shape string

// The shapes.
const (
	REST        Shape = "rest"         // API Gateway REST API, v1
	HTTPv2      Shape = "http_v2"      // API Gateway HTTP API, payload 2.0
	FunctionURL Shape = "function_url" // Lambda function URL
	ALB         Shape = "alb"          // load balancer, multi-value headers off
	ALBMulti    Shape = "alb_multi"    // load balancer, multi-value headers on
	FCHTTP      Shape = "fc_http"      // FC HTTP trigger of a go1 function
)

// invoker is an instance that takes events.
type invoker interface {
	Invoke(context.Context, []byte) (*Reply, error)
}

// clientIP is who asks unless a test says otherwise (RFC 5737).
const clientIP = "203.0.113.7"

// Gateway is an http.RoundTripper in front of an instance: it turns a request
// into the shape's event, and the reply, streamed or not, into a response. A
// failed invocation is a bare 502, as gateways have it.
type Gateway struct {
	Instance invoker
	Shape    Shape
	// ClientIP is who asks; "" = clientIP.
	ClientIP string
}

// RoundTrip implements http.RoundTripper.
func (g *Gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	ev, err := g.Event(r)
	if err != nil {
		return nil, err
	}
	rep, err := g.Instance.Invoke(r.Context(), ev)
	if err != nil {
		if r.Context().Err() != nil {
			return nil, r.Context().Err()
		}
		res := refusal(r, http.StatusBadGateway, `{"message":"Internal server error"}`)
		res.Header.Set("X-Emulator-Error", strings.Map(func(c rune) rune {
			if c < ' ' {
				return ' '
			}
			return c
		}, err.Error()))
		return res, nil
	}
	if rep.Prelude != nil {
		return response(r, rep.Prelude.StatusCode, rep.Prelude.Headers, rep.Prelude.MultiValueHeaders, rep.Prelude.Cookies, rep.Body, -1), nil
	}
	b, err := rep.Whole()
	if err != nil {
		return nil, err
	}
	var a struct {
		StatusCode        int                 `json:"statusCode"`
		Headers           map[string]string   `json:"headers"`
		MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
		Cookies           []string            `json:"cookies"`
		Body              string              `json:"body"`
		IsBase64Encoded   bool                `json:"isBase64Encoded"`
	}
	if err := json.Unmarshal(b, &a); err != nil || a.StatusCode == 0 {
		return refusal(r, http.StatusBadGateway, `{"message":"malformed Lambda proxy response"}`), nil
	}
	body := []byte(a.Body)
	if a.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return refusal(r, http.StatusBadGateway, `{"message":"malformed Lambda proxy response"}`), nil
		}
	}
	return response(r, a.StatusCode, a.Headers, a.MultiValueHeaders, a.Cookies, io.NopCloser(bytes.NewReader(body)), int64(len(body))), nil
}

func response(r *http.Request, status int, single map[string]string, multi map[string][]string, cookies []string, body io.ReadCloser, length int64) *http.Response {
	h := http.Header{}
	for k, v := range single {
		h.Add(k, v)
	}
	for k, vs := range multi {
		for _, v := range vs {
			h.Add(k, v)
		}
	}
	for _, c := range cookies {
		h.Add("Set-Cookie", c)
	}
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: body, ContentLength: length, Request: r,
	}
}

// Event makes the shape's event of r and reads r's body.
func (g *Gateway) Event(r *http.Request) ([]byte, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
	}
	in := gatewayRequest{r: r, ip: g.ClientIP, host: r.Host, body: string(body)}
	if in.ip == "" {
		in.ip = clientIP
	}
	if in.host == "" {
		in.host = r.URL.Host
	}
	if len(body) > 0 && (!utf8.Valid(body) || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json")) {
		in.body, in.b64 = base64.StdEncoding.EncodeToString(body), true
	}
	var ev map[string]any
	switch g.Shape {
	case REST:
		ev = in.rest()
	case HTTPv2, FunctionURL:
		ev = in.v2(g.Shape)
	case ALB, ALBMulti:
		ev = in.alb(g.Shape == ALBMulti)
	case FCHTTP:
		ev = in.fc()
	default:
		return nil, fmt.Errorf("no such shape %q", g.Shape)
	}
	return json.Marshal(ev)
}

// gatewayRequest is a request on its way into an event.
type gatewayRequest struct {
	r              *http.Request
	ip, host, body string
	b64            bool
}

// headers returns the fields as a gateway hands them on, folded and not.
func (g gatewayRequest) headers(lower bool) (map[string]string, map[string][]string) {
	h := g.r.Header.Clone()
	h.Set("Host", g.host)
	h.Add("X-Forwarded-For", g.ip)
	h.Set("X-Forwarded-Proto", "https")
	single, multi := map[string]string{}, map[string][]string{}
	for k, vs := range h {
		if lower {
			k = strings.ToLower(k)
		}
		single[k], multi[k] = strings.Join(vs, ", "), vs
	}
	return single, multi
}

func firsts(q url.Values) map[string]string {
	m := map[string]string{}
	for k, vs := range q {
		m[k] = vs[len(vs)-1]
	}
	return m
}

func (g gatewayRequest) rest() map[string]any {
	single, multi := g.headers(false)
	q := g.r.URL.Query()
	return map[string]any{
		"resource": "/{proxy+}", "path": g.r.URL.Path, "httpMethod": g.r.Method,
		"headers": single, "multiValueHeaders": multi,
		"queryStringParameters": firsts(q), "multiValueQueryStringParameters": map[string][]string(q),
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "api", "stage": "v1", "domainName": g.host, "requestId": "gw-1",
			"httpMethod": g.r.Method, "path": "/v1" + g.r.URL.Path, "identity": map[string]any{"sourceIp": g.ip},
		},
		"body": g.body, "isBase64Encoded": g.b64,
	}
}

func (g gatewayRequest) v2(s Shape) map[string]any {
	single, _ := g.headers(true)
	domain := g.host
	if s == FunctionURL {
		domain = "abcdef.lambda-url.us-east-1.on.aws"
	}
	ev := map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": g.r.URL.EscapedPath(), "rawQueryString": g.r.URL.RawQuery,
		"headers": single,
		"requestContext": map[string]any{
			"accountId": "123456789012", "apiId": "api", "stage": "$default", "domainName": domain, "requestId": "gw-1",
			"http": map[string]any{"method": g.r.Method, "path": g.r.URL.Path, "protocol": "HTTP/1.1", "sourceIp": g.ip},
		},
		"body": g.body, "isBase64Encoded": g.b64,
	}
	if c := single["cookie"]; c != "" {
		ev["cookies"] = strings.Split(c, "; ")
	}
	return ev
}

func (g gatewayRequest) alb(multi bool) map[string]any {
	single, many := g.headers(true)
	ev := map[string]any{
		"requestContext": map[string]any{"elb": map[string]any{"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/x/1"}},
		"httpMethod":     g.r.Method, "path": g.r.URL.EscapedPath(), "body": g.body, "isBase64Encoded": g.b64,
	}
	raw := map[string][]string{}
	for p := range strings.SplitSeq(g.r.URL.RawQuery, "&") {
		if k, v, _ := strings.Cut(p, "="); k != "" {
			raw[k] = append(raw[k], v)
		}
	}
	if multi {
		ev["multiValueHeaders"], ev["multiValueQueryStringParameters"] = many, raw
	} else {
		ev["headers"], ev["queryStringParameters"] = single, firsts(raw)
	}
	return ev
}

func (g gatewayRequest) fc() map[string]any {
	single, _ := g.headers(false)
	q := map[string]string{}
	for k, vs := range g.r.URL.Query() {
		q[k] = strings.Join(vs, ",")
	}
	return map[string]any{
		"version": "v1", "rawPath": g.r.URL.EscapedPath(), "headers": single, "queryParameters": q,
		"body": g.body, "isBase64Encoded": g.b64,
		"requestContext": map[string]any{
			"accountId": "1234567890", "domainName": g.host, "domainPrefix": "function", "requestId": "gw-1",
			"time": "2026-01-01T00:00:00Z", "timeEpoch": "1767225600000",
			"http": map[string]any{"method": g.r.Method, "path": g.r.URL.Path, "protocol": "HTTP/1.1", "sourceIp": g.ip, "userAgent": g.r.UserAgent()},
		},
	}
}
