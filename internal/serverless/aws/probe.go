package aws

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// kind is what an event is.
type kind int

const (
	kindREST     kind = iota + 1 // API Gateway REST, or HTTP API with payload 1.0
	kindV2                       // API Gateway HTTP API, payload 2.0
	kindURL                      // Lambda function URL
	kindALB                      // application load balancer
	kindS3                       // S3 notification, direct
	kindS3Test                   // "is the queue there?", sent once by S3
	kindSQS                      // batch of queue messages
	kindRule                     // EventBridge rule on a schedule
	kindObject                   // our own continuation
	kindSchedule                 // our own input of a schedule
)

func (k kind) http() bool { return k <= kindALB }

func (k kind) String() string {
	switch k {
	case kindREST:
		return "rest_v1"
	case kindV2:
		return "http_v2"
	case kindURL:
		return "function_url"
	case kindALB:
		return "alb"
	default:
		return "event"
	}
}

// event is the union of all kinds, as far as we read them: what tells kinds
// apart, and the fields of HTTP events. One pass over the JSON decodes it;
// decoding first to look and then into each kind's own type costs twice.
type event struct {
	Type      string `json:"type"`      // "REQUEST" or "TOKEN": an authorizer
	MethodARN string `json:"methodArn"` // same
	RouteARN  string `json:"routeArn"`  // same

	HTTPMethod      string          `json:"httpMethod"`
	Path            string          `json:"path"`
	RawPath         string          `json:"rawPath"`
	RawQuery        string          `json:"rawQueryString"`
	Headers         lazy            `json:"headers"`
	MultiHeaders    fields          `json:"multiValueHeaders"`
	Query           lazy            `json:"queryStringParameters"`
	MultiQuery      fields          `json:"multiValueQueryStringParameters"`
	Cookies         []string        `json:"cookies"`
	Body            string          `json:"body"`
	IsBase64Encoded bool            `json:"isBase64Encoded"`
	RequestContext  *requestContext `json:"requestContext"`

	Records    json.RawMessage `json:"Records"`
	Event      string          `json:"Event"`
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Resources  []string        `json:"resources"`
	function.Marker
}

type requestContext struct {
	ELB  *struct{} `json:"elb"`
	HTTP *struct {
		Method   string `json:"method"`
		Path     string `json:"path"`
		SourceIP string `json:"sourceIp"`
	} `json:"http"`
	ConnectionID string `json:"connectionId"` // a WebSocket
	DomainName   string `json:"domainName"`
	Stage        string `json:"stage"`
	AccountID    string `json:"accountId"`
	RequestID    string `json:"requestId"`
	Identity     struct {
		SourceIP string `json:"sourceIp"`
	} `json:"identity"`
}

// lazy is a map that is decoded only when its multi-value sibling is missing:
// REST events and load balancers may send both.
type lazy json.RawMessage

// UnmarshalJSON implements json.Unmarshaler.
func (l *lazy) UnmarshalJSON(b []byte) error {
	*l = append((*l)[:0], b...)
	return nil
}

func (l lazy) decode(field string) (map[string]string, error) {
	if len(l) == 0 {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal(l, &m); err != nil {
		return nil, kb.E(kb.Invalid, err, "event: %s is not a map of strings", field)
	}
	return m, nil
}

// probe says what raw is. The error of an event that is none of ours names
// its keys and never its values.
func probe(raw []byte) (kind, *event, error) {
	var s event
	if err := json.Unmarshal(raw, &s); err != nil {
		return 0, nil, kb.E(kb.Invalid, err, "event is not understood (%d bytes)", len(raw))
	}
	if c := s.RequestContext; c != nil {
		authorizer := s.MethodARN != "" || s.RouteARN != "" || s.Type == "REQUEST" || s.Type == "TOKEN"
		switch {
		case authorizer || c.ConnectionID != "":
		case c.ELB != nil:
			return kindALB, &s, nil
		case c.HTTP != nil && strings.Contains(c.DomainName, ".lambda-url."):
			return kindURL, &s, nil
		case c.HTTP != nil:
			return kindV2, &s, nil
		case s.HTTPMethod != "":
			return kindREST, &s, nil
		}
		return 0, nil, unknown(raw)
	}
	if len(s.Records) > 0 {
		var rs []struct {
			EventSource string `json:"eventSource"`
		}
		if err := json.Unmarshal(s.Records, &rs); err != nil || len(rs) == 0 {
			return 0, nil, unknown(raw)
		}
		switch rs[0].EventSource {
		case "aws:s3":
			return kindS3, &s, nil
		case "aws:sqs":
			return kindSQS, &s, nil
		}
		return 0, nil, unknown(raw)
	}
	switch {
	case s.Event == "s3:TestEvent":
		return kindS3Test, &s, nil
	case s.Source == "aws.events" && s.DetailType == "Scheduled Event":
		return kindRule, &s, nil
	case s.QA == "object":
		return kindObject, &s, nil
	case s.QA != "":
		return kindSchedule, &s, nil
	}
	return 0, nil, unknown(raw)
}

// unknown describes an event by its keys.
func unknown(raw []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return kb.E(kb.Invalid, err, "event is not a JSON object (%d bytes)", len(raw))
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, fmt.Sprintf("%.40q", k))
	}
	slices.Sort(keys)
	const most = 12 // enough to recognise any of AWS's events
	if len(keys) > most {
		keys = append(keys[:most], "…")
	}
	return kb.E(kb.Invalid, nil, "event is of no kind that this function takes: keys %s", strings.Join(keys, " "))
}
