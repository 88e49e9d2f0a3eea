package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Retry settings: full jitter (AWS architecture blog, "Exponential backoff and
// jitter"), first try again within 0.25 s.
const (
	backoffBase = 250 * time.Millisecond
	backoffMax  = 8 * time.Second
)

// maxErrorBody bounds what is read of a failed response.
const maxErrorBody = 64 << 10

// endpoint is one guarded way to one interface of a provider. As an
// http.RoundTripper it stands below eino's clients; embeddings and reranks use
// it directly. A response it returns has status 200 and a body that is complete
// and valid, or a stream that has begun and reports whatever goes wrong later.
type endpoint struct {
	op        Op
	base      *url.URL
	key       string
	provider  Provider
	model     string
	models    []string
	rows      int
	on        bool
	timeout   time.Duration
	idle      time.Duration
	maxStream time.Duration
	maxOutput int64
	retries   int
	limits    limits
	road      *road
	report    func(context.Context, *call, Usage)
	breaker   breaker
	limiters  sync.Map // model → *limiter
}

func (e *endpoint) name() string {
	if !e.on {
		return ""
	}
	return e.model
}

// limiter returns the limiter of a model: DashScope counts by account and
// model. Models are checked names, so there are few.
func (e *endpoint) limiter(model string) *limiter {
	if l, ok := e.limiters.Load(model); ok {
		return l.(*limiter)
	}
	l, _ := e.limiters.LoadOrStore(model, newLimiter(e.limits))
	return l.(*limiter)
}

// RoundTrip carries out one call with its retries.
func (e *endpoint) RoundTrip(req *http.Request) (*http.Response, error) {
	k := callOf(req.Context())
	if k == nil {
		return nil, fmt.Errorf("llm: a request without a call")
	}
	body, err := payload(req)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		res, v := e.try(req, body, k)
		if v == nil {
			return res, nil
		}
		wait, again := e.again(req.Context(), k, v, try)
		if !again || !sleep(req.Context(), wait) {
			e.account(req.Context(), k, nil, v)
			return nil, v.err
		}
	}
}

func payload(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer func() { _ = req.Body.Close() }()
	return io.ReadAll(req.Body)
}

// again decides about one more try after v, and when.
func (e *endpoint) again(ctx context.Context, k *call, v *verdict, try int) (time.Duration, bool) {
	if !v.retry || try >= k.retries || ctx.Err() != nil {
		return 0, false
	}
	now := time.Now()
	wait := rand.N(min(backoffBase<<min(try, 10), backoffMax)) // after a 429 the limiter's gate holds it back longer
	if v.after > k.patience() || now.Add(wait).Sub(k.start) > e.timeout && !k.bulk {
		return 0, false
	}
	deadline, has := ctx.Deadline()
	return wait, !has || now.Add(max(wait, v.after)).Before(deadline)
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// try makes one attempt: breaker, limiter, request, verdict.
func (e *endpoint) try(req *http.Request, body []byte, k *call) (*http.Response, *verdict) {
	ctx := req.Context()
	if wait, why := e.breaker.open(time.Now()); wait > 0 {
		return nil, e.refuse(wait, why)
	}
	lim := e.limiter(k.model)
	queued, v := lim.acquire(ctx, k)
	k.queued += queued
	if v != nil {
		return nil, v
	}
	now := time.Now()
	probe, wait, why := e.breaker.enter(now) // it may have opened while this call stood in line
	if wait > 0 {
		v = e.refuse(wait, why)
		lim.release(v)
		return nil, v
	}
	a := &attempt{e: e, k: k, body: body, lim: lim, probe: probe, ctx: ctx, start: now}
	a.try, a.cancel = context.WithCancelCause(ctx)
	light := weak.Make(a) // a timer that was stopped is kept for a while, and would keep the attempt
	a.timer = time.AfterFunc(e.timeout, func() {
		if live := light.Value(); live != nil {
			live.late()
		}
	})
	res, v := a.send(req)
	if v != nil {
		a.finish(v)
		return nil, v
	}
	return res, nil
}

// refuse is the verdict while the breaker is open.
func (e *endpoint) refuse(wait time.Duration, why error) *verdict {
	err := kb.E(kb.Unavailable, &CallError{Op: e.op, cause: fmt.Errorf("%w: %w", ErrCircuitOpen, why)}, "the language model is not available right now")
	err.Retry = wait.Round(time.Second) + time.Second
	return &verdict{err: err}
}

// attempt is one try in flight.
type attempt struct {
	e      *endpoint
	k      *call
	lim    *limiter
	probe  bool
	ctx    context.Context // the caller's
	try    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer  // until it is answered, then of each wait for a chunk
	begun  atomic.Int64 // after so many nanoseconds a stream began to answer it; 0: none did
	start  time.Time
	body   []byte // of the request; nil once it is answered by a stream
	once   sync.Once
}

// late ends an attempt for which nothing came in time.
func (a *attempt) late() {
	switch {
	case a.begun.Load() == 0:
		a.cancel(fmt.Errorf("%w: nothing within %v", ErrTimeout, a.e.timeout))
	case a.left() <= 0:
		a.cancel(fmt.Errorf("%w: not at its end after %v", ErrTimeout, a.e.maxStream))
	default:
		a.cancel(fmt.Errorf("%w: no further chunk", ErrTimeout))
	}
}

// left is how long a stream may still take.
func (a *attempt) left() time.Duration {
	return a.e.maxStream - time.Since(a.start) + time.Duration(a.begun.Load())
}

// hasty is how long a try must have lasted for the caller's deadline to count
// against the endpoint: a caller in a hurry says nothing about it.
const hasty = 2 * time.Second

// finish ends the attempt exactly once: v is how it failed, nil if it did not.
func (a *attempt) finish(v *verdict) {
	a.once.Do(func() {
		a.timer.Stop()
		a.cancel(context.Canceled)
		a.lim.release(v)
		switch {
		case v == nil:
			a.e.breaker.success()
		case v.down && a.ctx.Err() != nil && time.Since(a.start) < min(hasty, a.e.timeout):
			a.e.breaker.neutral(a.probe)
		case v.down || v.deny:
			a.e.breaker.failure(time.Now(), v.deny, v.err)
		case v.err != nil && kb.KindOf(v.err) != kb.Canceled:
			a.e.breaker.success() // it answered, if only with a refusal
		default:
			a.e.breaker.neutral(a.probe)
		}
	})
}

// send sends the request and reads the answer, or the beginning of a stream.
func (a *attempt) send(req *http.Request) (*http.Response, *verdict) {
	out := req.WithContext(a.try)
	out.GetBody = func() (io.ReadCloser, error) { return &released{*bytes.NewReader(a.body)}, nil } // for connections that went stale
	out.Body, _ = out.GetBody()
	out.ContentLength = int64(len(a.body))
	a.k.sent++
	res, err := a.e.road.of(out, a.k.streams).RoundTrip(out)
	if err != nil {
		return nil, a.e.broken(a.ctx, a.try, err)
	}
	kind := res.Header.Get("Content-Type")
	switch {
	case res.StatusCode != http.StatusOK, strings.HasPrefix(kind, "text/html"):
		defer func() { _ = res.Body.Close() }()
		page, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody))
		return nil, a.e.classify(res.StatusCode, res.Header, page)
	case a.k.streams:
		a.body = nil
		return a.begin(res)
	}
	return a.whole(res)
}

// released is a request's body that lets go of its bytes once they are read: a
// prompt would live as long as its request, which is until the stream has ended.
type released struct{ bytes.Reader }

func (r *released) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.Len() == 0 {
		r.Reset(nil)
	}
	return n, err
}

func (r *released) Close() error { return nil }

// whole reads an answer to its end, so that one that breaks off is tried again
// and the place in the limiter is free before anyone decodes.
func (a *attempt) whole(res *http.Response) (*http.Response, *verdict) {
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, a.k.maxBody+1))
	if err != nil {
		return nil, a.e.broken(a.ctx, a.try, err)
	}
	if int64(len(body)) > a.k.maxBody {
		return nil, a.e.broken(a.ctx, a.try, ErrTooMuchOutput)
	}
	var head struct {
		Error json.RawMessage `json:"error"`
		Usage *wireUsage      `json:"usage"`
	}
	if err := json.Unmarshal(body, &head); err != nil || present(head.Error) {
		return nil, a.e.classify(res.StatusCode, res.Header, body)
	}
	a.finish(nil)
	a.e.account(a.ctx, a.k, &heard{usage: head.Usage, first: time.Now()}, nil)
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return res, nil
}

// begin waits for the first event of a stream, so that a failure before it is
// still tried again. The stream is the call's; the client above gets an empty
// one. It would decode each chunk once more, on a goroutine and with a buffer of
// its own: half of what a relayed token cost.
func (a *attempt) begin(res *http.Response) (*http.Response, *verdict) {
	b := &streamBody{a: a, src: res.Body}
	hints := told(res.Header)
	b.sse = newSSE(res.Body, a.e.maxOutput, func(body []byte) *verdict {
		return a.e.classify(http.StatusOK, hints, body)
	})
	for !b.sse.some && b.sse.err == nil {
		b.sse.step()
	}
	if err := b.sse.err; err != nil && !errors.Is(err, io.EOF) {
		_ = res.Body.Close()
		return nil, a.e.broken(a.ctx, a.try, err)
	}
	a.timer.Stop()
	a.begun.Store(max(1, int64(time.Since(a.start))))
	a.e.breaker.alive(a.probe)
	b.first = time.Now()
	if !a.k.held { // who holds it is not away for long, and ends it
		b.over = time.AfterFunc(a.e.maxStream, a.late)
		b.mu.Lock() // it may have to close at once
		b.leave = context.AfterFunc(a.ctx, func() { _ = b.Close() })
		b.mu.Unlock()
	}
	a.k.stream = b
	empty := *res
	res.Header, res.Request = nil, nil // the transport keeps res as long as the stream
	empty.Body, empty.ContentLength = io.NopCloser(strings.NewReader("data: [DONE]\n\n")), -1
	return &empty, nil
}

// streamBody is a stream that has begun. While wait is on, the
// attempt's timer runs; while the reader takes its time it does not.
type streamBody struct {
	a     *attempt
	src   io.ReadCloser
	sse   *sse
	first time.Time
	over  *time.Timer // nil: who waits for it looks how long it has taken
	once  sync.Once

	mu    sync.Mutex // sse, between wait and the Close that interrupts it
	bad   *verdict
	leave func() bool // its context's end need not close it any more; nil: who made the call does
}

// wait returns when there is something to take; errors other than io.EOF are
// *kb.Error.
func (b *streamBody) wait() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bad != nil {
		return b.bad.err
	}
	if !b.sse.some && b.sse.err == nil {
		idle := b.a.e.idle
		if b.sse.finish != "" {
			idle = min(idle, lastWords)
		}
		b.a.timer.Reset(min(idle, b.a.left()))
		defer b.a.timer.Stop()
	} else if b.a.left() <= 0 {
		b.a.late()
	}
	err := b.sse.wait()
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	b.bad = b.a.e.broken(b.a.ctx, b.a.try, err)
	return b.bad.err
}

// take returns what wait has waited for.
func (b *streamBody) take() piece {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sse.take()
}

// lastWords is how long usage and [DONE] may come after the finish reason.
const lastWords = 2 * time.Second

// Close ends the stream, also one that wait is at, and accounts for it,
// before any call of it returns.
func (b *streamBody) Close() error {
	b.once.Do(func() {
		b.a.cancel(context.Canceled)
		if b.over != nil {
			b.over.Stop()
		}
		_ = b.src.Close()
		b.mu.Lock()
		if b.leave != nil {
			b.leave()
		}
		v := b.bad
		if v == nil && b.sse.finish == "" { // the reader left
			v = &verdict{err: kb.E(kb.Canceled, &CallError{Op: b.a.e.op, cause: context.Canceled}, "the request was cancelled")}
		}
		h := &heard{usage: b.sse.usage, text: b.sse.text, first: b.first}
		b.mu.Unlock()
		b.a.finish(v)
		b.a.e.account(b.a.ctx, b.a.k, h, v)
	})
	return nil
}

// heard is what came of an answer.
type heard struct {
	usage *wireUsage
	text  int64 // bytes
	first time.Time
}

// account reports the end of a call. Where the provider does not say what it
// took, tokens are estimated: a disconnected stream is billed up to there.
func (e *endpoint) account(ctx context.Context, k *call, h *heard, v *verdict) {
	u := Usage{Tenant: k.tenant, Op: k.op, Model: k.model, Calls: k.sent, Queued: k.queued, Duration: time.Since(k.start)}
	if v != nil {
		u.Err = v.err
	}
	switch {
	case h == nil: // nothing came, nothing is billed
	case h.usage != nil:
		u.Prompt, u.Completion, u.Cached = h.usage.Prompt+h.usage.Input, h.usage.Completion, h.usage.Details.Cached
		if u.Prompt == 0 {
			u.Prompt = max(0, h.usage.Total-u.Completion)
		}
	default:
		u.Estimated, u.Prompt, u.Completion = true, k.tokens, int(h.text+2)/3
	}
	if h != nil {
		u.FirstToken = h.first.Sub(k.start)
	}
	e.report(ctx, k, u)
}
