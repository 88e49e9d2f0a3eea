// Package fc runs a function's handlers on Alibaba Function Compute 3.0, both
// on its built-in go1 runtime (HTTP triggers arrive as JSON, replies are
// whole) and as a web function on a custom runtime (real HTTP, replies may
// stream). It assumes fc-runtime-go-sdk for go1. STS credentials ride on every
// request; they are taken off before anything else can see them.
package fc

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
	"github.com/aliyun/fc-runtime-go-sdk/fccontext"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// maxPayload bounds synchronous requests and go1 responses ("request limits"
// of the Function Compute documentation: 32 MB body).
const maxPayload = 32 << 20

// Adapter turns Function Compute's invocations into calls of handlers. It is
// safe for concurrent use.
type Adapter struct {
	cfg function.Config
	h   function.Handlers
}

// New returns an adapter for h.
func New(cfg function.Config, h function.Handlers) *Adapter {
	return &Adapter{cfg.WithDefaults(), h}
}

// StartRuntime serves a go1 function and does not return.
func (a *Adapter) StartRuntime() {
	fc.RegisterInitializerFunction(func(context.Context) {}) // an unregistered hook would be an error
	fc.RegisterPreStopFunction(func(ctx context.Context) { a.stop(ctx) })
	fc.Start(a.Invoke)
}

func (a *Adapter) stop(ctx context.Context) {
	if a.h.Stop == nil {
		return
	}
	_ = function.Guard(ctx, a.cfg.Log, func() error {
		a.h.Stop(ctx)
		return nil
	})
}

// Invoke answers one invocation of a go1 function.
func (a *Adapter) Invoke(ctx context.Context, raw []byte) (json.RawMessage, error) {
	var requestID string
	if fx, ok := fccontext.FromContext(ctx); ok {
		requestID = fx.RequestID
		c := fx.Credentials
		a.cfg.Credentials.Offer(function.Triple{AccessKeyID: c.AccessKeyId, AccessKeySecret: c.AccessKeySecret, SecurityToken: c.SecurityToken})
	}
	inv := function.Invocation{Platform: a.cfg.Platform, RequestID: requestID, Kind: "event"}
	k, s, err := probe(raw)
	if err != nil {
		a.cfg.Log.ErrorContext(ctx, "event not understood", "err", err.Error(), "trace_id", requestID, "bytes", len(raw))
		return nil, err
	}
	if k == kindHTTP {
		inv.Kind = "fc_http"
		return a.handleHTTP(function.WithInvocation(ctx, inv), raw)
	}
	if err := a.handleEvent(function.WithInvocation(ctx, inv), k, s, raw); err != nil {
		a.cfg.Log.ErrorContext(ctx, "event failed", "err", err.Error(), "trace_id", requestID)
		return nil, err
	}
	return nil, nil
}

// handleEvent runs what is no HTTP; an error makes FC try again.
func (a *Adapter) handleEvent(ctx context.Context, k kind, s *seen, raw []byte) error {
	ctx, cancel, err := function.Deadline(ctx, a.cfg.Margin, 0)
	if err != nil {
		return err
	}
	defer cancel()
	switch k {
	case kindOSS:
		objs, err := a.objects(ctx, raw)
		if err != nil {
			return err
		}
		return function.Each(objs, func(o function.ObjectEvent) error { return a.object(ctx, o) })
	case kindObject:
		o, err := s.Marker.Object()
		if err != nil {
			return kb.E(kb.Invalid, err, "event not understood")
		}
		return a.object(ctx, o)
	default:
		return a.schedule(ctx, s.schedule(k))
	}
}

func (a *Adapter) object(ctx context.Context, o function.ObjectEvent) error {
	if a.h.Object == nil {
		return kb.E(kb.Invalid, nil, "this function takes no object events")
	}
	return function.Guard(ctx, a.cfg.Log, func() error { return a.h.Object(ctx, o) })
}

func (a *Adapter) schedule(ctx context.Context, ev function.ScheduleEvent) error {
	if a.h.Schedule == nil {
		return kb.E(kb.Invalid, nil, "this function has no schedule")
	}
	return function.Guard(ctx, a.cfg.Log, func() error { return a.h.Schedule(ctx, ev) })
}

// handleHTTP answers an HTTP trigger's event. Whatever goes wrong is an HTTP
// response: an invocation error would be a bare 502 to the client.
func (a *Adapter) handleHTTP(ctx context.Context, raw []byte) (json.RawMessage, error) {
	if a.h.HTTP == nil {
		return a.reply(ctx, function.ErrorReply(ctx, http.StatusNotFound, "this function serves no HTTP", nil))
	}
	if len(raw) > maxPayload {
		return a.refuse(ctx, a.cfg.TooLarge(maxPayload, "Function Compute"))
	}
	rctx, cancel, err := function.Deadline(ctx, a.cfg.Margin, 0)
	if err != nil {
		return a.refuse(ctx, err)
	}
	defer cancel()
	r, err := a.newRequest(rctx, raw)
	if err != nil {
		return a.refuse(ctx, err)
	}
	return a.reply(ctx, function.RunBuffered(a.h.HTTP, r, a.cfg.Log))
}

func (a *Adapter) refuse(ctx context.Context, err error) (json.RawMessage, error) {
	inv, _ := function.InvocationFrom(ctx)
	a.cfg.Log.WarnContext(ctx, "http event refused", "err", err.Error(), "kind", inv.Kind, "trace_id", inv.RequestID)
	return a.reply(ctx, function.ErrorOf(ctx, err))
}

func (a *Adapter) reply(ctx context.Context, rep *function.Reply) (json.RawMessage, error) {
	out, err := encode(rep)
	if err != nil {
		return nil, err
	}
	if fit := a.cfg.Fit(ctx, rep, len(out), maxPayload, "Function Compute"); fit != rep {
		return encode(fit)
	}
	return out, nil
}
