package emulator

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestLambdaAnswersPublishedEvents(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{})
	for _, name := range []string{
		"apigw-request.json", "apigw-restapi-openapi-request.json", "apigw-v2-request-no-authorizer.json", "apigw-v2-request-iam.json",
		"apigw-v2-request-jwt-authorizer.json", "apigw-v2-request-lambda-authorizer.json", "lambda-urls-request.json",
		"alb-lambda-target-request-headers-only.json", "alb-lambda-target-request-multivalue-headers.json",
	} {
		rep, err := l.Invoke(t.Context(), withPath(t, awsSample(t, name), "/echo"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		b, err := rep.Whole()
		if err != nil || rep.Prelude != nil || rep.ContentType != "application/json" || !strings.Contains(string(b), `"statusCode":201`) {
			t.Errorf("%s = %s %s, %v", name, rep.ContentType, b, err)
		}
	}
	if _, err := l.Invoke(t.Context(), awsSample(t, "s3-event.json")); err != nil || !printed(l, `"key":"Happy Face.jpg"`) {
		t.Errorf("s3-event.json: %v", err)
	}
	rep, err := l.Invoke(t.Context(), awsSample(t, "sqs-event.json"))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := rep.Whole(); string(b) != `{"batchItemFailures":[{"itemIdentifier":"MessageID_1"}]}` {
		t.Errorf("sqs-event.json = %s", b)
	}
}

func TestAllShapesAnswerAlike(t *testing.T) {
	t.Parallel()
	l, s, f := startLambda(t, Options{}), startLambda(t, Options{Env: streaming}), startFC(t, Options{})
	gateways := map[string]http.RoundTripper{
		"rest":                  &Gateway{Instance: l, Shape: REST},
		"rest streamed":         &Gateway{Instance: s, Shape: REST},
		"http v2":               &Gateway{Instance: l, Shape: HTTPv2},
		"function url":          &Gateway{Instance: l, Shape: FunctionURL},
		"function url streamed": &Gateway{Instance: s, Shape: FunctionURL},
		"alb":                   &Gateway{Instance: l, Shape: ALB},
		"alb multi":             &Gateway{Instance: l, Shape: ALBMulti},
		"fc go1":                &Gateway{Instance: f, Shape: FCHTTP},
		"fc web":                startCustom(t, Options{}),
	}
	for name, rt := range gateways {
		res, body, err := send(t, rt, "POST", "/echo?q=a%20b&q2=%E4%B8%AD", "bö\x00dy", "Accept", "application/json, text/event-stream", "Cookie", "a=1; b=2", "X-Sig", "t=1,v1=2", "Content-Type", "text/plain")
		if err != nil || res.StatusCode != 201 {
			t.Errorf("%s: %d %q %v", name, res.StatusCode, body, err)
			continue
		}
		for _, want := range []string{"POST /echo?", "\nbö\x00dy\n", "Accept: application/json, text/event-stream\r\n", "Cookie: a=1; b=2\r\n", "X-Sig: t=1,v1=2\r\n"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %q is not in %q", name, want, body)
			}
		}
		if strings.Contains(strings.ToLower(body), "x-fc-") || strings.Contains(body, "emulated-token") {
			t.Errorf("%s: the handler saw FC's headers: %q", name, body)
		}
		if !strings.Contains(body, " 203.0.113.7:0\n") {
			t.Errorf("%s: no client address in %q", name, body)
		}
		if res.Header.Get("Set-Cookie") != "a=1" {
			t.Errorf("%s: cookie %q", name, res.Header.Values("Set-Cookie"))
		}
	}
}

func TestLambdaStreamsEventByEvent(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{Env: streaming})
	for _, shape := range []Shape{REST, FunctionURL} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://qa.example/sse?n=4&every=60ms", nil)
		res, err := (&Gateway{Instance: l, Shape: shape}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if res.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: content type %q", shape, res.Header.Get("Content-Type"))
		}
		var at []time.Duration
		start := time.Now()
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "data:") {
				at = append(at, time.Since(start))
			}
		}
		res.Body.Close()
		if lines.Err() != nil || len(at) != 4 {
			t.Fatalf("%s: %d events, %v", shape, len(at), lines.Err())
		}
		// The last comes 180 ms after the first: they were not kept together.
		if gap := at[3] - at[0]; gap < 120*time.Millisecond {
			t.Errorf("%s: events at %v: they arrived together", shape, at)
		}
	}
}

func TestLambdaPanicsDoNotEndTheProcess(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{Env: streaming})
	gw := &Gateway{Instance: l, Shape: REST}
	pid := l.Pid()
	if res, body, err := send(t, gw, "GET", "/panic", ""); err != nil || res.StatusCode != 500 || !strings.Contains(body, `"code":500`) {
		t.Errorf("panic before the headers = %d %q %v", res.StatusCode, body, err)
	}
	_, body, err := send(t, gw, "GET", "/sse?n=3&panic=2", "")
	var fe *FunctionError
	if !errors.As(err, &fe) || !strings.Contains(fe.Message, "panicked") {
		t.Errorf("panic in a stream: error %v, want the function's error in the trailer", err)
	}
	if !strings.HasPrefix(body, "data: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: {\"type\":\"error\"") {
		t.Errorf("panic in a stream: body %q", body)
	}
	if _, err := l.Invoke(t.Context(), []byte(`{"qa":"object","key":"panic"}`)); !errors.As(err, &fe) || !strings.Contains(fe.Message, "panicked") {
		t.Errorf("panic in an event = %v", err)
	}
	if res, body, err := send(t, gw, "GET", "/ok", ""); err != nil || res.StatusCode != 200 || body != "ok" || l.Pid() != pid || !l.Alive() {
		t.Errorf("afterwards = %d %q %v, alive %v", res.StatusCode, body, err, l.Alive())
	}
}

func TestLambdaBoundsAStream(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{Env: streaming}) // testfn's MaxStream is 2 s
	start := time.Now()
	_, body, err := send(t, &Gateway{Instance: l, Shape: REST}, "GET", "/sse?n=1000&every=100ms", "")
	if took := time.Since(start); err != nil || !strings.HasSuffix(body, "data: {\"ended\":true}\n\n") || took > 4*time.Second {
		t.Errorf("stream ended after %v with %v: %.60q", took, err, body)
	}
}

func TestLambdaErrorsAreClear(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{})
	var fe *FunctionError
	for event, says := range map[string]string{
		`{"salary":"Bob"}`: `keys "salary"`,
		`[1]`:              "not understood",
		`{"trunc`:          "unexpected EOF", // the platform sends no such thing; aws-lambda-go answers
	} {
		if _, err := l.Invoke(t.Context(), []byte(event)); !errors.As(err, &fe) || !strings.Contains(fe.Message, says) || strings.Contains(fe.Message, "Bob") {
			t.Errorf("%s = %v, want an error saying %q", event, err, says)
		}
	}
	for _, past := range []time.Time{time.UnixMilli(0), time.Now().Add(-time.Minute)} {
		rep, err := l.InvokeUntil(t.Context(), withPath(t, awsSample(t, "apigw-v2-request-no-authorizer.json"), "/ok"), past)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := rep.Whole(); !strings.Contains(string(b), `"statusCode":503`) || !strings.Contains(string(b), "deadline") {
			t.Errorf("deadline %v = %s, want a 503 that names it", past, b)
		}
	}
	gw := &Gateway{Instance: l, Shape: HTTPv2}
	if res, body, _ := send(t, gw, "GET", "/big?n=7000000", ""); res.StatusCode != 413 || !strings.Contains(body, "presigned") {
		t.Errorf("7 MB = %d %.100q", res.StatusCode, body)
	}
	if res, body, _ := send(t, gw, "POST", "/echo", strings.Repeat("x", 5_000_000)); res.StatusCode != 413 || !strings.Contains(body, "POST /api/v1/uploads") {
		t.Errorf("an upload of 5 MB = %d %.100q", res.StatusCode, body)
	}
	if res, body, _ := send(t, gw, "GET", "/big?n=6000000", ""); res.StatusCode != 200 || len(body) != 6000000 {
		t.Errorf("6 MB = %d, %d bytes", res.StatusCode, len(body))
	}
}

func TestLambdaQueues(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{})
	rep, err := l.Invoke(t.Context(), SQSBatch(2, S3Created("b", "inbox/acme/ok file", 5), S3Created("b", "inbox/acme/fail", 5), S3Test("b"), []byte("poison"), S3Created("b", "inbox/acme/panic", 1)))
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	b, _ := rep.Whole()
	if err := json.Unmarshal(b, &out); err != nil || len(out.BatchItemFailures) != 3 || out.BatchItemFailures[0].ItemIdentifier != "m1" {
		t.Errorf("batch = %s, %v", b, err)
	}
	if !printed(l, `"key":"inbox/acme/ok file","source":"s3","attempt":2`) {
		t.Error("the object was not handled")
	}
	for _, ev := range [][]byte{Rule("sweep", time.Now()), Schedule("backup", time.Now())} {
		if _, err := l.Invoke(t.Context(), ev); err != nil {
			t.Errorf("%s: %v", ev, err)
		}
	}
	if !printed(l, `"task":"sweep","source":"eventbridge"`) || !printed(l, `"task":"backup","source":"scheduler"`) {
		t.Error("the schedules did not tick")
	}
}

func TestLambdaShutdown(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{Env: map[string]string{"TESTFN_STOP": "1"}})
	if res, _, _ := send(t, &Gateway{Instance: l, Shape: REST}, "GET", "/ok", ""); res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	if !l.Extension() {
		t.Fatal("no extension was registered")
	}
	if code := l.Shutdown(); code != 0 || !printed(l, `"msg":"stopped"`) {
		t.Errorf("exit code %d, output %s", code, l.Output())
	}
	plain := startLambda(t, Options{})
	if _, _, err := send(t, &Gateway{Instance: plain, Shape: REST}, "GET", "/ok", ""); err != nil || plain.Extension() {
		t.Errorf("a function without Stop registered an extension (%v)", err)
	}
}

func TestLambdaFreezesBetweenInvocations(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{Freeze: true})
	gw := &Gateway{Instance: l, Shape: REST}
	for range 3 {
		if res, body, err := send(t, gw, "GET", "/ok", ""); err != nil || res.StatusCode != 200 || body != "ok" {
			t.Fatalf("%d %q %v", res.StatusCode, body, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if s := state(t, l.Pid()); s != "T" {
		t.Errorf("process state %q, want T (stopped)", s)
	}
}

// TestLambdaIsNotFrozenWithAnEventUnderWay: an event begins while the process
// asks for the next one.
func TestLambdaIsNotFrozenWithAnEventUnderWay(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{Freeze: true})
	if _, body, err := send(t, &Gateway{Instance: l, Shape: REST}, "GET", "/ok", ""); err != nil || body != "ok" {
		t.Fatalf("%q %v", body, err)
	}
	for end := time.Now().Add(10 * time.Second); state(t, l.Pid()) != "T" && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	l.mu.Lock()
	asked := make(chan struct{})
	go func() {
		l.rest()
		close(asked)
	}()
	time.Sleep(20 * time.Millisecond) // enough to freeze, for who does not wait
	l.active++
	l.Thaw()
	l.mu.Unlock()
	<-asked
	time.Sleep(20 * time.Millisecond) // a signal takes its time
	if s := state(t, l.Pid()); s == "T" {
		t.Error("the process is frozen, and an event is under way")
	}
}

func TestLambdaTimeoutsKill(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{Timeout: 300 * time.Millisecond})
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://qa.example/sse?n=50&every=100ms", nil)
	res, err := (&Gateway{Instance: l, Shape: REST}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	// testfn honours its context, which ends a margin before the deadline.
	b, _ := io.ReadAll(res.Body)
	if res.StatusCode != 200 || !strings.Contains(string(b), `{"ended":true}`) || !l.Alive() {
		t.Errorf("%d %q, alive %v", res.StatusCode, b, l.Alive())
	}
}

func TestLambdaReportsAProcessThatDied(t *testing.T) {
	t.Parallel()
	l := startLambda(t, Options{})
	_, err := l.Invoke(t.Context(), withPath(t, awsSample(t, "apigw-request.json"), "/exit"))
	if !errors.Is(err, ErrExited) {
		t.Errorf("Invoke = %v, want ErrExited", err)
	}
	if _, err := l.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, ErrExited) {
		t.Errorf("Invoke afterwards = %v, want ErrExited", err)
	}
}
