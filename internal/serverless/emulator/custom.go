package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FCCustom is one instance of a web function on a custom runtime: a real HTTP
// server that Function Compute sends requests to.
type FCCustom struct {
	*Instance
	opts   Options
	port   int
	base   string
	client *http.Client
	seq    atomic.Int64
	mu     sync.Mutex
	sts    STS
}

// StartFCCustom spawns the binary and waits until it listens: FC gives it 120 s.
func StartFCCustom(ctx context.Context, o Options) (*FCCustom, error) {
	const tries = 3
	for try := 1; ; try++ {
		f, err := startFCCustom(ctx, o)
		if err == nil && !f.owned() {
			f.Kill()
			err = errors.New("another process took the port of the web function: " + errInUse)
		}
		if err == nil || try == tries || !strings.Contains(err.Error(), errInUse) {
			return f, err
		}
	}
}

// errInUse is what a process says whose port somebody else has (EADDRINUSE).
const errInUse = "address already in use"

// startFCCustom is StartFCCustom without asking who listens on the port, which
// takes longer than a cold start where the machine has many connections.
func startFCCustom(ctx context.Context, o Options) (*FCCustom, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	env := fcEnv()
	env["FC_CUSTOM_LISTEN_PORT"] = strconv.Itoa(port)
	in := newInstance()
	if err := in.spawn(ctx, o, env); err != nil {
		return nil, err
	}
	f := &FCCustom{
		Instance: in, opts: o, port: port, base: "http://127.0.0.1:" + strconv.Itoa(port), sts: DefaultSTS(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	for wait := time.Millisecond; ; {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "tcp", f.base[len("http://"):]); err == nil {
			_ = c.Close()
			return f, nil
		}
		select {
		case <-in.exited:
			return nil, fmt.Errorf("%w (%w): %s", ErrExited, in.waitErr, lastLines(in.Output()))
		case <-ctx.Done():
			in.Kill()
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		if time.Since(in.started) > 120*time.Second {
			in.Kill()
			return nil, errors.New("the web function did not listen within 120 s")
		}
	}
}

// owned reports whether it is the function that listens on its port, and not
// a process that took the port before it did.
func (f *FCCustom) owned() bool { return f.listens() == f.port }

// freePort finds a port that nobody listens on. Another process may take it
// before the function does.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// SetSTS changes the credentials that later requests carry.
func (f *FCCustom) SetSTS(s STS) {
	f.mu.Lock()
	f.sts = s
	f.mu.Unlock()
}

// dress adds what FC adds to every request.
func (f *FCCustom) dress(r *http.Request, control string) {
	h := r.Header
	h.Set("x-fc-control-path", control)
	h.Set("x-fc-request-id", "fc-"+strconv.FormatInt(f.seq.Add(1), 10))
	h.Set("x-fc-function-name", "function")
	h.Set("x-fc-function-timeout", strconv.Itoa(int(f.opts.timeout().Seconds())))
	h.Set("x-fc-function-memory", "512")
	h.Set("x-fc-region", "cn-hangzhou")
	h.Set("x-fc-account-id", "1234567890")
	f.mu.Lock()
	f.sts.set(h)
	f.mu.Unlock()
}

// RoundTrip sends a client's request through the HTTP trigger, which refuses
// headers that only FC may set. It implements http.RoundTripper; the host of
// the URL is ignored.
func (f *FCCustom) RoundTrip(r *http.Request) (*http.Response, error) {
	for k := range r.Header {
		if strings.HasPrefix(http.CanonicalHeaderKey(k), "X-Fc-") {
			return refusal(r, http.StatusBadRequest, `{"ErrorCode":"InvalidArgument","ErrorMessage":"custom headers must not start with x-fc-"}`), nil
		}
	}
	out := r.Clone(r.Context())
	out.Header.Add("X-Forwarded-For", clientIP)
	return f.send(out, "/http-invoke")
}

func (f *FCCustom) send(r *http.Request, control string) (*http.Response, error) {
	out := r.Clone(r.Context())
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	u := *r.URL
	u.Scheme, u.Host = "http", strings.TrimPrefix(f.base, "http://")
	out.URL, out.Host, out.RequestURI = &u, host, ""
	f.dress(out, control)
	return f.client.Transport.RoundTrip(out)
}

// Invoke sends an event, as a trigger or an asynchronous invocation does.
func (f *FCCustom) Invoke(ctx context.Context, event []byte) error {
	return f.control(ctx, http.MethodPost, "/invoke", event)
}

// Initialize runs the hook after the start.
func (f *FCCustom) Initialize(ctx context.Context) error {
	return f.control(ctx, http.MethodPost, "/initialize", nil)
}

// PreStop runs the hook before the end.
func (f *FCCustom) PreStop(ctx context.Context) error {
	return f.control(ctx, http.MethodGet, "/pre-stop", nil)
}

func (f *FCCustom) control(ctx context.Context, method, path string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, method, f.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := f.send(r, path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if s := res.Header.Get("x-fc-status"); res.StatusCode >= 400 || s != "" && s != "200" {
		return &FunctionError{Type: "Status" + strconv.Itoa(res.StatusCode), Message: string(b)}
	}
	return nil
}

// Shutdown ends the instance as FC does: SIGTERM, then SIGKILL. It returns
// the exit code.
func (f *FCCustom) Shutdown() int {
	f.client.CloseIdleConnections()
	return f.terminate(15 * time.Second) // longer than a function takes to finish what it is saying
}

// Close kills the process.
func (f *FCCustom) Close() {
	f.client.CloseIdleConnections()
	f.Kill()
}

// refusal is a response that the platform itself gives.
func refusal(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status) + " " + http.StatusText(status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}
