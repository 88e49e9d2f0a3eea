package console_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/console"
)

func get(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for name := range header {
		r.Header.Set(name, header.Get(name))
	}
	w := httptest.NewRecorder()
	console.Handler().ServeHTTP(w, r)
	return w.Result()
}

func TestHandler(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		path   string
		status int
		mime   string
	}{
		{"the page is at the root", "GET", "/", 200, "text/html; charset=utf-8"},
		{"modules have a script type", "GET", "/console/app.js", 200, "text/javascript; charset=utf-8"},
		{"styles have theirs", "GET", "/console/base.css", 200, "text/css; charset=utf-8"},
		{"icons have theirs", "GET", "/console/icons.svg", 200, "image/svg+xml"},
		{"HEAD is answered", "HEAD", "/", 200, "text/html; charset=utf-8"},
		{"an unknown file is not found", "GET", "/console/none.js", 404, ""},
		{"an unknown path is not found", "GET", "/elsewhere", 404, ""},
		{"the page has one address", "GET", "/console/index.html", 404, ""},
		{"folders are not listed", "GET", "/console/", 404, ""},
		{"a path cannot climb out", "GET", "/console/../console.go", 404, ""},
		{"POST is refused", "POST", "/", 405, ""},
		{"DELETE is refused", "DELETE", "/console/app.js", 405, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := get(t, tt.method, tt.path, nil)
			if res.StatusCode != tt.status {
				t.Fatalf("%s %s = %d, want %d", tt.method, tt.path, res.StatusCode, tt.status)
			}
			if got := res.Header.Get("Content-Type"); tt.mime != "" && got != tt.mime {
				t.Errorf("Content-Type = %q, want %q", got, tt.mime)
			}
			if got := res.Header.Get("Allow"); tt.status == 405 && got != "GET, HEAD" {
				t.Errorf("Allow = %q, want GET, HEAD", got)
			}
		})
	}
}

func TestHandlerRevalidates(t *testing.T) {
	first := get(t, "GET", "/console/app.js", nil)
	tag := first.Header.Get("ETag")
	if len(tag) < 10 || tag[0] != '"' {
		t.Fatalf("ETag = %q, want a strong tag", tag)
	}
	if got := first.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("Cache-Control = %q, want no-cache", got)
	}
	if got := get(t, "GET", "/console/app.js", http.Header{"If-None-Match": {tag}}).StatusCode; got != http.StatusNotModified {
		t.Errorf("with the same tag: %d, want 304", got)
	}
	if got := get(t, "GET", "/console/dom.js", http.Header{"If-None-Match": {tag}}).StatusCode; got != http.StatusOK {
		t.Errorf("with another file's tag: %d, want 200", got)
	}
}

func TestHandlerSecuresEveryAnswer(t *testing.T) {
	for _, path := range []string{"/", "/console/app.js", "/none"} {
		h := get(t, "GET", path, nil).Header
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q has no %q", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("%s: policy %q is not strict", path, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY"} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", path, name, got, want)
			}
		}
	}
}

// reference finds what a file names: src, href, url(), imports.
var reference = regexp.MustCompile(`(?:src|href)="([^"#]+)|url\(([^)]+)\)|from "([^"]+)"|import\("([^"]+)"\)`)

// markup finds what would turn text into markup or run it.
var markup = regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function|setTimeout\("`)

func TestFilesStandAlone(t *testing.T) {
	root := os.DirFS("static")
	names, err := fs.Glob(root, "*")
	if err != nil || len(names) < 20 {
		t.Fatalf("found %d files, %v", len(names), err)
	}
	page := ""
	for _, name := range names {
		body, err := fs.ReadFile(root, name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(body)
		if name == "index.html" {
			page = text
		}
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2] + m[3] + m[4]
			switch {
			case strings.HasPrefix(target, "./"), strings.HasPrefix(target, "console/") && name == "index.html":
				if file := target[strings.Index(target, "/")+1:]; !strings.Contains(file, "/") {
					if _, err := fs.Stat(root, file); err != nil {
						t.Errorf("%s names %s, which is not there", name, target)
					}
				}
			default:
				t.Errorf("%s names %s: only our own files, relative, are allowed", name, target)
			}
		}
		if found := markup.FindString(text); found != "" {
			t.Errorf("%s uses %s: text must enter the page as text", name, found)
		}
		if n := strings.Count(text, "\n"); n > 400 {
			t.Errorf("%s has %d lines, want at most 400", name, n)
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".js") && !strings.Contains(page, "console/"+name) {
			t.Errorf("index.html does not preload %s", name)
		}
	}
	if strings.Contains(page, "style=") || strings.Contains(page, "<style") || strings.Contains(page, "<script>") || regexp.MustCompile(`\son\w+=`).MatchString(page) {
		t.Error("index.html has inline style or script, which its policy forbids")
	}
}
