package deploy

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/serverless/aws"
	"github.com/eino-qa/eino-qa/internal/serverless/fc"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// TestEventSamples runs every sample under infra through its platform's
// adapter: each is understood as what its name says.
func TestEventSamples(t *testing.T) {
	t.Parallel()
	var got string
	h := function.Handlers{
		HTTP: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			inv, _ := function.InvocationFrom(r.Context())
			got = inv.Kind + " " + r.Method + " " + r.URL.Path + " " + r.RemoteAddr
		}),
		Object:   func(_ context.Context, o function.ObjectEvent) error { got = o.Source + " " + o.Key; return nil },
		Schedule: func(_ context.Context, s function.ScheduleEvent) error { got = s.Source + " " + s.Task; return nil },
	}
	lambda := aws.New(function.Config{}, h)
	compute := fc.New(function.Config{}, h)
	want := map[string]string{
		"aws/events/rest-chat.json":         "rest_v1 POST /chat 203.0.113.7:0",
		"aws/events/http-v2-health.json":    "http_v2 GET /health 203.0.113.7:0",
		"aws/events/function-url-chat.json": "function_url POST /chat 203.0.113.7:0",
		"aws/events/alb-health.json":        "alb GET /health 203.0.113.7:0",
		"aws/events/s3-created.json":        "s3 inbox/default/job-1",
		"aws/events/s3-test.json":           "",
		"aws/events/sqs-s3-created.json":    "s3 inbox/default/job-1",
		"aws/events/sqs-continuation.json":  "direct inbox/default/job-1",
		"aws/events/schedule-backup.json":   "scheduler backup",
		"aws/events/schedule-sweep.json":    "scheduler sweep",
		"aws/events/rule-backup.json":       "eventbridge backup",
		"aliyun/events/http-admin.json":     "fc_http GET /api/v1/documents 203.0.113.7:0",
		"aliyun/events/http-chat.json":      "fc_http POST /chat 203.0.113.7:0",
		"aliyun/events/oss-created.json":    "oss inbox/default/job-1",
		"aliyun/events/timer-sweep.json":    "fc_timer sweep",
		"aliyun/events/timer-backup.json":   "fc_timer backup",
		"aliyun/events/continuation.json":   "direct inbox/default/job-1",
	}
	files, err := filepath.Glob(root + "/infra/*/events/*.json")
	if err != nil || len(files) != len(want) {
		t.Errorf("%d samples, want %d (%v)", len(files), len(want), err)
	}
	for _, f := range files {
		name, _ := filepath.Rel(root+"/infra", f)
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		got = ""
		if strings.HasPrefix(name, "aws/") {
			_, err = lambda.Handle(t.Context(), raw)
		} else {
			_, err = compute.Invoke(t.Context(), raw)
		}
		if err != nil || got != want[name] {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want[name])
		}
	}
}
