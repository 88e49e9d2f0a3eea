package aws

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// FuzzHandle: whatever the event, an answer or a classified error, no panic,
// and no header that only a platform may set.
func FuzzHandle(f *testing.F) {
	for _, file := range samples(f) {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, s := range []string{
		`{"requestContext":{"http":{"method":"GET","path":"/%"},"stage":"prod"},"rawPath":"/prod%zz","rawQueryString":"a=%zz&#","headers":{"":""}}`,
		`{"requestContext":{"elb":{}},"httpMethod":"GET","path":"?","queryStringParameters":{"%":"#"},"multiValueHeaders":{"x":null}}`,
		`{"requestContext":{},"httpMethod":"GET","path":"\u0000","isBase64Encoded":true,"body":"="}`,
		`{"Records":[{"eventSource":"aws:sqs","messageId":"1","body":"{\"Records\":[{\"eventSource\":\"aws:s3\"}]}"}]}`,
		`{"Records":[null]}`, `{"Event":"s3:TestEvent"}`, `{"qa":"object"}`, `{"qa":1}`, `{"source":"aws.events","detail-type":"Scheduled Event"}`,
	} {
		f.Add([]byte(s))
	}
	h := function.Handlers{
		HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/") || r.Header.Get("X-Fc-Security-Token") != "" || r.Method == "" {
				panic("a request that net/http would not make")
			}
			if _, err := io.Copy(w, r.Body); err != nil {
				panic(err)
			}
		}),
		Object:   func(context.Context, function.ObjectEvent) error { return nil },
		Schedule: func(context.Context, function.ScheduleEvent) error { return nil },
	}
	buffered, streamed := New(function.Config{}, h), New(function.Config{Mode: function.Stream}, h)
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, a := range []*Adapter{buffered, streamed} {
			v, err := a.Handle(soon(t), raw)
			if err != nil && kb.KindOf(err) == kb.Internal {
				t.Fatalf("unclassified error %v", err)
			}
			if r, ok := v.(io.Reader); ok {
				b, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(b[:min(len(b), 40)]), `"statusCode":500`) {
					t.Fatalf("the request was not what net/http makes: %s", b)
				}
			}
			if c, ok := v.(io.Closer); ok {
				c.Close()
			}
		}
	})
}

// BenchmarkAdapter is what one warm request costs beside its handler.
// The promise is 50 µs (issue 5).
func BenchmarkAdapter(b *testing.B) {
	for _, file := range []string{restSample, v2Sample, albSample, urlSample} {
		raw := sample(b, file)
		b.Run(strings.TrimSuffix(file, ".json"), func(b *testing.B) {
			a := New(function.Config{}, function.Handlers{HTTP: answerWith(map[string][]string{"Content-Type": {"application/json"}}, 200, `{"status":"ok"}`)})
			ctx := soon(b)
			b.ReportAllocs()
			done := reportCPU(b)
			for b.Loop() {
				v, err := a.Handle(ctx, raw)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, v.(io.Reader))
			}
			done()
		})
	}
	b.Run("streamed", func(b *testing.B) {
		raw := sample(b, restSample)
		a := New(function.Config{Mode: function.Stream}, function.Handlers{HTTP: answerWith(map[string][]string{"Content-Type": {"text/event-stream"}}, 200, "data: x\n\n")})
		ctx := soon(b)
		b.ReportAllocs()
		done := reportCPU(b)
		for b.Loop() {
			v, err := a.Handle(ctx, raw)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, v.(io.Reader))
			v.(io.Closer).Close()
		}
		done()
	})
}

// FuzzFields: the quick reader of headers agrees with package json.
func FuzzFields(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":["b","c"],"d":[]}`, ` { "a" : [ "b" , "c" ] , "a":["x"] } `, `{"a":["\u0041"]}`, `{"中":["é"]}`, `{"a":null}`, `{"a":["b"]`, `{"a":"b"}`, `[]`, `null`, `{"":[""]}`, `{"a":["b"],}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !json.Valid(b) {
			return // the decoder never gets there
		}
		var got fields
		var want map[string][]string
		gotErr, wantErr := json.Unmarshal(b, &got), json.Unmarshal(b, &want)
		if (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("%s: %v, package json says %v", b, gotErr, wantErr)
		}
		if wantErr == nil && len(got)+len(want) > 0 && !cmp.Equal(map[string][]string(got), want) {
			t.Fatalf("%s: %v, package json says %v", b, got, want)
		}
	})
}

// TestTheAdaptersAllocations guards BenchmarkAdapter's result where time
// cannot be trusted: 127 allocations for AWS's largest sample of a request,
// most of them its header fields.
func TestTheAdaptersAllocations(t *testing.T) {
	raw := sample(t, restSample)
	a := New(function.Config{}, function.Handlers{HTTP: answerWith(map[string][]string{"Content-Type": {"application/json"}}, 200, `{"status":"ok"}`)})
	ctx := soon(t)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := a.Handle(ctx, raw); err != nil {
			t.Fatal(err)
		}
	}); n > 150 {
		t.Errorf("%v allocations a request, budget 150", n)
	}
}
