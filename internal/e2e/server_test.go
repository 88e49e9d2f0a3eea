// Package e2e drives the built server as its users do: by its command line,
// over HTTP, in a browser, and by killing it.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary is the server, built once for all tests.
var binary string

// build makes the server and runs the tests.
func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "eino-qa-e2e-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../local") // as make build-prod
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	return m.Run()
}

// server is one running process in a folder of its own.
type server struct {
	t   testing.TB
	dir string
	url string
	key string
	cmd *exec.Cmd
	out *output
}

// output collects what a process prints while others read it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs the server in dir on a free port and waits until it says that it
// serves.
func start(t *testing.T, dir string, env ...string) *server {
	t.Helper()
	return startB(t, dir, env)
}

func startB(t testing.TB, dir string, env []string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, out: new(output)}
	s.cmd = command(dir, env)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	s.wait(20*time.Second, "serving", func() bool { return strings.Contains(s.out.String(), "serving on http") })
	s.url = regexp.MustCompile(`serving on (http://\S+)`).FindStringSubmatch(s.out.String())[1]
	key, err := os.ReadFile(filepath.Join(dir, "data", "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.key = strings.TrimSpace(string(key))
	return s
}

func command(dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "SERVER_PORT=0"}, env...)
	return cmd
}

// run runs a command of the server to its end.
func run(t testing.TB, dir string, env []string, args ...string) (string, error) {
	t.Helper()
	out, err := command(dir, env, args...).CombinedOutput()
	return string(out), err
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended already
	_ = s.cmd.Wait()
}

// wait polls until ok, or fails with what the server printed.
func (s *server) wait(most time.Duration, what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(most); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("no %s within %s; the server said:\n%s", what, most, s.out.String())
		}
	}
}

// answer is the JSON of POST /chat.
type answer struct {
	Answer  string `json:"answer"`
	Route   string `json:"route"`
	Session string `json:"session_id"`
	Sources []struct {
		Content  string  `json:"content"`
		Score    float64 `json:"score"`
		URL      string  `json:"url"`
		Metadata struct {
			Document   string `json:"doc_id"`
			Title      string `json:"title"`
			Version    int    `json:"version"`
			Start, End int
		} `json:"metadata"`
	} `json:"sources"`
	Metadata struct {
		Abstained bool   `json:"abstained"`
		Quoted    bool   `json:"quoted"`
		State     string `json:"state"`
		DurationM int    `json:"duration_ms"`
		Degraded  []string
	} `json:"metadata"`
}

// reply is an answer of the server to any request.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("status %d, body %.300s: %v", r.status, r.body, err)
	}
}

func (r reply) message() string {
	var e struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Trace   string `json:"trace_id"`
	}
	if json.Unmarshal(r.body, &e) != nil || e.Code != r.status || e.Message == "" || e.Trace == "" {
		return fmt.Sprintf("NOT THE DOCUMENTED SHAPE: %.200s", r.body)
	}
	return e.Message
}

// do sends a request; headers are name, value, name, value …
func (s *server) do(method, path string, body io.Reader, headers ...string) reply {
	s.t.Helper()
	r, err := s.try(method, path, body, headers...)
	if err != nil {
		s.t.Fatalf("%s %s: %v; the server said:\n%s", method, path, err, s.out.String())
	}
	return r
}

func (s *server) try(method, path string, body io.Reader, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, body)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, data}, err
}

func (s *server) json(method, path string, v any, headers ...string) reply {
	s.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.do(method, path, bytes.NewReader(data), headers...)
}

// ask asks as a visitor without a key.
func (s *server) ask(query, session string) (a answer) {
	s.t.Helper()
	r := s.json("POST", "/chat", map[string]any{"query": query, "session_id": session})
	if r.status != http.StatusOK {
		s.t.Fatalf("ask %q: %d %s", query, r.status, r.body)
	}
	r.into(s.t, &a)
	return a
}

// upload sends a file as a form.
func (s *server) upload(name string, data []byte) reply {
	s.t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := part.Write(data); err != nil {
		s.t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		s.t.Fatal(err)
	}
	return s.do("POST", "/api/v1/documents", &b, "Content-Type", form.FormDataContentType(), "X-API-Key", s.key)
}

// submitted is the answer to a new document.
type submitted struct {
	Document  string `json:"document_id"`
	Job       string `json:"job_id"`
	Status    string `json:"status"`
	Version   int    `json:"version"`
	Duplicate bool   `json:"duplicate"`
}

// document is one of the list.
type document struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Status   string  `json:"status"`
	Version  int     `json:"version"`
	Progress float64 `json:"progress"`
	Error    string  `json:"error"`
}

// settled waits until no document is on its way and returns them all.
func (s *server) settled(most time.Duration) (ds []document) {
	s.t.Helper()
	s.wait(most, "end of ingestion", func() bool {
		ds = s.documents()
		for _, d := range ds {
			if d.Status == "pending" || d.Status == "processing" {
				return false
			}
		}
		return true
	})
	return ds
}

func (s *server) documents() (ds []document) {
	s.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Documents []document `json:"documents"`
			Next      string     `json:"next"`
		}
		s.do("GET", "/api/v1/documents?limit=200&cursor="+cursor, nil, "X-API-Key", s.key).into(s.t, &page)
		ds = append(ds, page.Documents...)
		if cursor = page.Next; cursor == "" {
			return ds
		}
	}
}

// event is one of a stream.
type event struct {
	ID       string
	Type     string          `json:"type"`
	Content  string          `json:"content"`
	Code     string          `json:"code"`
	Session  string          `json:"session_id"`
	Metadata json.RawMessage `json:"metadata"`
	Sources  []struct {
		URL string `json:"url"`
	} `json:"sources"`
}

// events reads a stream of server-sent events; only data, id and comments may
// occur.
func events(t *testing.T, body []byte) (evs []event) {
	t.Helper()
	var cur event
	sc := bufio.NewScanner(bytes.NewReader(body))
	for sc.Scan() {
		line := sc.Text()
		switch {
		case line == "":
			evs = append(evs, cur)
			cur = event{}
		case strings.HasPrefix(line, "id: "):
			cur.ID = line[4:]
		case strings.HasPrefix(line, "data: "):
			if err := json.Unmarshal([]byte(line[6:]), &cur); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		case strings.HasPrefix(line, ":"):
		default:
			t.Errorf("line %q is neither id, data nor comment", line)
		}
	}
	return evs
}
