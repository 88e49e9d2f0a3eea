package emulator

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// mustJSON encodes what cannot fail: maps of strings and numbers.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// S3Created is S3's notification of one created object.
func S3Created(bucket, key string, size int64) []byte {
	return mustJSON(map[string]any{"Records": []any{map[string]any{
		"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventTime": "2026-01-01T00:00:00.000Z",
		"eventName": "ObjectCreated:Put",
		"s3": map[string]any{
			"s3SchemaVersion": "1.0", "configurationId": "inbox",
			"bucket": map[string]any{"name": bucket, "arn": "arn:aws:s3:::" + bucket},
			"object": map[string]any{"key": url.QueryEscape(key), "size": size, "eTag": "d41d8cd98f00b204e9800998ecf8427e", "sequencer": "0055AED6DCD90281E5"},
		},
	}}})
}

// SQSBatch is a batch of queue messages with ids "m0", "m1" …, each delivered
// for the attempt-th time.
func SQSBatch(attempt int, bodies ...[]byte) []byte {
	var rs []any
	for i, b := range bodies {
		rs = append(rs, map[string]any{
			"messageId": fmt.Sprintf("m%d", i), "receiptHandle": "r", "body": string(b),
			"attributes":        map[string]any{"ApproximateReceiveCount": fmt.Sprint(attempt)},
			"messageAttributes": map[string]any{}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
			"eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:inbox",
		})
	}
	return mustJSON(map[string]any{"Records": rs})
}

// S3Test is what S3 sends to a new target.
func S3Test(bucket string) []byte {
	return mustJSON(map[string]any{"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T00:00:00.000Z", "Bucket": bucket})
}

// Rule is the tick of an EventBridge rule without an input of its own.
func Rule(name string, due time.Time) []byte {
	return mustJSON(map[string]any{
		"version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "123456789012",
		"time": due.UTC().Format(time.RFC3339), "region": "us-east-1",
		"resources": []any{"arn:aws:events:us-east-1:123456789012:rule/" + name}, "detail": map[string]any{},
	})
}

// Schedule is the input that our schedules carry on both platforms.
func Schedule(task string, due time.Time) []byte {
	return mustJSON(map[string]any{"qa": task, "time": due.UTC().Format(time.RFC3339)})
}

// OSSCreated is OSS's event of one created object.
func OSSCreated(bucket, key string, size int64) []byte {
	return mustJSON(map[string]any{"events": []any{map[string]any{
		"eventName": "ObjectCreated:PutObject", "eventSource": "acs:oss", "eventTime": "2026-01-01T00:00:00.000Z", "eventVersion": "1.0",
		"oss": map[string]any{
			"bucket":           map[string]any{"name": bucket, "arn": "acs:oss:cn-hangzhou:1:" + bucket},
			"object":           map[string]any{"key": key, "size": size, "eTag": "7D73E1052AF595535DE90994F4C3E6D5"},
			"ossSchemaVersion": "1.0", "ruleId": "r",
		},
		"region": "cn-hangzhou",
	}}})
}

// Timer is FC's timer event; payload is what s.yaml gives the trigger.
func Timer(name, payload string, due time.Time) []byte {
	return mustJSON(map[string]any{"triggerTime": due.UTC().Format(time.RFC3339), "triggerName": name, "payload": payload})
}
