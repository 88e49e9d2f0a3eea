package aws

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/serverless/function"
)

// moduleDir finds a module in the module cache, where its published samples are.
var moduleDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go").Output()
	return strings.TrimSpace(string(out)), err
})

// sample returns one of AWS's published sample events.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	dir, err := moduleDir()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "events", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func samples(t testing.TB) []string {
	t.Helper()
	dir, err := moduleDir()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "events", "testdata", "*.json"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d sample events, %v", len(files), err)
	}
	return files
}

// soon is a context as Lambda gives it.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// echo answers with what it saw of a request.
type seenRequest struct {
	Method, Path, RawPath, Query, URI, Host, Remote, Body string
	Length                                                int64
	Header                                                http.Header
	Kind                                                  string
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	inv, _ := function.InvocationFrom(r.Context())
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(seenRequest{
		r.Method, r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.RequestURI, r.Host, r.RemoteAddr,
		string(body), r.ContentLength, r.Header, inv.Kind,
	})
}

// answer is a buffered response of any of the platforms.
type answer struct {
	StatusCode        int                 `json:"statusCode"`
	StatusDescription string              `json:"statusDescription"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Cookies           []string            `json:"cookies"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

// call invokes h with a raw event and decodes the buffered response.
func call(t testing.TB, h http.HandlerFunc, raw []byte) answer {
	t.Helper()
	return callConfig(t, function.Config{}, h, raw)
}

func callConfig(t testing.TB, cfg function.Config, h http.HandlerFunc, raw []byte) answer {
	t.Helper()
	v, err := New(cfg, function.Handlers{HTTP: h}).Handle(soon(t), raw)
	if err != nil {
		t.Fatalf("Handle = %v", err)
	}
	b, err := io.ReadAll(v.(io.Reader))
	if err != nil {
		t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatalf("response %q: %v", b, err)
	}
	return a
}

// see invokes echo with a raw event.
func see(t testing.TB, raw []byte) seenRequest {
	t.Helper()
	a := call(t, echo, raw)
	var s seenRequest
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil {
		t.Fatalf("status %d, body %q: %v", a.StatusCode, a.Body, err)
	}
	return s
}

// edit changes a sample event: path is dotted, value is JSON.
func edit(t testing.TB, raw []byte, changes map[string]any) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	for path, v := range changes {
		at := m
		keys := strings.Split(path, ".")
		for _, k := range keys[:len(keys)-1] {
			next, ok := at[k].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[k] = next
			}
			at = next
		}
		if last := keys[len(keys)-1]; v == nil {
			delete(at, last)
		} else {
			at[last] = v
		}
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	restSample = "apigw-request.json"
	v2Sample   = "apigw-v2-request-no-authorizer.json"
	urlSample  = "lambda-urls-request.json"
	albSample  = "alb-lambda-target-request-headers-only.json"
	albMulti   = "alb-lambda-target-request-multivalue-headers.json"
	s3Sample   = "s3-event.json"
)
