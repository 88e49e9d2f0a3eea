package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// collect returns an adapter that notes what it is told; err decides what an
// object's handler returns.
func collect(err func(key string) error) (*Adapter, *[]function.ObjectEvent, *[]function.ScheduleEvent) {
	var objs []function.ObjectEvent
	var ticks []function.ScheduleEvent
	return New(function.Config{}, function.Handlers{
		Object: func(_ context.Context, o function.ObjectEvent) error {
			objs = append(objs, o)
			if err != nil {
				return err(o.Key)
			}
			return nil
		},
		Schedule: func(_ context.Context, s function.ScheduleEvent) error {
			ticks = append(ticks, s)
			return nil
		},
	}), &objs, &ticks
}

func TestObjectsOfS3(t *testing.T) {
	t.Parallel()
	a, objs, _ := collect(nil)
	if v, err := a.Handle(soon(t), sample(t, s3Sample)); v != nil || err != nil {
		t.Fatalf("Handle = %v, %v", v, err)
	}
	want := []function.ObjectEvent{{Bucket: "sourcebucket", Key: "Happy Face.jpg", Size: 1024, ETag: "d41d8cd98f00b204e9800998ecf8427e", Source: "s3"}}
	if diff := cmp.Diff(*objs, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

func TestWhatIsIgnoredIsLoggedWithItsRequest(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	a, objs, _ := collect(nil)
	a.cfg.Log = slog.New(slog.NewTextHandler(&b, nil))
	ctx := lambdacontext.NewContext(soon(t), &lambdacontext.LambdaContext{AwsRequestID: "req-1"})
	if _, err := a.Handle(ctx, sample(t, "s3-glacier-event.json")); err != nil || len(*objs) != 0 || !strings.Contains(b.String(), "trace_id=req-1") {
		t.Errorf("Handle = %v; logged %q, want the request's trace_id", err, b.String())
	}
}

func TestOtherNotificationsOfS3AreIgnored(t *testing.T) {
	t.Parallel()
	a, objs, _ := collect(nil)
	for _, f := range []string{"s3-glacier-event.json", "s3-lifecycle-event.json", "s3-replication-event.json"} {
		if _, err := a.Handle(soon(t), sample(t, f)); err != nil || len(*objs) != 0 {
			t.Errorf("%s: %v, %d objects, want it ignored", f, err, len(*objs))
		}
	}
	if v, err := a.Handle(soon(t), []byte(`{"Event":"s3:TestEvent","Bucket":"b"}`)); v != nil || err != nil || len(*objs) != 0 {
		t.Errorf("test event = %v, %v", v, err)
	}
}

func TestAFailedObjectFailsItsInvocation(t *testing.T) {
	t.Parallel()
	boom := errors.New("store is down")
	a, objs, _ := collect(func(string) error { return boom })
	if _, err := a.Handle(soon(t), sample(t, s3Sample)); !errors.Is(err, boom) || len(*objs) != 1 {
		t.Errorf("Handle = %v, want the handler's error", err)
	}
	p, _, _ := collect(func(string) error { panic("boom") })
	if _, err := p.Handle(soon(t), sample(t, s3Sample)); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("Handle = %v, want an error and not a panic", err)
	}
	bad := strings.Replace(string(sample(t, s3Sample)), "Happy%20Face.jpg", "inbox/%zz", 1)
	if _, err := a.Handle(soon(t), []byte(bad)); kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), "bad escape") {
		t.Errorf("bad escape = %v, want Invalid", err)
	}
	none := strings.Replace(string(sample(t, s3Sample)), "Happy%20Face.jpg", "", 1)
	if _, err := a.Handle(soon(t), []byte(none)); kb.KindOf(err) != kb.Invalid {
		t.Errorf("no key = %v, want Invalid", err)
	}
}

// batch makes an SQS event of bodies, in order, with ids m0, m1 …
func batch(t *testing.T, bodies ...string) []byte {
	t.Helper()
	var ev events.SQSEvent
	for i, b := range bodies {
		ev.Records = append(ev.Records, events.SQSMessage{
			MessageId: fmt.Sprintf("m%d", i), Body: b, EventSource: "aws:sqs",
			Attributes: map[string]string{"ApproximateReceiveCount": "3"},
		})
	}
	b, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABatchFailsMessageByMessage(t *testing.T) {
	t.Parallel()
	a, objs, _ := collect(func(key string) error {
		switch key {
		case "bad":
			return errors.New("no")
		case "panic":
			panic("no")
		}
		return nil
	})
	v, err := a.Handle(soon(t), batch(t,
		string(sample(t, s3Sample)),
		`{"qa":"object","key":"bad"}`,
		`{"qa":"object","key":"panic"}`,
		`not json`,
		`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}`,
		`{"qa":"backup"}`,
		`{"qa":"object","bucket":"b","key":"inbox/acme/j2","size":5}`,
	))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(v)
	const want = `{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m2"},{"itemIdentifier":"m3"},{"itemIdentifier":"m5"}]}`
	if string(b) != want {
		t.Errorf("response = %s, want %s", b, want)
	}
	if n := len(*objs); n != 4 || (*objs)[3] != (function.ObjectEvent{Bucket: "b", Key: "inbox/acme/j2", Size: 5, Source: "direct", Attempt: 3}) {
		t.Errorf("objects = %+v", *objs)
	}
}

func TestAWholeBatchSaysSoWithAnEmptyList(t *testing.T) {
	t.Parallel()
	a, _, _ := collect(nil)
	v, err := a.Handle(soon(t), batch(t, `{"qa":"object","key":"k"}`))
	if b, _ := json.Marshal(v); err != nil || string(b) != `{"batchItemFailures":[]}` {
		t.Errorf("response = %s, %v", b, err)
	}
	// AWS's own sample has a body that is no JSON: it fails, its batch does not.
	v, err = a.Handle(soon(t), sample(t, "sqs-event.json"))
	if b, _ := json.Marshal(v); err != nil || string(b) != `{"batchItemFailures":[{"itemIdentifier":"MessageID_1"}]}` {
		t.Errorf("response = %s, %v", b, err)
	}
}

func TestMessagesAfterTheDeadlineAreNotStarted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
	defer cancel()
	var ran []string
	a := New(function.Config{}, function.Handlers{Object: func(ctx context.Context, o function.ObjectEvent) error {
		ran = append(ran, o.Key)
		<-ctx.Done()
		return nil // checkpointed in time
	}})
	v, err := a.Handle(ctx, batch(t, `{"qa":"object","key":"a"}`, `{"qa":"object","key":"b"}`))
	if b, _ := json.Marshal(v); err != nil || string(b) != `{"batchItemFailures":[{"itemIdentifier":"m1"}]}` || !cmp.Equal(ran, []string{"a"}) {
		t.Errorf("response = %s, %v, ran %v", b, err, ran)
	}
}

func TestSchedules(t *testing.T) {
	t.Parallel()
	due := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	tests := []struct {
		name, raw string
		want      function.ScheduleEvent
	}{
		{
			"a rule without input is named by itself", `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.events","time":"2026-01-02T03:00:00Z","resources":["arn:aws:events:us-east-1:1:rule/sweep"],"detail":{}}`,
			function.ScheduleEvent{Task: "sweep", Name: "sweep", Time: due, Source: "eventbridge"},
		},
		{
			"our input says the task", `{"qa":"backup","schedule":"arn:x/nightly","time":"2026-01-02T03:00:00Z"}`,
			function.ScheduleEvent{Task: "backup", Name: "arn:x/nightly", Time: due, Source: "scheduler"},
		},
		{"a time that is none is no reason to miss a backup", `{"qa":"backup","time":"soon"}`, function.ScheduleEvent{Task: "backup", Source: "scheduler"}},
	}
	for _, tt := range tests {
		a, _, ticks := collect(nil)
		if _, err := a.Handle(soon(t), []byte(tt.raw)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if diff := cmp.Diff(*ticks, []function.ScheduleEvent{tt.want}); diff != "" {
			t.Errorf("%s (-got +want):\n%s", tt.name, diff)
		}
	}
	if _, err := New(function.Config{}, function.Handlers{}).Handle(soon(t), []byte(`{"qa":"backup"}`)); kb.KindOf(err) != kb.Invalid {
		t.Errorf("a function without a schedule = %v, want Invalid", err)
	}
	if _, err := New(function.Config{}, function.Handlers{}).Handle(soon(t), []byte(`{"qa":"object","key":"k"}`)); kb.KindOf(err) != kb.Invalid {
		t.Errorf("a function without objects = %v, want Invalid", err)
	}
}
