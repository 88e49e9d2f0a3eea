// Package function says what a deployed function is made of, whatever cloud
// runs it: its handlers, the two events beside HTTP, and the bridge between a
// platform's buffered or streamed reply and a net/http handler. Packages aws
// and fc translate their platform's wire shapes into it. It assumes one
// process per instance, and that nothing may run after the reply (the platform
// freezes the process). The design is DESIGN.md §3.
package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Platform is where the process runs.
type Platform string

// The platforms. Local means "none of them": a plain process on a host.
const (
	Local     Platform = "local"
	Lambda    Platform = "lambda"    // AWS Lambda, provided.al2023
	FCRuntime Platform = "fc"        // Alibaba Function Compute, built-in go1 runtime
	FCCustom  Platform = "fc-custom" // Alibaba Function Compute, web function on a custom runtime
)

// Mode is how a reply leaves AWS Lambda. It is a setting: an invocation does
// not tell whether its caller expects a stream (facts/serverless.md §1.1).
type Mode string

// The modes, named as Lambda names them.
const (
	Buffered Mode = "buffered"
	Stream   Mode = "response_stream"
)

// Handlers are the entry points of one function; a nil one means "this
// function takes no such events". All may be called at the same time. A panic
// in any of them is an error of that one invocation and never ends the process.
type Handlers struct {
	HTTP http.Handler
	// Object handles one created object; an error has it delivered again and
	// in the end puts it in the dead-letter queue.
	Object func(context.Context, ObjectEvent) error
	// Schedule handles one tick of a schedule.
	Schedule func(context.Context, ScheduleEvent) error
	// Stop runs when the platform ends the instance: at most 300 ms on Lambda.
	Stop func(context.Context)
}

// Sources of events.
const (
	SourceS3          = "s3"
	SourceOSS         = "oss"
	SourceDirect      = "direct" // our own continuation, see ObjectEvent.Message
	SourceEventBridge = "eventbridge"
	SourceScheduler   = "scheduler"
	SourceTimer       = "fc_timer"
)

// ObjectEvent says that an object was created. Events are delivered at least
// once and in any order.
type ObjectEvent struct {
	Bucket string
	Key    string // decoded
	Size   int64  // bytes; 0 when the platform does not say
	ETag   string // without quotes
	Source string // SourceS3, SourceOSS or SourceDirect
	// Attempt counts deliveries from 1 where the platform counts, else 0.
	Attempt int
}

// directMessage is the wire form of an ObjectEvent that we send to ourselves.
type directMessage struct {
	QA     string `json:"qa"` // "object"
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key"`
	Size   int64  `json:"size,omitempty"`
	ETag   string `json:"etag,omitempty"`
}

// Message encodes e as the body of a queue message or of an asynchronous
// invocation: whoever runs out of time sends it to continue in a fresh one.
func (e ObjectEvent) Message() []byte {
	b, err := json.Marshal(directMessage{QA: "object", Bucket: e.Bucket, Key: e.Key, Size: e.Size, ETag: e.ETag})
	if err != nil {
		panic(err) // strings and a number: cannot fail
	}
	return b
}

// Each runs f for every object of a notification, also after one failed. A
// single failure is returned as it is: its type is part of what the platform shows.
func Each(objs []ObjectEvent, f func(ObjectEvent) error) error {
	var errs []error
	for _, o := range objs {
		if err := f(o); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// ScheduleEvent is one tick of a schedule.
type ScheduleEvent struct {
	// Task is what to do: the "qa" field of the schedule's input, the timer's
	// payload, or the rule's name where a rule sends no input.
	Task   string
	Name   string    // of the schedule, rule or trigger; may be empty
	Time   time.Time // when it was due; zero when the platform does not say
	Source string
}

// Is refuses a tick that asks for another task than the one that is done here.
// One without an input of its own is named by its rule or trigger, and asks
// for whatever is behind it.
func (e ScheduleEvent) Is(task string) error {
	if e.Task == task || e.Task == e.Name {
		return nil
	}
	return kb.E(kb.Invalid, nil, "event: it asks for %.40q, and this function does %q", e.Task, task)
}

// Marker is the JSON that our own schedules and continuations carry.
type Marker struct {
	QA       string `json:"qa"`
	Schedule string `json:"schedule"`
	Time     string `json:"time"`
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	Size     int64  `json:"size"`
	ETag     string `json:"etag"`
}

// Object returns the object event that m carries.
func (m Marker) Object() (ObjectEvent, error) {
	if m.Key == "" {
		return ObjectEvent{}, errors.New(`event {"qa":"object"} has no "key"`)
	}
	return ObjectEvent{Bucket: m.Bucket, Key: m.Key, Size: m.Size, ETag: m.ETag, Source: SourceDirect}, nil
}

// Config is how a function meets its platform. The zero Config of the right
// Platform is usable.
type Config struct {
	Platform Platform
	Mode     Mode // "" = Buffered
	// Addr is where FCCustom listens; "" = ":9000", FC's default port.
	Addr string
	// Margin is kept from the platform's deadline so that a handler that
	// stops in time can still answer; 0 = 1 s. Never more than a tenth of
	// what is left.
	Margin time.Duration
	// MaxStream bounds a streamed reply on Lambda, where nobody tells us that
	// the client left and the stream is billed to its end; 0 = 2 min.
	MaxStream time.Duration
	// BasePath is stripped from the front of paths: a custom domain's base
	// path mapping on API Gateway.
	BasePath string
	// UploadRoute is named by a 413 for a request that is too large;
	// "" = "POST /api/v1/uploads".
	UploadRoute string
	// Spill stores a reply that outgrew the platform's limit and returns a
	// presigned URL the client is redirected to; nil = 413.
	Spill func(ctx context.Context, contentType string, body []byte) (string, error)
	// Credentials receives the per-request STS triples of Function Compute;
	// nil = they are dropped.
	Credentials *Credentials
	Log         *slog.Logger // nil = silent
}

// Defaults of Config; see its fields.
const (
	defaultMargin    = time.Second
	defaultMaxStream = 2 * time.Minute
	defaultUpload    = "POST /api/v1/uploads"
)

// WithDefaults returns c with its zero fields filled.
func (c Config) WithDefaults() Config {
	if c.Mode == "" {
		c.Mode = Buffered
	}
	if c.Addr == "" {
		c.Addr = ":9000" // FC's default CAPort; it must not be bound to loopback
	}
	if c.Margin <= 0 {
		c.Margin = defaultMargin
	}
	if c.MaxStream <= 0 {
		c.MaxStream = defaultMaxStream
	}
	if c.UploadRoute == "" {
		c.UploadRoute = defaultUpload
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Check reports settings that contradict each other.
func (c Config) Check() error {
	switch c.Mode {
	case "", Buffered, Stream:
	default:
		return kb.E(kb.Invalid, nil, "serverless.invoke_mode: %q is neither %q nor %q", c.Mode, Buffered, Stream)
	}
	switch c.Platform {
	case Local, Lambda, FCRuntime, FCCustom:
	default:
		return kb.E(kb.Invalid, nil, "serverless.platform: %q is none of %q, %q, %q, %q", c.Platform, Local, Lambda, FCRuntime, FCCustom)
	}
	return nil
}

// Invocation is what a handler may know of the platform's call. It rides in
// the context.
type Invocation struct {
	Platform  Platform
	RequestID string // the platform's, never the client's
	Kind      string // "rest_v1", "http_v2", "function_url", "alb", "fc_http", "fc_web", "event"
	Streamed  bool   // the reply leaves as it is written
}

type invocationKey struct{}

// WithInvocation returns a context that carries inv.
func WithInvocation(ctx context.Context, inv Invocation) context.Context {
	return context.WithValue(ctx, invocationKey{}, inv)
}

// InvocationFrom returns the Invocation of ctx, if a platform made it.
func InvocationFrom(ctx context.Context) (Invocation, bool) {
	inv, ok := ctx.Value(invocationKey{}).(Invocation)
	return inv, ok
}

// Deadline returns a context that ends a margin before the platform's
// deadline, and at most limit from now if limit > 0. A deadline that has
// passed (0 included) is an error: the invocation could only be killed.
func Deadline(ctx context.Context, margin, limit time.Duration) (context.Context, context.CancelFunc, error) {
	now := time.Now()
	end, ok := ctx.Deadline()
	if ok {
		left := end.Sub(now)
		if left <= 0 {
			return nil, nil, kb.E(kb.Unavailable, nil, "the platform's deadline for this invocation (%s) has passed: check the function's timeout and the clock",
				end.UTC().Format(time.RFC3339))
		}
		end = end.Add(-min(margin, left/10))
	}
	if limit > 0 && (!ok || now.Add(limit).Before(end)) {
		end, ok = now.Add(limit), true
	}
	if !ok {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithDeadline(ctx, end)
	return ctx, cancel, nil
}

// panicked is what a recovered panic becomes.
type panicked struct{ what string }

func (p *panicked) Error() string { return "handler panicked: " + p.what }

// describe names a panic's value without its text: that may hold a question.
func describe(v any) string {
	if e, ok := v.(interface {
		error
		RuntimeError()
	}); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", v)
}

// Guard runs f and turns a panic into an error; the stack goes to log.
func Guard(ctx context.Context, log *slog.Logger, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = recovered(ctx, log, v)
		}
	}()
	return f()
}
