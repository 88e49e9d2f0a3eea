package emulator

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bin holds the built testfn; TestMain fills it.
var bin string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "emulator")
	if err != nil {
		panic(err)
	}
	bin = filepath.Join(dir, "bootstrap")
	if err := Build(context.Background(), "github.com/eino-qa/eino-qa/internal/serverless/internal/testfn", bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func startLambda(t *testing.T, o Options) *Lambda {
	t.Helper()
	o.Binary = bin
	l, err := StartLambda(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		if t.Failed() {
			t.Logf("output:\n%s", l.Output())
		}
	})
	return l
}

func startFC(t *testing.T, o Options) *FC {
	t.Helper()
	o.Binary = bin
	f, err := StartFC(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Close()
		if t.Failed() {
			t.Logf("output:\n%s", f.Output())
		}
	})
	return f
}

func startCustom(t *testing.T, o Options) *FCCustom {
	t.Helper()
	o.Binary = bin
	f, err := StartFCCustom(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

var streaming = map[string]string{"SERVERLESS_INVOKE_MODE": "response_stream"}

// send makes one request through rt and reads the whole answer.
func send(t *testing.T, rt http.RoundTripper, method, path, body string, header ...string) (*http.Response, string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, "https://qa.example"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

// awsSample returns one of the events that aws-lambda-go publishes.
func awsSample(t *testing.T, name string) []byte {
	t.Helper()
	return readModule(t, "github.com/aws/aws-lambda-go", "events", "testdata", name)
}

// fcSample returns the first JSON block of a README of fc-runtime-go-sdk.
func fcSample(t *testing.T, name string) []byte {
	t.Helper()
	_, rest, _ := strings.Cut(string(readModule(t, "github.com/aliyun/fc-runtime-go-sdk", "events", name)), "```json")
	block, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatalf("%s has no sample", name)
	}
	return []byte(block)
}

func readModule(t *testing.T, module string, path ...string) []byte {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(append([]string{strings.TrimSpace(string(out))}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withPath points a sample of an HTTP event at path.
func withPath(t *testing.T, raw []byte, path string) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if _, v2 := m["rawPath"]; v2 {
		m["rawPath"] = path
	} else {
		m["path"] = path
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// printed reports whether the process prints want within 2 s: its output
// arrives beside its replies.
func printed(in interface{ Output() string }, want string) bool {
	for range 200 {
		if strings.Contains(in.Output(), want) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
