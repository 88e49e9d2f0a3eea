package milvus

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/eino-qa/eino-qa/internal/kb"
)

const (
	// tries of a call that the server could not serve just now. All calls here
	// may be repeated: rows have keys, and what is dropped twice is dropped.
	tries = 3
	// firstBackoff doubles and is jittered, so that all tries wait well under
	// half a second: a proxy that restarts is back by then, or takes longer
	// than a question can wait.
	firstBackoff = 100 * time.Millisecond
	// slow is how long a call must have had before its caller's deadline says
	// something about the server rather than about the caller.
	slow = time.Second
	// maxAnswerBytes bounds what the server may make us hold. The largest
	// answer we ask for, a page of maxTopK batch ids, is under 2 MiB.
	maxAnswerBytes = 16 << 20
)

// connection returns the SDK's client, and makes it at the first call. That
// starts connecting and does not wait for it.
func (c *Client) connection(ctx context.Context) (*client.GrpcClient, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, kb.E(kb.Unavailable, nil, "the vector index was closed")
	}
	if c.sdk != nil {
		return c.sdk, nil
	}
	opts := []grpc.DialOption{ // any at all drops the SDK's, WithBlock among them
		grpc.WithNoProxy(), // only package config reads the environment
		grpc.WithIdleTimeout(c.idle),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time:    55 * time.Second, // pymilvus's; servers punish much less
			Timeout: 10 * time.Second,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: firstPause},
			MinConnectTimeout: c.cfg.ConnectTimeout,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
		grpc.WithChainUnaryInterceptor(inspect),
	}
	if c.creds != nil {
		opts = append(opts, grpc.WithTransportCredentials(c.creds))
	}
	made, err := client.NewClient(ctx, client.Config{
		Address: c.cfg.Address, Username: c.cfg.Username, Password: c.cfg.Password, DBName: c.cfg.Database,
		DialOptions:    opts,
		RetryRateLimit: &client.RetryRateLimitOption{}, // none; do tries again
		DisableConn:    true,
	})
	if err != nil {
		return nil, kb.E(kb.Invalid, errors.New(c.redact(err.Error())), "milvus.host: %s is not an address", c.cfg.Address)
	}
	c.sdk = made.(*client.GrpcClient)
	return c.sdk, nil
}

// do makes one call: it waits for a slot, keeps the deadlines, tries again what
// may pass, and says what went wrong in our words. op names the call for the
// meter.
func (c *Client) do(ctx context.Context, op string, f func(context.Context, *client.GrpcClient) error) (err error) {
	begun := time.Now()
	if c.cfg.Meter != nil {
		defer func() { c.cfg.Meter(op, time.Since(begun), err) }()
	}
	sdk, err := c.connection(ctx)
	if err != nil {
		return err
	}
	conn := sdk.Conn
	connected := func() bool { return conn.GetState() == connectivity.Ready }
	if wait, why := c.gate.shut(connected(), time.Now()); wait > 0 {
		conn.Connect() // should it have gone idle; nobody waits for it
		return away(wait, why)
	}
	inner, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-inner.Done():
		return c.explain(ctx, op, status.FromContextError(inner.Err()).Err())
	}
	probe, wait, why := c.gate.enter(connected(), time.Now())
	if wait > 0 { // it went out while this call waited for its turn
		return away(wait, why)
	}
	for try := 1; ; try++ {
		if err = c.ready(inner, conn); err == nil {
			err = safely(func() error { return f(inner, sdk) })
		}
		if err == nil || try == tries || !again(inner, err) || !pause(inner, try) {
			break
		}
	}
	v := judge(ctx, err, connected(), time.Since(begun))
	if err != nil {
		err = c.explain(ctx, op, err)
	}
	c.gate.leave(ctx, probe, v, time.Now(), err)
	return err
}

// away is what a call ends with that was not made.
func away(wait time.Duration, why error) error {
	e := kb.E(kb.Unavailable, why, "the vector index cannot be reached")
	e.Retry = wait
	return e
}

// ready waits until the connection stands or could not be made; then the call
// itself fails at once and says why.
func (c *Client) ready(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	for {
		s := conn.GetState()
		switch s {
		case connectivity.Ready, connectivity.TransientFailure, connectivity.Shutdown:
			return nil
		case connectivity.Idle:
			conn.Connect()
		case connectivity.Connecting:
		}
		if !conn.WaitForStateChange(ctx, s) {
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// safely turns a panic into an error: the SDK indexes what the server sent
// without looking.
func safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errNonsense, p)
		}
	}()
	return f()
}

func pause(ctx context.Context, try int) bool {
	d := firstBackoff << (try - 1)
	t := time.NewTimer(d/2 + rand.N(d))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// again reports whether the same call may pass a moment later.
func again(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if se, ok := errors.AsType[*serverError](err); ok {
		return se.busy()
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.Aborted:
		return true
	case codes.Canceled:
		return true // not by our caller: one who shared the SDK's lookup left
	default:
		return false
	}
}

// judge says what the end of a call tells about the server.
func judge(ctx context.Context, err error, connected bool, took time.Duration) verdict {
	if err == nil {
		return answered
	}
	if se, ok := errors.AsType[*serverError](err); ok {
		switch {
		case se.denied():
			return lost
		case se.down():
			return failed
		}
		return answered
	}
	switch status.Code(err) {
	case codes.Unauthenticated:
		return lost
	case codes.Unavailable:
		if !connected {
			return lost
		}
		return failed
	case codes.DeadlineExceeded:
		switch {
		case ctx.Err() != nil && took < slow:
			return silent
		case !connected:
			return lost
		}
		return failed
	case codes.Canceled:
		return silent
	case codes.Unimplemented, codes.Internal, codes.Unknown:
		if _, ours := status.FromError(err); ours {
			return failed // it speaks gRPC, or HTTP, and is no Milvus
		}
		return answered // the SDK's complaint about an answer
	default:
		return answered
	}
}

// explain classifies an error for our callers. Its text holds no secret.
func (c *Client) explain(ctx context.Context, op string, err error) error {
	if e, ok := errors.AsType[*kb.Error](err); ok {
		return e
	}
	cause := &callError{op: op, text: c.redact(err.Error()), err: err}
	if errors.Is(ctx.Err(), context.Canceled) {
		return kb.E(kb.Canceled, cause, "the question was given up")
	}
	if se, ok := errors.AsType[*serverError](err); ok && se.denied() || status.Code(err) == codes.Unauthenticated {
		return kb.E(kb.Unavailable, cause, "the vector index refuses our name or password: check milvus.username and milvus.password")
	}
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return kb.E(kb.Unavailable, cause, "the vector index did not answer in time")
	case codes.Unavailable:
		return kb.E(kb.Unavailable, cause, "the vector index cannot be reached")
	default:
		return kb.E(kb.Unavailable, cause, "the vector index failed")
	}
}
