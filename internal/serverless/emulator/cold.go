package emulator

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ColdTarget is a binary and the first request it must answer.
type ColdTarget struct {
	Name   string
	Binary string
	// On is the platform: "rest", "rest_stream", "http_v2", "function_url",
	// "alb", "fc" (go1) or "fc_web"; or "event": Body is an event of Lambda's,
	// not a request.
	On     string
	Method string // "" = GET, or POST with a Body
	Path   string
	Header map[string]string
	Body   string // JSON
	// Until ends the measurement at the first piece of the body that has it;
	// "" = when the response is complete.
	Until string
	// Max is how many times as long as the bare function it may take; 0 = any.
	Max float64
	Env map[string]string
}

// ParseColdTarget reads a target from the form of a URL query:
// "name=health&bin=build/health&on=rest&path=/health/live&max=2.5"; env=K=V
// may be repeated.
func ParseColdTarget(s string) (ColdTarget, error) {
	q, err := url.ParseQuery(s)
	if err != nil {
		return ColdTarget{}, fmt.Errorf("target %q: %w", s, err)
	}
	t := ColdTarget{
		Name: q.Get("name"), Binary: q.Get("bin"), On: q.Get("on"), Method: q.Get("method"),
		Path: q.Get("path"), Body: q.Get("body"), Until: q.Get("until"), Env: map[string]string{},
	}
	for k := range q {
		if !slices.Contains([]string{"name", "bin", "on", "method", "path", "body", "until", "max", "env"}, k) {
			return t, fmt.Errorf("target %q: no field %q", s, k)
		}
	}
	if m := q.Get("max"); m != "" {
		if t.Max, err = strconv.ParseFloat(m, 64); err != nil {
			return t, fmt.Errorf("target %q: max: %w", s, err)
		}
	}
	for _, kv := range q["env"] {
		k, v, _ := strings.Cut(kv, "=")
		t.Env[k] = v
	}
	if t.Name == "" || t.Binary == "" || t.Path == "" && t.On != "event" {
		return t, fmt.Errorf("target %q: name, bin and path are needed", s)
	}
	return t, nil
}

// ColdRun is one cold start.
type ColdRun struct {
	Took   time.Duration // from spawn to the answer
	CPU    time.Duration // of all its threads until it was killed after it
	RSS    int64         // bytes resident after it
	Output string        // of the process
}

// Run spawns the binary, measures its first answer, and kills it.
func (t ColdTarget) Run(ctx context.Context) (ColdRun, error) {
	bin, err := filepath.Abs(t.Binary)
	if err != nil {
		return ColdRun{}, err
	}
	// Elsewhere: the folder we are in may hold settings, a deployed one has none.
	o := Options{Binary: bin, Env: t.Env, Timeout: time.Minute, Dir: os.TempDir()}
	if t.On == "event" {
		return t.event(ctx, o)
	}
	in, rt, err := t.start(ctx, o)
	if err != nil {
		return ColdRun{}, err
	}
	defer in.Kill()
	took, err := t.first(ctx, rt, in.Started())
	if err != nil {
		return ColdRun{}, fmt.Errorf("%s: %w\n%s", t.Name, err, lastLines(in.Output()))
	}
	if f, is := rt.(*FCCustom); is && !f.owned() {
		return ColdRun{}, fmt.Errorf("%s: another process took its port: %s", t.Name, errInUse)
	}
	return ended(in, took)
}

// ended looks at the memory of a process and ends it.
func ended(in *Instance, took time.Duration) (ColdRun, error) {
	rss, err := in.RSS()
	if err != nil {
		return ColdRun{}, err
	}
	in.Kill() // and so its output is whole
	return ColdRun{took, in.CPU(), rss, in.Output()}, nil
}

// event is Run for a function that takes events: until it reports the end.
func (t ColdTarget) event(ctx context.Context, o Options) (ColdRun, error) {
	l, err := StartLambda(ctx, o)
	if err != nil {
		return ColdRun{}, err
	}
	defer l.Close()
	rep, err := l.Invoke(ctx, []byte(t.Body))
	if err == nil {
		_, err = rep.Whole()
	}
	if err != nil {
		return ColdRun{}, fmt.Errorf("%s: %w\n%s", t.Name, err, lastLines(l.Output()))
	}
	return ended(l.Instance, time.Since(l.Started()))
}

func (t ColdTarget) start(ctx context.Context, o Options) (*Instance, http.RoundTripper, error) {
	switch t.On {
	case "fc_web":
		f, err := startFCCustom(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		return f.Instance, f, nil
	case "fc":
		f, err := StartFC(ctx, o)
		if err != nil {
			return nil, nil, err
		}
		context.AfterFunc(ctx, f.Close)
		return f.Instance, &Gateway{Instance: f, Shape: FCHTTP}, nil
	}
	shape := Shape(t.On)
	if t.On == "rest_stream" {
		shape = REST
		env := map[string]string{"SERVERLESS_INVOKE_MODE": "response_stream"}
		maps.Copy(env, o.Env)
		o.Env = env
	}
	switch shape {
	case REST, HTTPv2, FunctionURL, ALB, ALBMulti:
	default:
		return nil, nil, fmt.Errorf("%s: no such platform %q", t.Name, t.On)
	}
	l, err := StartLambda(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	context.AfterFunc(ctx, l.Close)
	return l.Instance, &Gateway{Instance: l, Shape: shape}, nil
}

// first makes the request and returns how long after start the answer was there.
func (t ColdTarget) first(ctx context.Context, rt http.RoundTripper, start time.Time) (time.Duration, error) {
	method := t.Method
	if method == "" {
		method = http.MethodGet
		if t.Body != "" {
			method = http.MethodPost
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://bench.example"+t.Path, strings.NewReader(t.Body))
	if err != nil {
		return 0, err
	}
	if t.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range t.Header {
		req.Header.Set(k, v)
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var got bytes.Buffer
	buf := make([]byte, 32<<10)
	for {
		n, err := res.Body.Read(buf)
		got.Write(buf[:n])
		if t.Until != "" && bytes.Contains(got.Bytes(), []byte(t.Until)) {
			return time.Since(start), nil
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	if res.StatusCode >= 300 || t.Until != "" {
		return 0, fmt.Errorf("answered %d %.200s", res.StatusCode, got.String())
	}
	return took, nil
}

// ZipSize returns the bytes of path, plain and zipped as it is deployed.
func ZipSize(path string) (plain, zipped int64, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, fmt.Errorf("zip: %w", err)
	}
	var n counter
	zw := zip.NewWriter(&n)
	zw.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	w, err := zw.Create("bootstrap")
	if err == nil {
		_, err = w.Write(b)
	}
	if err = errors.Join(err, zw.Close()); err != nil {
		return 0, 0, fmt.Errorf("zip: %w", err)
	}
	return int64(len(b)), int64(n), nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// Init is one package's initialisation, from GODEBUG=inittrace=1.
type Init struct {
	Package string
	Clock   time.Duration
	Bytes   int64
	Allocs  int64
}

// InitTrace reads the lines that a Go program prints under
// GODEBUG=inittrace=1 (package runtime); other lines are skipped.
func InitTrace(output string) []Init {
	var is []Init
	for line := range strings.Lines(output) {
		var i Init
		var at, clock float64
		n, err := fmt.Sscanf(strings.TrimSpace(line), "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &i.Package, &at, &clock, &i.Bytes, &i.Allocs)
		if err == nil && n == 5 {
			i.Clock = time.Duration(clock * float64(time.Millisecond))
			is = append(is, i)
		}
	}
	return is
}
