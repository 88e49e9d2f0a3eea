package api

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// source is the answer behind a signed link, as JSON.
type source struct {
	Document kb.DocumentID `json:"document_id"`
	Title    string        `json:"title"`
	Version  int           `json:"version"`
	Start    int           `json:"start"` // the quote: bytes of text
	End      int           `json:"end"`
	Text     string        `json:"text"` // canonical text of that version
}

// sourceGet shows the text a quote was taken from, the quote marked. The
// signature is the permission: no key is asked for.
func (s *Server) sourceGet(w http.ResponseWriter, r *http.Request) error {
	target, err := s.links.Verify(r.PathValue("id"), r.URL.Query(), now())
	if err != nil {
		return err
	}
	t, err := s.backend.Tenant(r.Context(), target.Tenant, false)
	if err != nil {
		return err
	}
	text, err := t.Documents.Text(r.Context(), target.Document, target.Version)
	if err != nil {
		return err
	}
	if target.Start < 0 || target.Start > target.End || target.End > len(text.Body) {
		return kb.E(kb.NotFound, nil, "this quote is no longer in the document")
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		return writeJSON(w, http.StatusOK, source{target.Document, text.Title, target.Version, target.Start, target.End, text.Body})
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the address is the permission
	h.Set("Cache-Control", "private, no-store")
	_, err = io.WriteString(w, sourcePage(text, target.Start, target.End))
	if err != nil {
		return kb.E(kb.Canceled, err, "the client left")
	}
	return nil
}

// sourcePage is a page without scripts: it is for links opened outside the
// console.
func sourcePage(t kb.Text, start, end int) string {
	title := html.EscapeString(t.Title)
	return fmt.Sprintf(`<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>%s</title><style>body{font:16px/1.7 system-ui,sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#222;background:#fff}
main{white-space:pre-wrap;overflow-wrap:anywhere}mark{background:#ffe58a;scroll-margin:40vh}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}mark{background:#7a5c00;color:#fff}}</style>
<h1>%s</h1><p><a href="#quote">↓</a></p><main>%s<mark id="quote">%s</mark>%s</main>
`, title, title, html.EscapeString(t.Body[:start]), html.EscapeString(t.Body[start:end]), html.EscapeString(t.Body[end:]))
}
