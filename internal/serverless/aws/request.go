package aws

import (
	"context"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/core"
	"golang.org/x/net/http/httpguts"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// request is an HTTP event as a request, and what its reply must look like.
type request struct {
	*http.Request
	multi bool // reply with multiValueHeaders
}

// parts are what the kinds of events have in different places.
type parts struct {
	method, path, query, host, remote string
	header                            http.Header
	body                              string
	base64                            bool
}

// newRequest makes the request of an HTTP event. Its errors are the client's
// fault (kb.Invalid).
func (a *Adapter) newRequest(ctx context.Context, k kind, ev *event) (*request, error) {
	switch k {
	case kindREST:
		return a.fromREST(ctx, ev)
	case kindALB:
		return a.fromALB(ctx, ev)
	default:
		return a.fromV2(ctx, ev)
	}
}

// The proxy gets of each event what it translates right, see upstream_test.go.

func (a *Adapter) fromREST(ctx context.Context, ev *event) (*request, error) {
	c := ev.RequestContext
	p := parts{
		method: ev.HTTPMethod, path: ev.Path, body: ev.Body, base64: ev.IsBase64Encoded,
		host: c.DomainName, remote: c.Identity.SourceIP,
	}
	body, err := p.decode()
	if err != nil {
		return nil, err
	}
	in := events.APIGatewayProxyRequest{
		Path: "/", HTTPMethod: p.method, Body: body,
		MultiValueHeaders: ev.MultiHeaders, MultiValueQueryStringParameters: ev.MultiQuery,
		// Not the domain's name: it would be parsed as a URL, and in AWS's own samples it is none.
		RequestContext: events.APIGatewayProxyRequestContext{AccountID: c.AccountID, Stage: c.Stage, RequestID: c.RequestID},
	}
	if len(in.MultiValueHeaders) == 0 {
		in.MultiValueHeaders = nil // an empty map would hide Headers
		if in.Headers, err = ev.Headers.decode("headers"); err != nil {
			return nil, err
		}
	}
	if len(in.MultiValueQueryStringParameters) == 0 {
		if in.QueryStringParameters, err = ev.Query.decode("queryStringParameters"); err != nil {
			return nil, err
		}
	}
	var acc core.RequestAccessor
	r, err := acc.EventToRequestWithContext(ctx, in)
	if err != nil {
		return nil, kb.E(kb.Invalid, err, "event: no HTTP request")
	}
	p.header, p.query = r.Header, r.URL.RawQuery
	return a.correct(r, p, true)
}

// fromV2 makes the request of an HTTP API's or a function URL's event: they
// have the same shape.
func (a *Adapter) fromV2(ctx context.Context, ev *event) (*request, error) {
	c := ev.RequestContext
	path := ev.RawPath
	if path == "" {
		path = c.HTTP.Path
	}
	// A named stage is in rawPath and in no route.
	if c.Stage != "" && c.Stage != "$default" {
		path = cutPrefix(path, "/"+c.Stage)
	}
	query := ev.RawQuery
	if query == "" {
		m, err := ev.Query.decode("queryStringParameters")
		if err != nil {
			return nil, err
		}
		query = values(m).Encode()
	}
	m, err := ev.Headers.decode("headers")
	if err != nil {
		return nil, err
	}
	h := header(m)
	if len(ev.Cookies) > 0 {
		h.Set("Cookie", strings.Join(ev.Cookies, "; "))
	}
	p := parts{
		method: c.HTTP.Method, path: path, query: query, host: c.DomainName, remote: c.HTTP.SourceIP,
		header: h, body: ev.Body, base64: ev.IsBase64Encoded,
	}
	body, err := p.decode()
	if err != nil {
		return nil, err
	}
	// Not the headers: the proxy splits most of them at commas.
	var acc core.RequestAccessorV2
	r, err := acc.EventToRequestWithContext(ctx, events.APIGatewayV2HTTPRequest{
		RawPath: "/", Body: body,
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			AccountID: c.AccountID, Stage: c.Stage, RequestID: c.RequestID,
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: p.method},
		},
	})
	if err != nil {
		return nil, kb.E(kb.Invalid, err, "event: no HTTP request")
	}
	return a.correct(r, p, false)
}

func (a *Adapter) fromALB(ctx context.Context, ev *event) (*request, error) {
	p := parts{method: ev.HTTPMethod, path: ev.Path, body: ev.Body, base64: ev.IsBase64Encoded}
	body, err := p.decode()
	if err != nil {
		return nil, err
	}
	in := events.ALBTargetGroupRequest{Path: "/", HTTPMethod: p.method, Body: body, MultiValueHeaders: ev.MultiHeaders}
	multi := len(ev.MultiHeaders) > 0
	if !multi {
		in.MultiValueHeaders = nil // an empty map would hide Headers
		if in.Headers, err = ev.Headers.decode("headers"); err != nil {
			return nil, err
		}
	}
	// Not the query: the balancer leaves it encoded, the proxy encodes it again.
	single := map[string]string(nil)
	if len(ev.MultiQuery) == 0 {
		if single, err = ev.Query.decode("queryStringParameters"); err != nil {
			return nil, err
		}
	}
	p.query = rawQuery(ev.MultiQuery, single)
	var acc core.RequestAccessorALB
	r, err := acc.EventToRequestWithContext(ctx, in)
	if err != nil {
		return nil, kb.E(kb.Invalid, err, "event: no HTTP request")
	}
	p.header, p.remote = r.Header, function.LastForwarded(r.Header)
	return a.correct(r, p, multi)
}

// decode checks what must be right before a request can be made, and returns
// the body's bytes.
func (p *parts) decode() (string, error) {
	if !httpguts.ValidHeaderFieldName(p.method) { // a method is a token too, RFC 9110 §9.1
		return "", kb.E(kb.Invalid, nil, "method: %.20q is not an HTTP method", p.method)
	}
	if !p.base64 {
		return p.body, nil
	}
	b, err := base64.StdEncoding.DecodeString(p.body)
	if err != nil {
		return "", kb.E(kb.Invalid, err, "body: marked as base64 and is not")
	}
	return string(b), nil
}

// correct gives r the path, query, headers and addresses as net/http's server
// would: the proxy's own are wrong in the ways upstream_test.go lists.
func (a *Adapter) correct(r *http.Request, p parts, multi bool) (*request, error) {
	for k, vs := range p.header {
		if !httpguts.ValidHeaderFieldName(k) {
			return nil, kb.E(kb.Invalid, nil, "header: %.40q is not a header name", k)
		}
		for _, v := range vs {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, kb.E(kb.Invalid, nil, "header: the value of %.40q has control characters", k)
			}
		}
	}
	function.Clean(p.header)
	host := p.header.Get("Host")
	if host == "" {
		host = p.host
	}
	delete(p.header, "Host")
	if p.header.Get("Content-Length") != "" {
		p.header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	delete(p.header, "Transfer-Encoding")

	r.Method = p.method // the proxy upper-cases it; methods are case-sensitive
	r.URL = requestURL(cutPrefix(p.path, a.cfg.BasePath), p.query)
	r.RequestURI = r.URL.RequestURI()
	r.Header = p.header
	r.Host = host
	if p.remote != "" {
		r.RemoteAddr = net.JoinHostPort(p.remote, "0")
	} else {
		r.RemoteAddr = ""
	}
	return &request{r, multi}, nil
}

// requestURL makes the URL of an event's path: escapes are undone where they
// are escapes, and '?' or '#' in an already decoded path stay in the path.
func requestURL(path, query string) *url.URL {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u := &url.URL{Path: path, RawQuery: strings.ReplaceAll(query, "#", "%23")}
	if un, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = un, path
		if u.RawPath == (&url.URL{Path: un}).EscapedPath() {
			u.RawPath = "" // the default encoding, as net/http has it
		}
	}
	return u
}

// cutPrefix removes prefix, a whole number of path segments, from path.
func cutPrefix(path, prefix string) string {
	prefix = strings.Trim(prefix, "/")
	if prefix == "" {
		return path
	}
	rest, ok := strings.CutPrefix(path, "/"+prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	if rest == "" {
		return "/"
	}
	return rest
}

// header returns the event's header fields under canonical names.
func header(single map[string]string) http.Header {
	h := make(http.Header, len(single))
	for k, v := range single {
		h.Add(k, v)
	}
	return h
}

func values(single map[string]string) url.Values {
	v := make(url.Values, len(single))
	for k, s := range single {
		v[k] = []string{s}
	}
	return v
}

// rawQuery joins parameters that are still percent-encoded, in a fixed order.
func rawQuery(multi map[string][]string, single map[string]string) string {
	var ps []string
	for k, vs := range multi {
		for _, v := range vs {
			ps = append(ps, k+"="+v)
		}
	}
	if len(multi) == 0 {
		for k, v := range single {
			ps = append(ps, k+"="+v)
		}
	}
	slices.SortStableFunc(ps, func(x, y string) int {
		kx, _, _ := strings.Cut(x, "=")
		ky, _, _ := strings.Cut(y, "=")
		return strings.Compare(kx, ky)
	})
	return strings.Join(ps, "&")
}
