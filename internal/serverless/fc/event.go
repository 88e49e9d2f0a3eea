package fc

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aliyun/fc-runtime-go-sdk/events"
	"golang.org/x/net/http/httpguts"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// kind is what an event is.
type kind int

const (
	kindHTTP     kind = iota + 1 // HTTP trigger, "version":"v1"
	kindOSS                      // OSS trigger
	kindTimer                    // timer trigger
	kindObject                   // our own continuation
	kindSchedule                 // a direct invocation with our marker
)

// seen is what tells kinds apart.
type seen struct {
	Version        string `json:"version"`
	RequestContext *struct {
		HTTP *struct{} `json:"http"`
	} `json:"requestContext"`
	Events []struct {
		EventSource string `json:"eventSource"`
	} `json:"events"`
	TriggerTime *string `json:"triggerTime"`
	TriggerName *string `json:"triggerName"`
	Payload     string  `json:"payload"`
	function.Marker
}

// probe says what raw is; its error names keys and never values.
func probe(raw []byte) (kind, *seen, error) {
	var s seen
	if err := json.Unmarshal(raw, &s); err != nil {
		return 0, nil, kb.E(kb.Invalid, err, "event is not understood (%d bytes)", len(raw))
	}
	switch {
	case s.Version == "v1" && s.RequestContext != nil && s.RequestContext.HTTP != nil:
		return kindHTTP, &s, nil
	case len(s.Events) > 0 && s.Events[0].EventSource == "acs:oss":
		return kindOSS, &s, nil
	case s.TriggerName != nil && s.TriggerTime != nil:
		return kindTimer, &s, nil
	case s.QA == "object":
		return kindObject, &s, nil
	case s.QA != "":
		return kindSchedule, &s, nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return 0, nil, kb.E(kb.Invalid, err, "event is not a JSON object (%d bytes)", len(raw))
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, fmt.Sprintf("%.40q", k))
	}
	slices.Sort(keys)
	const most = 12 // enough to recognise any of FC's events
	if len(keys) > most {
		keys = append(keys[:most], "…")
	}
	return 0, nil, kb.E(kb.Invalid, nil, "event is of no kind that this function takes: keys %s", strings.Join(keys, " "))
}

// schedule reads a tick. A timer's payload is our marker, or the bare task.
func (s *seen) schedule(k kind) function.ScheduleEvent {
	ev := function.ScheduleEvent{Task: s.QA, Name: s.Marker.Schedule, Source: function.SourceTimer}
	when := s.Time
	if k == kindTimer {
		ev.Name, when = *s.TriggerName, *s.TriggerTime
		var m function.Marker
		if json.Unmarshal([]byte(s.Payload), &m) == nil && m.QA != "" {
			ev.Task = m.QA
		} else {
			ev.Task = strings.TrimSpace(s.Payload)
		}
		if ev.Task == "" {
			ev.Task = ev.Name
		}
	}
	if t, err := time.Parse(time.RFC3339, when); err == nil {
		ev.Time = t
	}
	return ev
}

// objects returns the created objects of an OSS event.
func (a *Adapter) objects(ctx context.Context, raw []byte) ([]function.ObjectEvent, error) {
	var ev events.OssEvent
	if err := json.Unmarshal(raw, &ev); err != nil {
		return nil, kb.E(kb.Invalid, err, "event: not an OSS event")
	}
	objs := make([]function.ObjectEvent, 0, len(ev.Events))
	for _, r := range ev.Events {
		if r == nil || str(r.EventSource) != "acs:oss" || !strings.HasPrefix(str(r.EventName), "ObjectCreated:") {
			name := ""
			if r != nil {
				name = str(r.EventName)
			}
			inv, _ := function.InvocationFrom(ctx)
			a.cfg.Log.WarnContext(ctx, "event ignored", "event_name", name, "trace_id", inv.RequestID)
			continue
		}
		if r.Oss == nil || r.Oss.Object == nil || str(r.Oss.Object.Key) == "" {
			return nil, kb.E(kb.Invalid, nil, "event: an OSS record has no object key")
		}
		o := function.ObjectEvent{
			// The key is plain text in OSS events: their documentation shows no escapes.
			Key: str(r.Oss.Object.Key), ETag: strings.Trim(str(r.Oss.Object.ETag), `"`), Source: function.SourceOSS,
		}
		if r.Oss.Bucket != nil {
			o.Bucket = str(r.Oss.Bucket.Name)
		}
		if r.Oss.Object.Size != nil {
			o.Size = int64(*r.Oss.Object.Size)
		}
		objs = append(objs, o)
	}
	return objs, nil
}

// newRequest makes the request of an HTTP trigger's event. Its errors are the
// client's fault (kb.Invalid).
func (a *Adapter) newRequest(ctx context.Context, raw []byte) (*http.Request, error) {
	var ev events.HTTPTriggerEvent
	if err := json.Unmarshal(raw, &ev); err != nil {
		return nil, kb.E(kb.Invalid, err, "event: not an HTTP trigger's event")
	}
	method := str(ev.TriggerContext.Http.Method)
	if !httpguts.ValidHeaderFieldName(method) { // a method is a token too, RFC 9110 §9.1
		return nil, kb.E(kb.Invalid, nil, "method: %.20q is not an HTTP method", method)
	}
	body, err := bodyOf(ev)
	if err != nil {
		return nil, err
	}
	h, err := headerOf(ev.Headers)
	if err != nil {
		return nil, err
	}
	function.Clean(h) // what FC says of itself came beside the event: such fields in it are a client's word
	path := str(ev.RawPath)
	if path == "" {
		path = (&url.URL{Path: str(ev.TriggerContext.Http.Path)}).EscapedPath()
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u := &url.URL{Path: path}
	if un, err := url.PathUnescape(path); err == nil {
		u.Path, u.RawPath = un, path
	}
	if ev.QueryParameters != nil {
		q := url.Values{}
		for k, v := range *ev.QueryParameters {
			q.Set(k, v) // repeated ones arrive joined by commas and cannot be told apart
		}
		u.RawQuery = q.Encode()
	}
	r := (&http.Request{
		Method: method, URL: u, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: http.NoBody, ContentLength: int64(len(body)),
		Host: h.Get("Host"), RequestURI: u.RequestURI(),
	}).WithContext(ctx)
	if len(body) > 0 {
		r.Body = nopCloser{bytes.NewReader(body)}
	}
	if r.Host == "" {
		r.Host = str(ev.TriggerContext.DomainName)
	}
	delete(h, "Host")
	delete(h, "Transfer-Encoding")
	if h.Get("Content-Length") != "" {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if ip := str(ev.TriggerContext.Http.SourceIp); ip != "" {
		r.RemoteAddr = net.JoinHostPort(ip, "0")
	}
	return r, nil
}

// bodyOf returns the body's bytes.
func bodyOf(ev events.HTTPTriggerEvent) ([]byte, error) {
	if ev.IsBase64Encoded == nil || !*ev.IsBase64Encoded {
		return []byte(str(ev.Body)), nil
	}
	b, err := base64.StdEncoding.DecodeString(str(ev.Body))
	if err != nil {
		return nil, kb.E(kb.Invalid, err, "body: marked as base64 and is not")
	}
	return b, nil
}

// headerOf returns m under canonical names.
func headerOf(m *map[string]string) (http.Header, error) {
	h := http.Header{}
	if m == nil {
		return h, nil
	}
	for k, v := range *m {
		if !httpguts.ValidHeaderFieldName(k) {
			return nil, kb.E(kb.Invalid, nil, "header: %.40q is not a header name", k)
		}
		if !httpguts.ValidHeaderFieldValue(v) {
			return nil, kb.E(kb.Invalid, nil, "header: the value of %.40q has control characters", k)
		}
		h.Add(k, v)
	}
	return h, nil
}

// encode makes the response JSON of an HTTP trigger.
func encode(rep *function.Reply) (json.RawMessage, error) {
	body, b64 := rep.TextBody()
	h := make(map[string]string, len(rep.Header))
	for k, vs := range rep.Header {
		switch {
		case len(vs) == 0:
		case k == "Set-Cookie":
			h[k] = vs[len(vs)-1] // there is room for one, and cookies cannot be folded
		default:
			h[k] = strings.Join(vs, ", ")
		}
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(events.HTTPTriggerResponse{StatusCode: rep.Status, Headers: h, IsBase64Encoded: b64, Body: body}); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

func str(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}
