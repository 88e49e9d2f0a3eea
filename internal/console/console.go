// Package console serves the web console: a chat page at / and its modules,
// styles and icons under /console/. Everything is embedded, plain ES modules
// without a build step, and asks nothing of any other host. The page knows the
// HTTP interface only (docs/api.md); it assumes that /chat is beside it.
package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed static
var static embed.FS

// policy lets the page load from its own origin only, and makes the browser
// refuse markup from strings (trusted types) and being framed. Inline scripts
// and styles are not allowed; the page has none.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// mime names the types that we serve. The machine's own table is not asked: it
// differs between hosts, and with nosniff a wrong type is a broken page.
var mime = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8", // RFC 9239 §6
	".svg":  "image/svg+xml",
}

// file is one embedded file, ready to be served.
type file struct {
	name string
	mime string
	etag string
	body []byte
}

// Handler serves the console to GET and HEAD: / is the chat page, /console/x is
// the embedded file x, and every other path is 404. ETags are content hashes,
// so a browser revalidates (Cache-Control: no-cache) and gets 304 until the
// binary changes. The handler keeps no state and is safe for concurrent use.
func Handler() http.Handler {
	files := sync.OnceValue(func() map[string]file { return load(static) }) // not at start: most functions never serve it
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		f, ok := files()[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed: use GET", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", f.mime)
		w.Header().Set("ETag", f.etag)
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.body))
	})
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers older than frame-ancestors
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

// load reads every file of fsys into memory, by the path it is served at. It
// panics on a file that cannot be read or has no type: that is a defect of the
// build, and the first test finds it.
func load(fsys fs.FS) map[string]file {
	files := map[string]file{}
	err := fs.WalkDir(fsys, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		kind := mime[path.Ext(name)]
		if kind == "" {
			return fmt.Errorf("%s: no content type for %q", name, path.Ext(name))
		}
		sum := sha256.Sum256(body)
		files[address(name)] = file{
			name: path.Base(name),
			mime: kind,
			etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`,
			body: body,
		}
		return nil
	})
	if err != nil {
		panic("console: embedded files: " + err.Error())
	}
	return files
}

// address is where a file of static is served.
func address(name string) string {
	if name == "static/index.html" {
		return "/"
	}
	return "/console/" + strings.TrimPrefix(name, "static/")
}
