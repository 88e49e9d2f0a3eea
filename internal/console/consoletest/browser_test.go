package consoletest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// recorder is a testing.TB that keeps faults instead of failing.
type recorder struct {
	testing.TB
	mu     sync.Mutex
	faults []string
}

func (r *recorder) Error(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprint(args...))
}

func (r *recorder) all() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.faults, "\n")
}

func TestTabReportsFaults(t *testing.T) {
	browser := Browser(t)
	for _, tt := range []struct {
		name string
		page string
		want string
	}{
		{"an uncaught exception", `<script src="/throw.js"></script>`, "uncaught exception: Error: deliberate"},
		{"a breach of the policy", `<p style="color: red">`, "policy: "},
		{"a request to elsewhere", `<img src="http://elsewhere.invalid/x.png">`, "request to elsewhere: http://elsewhere.invalid/x.png"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/":
					w.Header().Set("Content-Type", "text/html")
					w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src *")
					fmt.Fprint(w, "<!doctype html><title>t</title>"+tt.page)
				case "/throw.js":
					w.Header().Set("Content-Type", "text/javascript")
					fmt.Fprint(w, `setTimeout(() => { throw new Error("deliberate"); })`)
				}
			}))
			t.Cleanup(server.Close)
			rec := &recorder{TB: t}
			if err := chromedp.Do(Tab(rec, browser), chromedp.Navigate(server.URL)); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(10 * time.Second); rec.all() == "" && time.Now().Before(deadline); {
				time.Sleep(20 * time.Millisecond)
			}
			if got := rec.all(); !strings.Contains(got, tt.want) {
				t.Errorf("faults = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFindNamesTheRemedy(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	path, err := find()
	if err == nil {
		t.Fatalf("find = %s on an empty PATH", path)
	}
	for _, want := range []string{"install the package chromium", "google-chrome", NoBrowser + "=1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not contain %q", err, want)
		}
	}
}

func TestLocal(t *testing.T) {
	for address, want := range map[string]bool{
		"http://127.0.0.1:8080/x":        true,
		"http://[::1]/x":                 true,
		"http://localhost/x":             true,
		"about:blank":                    true,
		"http://127.0.0.1.example.org/":  false,
		"http://192.0.2.1/":              false,
		"https://example.org/?127.0.0.1": false,
		"http://[broken":                 false,
	} {
		if got := local(address); got != want {
			t.Errorf("local(%q) = %t, want %t", address, got, want)
		}
	}
}
