package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// handleEvent answers an event that is no HTTP. An error makes the platform
// deliver it again and in the end put it in the dead-letter queue.
func (a *Adapter) handleEvent(ctx context.Context, k kind, s *event, raw []byte) (any, error) {
	ctx, cancel, err := function.Deadline(ctx, a.cfg.Margin, 0)
	if err != nil {
		return nil, err
	}
	defer cancel()
	switch k {
	case kindS3Test:
		return nil, nil
	case kindSQS:
		return a.queue(ctx, raw)
	case kindS3:
		objs, err := a.objects(ctx, raw)
		if err != nil {
			return nil, err
		}
		return nil, function.Each(objs, func(o function.ObjectEvent) error { return a.object(ctx, o) })
	case kindObject:
		o, err := s.Marker.Object()
		if err != nil {
			return nil, kb.E(kb.Invalid, err, "event not understood")
		}
		return nil, a.object(ctx, o)
	default:
		return nil, a.schedule(ctx, scheduleOf(k, s))
	}
}

// object calls the handler; its panic is an error.
func (a *Adapter) object(ctx context.Context, o function.ObjectEvent) error {
	if a.h.Object == nil {
		return kb.E(kb.Invalid, nil, "this function takes no object events")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("object not started: %w", err)
	}
	return function.Guard(ctx, a.cfg.Log, func() error { return a.h.Object(ctx, o) })
}

func (a *Adapter) schedule(ctx context.Context, s function.ScheduleEvent) error {
	if a.h.Schedule == nil {
		return kb.E(kb.Invalid, nil, "this function has no schedule")
	}
	return function.Guard(ctx, a.cfg.Log, func() error { return a.h.Schedule(ctx, s) })
}

// objects returns the created objects of an S3 notification.
func (a *Adapter) objects(ctx context.Context, raw []byte) ([]function.ObjectEvent, error) {
	var ev events.S3Event
	if err := json.Unmarshal(raw, &ev); err != nil {
		if _, bad := errors.AsType[url.EscapeError](err); bad {
			return nil, kb.E(kb.Invalid, err, "event: an object key has a bad escape")
		}
		return nil, kb.E(kb.Invalid, err, "event: not an S3 notification")
	}
	objs := make([]function.ObjectEvent, 0, len(ev.Records))
	for _, r := range ev.Records {
		if r.EventSource != "aws:s3" || !strings.HasPrefix(r.EventName, "ObjectCreated:") {
			// The bucket's filter lets in more than we asked for.
			inv, _ := function.InvocationFrom(ctx)
			a.cfg.Log.WarnContext(ctx, "event ignored", "event_name", r.EventName, "trace_id", inv.RequestID)
			continue
		}
		if r.S3.Object.URLDecodedKey == "" {
			return nil, kb.E(kb.Invalid, nil, "event: an S3 record has no object key")
		}
		objs = append(objs, function.ObjectEvent{
			Bucket: r.S3.Bucket.Name, Key: r.S3.Object.URLDecodedKey, Size: r.S3.Object.Size,
			ETag: r.S3.Object.ETag, Source: function.SourceS3,
		})
	}
	return objs, nil
}

// queue handles a batch of messages one after another and names those that
// failed; the queue must have ReportBatchItemFailures on. A message that
// cannot be read fails too: after its last try the queue moves it to the
// dead-letter queue, where somebody sees it.
func (a *Adapter) queue(ctx context.Context, raw []byte) (any, error) {
	var ev events.SQSEvent
	if err := json.Unmarshal(raw, &ev); err != nil {
		return nil, kb.E(kb.Invalid, err, "event: not a batch of queue messages")
	}
	out := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for _, m := range ev.Records {
		if m.MessageId == "" {
			// An empty identifier would fail the whole batch without a reason.
			return nil, kb.E(kb.Invalid, nil, "event: a queue message has no messageId")
		}
		if err := a.message(ctx, m); err != nil {
			inv, _ := function.InvocationFrom(ctx)
			a.cfg.Log.ErrorContext(ctx, "queue message failed", "message_id", m.MessageId,
				"attempt", m.Attributes["ApproximateReceiveCount"], "err", err.Error(), "trace_id", inv.RequestID)
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return out, nil
}

func (a *Adapter) message(ctx context.Context, m events.SQSMessage) error {
	body := []byte(m.Body)
	k, s, err := probe(body)
	if err != nil {
		return err
	}
	attempt, _ := strconv.Atoi(m.Attributes["ApproximateReceiveCount"]) // 0 = not said
	var objs []function.ObjectEvent
	switch k {
	case kindS3Test:
		return nil
	case kindS3:
		if objs, err = a.objects(ctx, body); err != nil {
			return err
		}
	case kindObject:
		o, err := s.Marker.Object()
		if err != nil {
			return kb.E(kb.Invalid, err, "message not understood")
		}
		objs = []function.ObjectEvent{o}
	default:
		return kb.E(kb.Invalid, nil, "message is neither an S3 notification nor a continuation")
	}
	for _, o := range objs {
		o.Attempt = attempt
		if err := a.object(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// scheduleOf reads a tick: a rule's own event, or the input that our
// templates give to rules and schedules.
func scheduleOf(k kind, s *event) function.ScheduleEvent {
	ev := function.ScheduleEvent{Task: s.QA, Name: s.Schedule, Source: function.SourceScheduler}
	if k == kindRule {
		ev.Source = function.SourceEventBridge
		if len(s.Resources) > 0 {
			ev.Name = path.Base(s.Resources[0]) // arn:aws:events:…:rule/NAME
		}
		if ev.Task == "" {
			ev.Task = ev.Name
		}
	}
	if t, err := time.Parse(time.RFC3339, s.Time); err == nil {
		ev.Time = t
	}
	return ev
}
