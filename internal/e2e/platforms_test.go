package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/serverless/emulator"
)

// functionTags are the tags that the Makefile builds each function with.
var functionTags = sync.OnceValues(func() (map[string][]string, error) {
	raw, err := os.ReadFile("../../Makefile")
	if err != nil {
		return nil, err
	}
	tags := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^tags_([a-z]+) *:= *(\S+)$`).FindAllStringSubmatch(string(raw), -1) {
		tags[m[1]] = strings.Split(m[2], ",")
	}
	if len(tags) != 5 {
		return nil, fmt.Errorf("the Makefile has tags of %d functions, want 5", len(tags))
	}
	return tags, nil
})

// functions builds the functions once and returns their folder.
var functions = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(binary), "functions")
	all, err := functionTags()
	if err != nil {
		return "", err
	}
	for name, tags := range all {
		err := emulator.Build(context.Background(), "github.com/eino-qa/eino-qa/functions/"+name, filepath.Join(dir, name), tags...)
		if err != nil {
			return "", err
		}
	}
	return dir, nil
})

const functionKey = "root-key-of-the-end-to-end-tests-0123456789"

// cloud is one deployment: a store, and instances of the functions as a
// platform runs them. Its zero instances are started when they are needed.
type cloud struct {
	t        testing.TB
	platform string // lambda-stream, lambda-v2, fc, local
	bin      string
	env      map[string]string
	bucket   string
	stores   map[string]string // by function: its STORAGE_URL, under its role; nil = that of env

	mu    sync.Mutex
	trips map[string]trip
	calls map[string]call
}

// trip is a way to a function that takes requests, call to one that takes
// events.
type (
	trip = http.RoundTripper
	call = func(context.Context, []byte) error
)

// instance is a running process that takes events.
type instance interface {
	Invoke(ctx context.Context, event []byte) (*emulator.Reply, error)
	Close()
}

func newCloud(t testing.TB, platform string, store *objstoretest.S3) *cloud {
	t.Helper()
	dir, err := functions()
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{t: t, platform: platform, bin: dir, bucket: store.Bucket(), trips: map[string]trip{}, calls: map[string]call{}}
	location := func(endpoint string) string {
		return "s3://" + c.bucket + "?endpoint=" + url.QueryEscape(endpoint) + "&path_style=true&region=" + store.Region
	}
	c.env = map[string]string{
		"SERVER_MODE": "release", "ROOT_KEY": functionKey, "TENANTS_PUBLIC_CHAT": "on", "DATABASE_BASE_PATH": t.TempDir(),
		"STORAGE_URL":           location(store.Endpoint),
		"STORAGE_ACCESS_KEY_ID": store.Key, "STORAGE_SECRET_ACCESS_KEY": store.Secret,
		"RATE_LIMIT_PUBLIC_PER_MINUTE": "0", "RATE_LIMIT_CHAT_PER_MINUTE": "0",
	}
	if platform != "local" { // an operator's server has all rights
		c.stores = map[string]string{}
		tags, err := functionTags()
		if err != nil {
			t.Fatal(err)
		}
		for name := range tags {
			c.stores[name] = location(guarded(t, name, store.Endpoint))
		}
	}
	return c
}

// options are those of one function.
func (c *cloud) options(name string, more ...string) emulator.Options {
	env := maps.Clone(c.env)
	if at := c.stores[name]; at != "" {
		env["STORAGE_URL"] = at
	}
	for i := 0; i < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return emulator.Options{Binary: filepath.Join(c.bin, name), Env: env, Dir: c.t.TempDir(), Timeout: 60 * time.Second}
}

// lambda starts one instance behind a gateway of that shape.
func (c *cloud) lambda(shape emulator.Shape, o emulator.Options) (*emulator.Lambda, *emulator.Gateway) {
	c.t.Helper()
	l, err := emulator.StartLambda(context.Background(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(l.Close)
	c.tell(o, l.Output)
	return l, &emulator.Gateway{Instance: l, Shape: shape}
}

// tell shows what an instance printed, metrics left out, if the test failed.
func (c *cloud) tell(o emulator.Options, output func() string) {
	c.t.Cleanup(func() {
		if !c.t.Failed() {
			return
		}
		var said strings.Builder
		for line := range strings.Lines(output()) {
			if !strings.Contains(line, `"_aws"`) && !strings.Contains(line, `"msg":"metrics"`) {
				said.WriteString(line)
			}
		}
		c.t.Logf("%s on %s said:\n%s", filepath.Base(o.Binary), c.platform, said.String())
	})
}

// trip is the way to a function that takes requests.
func (c *cloud) trip(name string) http.RoundTripper {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trips[name] != nil {
		return c.trips[name]
	}
	var rt http.RoundTripper
	switch {
	case c.platform == "lambda-stream" && name == "chat":
		_, rt = c.lambda(emulator.REST, c.options(name, "SERVERLESS_INVOKE_MODE", "response_stream"))
	case c.platform == "lambda-stream":
		_, rt = c.lambda(emulator.REST, c.options(name))
	case c.platform == "lambda-v2":
		_, rt = c.lambda(emulator.HTTPv2, c.options(name))
	case name == "chat":
		f, err := emulator.StartFCCustom(context.Background(), c.options(name))
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(f.Kill)
		c.tell(c.options(name), f.Output)
		rt = f
	default:
		f, err := emulator.StartFC(context.Background(), c.options(name))
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(f.Close)
		c.tell(c.options(name), f.Output)
		rt = &emulator.Gateway{Instance: f, Shape: emulator.FCHTTP}
	}
	c.trips[name] = rt
	return rt
}

// call sends an event to a function.
func (c *cloud) call(name string, event []byte) error {
	c.t.Helper()
	c.mu.Lock()
	do := c.calls[name]
	if do == nil {
		var in instance
		var err error
		if c.platform == "fc" {
			in, err = emulator.StartFC(context.Background(), c.options(name))
		} else {
			in, err = emulator.StartLambda(context.Background(), c.options(name))
		}
		if err != nil {
			c.mu.Unlock()
			c.t.Fatal(err)
		}
		c.t.Cleanup(in.Close)
		do = func(ctx context.Context, event []byte) error {
			rep, err := in.Invoke(ctx, event)
			if err == nil {
				_, err = rep.Whole()
			}
			return err
		}
		c.calls[name] = do
	}
	c.mu.Unlock()
	return do(context.Background(), event)
}

// created tells the function ingest that an object is there.
func (c *cloud) created(key string) error {
	if c.platform == "fc" {
		return c.call("ingest", emulator.OSSCreated(c.bucket, key, 1))
	}
	return c.call("ingest", emulator.S3Created(c.bucket, key, 1))
}

// tick runs a schedule.
func (c *cloud) tick(name, task string) error {
	if c.platform == "fc" {
		return c.call(name, emulator.Timer(task, `{"qa":"`+task+`"}`, time.Now()))
	}
	return c.call(name, emulator.Schedule(task, time.Now()))
}

// do sends a request through the gateway.
func (c *cloud) do(method, path string, v any, headers ...string) (reply, error) {
	c.t.Helper()
	var body io.Reader = http.NoBody
	if v != nil {
		data, err := json.Marshal(v)
		if err != nil {
			c.t.Fatal(err)
		}
		body = bytes.NewReader(data)
	}
	return send(c.trip(c.route(path)), method, path, body, headers...)
}

func send(rt http.RoundTripper, method, path string, body io.Reader, headers ...string) (reply, error) {
	req, err := http.NewRequest(method, "https://qa.example"+path, body)
	if err != nil {
		return reply{}, err
	}
	if body != http.NoBody {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, data}, err
}

// local is a cloud whose one server does everything; its worker sees the inbox
// by itself.
func (c *cloud) local() {
	c.t.Helper()
	env := []string{"SERVER_PORT=0"}
	for k, v := range c.env {
		env = append(env, k+"="+v)
	}
	s := &server{t: c.t, dir: c.t.TempDir(), out: new(output)}
	s.cmd = command(s.dir, env)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(s.kill)
	c.tell(emulator.Options{Binary: "server"}, s.out.String)
	s.wait(30*time.Second, "serving", func() bool { return strings.Contains(s.out.String(), "serving on http") })
	at := s.out.String()
	at = at[strings.Index(at, "serving on http")+len("serving on "):]
	at, _, _ = strings.Cut(at, " ")
	u, err := url.Parse(strings.Replace(at, "0.0.0.0", "127.0.0.1", 1))
	if err != nil {
		c.t.Fatal(err)
	}
	rt := onHost{u.Host}
	for _, name := range []string{"chat", "admin", "health"} {
		c.trips[name] = rt
	}
	c.calls["ingest"] = func(context.Context, []byte) error { return nil }
	c.calls["backup"] = func(context.Context, []byte) error {
		r, err := c.do("POST", "/admin/tenants/default/backup", map[string]any{}, "X-API-Key", functionKey)
		if err == nil && r.status >= 300 {
			err = fmt.Errorf("backup: %d %s", r.status, r.body)
		}
		return err
	}
}

// onHost sends requests to one server.
type onHost struct{ host string }

func (h onHost) RoundTrip(r *http.Request) (*http.Response, error) {
	r.URL.Scheme, r.URL.Host = "http", h.host
	return http.DefaultTransport.RoundTrip(r)
}

// store starts the S3 server of a test, or skips it.
func s3Store(t *testing.T) *objstoretest.S3 {
	t.Helper()
	if testing.Short() {
		t.Skip("needs an S3 server")
	}
	return objstoretest.S3Server(t)
}
