package aws

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// TestPublishedSamples runs every event that aws-lambda-go publishes through
// the decoder: ours are recognised, and no other is taken for one of ours.
func TestPublishedSamples(t *testing.T) {
	t.Parallel()
	ours := map[string]kind{
		"apigw-request.json":                                kindREST,
		"apigw-restapi-openapi-request.json":                kindREST,
		"apigw-v2-request-iam.json":                         kindV2,
		"apigw-v2-request-jwt-authorizer.json":              kindV2,
		"apigw-v2-request-lambda-authorizer.json":           kindV2,
		"apigw-v2-request-no-authorizer.json":               kindV2,
		"lambda-urls-request.json":                          kindURL,
		"alb-lambda-target-request-headers-only.json":       kindALB,
		"alb-lambda-target-request-multivalue-headers.json": kindALB,
		"s3-event.json":                                     kindS3,
		"s3-event-with-decoded.json":                        kindS3,
		"s3-glacier-event.json":                             kindS3,
		"s3-intelligenttier-event.json":                     kindS3,
		"s3-lifecycle-event.json":                           kindS3,
		"s3-replication-event.json":                         kindS3,
		"s3-restore-event.json":                             kindS3,
		"sqs-event.json":                                    kindSQS,
	}
	seen := 0
	for _, f := range samples(t) {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f)
		k, _, err := probe(raw)
		if want := ours[name]; k != want || (err == nil) != (want != 0) {
			t.Errorf("probe(%s) = %d, %v, want %d", name, k, err, want)
		}
		if err != nil && kb.KindOf(err) != kb.Invalid {
			t.Errorf("probe(%s) = %v, want an Invalid error", name, err)
		}
		if ours[name] != 0 {
			seen++
		}
	}
	if seen != len(ours) {
		t.Errorf("%d of our %d samples are published", seen, len(ours))
	}
}

func TestEventsWithoutAPublishedSample(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw string
		want      kind
	}{
		{"S3 asks whether the queue is there", `{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"b","RequestId":"1","HostId":"2"}`, kindS3Test},
		{"an EventBridge rule ticks", `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","account":"1","time":"2026-01-01T00:00:00Z","region":"us-east-1","resources":["arn:aws:events:us-east-1:1:rule/nightly"],"detail":{}}`, kindRule},
		{"a schedule sends our input", `{"qa":"backup","schedule":"arn:aws:scheduler:us-east-1:1:schedule/default/nightly","time":"2026-01-01T00:00:00Z"}`, kindSchedule},
		{"we continue what we began", `{"qa":"object","key":"inbox/acme/j1"}`, kindObject},
		{"an HTTP API of payload 1.0 is as REST", `{"version":"1.0","resource":"/x","path":"/x","httpMethod":"GET","headers":{},"requestContext":{"httpMethod":"GET","domainName":"d"}}`, kindREST},
	}
	for _, tt := range tests {
		if k, _, err := probe([]byte(tt.raw)); k != tt.want || err != nil {
			t.Errorf("%s: probe = %d, %v, want %d", tt.name, k, err, tt.want)
		}
	}
}

func TestEventsThatAreNoneOfOurs(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, raw, says string }{
		{"empty", ``, "not understood (0 bytes)"},
		{"truncated", `{"Records":[{"eventSource":"aws:s3"`, "not understood"},
		{"null", `null`, "keys"},
		{"a list", `[]`, "not understood"},
		{"nothing known", `{"question":"how much does Bob earn"}`, `keys "question"`},
		{"an authorizer's request must not get an HTTP answer", `{"type":"REQUEST","methodArn":"arn","httpMethod":"GET","requestContext":{}}`, "no kind"},
		{"a WebSocket", `{"requestContext":{"connectionId":"c","domainName":"d"},"httpMethod":"GET"}`, "no kind"},
		{"a record of another service", `{"Records":[{"EventSource":"aws:sns"}]}`, "no kind"},
		{"a wrong type", `{"requestContext":"x"}`, "not understood"},
	}
	for _, tt := range tests {
		_, _, err := probe([]byte(tt.raw))
		if kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want Invalid saying %q", tt.name, err, tt.says)
		}
		if err != nil && strings.Contains(err.Error(), "Bob") {
			t.Errorf("%s: %v tells the event's content", tt.name, err)
		}
	}
	many := map[string]int{}
	for k := range strings.SplitSeq("abcdefghijklmnopqrstuvwxyz", "") {
		many[strings.Repeat(k, 500)] = 1
	}
	raw, _ := json.Marshal(many)
	if _, _, err := probe(raw); err == nil || len(err.Error()) > 1000 {
		t.Errorf("error of %d bytes for an event with long keys", len(err.Error()))
	}
}
