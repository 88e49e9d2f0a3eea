package emulator

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// state is the letter of a process's state, proc(5).
func state(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}

func TestFCRunsItsHooksAndEvents(t *testing.T) {
	t.Parallel()
	f := startFC(t, Options{})
	if err := f.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, ev := range [][]byte{fcSample(t, "README_OSS.md"), fcSample(t, "README_TIMER.md"), Timer("sweep", "", time.Now()), OSSCreated("b", "inbox/acme/j1", 7), Schedule("backup", time.Now())} {
		if _, err := f.Invoke(t.Context(), ev); err != nil {
			t.Errorf("%s: %v", ev, err)
		}
	}
	for _, want := range []string{`"key":"image/a.jpg","source":"oss"`, `"key":"inbox/acme/j1","source":"oss"`, `"task":"TestPayload"`, `"task":"sweep"`, `"task":"backup"`} {
		if !printed(f, want) {
			t.Errorf("output has no %s", want)
		}
	}
	if err := f.PreStop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFCErrorsAreClear(t *testing.T) {
	t.Parallel()
	f := startFC(t, Options{})
	var fe *FunctionError
	for event, says := range map[string]string{
		`{"salary":"Bob"}`:              `keys "salary"`,
		`{"trunc`:                       "not understood (7 bytes)",
		`{"qa":"object","key":"fail"}`:  "asked to fail",
		`{"qa":"object","key":"panic"}`: "panicked",
	} {
		if _, err := f.Invoke(t.Context(), []byte(event)); !errors.As(err, &fe) || !strings.Contains(fe.Message, says) || strings.Contains(fe.Message, "Bob") {
			t.Errorf("%s = %v, want an error saying %q", event, err, says)
		}
	}
	if _, err := f.InvokeUntil(t.Context(), []byte(`{"qa":"backup"}`), time.UnixMilli(0)); !errors.As(err, &fe) || !strings.Contains(fe.Message, "deadline") {
		t.Errorf("a deadline of 0 = %v", err)
	}
	gw := &Gateway{Instance: f, Shape: FCHTTP}
	if res, body, _ := send(t, gw, "GET", "/panic", ""); res.StatusCode != 500 || !strings.Contains(body, `"code":500`) {
		t.Errorf("panic = %d %q", res.StatusCode, body)
	}
	if res, body, _ := send(t, gw, "GET", "/big?n=34000000", ""); res.StatusCode != 413 || !strings.Contains(body, "presigned") {
		t.Errorf("34 MB = %d %.100q", res.StatusCode, body)
	}
	if !f.Alive() {
		t.Error("the process died")
	}
}

func TestFCServesSeveralAtOnce(t *testing.T) {
	t.Parallel()
	f := startFC(t, Options{})
	gw := &Gateway{Instance: f, Shape: FCHTTP}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if res, body, err := send(t, gw, "GET", fmt.Sprintf("/sse?n=3&every=20ms&i=%d", i), ""); err != nil || res.StatusCode != 200 || strings.Count(body, "data:") != 3 {
				t.Errorf("%d %q %v", res.StatusCode, body, err)
			}
		})
	}
	wg.Wait()
}

func TestNewestCredentialsReachTheFunction(t *testing.T) {
	t.Parallel()
	f, c := startFC(t, Options{}), startCustom(t, Options{})
	gw := &Gateway{Instance: f, Shape: FCHTTP}
	for _, id := range []string{"STS.one", "STS.two"} {
		f.SetSTS(STS{id, "s", "t"})
		c.SetSTS(STS{id, "s", "t"})
		for _, rt := range []http.RoundTripper{gw, c} {
			if _, body, err := send(t, rt, "GET", "/credentials", ""); err != nil || body != id {
				t.Errorf("%T: credentials %q, %v, want %q", rt, body, err, id)
			}
		}
	}
	for _, out := range []string{f.Output(), c.Output()} {
		if strings.Contains(out, "emulated-secret") || strings.Contains(out, "emulated-token") {
			t.Errorf("credentials were printed: %s", out)
		}
	}
}

func TestWebFunctionStreamsAndNoticesThatTheClientLeft(t *testing.T) {
	t.Parallel()
	f := startCustom(t, Options{})
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://qa.example/sse?n=1000&every=20ms", nil)
	res, err := f.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); line != "data: {\"n\":1}\n" || err != nil || len(res.TransferEncoding) != 1 {
		t.Errorf("first line %q, %v, encoding %v (FC streams chunked replies only)", line, err, res.TransferEncoding)
	}
	res.Body.Close()
	if !printed(f, "sse ended: context canceled") {
		t.Fatalf("the handler was not cancelled: %s", f.Output())
	}
}

func TestWebFunctionControlsAndClients(t *testing.T) {
	t.Parallel()
	f := startCustom(t, Options{Env: map[string]string{"TESTFN_STOP": "1"}})
	if err := f.Initialize(t.Context()); err != nil {
		t.Error(err)
	}
	if err := f.Invoke(t.Context(), OSSCreated("b", "inbox/acme/j1", 7)); err != nil {
		t.Error(err)
	}
	var fe *FunctionError
	if err := f.Invoke(t.Context(), []byte(`{"qa":"object","key":"panic"}`)); !errors.As(err, &fe) {
		t.Errorf("a panic in an event = %v", err)
	}
	for _, path := range []string{"/invoke", "/initialize", "/pre-stop"} {
		if res, _, _ := send(t, f, "POST", path, `{"qa":"object","key":"forged"}`); res.StatusCode != 404 {
			t.Errorf("a client's %s = %d, want the handler's 404", path, res.StatusCode)
		}
	}
	if res, _, _ := send(t, f, "POST", "/invoke", `{"qa":"object","key":"forged"}`, "x-fc-control-path", "/invoke"); res.StatusCode != 400 {
		t.Errorf("a forged control path = %d, want FC's own 400", res.StatusCode)
	}
	if _, _, err := send(t, f, "GET", "/sse?n=3&panic=2", ""); err == nil {
		t.Error("a panic in a stream ended it as if it were whole")
	}
	if !printed(f, `"key":"inbox/acme/j1"`) || !printed(f, "FC Invoke Start RequestId: fc-2") || strings.Contains(f.Output(), "forged") {
		t.Errorf("output: %s", f.Output())
	}
	if err := f.PreStop(t.Context()); err != nil || !printed(f, `"msg":"stopped"`) {
		t.Errorf("pre-stop: %v", err)
	}
	if code := f.Shutdown(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

func TestAFunctionOnAPlainHostSaysSo(t *testing.T) {
	t.Parallel()
	in := newInstance()
	if err := in.spawn(t.Context(), Options{Binary: bin}, nil); err != nil {
		t.Fatal(err)
	}
	<-in.Exited()
	if out := in.Output(); in.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out, "run the local server") {
		t.Errorf("output: %s", out)
	}
	if _, err := StartFCCustom(t.Context(), Options{Binary: bin, Env: map[string]string{"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"}}); !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "both AWS Lambda and Function Compute") {
		t.Errorf("an environment of both = %v", err)
	}
}
