package emulator

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// STS is a triple of temporary credentials as FC sends it with each request.
type STS struct{ ID, Secret, Token string }

// DefaultSTS is what an emulated function gets unless a test says otherwise.
// It grants nothing anywhere.
func DefaultSTS() STS { return STS{"STS.emulated", "emulated-secret", "emulated-token"} }

func (s STS) set(h http.Header) {
	h.Set("x-fc-access-key-id", s.ID)
	h.Set("x-fc-access-key-secret", s.Secret)
	h.Set("x-fc-security-token", s.Token)
}

// Kinds of invocations of FC's runtime API (header x-fc-function-type).
const (
	fcHandle  = "0"
	fcInit    = "1"
	fcPreStop = "2"
	fcFreeze  = "3"
)

// FC is one instance of a go1 function on Function Compute.
type FC struct {
	runtimeAPI
	stsMu sync.Mutex
	sts   STS
}

// StartFC spawns the binary as a go1 function.
func StartFC(ctx context.Context, o Options) (*FC, error) {
	f := &FC{runtimeAPI: runtimeAPI{
		opts: o, version: "2020-11-11", accepted: http.StatusOK, idHeader: "x-fc-request-id",
	}, sts: DefaultSTS()}
	if err := f.listen(ctx, http.NewServeMux()); err != nil {
		return nil, err
	}
	env := fcEnv()
	env["FC_RUNTIME_API"] = f.addr
	if err := f.spawn(ctx, o, env); err != nil {
		_ = f.server.Close()
		return nil, err
	}
	return f, nil
}

func fcEnv() map[string]string {
	sts := DefaultSTS()
	return map[string]string{
		"FC_FUNCTION_NAME":                "function",
		"FC_REGION":                       "cn-hangzhou",
		"FC_ACCOUNT_ID":                   "1234567890",
		"FC_INSTANCE_ID":                  "c-emulator",
		"FC_FUNC_CODE_PATH":               "/code",
		"ALIBABA_CLOUD_ACCESS_KEY_ID":     sts.ID,
		"ALIBABA_CLOUD_ACCESS_KEY_SECRET": sts.Secret,
		"ALIBABA_CLOUD_SECURITY_TOKEN":    sts.Token,
	}
}

// SetSTS changes the credentials that later invocations carry.
func (f *FC) SetSTS(s STS) {
	f.stsMu.Lock()
	f.sts = s
	f.stsMu.Unlock()
}

// Invoke sends one event.
func (f *FC) Invoke(ctx context.Context, event []byte) (*Reply, error) {
	return f.call(ctx, fcHandle, event, time.Now().Add(f.opts.timeout()))
}

// InvokeUntil is Invoke with a deadline of the caller's choosing.
func (f *FC) InvokeUntil(ctx context.Context, event []byte, deadline time.Time) (*Reply, error) {
	return f.call(ctx, fcHandle, event, deadline)
}

// Initialize runs the hook after the start.
func (f *FC) Initialize(ctx context.Context) error { return f.hook(ctx, fcInit) }

// PreStop runs the hook before the instance ends.
func (f *FC) PreStop(ctx context.Context) error { return f.hook(ctx, fcPreStop) }

// PreFreeze runs the hook before the instance is frozen; FC 3.0 does not.
func (f *FC) PreFreeze(ctx context.Context) error { return f.hook(ctx, fcFreeze) }

func (f *FC) hook(ctx context.Context, kind string) error {
	rep, err := f.call(ctx, kind, nil, time.Now().Add(f.opts.timeout()))
	if err != nil {
		return err
	}
	_, err = rep.Whole()
	return err
}

func (f *FC) call(ctx context.Context, kind string, event []byte, deadline time.Time) (*Reply, error) {
	h := http.Header{}
	for k, v := range map[string]string{
		"x-fc-function-type":     kind,
		"x-fc-function-deadline": strconv.FormatInt(deadline.UnixMilli(), 10),
		"x-fc-function-timeout":  strconv.Itoa(int(f.opts.timeout().Seconds())),
		"x-fc-function-name":     "function",
		"x-fc-function-handler":  "bootstrap",
		"x-fc-function-memory":   "512",
		"x-fc-region":            "cn-hangzhou",
		"x-fc-account-id":        "1234567890",
		"x-fc-qualifier":         "LATEST",
		"x-fc-version-id":        "LATEST",
		"x-fc-retry-count":       "0",
	} {
		h.Set(k, v)
	}
	f.stsMu.Lock()
	f.sts.set(h)
	f.stsMu.Unlock()
	return f.invoke(ctx, event, h)
}
