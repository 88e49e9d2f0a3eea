package health

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/config"
)

// ask opens a function and asks one path.
func ask(t *testing.T, path string, env ...string) (int, map[string]string, string) {
	t.Helper()
	f, err := Open(config.Source{Environ: env, Dir: t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return get(t, f, path)
}

func get(t *testing.T, f *Function, path string) (int, map[string]string, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	f.Handler("v1").ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	var body struct {
		Components map[string]struct{ Status string }
	}
	_ = json.Unmarshal(rec.Body.Bytes(), &body)
	parts := map[string]string{}
	for name, c := range body.Components {
		parts[name] = c.Status
	}
	return rec.Code, parts, rec.Body.String()
}

func TestPartsThatAreOffDoNotMatter(t *testing.T) {
	t.Parallel()
	status, parts, _ := ask(t, "/health", "DATABASE_BASE_PATH="+t.TempDir(), "CACHE_ENABLED=false")
	want := map[string]string{"store": "up", "chat model": "off", "embedding model": "off", "rerank model": "off", "milvus": "off", "cache": "off"}
	if diff := cmp.Diff(want, parts); diff != "" || status != http.StatusOK {
		t.Errorf("status %d, parts (-want +got):\n%s", status, diff)
	}
}

func TestPartsAreAskedWhetherTheyAreThere(t *testing.T) {
	t.Parallel()
	asked := make(chan http.Header, 10)
	models := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header
		http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusFound) // must not be followed
	}))
	defer models.Close()
	milvus, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(milvus.Addr().String())
	env := []string{
		"DATABASE_BASE_PATH=" + t.TempDir(), "DASHSCOPE_BASE_URL=" + models.URL, "DASHSCOPE_API_KEY=sk-3f9a7c1e5b2d8406",
		"MILVUS_HOST=127.0.0.1", "MILVUS_PORT=" + port,
	}
	f, err := Open(config.Source{Environ: env, Dir: t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	status, parts, body := get(t, f, "/health")
	if status != http.StatusOK || parts["chat model"] != "up" || parts["milvus"] != "up" || !strings.Contains(body, `"status":"ok"`) {
		t.Errorf("%d %s", status, body)
	}
	if h := <-asked; h.Get("Authorization") != "" || strings.Contains(strings.Join(h.Values("X-Api-Key"), ""), "sk-") {
		t.Errorf("the probe sent a key: %v", h)
	}
	_ = milvus.Close()
	models.Close()
	status, parts, body = get(t, f, "/health")
	if status != http.StatusOK || parts["chat model"] != "down" || parts["milvus"] != "down" || !strings.Contains(body, `"status":"degraded"`) {
		t.Errorf("%d %s, want degraded and 200: a restart would not help", status, body)
	}
	if strings.Contains(body, "127.0.0.1") {
		t.Errorf("an address is told to strangers: %s", body)
	}
}

func TestWithoutTheStoreNothingIsReady(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/health", "/health/ready"} {
		if status, _, body := ask(t, path, "STORAGE_URL=file://"+file); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s, want 503", path, status, body)
		}
	}
	if status, _, body := ask(t, "/health/live", "STORAGE_URL=file://"+file); status != http.StatusOK {
		t.Errorf("alive: %d %s, want 200 whatever the store does", status, body)
	}
}

func TestOtherRequestsAreSentElsewhere(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/chat?query=x", "/api/v1/documents", "/nothing", "/"} {
		if status, _, body := ask(t, path, "DATABASE_BASE_PATH="+t.TempDir()); status < 400 || status >= 500 {
			t.Errorf("%s: %d %s, want 4xx", path, status, body)
		}
	}
}

func TestTroubleOfTheStoreIsNamed(t *testing.T) {
	t.Parallel()
	answer := func(w http.ResponseWriter, status int, code string) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>`+code+`</Code></Error>`)
	}
	for _, c := range []struct {
		name   string
		reads  bool // reading works
		status int
		code   string
		want   string
	}{
		{"full", true, 507, "InsufficientStorage", "the store is full"},
		{"read-only", true, 405, "MethodNotAllowed", "the store is read-only"},
		{"credentials that may only read", true, 403, "AccessDenied", "the store refuses the credentials"},
		{"expired credentials", false, 400, "ExpiredToken", "the store refuses the credentials"},
		{"throttling", false, 503, "SlowDown", "the store asks to slow down"},
		{"broken", false, 500, "InternalError", "the store does not answer"},
		{"no such bucket", false, 404, "NoSuchBucket", "the store is configured wrongly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !c.reads:
					answer(w, c.status, c.code)
				case r.URL.Query().Has("versioning"):
					answer(w, 501, "NotImplemented")
				case r.Method == http.MethodGet:
					answer(w, 404, "NoSuchKey")
				case r.Method == http.MethodPut:
					answer(w, c.status, c.code)
				default: // what the self-test cleans up
					w.WriteHeader(http.StatusNoContent)
				}
			}))
			defer srv.Close()
			status, parts, body := ask(t, "/health", "STORAGE_URL=s3://secret-name?path_style=true&endpoint="+srv.URL, "STORAGE_ACCESS_KEY_ID=key", "STORAGE_SECRET_ACCESS_KEY=3f9a7c1e5b2d8406")
			if status != http.StatusServiceUnavailable || parts["store"] != "down" || !strings.Contains(body, `"`+c.want) {
				t.Errorf("%d %s, want 503 and %q", status, body, c.want)
			}
			if strings.Contains(body, "secret-name") {
				t.Errorf("the bucket is told to strangers: %s", body)
			}
		})
	}
}

func TestAFolderThatWentAwayIsNoticed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	f, err := Open(config.Source{Environ: []string{"DATABASE_BASE_PATH=" + root}, Dir: t.TempDir()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if status, parts, _ := get(t, f, "/health"); status != http.StatusOK || parts["store"] != "up" {
		t.Fatalf("%d %v", status, parts)
	}
	if err := os.RemoveAll(root); err != nil { // a mount that went away
		t.Fatal(err)
	}
	f.tested = f.tested.Add(-2 * testEvery)
	if status, parts, body := get(t, f, "/health"); status != http.StatusServiceUnavailable || parts["store"] != "down" {
		t.Errorf("%d %s, want 503", status, body)
	}
}

func TestEachRequestWritesItsMetrics(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	env := []string{"DATABASE_BASE_PATH=" + t.TempDir(), "CACHE_ENABLED=false", "SERVERLESS_PLATFORM=lambda"}
	f, err := Open(config.Source{Environ: env, Dir: t.TempDir()}, &out)
	if err != nil {
		t.Fatal(err)
	}
	h := f.Handler("v1")
	for _, tt := range []struct{ method, path, line, more string }{
		{"GET", "/health/live", `"http_requests_total":1`, `"route":"/health/live"`},
		{"HEAD", "/health", `"method":"HEAD"`, `"object_requests_total"`}, // the store was asked
	} {
		out.Reset()
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, nil))
		if got := out.String(); rec.Code != http.StatusOK || !strings.Contains(got, tt.line) || !strings.Contains(got, tt.more) || !strings.Contains(got, `"Namespace":"EinoQA"`) {
			t.Errorf("%s %s: %d, wrote %s", tt.method, tt.path, rec.Code, got)
		}
	}
}
