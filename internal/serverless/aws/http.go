package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-lambda-go/events"

	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// handleHTTP answers an HTTP event. Whatever goes wrong is an HTTP response:
// an invocation error would be a bare 502 to the client.
func (a *Adapter) handleHTTP(ctx context.Context, k kind, ev *event, size int) (any, error) {
	if size > maxPayload {
		return a.refuse(ctx, k, a.cfg.TooLarge(maxPayload, "Lambda"))
	}
	if a.h.HTTP == nil {
		return a.reply(ctx, k, nil, function.ErrorReply(ctx, http.StatusNotFound, "this function serves no HTTP", nil))
	}
	inv, _ := function.InvocationFrom(ctx)
	limit := a.cfg.MaxStream
	if !inv.Streamed {
		limit = 0
	}
	rctx, cancel, err := function.Deadline(ctx, a.cfg.Margin, limit)
	if err != nil {
		return a.refuse(ctx, k, err)
	}
	r, err := a.newRequest(rctx, k, ev)
	if err != nil {
		cancel()
		return a.refuse(ctx, k, err)
	}
	if inv.Streamed {
		return a.stream(ctx, k, function.RunStreamed(a.h.HTTP, r.Request, cancel, a.cfg.Log))
	}
	defer cancel()
	return a.reply(ctx, k, r, function.RunBuffered(a.h.HTTP, r.Request, a.cfg.Log))
}

// refuse answers an event that made no request.
func (a *Adapter) refuse(ctx context.Context, k kind, err error) (any, error) {
	inv, _ := function.InvocationFrom(ctx)
	a.cfg.Log.WarnContext(ctx, "http event refused", "err", err.Error(), "kind", k.String(), "trace_id", inv.RequestID)
	return a.reply(ctx, k, nil, function.ErrorOf(ctx, err))
}

// reply encodes a whole reply as the event's kind wants it.
func (a *Adapter) reply(ctx context.Context, k kind, r *request, rep *function.Reply) (any, error) {
	if inv, _ := function.InvocationFrom(ctx); inv.Streamed {
		return a.stream(ctx, k, rep.Stream())
	}
	limit, platform := int64(maxPayload), "Lambda"
	if k == kindALB {
		limit, platform = maxALB, "a load balancer in front of Lambda"
	}
	out, err := encode(k, r, rep)
	if err != nil {
		return nil, err
	}
	if fit := a.cfg.Fit(ctx, rep, len(out), limit, platform); fit != rep {
		if out, err = encode(k, r, fit); err != nil {
			return nil, err
		}
	}
	return &encoded{bytes.NewReader(out)}, nil
}

// encode makes the response JSON of kind k.
func encode(k kind, r *request, rep *function.Reply) ([]byte, error) {
	body, b64 := rep.TextBody()
	var v any
	switch {
	case k == kindREST:
		v = events.APIGatewayProxyResponse{StatusCode: rep.Status, MultiValueHeaders: rep.Header, Body: body, IsBase64Encoded: b64}
	case k == kindALB && r != nil && r.multi:
		// An ALB reads the one or the other, as its target group is set, and
		// the request shows how.
		v = events.ALBTargetGroupResponse{
			StatusCode: rep.Status, StatusDescription: statusLine(rep.Status),
			MultiValueHeaders: rep.Header, Body: body, IsBase64Encoded: b64,
		}
	case k == kindALB:
		v = events.ALBTargetGroupResponse{
			StatusCode: rep.Status, StatusDescription: statusLine(rep.Status),
			Headers: joined(rep.Header, true), Body: body, IsBase64Encoded: b64,
		}
	case k == kindURL:
		v = events.LambdaFunctionURLResponse{
			StatusCode: rep.Status, Headers: joined(rep.Header, false), Cookies: rep.Header["Set-Cookie"], Body: body, IsBase64Encoded: b64,
		}
	default:
		v = events.APIGatewayV2HTTPResponse{
			StatusCode: rep.Status, Headers: joined(rep.Header, false), Cookies: rep.Header["Set-Cookie"], Body: body, IsBase64Encoded: b64,
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // "<" as \u003c would count against the limit
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// encoded is response JSON that aws-lambda-go posts as it is: encoding it
// again would cost a scan of up to 6 MB.
type encoded struct{ *bytes.Reader }

func (*encoded) MarshalJSON() ([]byte, error) { return nil, errNotJSON }

// ContentType is asked by aws-lambda-go.
func (*encoded) ContentType() string { return "application/json" }

var errNotJSON = errors.New("encoded already")

// stream hands a running reply to aws-lambda-go, which reads it to its end and
// closes it.
func (a *Adapter) stream(ctx context.Context, k kind, s *function.Streamed) (any, error) {
	if preludeSize(s.Header) > maxPrelude {
		_ = s.Body.Close()
		a.cfg.Log.ErrorContext(ctx, "response headers too large to stream", "limit_bytes", maxPrelude)
		s = function.ErrorReply(ctx, http.StatusInternalServerError, "internal error", nil).Stream()
	}
	cookies := s.Header["Set-Cookie"]
	if k == kindURL {
		return &events.LambdaFunctionURLStreamingResponse{
			StatusCode: s.Status, Headers: joined(s.Header, false), Cookies: cookies, Body: s.Body,
		}, nil
	}
	single, multi := map[string]string{}, map[string][]string{}
	for name, vs := range s.Header {
		switch {
		case name == "Set-Cookie":
		case len(vs) == 1:
			single[name] = vs[0]
		case len(vs) > 1:
			multi[name] = vs
		}
	}
	return &events.APIGatewayProxyStreamingResponse{
		StatusCode: s.Status, Headers: single, MultiValueHeaders: multi, Cookies: cookies, Body: s.Body,
	}, nil
}

// joined folds fields of one name (RFC 9110 §5.3). Cookies cannot be folded:
// of several the last is kept, where the platform has no other place for them.
func joined(h http.Header, cookies bool) map[string]string {
	m := make(map[string]string, len(h))
	for k, vs := range h {
		switch {
		case len(vs) == 0:
		case k != "Set-Cookie":
			m[k] = strings.Join(vs, ", ")
		case cookies:
			m[k] = vs[len(vs)-1]
		}
	}
	return m
}

// preludeSize is the length of the prelude that h makes, give or take its braces.
func preludeSize(h http.Header) int {
	n := len(`{"statusCode":200}`)
	for k, vs := range h {
		for _, v := range vs {
			n += len(k) + len(v) + len(`"":"",`)
		}
	}
	return n
}

// statusLine is what an ALB wants beside the code: "200 OK".
func statusLine(status int) string {
	return strconv.Itoa(status) + " " + http.StatusText(status)
}

var _ io.Reader = (*encoded)(nil)
