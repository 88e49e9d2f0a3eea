package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// documentRequest is the JSON body of POST /api/v1/documents.
type documentRequest struct {
	Title    string         `json:"title"`
	Text     string         `json:"text"`
	Name     string         `json:"name"`        // identity; default: the title, if the text is related
	Document kb.DocumentID  `json:"document_id"` // a new version of this document
	MIME     string         `json:"mime"`        // default: text/markdown
	Metadata map[string]any `json:"metadata"`
}

// submitted is the answer to POST /api/v1/documents.
type submitted struct {
	Document  kb.DocumentID     `json:"document_id"`
	Job       kb.JobID          `json:"job_id"`
	Status    kb.DocumentStatus `json:"status"`
	Version   int               `json:"version"`
	Duplicate bool              `json:"duplicate"`
}

func (s *Server) documentPost(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Ingest)
	if err != nil {
		return err
	}
	// A large file on a slow line takes longer than a question may.
	_ = http.NewResponseController(w).SetReadDeadline(now().Add(uploadTime)) // not on every platform
	f, err := s.readFile(w, r)
	if err != nil {
		return nameUploads(err)
	}
	sub, err := t.Ingester.Submit(r.Context(), f)
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if sub.Duplicate {
		status = http.StatusOK
	}
	w.Header().Set("Location", "/api/v1/documents/"+string(sub.Document))
	return writeJSON(w, status, submitted{sub.Document, sub.Job, sub.Status, sub.Version, sub.Duplicate})
}

// uploadTime is how long a client has to send a document: 10 MiB at 35 KB/s.
const uploadTime = 5 * time.Minute

// readFile takes one file from a multipart form or a JSON body.
func (s *Server) readFile(w http.ResponseWriter, r *http.Request) (kb.File, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && media == "multipart/form-data" {
		// The form around the file may be as large as a JSON body.
		if r.ContentLength > s.cfg.MaxUpload+s.cfg.MaxBody {
			return kb.File{}, tooLarge(s.cfg.MaxUpload)
		}
		form := multipart.NewReader(http.MaxBytesReader(w, r.Body, s.cfg.MaxUpload+s.cfg.MaxBody), params["boundary"])
		return readForm(form, s.cfg.MaxUpload)
	}
	var req documentRequest
	if err := readJSON(w, r, s.cfg.MaxUpload, &req); err != nil {
		return kb.File{}, err
	}
	return req.file()
}

func (req documentRequest) file() (kb.File, error) {
	f := kb.File{Name: req.Name, Exact: req.Name != "", Replaces: req.Document, Title: req.Title, MIME: req.MIME, Data: []byte(req.Text)}
	switch {
	case req.Text == "":
		return f, kb.E(kb.Invalid, nil, "text: it is empty; send the document's text").With("field", "text")
	case req.Title == "" && req.Name == "":
		return f, kb.E(kb.Invalid, nil, "title: give the document a title or a name").With("field", "title")
	case f.Name == "":
		f.Name = nameOf(req.Title)
	}
	if f.MIME == "" {
		f.MIME = "text/markdown"
	}
	var err error
	f.Metadata, err = metadata(req.Metadata)
	return f, err
}

// nameOf makes a document name of a title: what a path cannot hold is '_'.
func nameOf(title string) string {
	name := []rune(title)
	for i, r := range name {
		if r < ' ' || r == '/' || r == '\\' || r == 0x7f {
			name[i] = '_'
		}
	}
	const longest = 80 // runes: at most 240 bytes of Chinese
	return string(name[:min(len(name), longest)])
}

// Bounds of what a caller may attach to a document.
const (
	maxMetadata      = 32
	maxMetadataBytes = 4 << 10
)

// metadata turns a JSON object of plain values into strings.
func metadata(in map[string]any) (map[string]string, error) {
	if len(in) > maxMetadata {
		return nil, kb.E(kb.Invalid, nil, "metadata: at most %d entries", maxMetadata).With("field", "metadata")
	}
	out, bytes := make(map[string]string, len(in)), 0
	for k, v := range in {
		switch v.(type) {
		case string, bool, float64:
			out[k] = fmt.Sprint(v)
		default:
			return nil, kb.E(kb.Invalid, nil, "metadata.%s: use a string, a number or a boolean", k).With("field", "metadata."+k)
		}
		bytes += len(k) + len(out[k])
	}
	if bytes > maxMetadataBytes {
		return nil, kb.E(kb.Invalid, nil, "metadata: at most %d bytes", maxMetadataBytes).With("field", "metadata")
	}
	return out, nil
}

// readForm takes the part "file", and "title", "name", "document_id" and
// "metadata" (a JSON object) if they are there, in any order.
func readForm(form *multipart.Reader, maxFile int64) (kb.File, error) {
	var f kb.File
	var name string
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f, explainForm(err, maxFile)
		}
		limit := int64(maxMetadataBytes)
		if part.FormName() == "file" {
			limit = maxFile
		}
		data, err := io.ReadAll(io.LimitReader(part, limit+1))
		if err != nil {
			return f, explainForm(err, maxFile)
		}
		if int64(len(data)) > limit {
			return f, fieldTooLarge(part.FormName(), limit)
		}
		if err := takeField(&f, &name, part, data); err != nil {
			return f, err
		}
	}
	if f.Data == nil {
		return f, kb.E(kb.Invalid, nil, "file: the form has no part of this name").With("field", "file")
	}
	if name != "" {
		f.Name, f.Exact = name, true
	}
	return f, nil
}

func fieldTooLarge(field string, limit int64) error {
	return kb.E(kb.TooLarge, nil, "%s: larger than %d bytes", field, limit).With("field", field).With("limit_bytes", limit)
}

func explainForm(err error, maxFile int64) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(maxFile)
	}
	return kb.E(kb.Invalid, err, "body: not a complete multipart form")
}

func takeField(f *kb.File, name *string, part *multipart.Part, data []byte) error {
	switch field := part.FormName(); field {
	case "file":
		if f.Data != nil {
			return kb.E(kb.Invalid, nil, "file: send one file in a request").With("field", "file")
		}
		f.Data, f.MIME, f.Name = data, part.Header.Get("Content-Type"), rawFileName(part)
	case "document_id":
		f.Replaces = kb.DocumentID(data)
	case "title":
		f.Title = string(data)
	case "name":
		*name = string(data)
	case "metadata":
		var m map[string]any
		if err := json.Unmarshal(data, &m); err != nil {
			return kb.E(kb.Invalid, err, "metadata: not a JSON object").With("field", "metadata")
		}
		var err error
		f.Metadata, err = metadata(m)
		return err
	default:
		return kb.E(kb.Invalid, nil, "%s: unknown field; use file, title, name, document_id, metadata", field).With("field", field)
	}
	return nil
}

// rawFileName is the file name as sent: Part.FileName cuts the folders off,
// and with them what makes two files of a tree different.
func rawFileName(part *multipart.Part) string {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	if err != nil {
		return part.FileName()
	}
	return params["filename"]
}

func (s *Server) documentList(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Ingest)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	ds, next, err := t.Documents.Documents(r.Context(), p)
	if err != nil {
		return err
	}
	return list(w, "documents", ds, next)
}

func (s *Server) documentGet(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Ingest)
	if err != nil {
		return err
	}
	d, err := t.Documents.Document(r.Context(), kb.DocumentID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, d)
}

func (s *Server) documentDelete(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Ingest)
	if err != nil {
		return err
	}
	if err := t.Documents.DeleteDocument(r.Context(), kb.DocumentID(r.PathValue("id"))); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) chunkList(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Ingest)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	cs, next, err := t.Documents.ChunksOf(r.Context(), kb.DocumentID(r.PathValue("id")), p)
	if err != nil {
		return err
	}
	return list(w, "chunks", cs, next)
}

func (s *Server) jobGet(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Ingest)
	if err != nil {
		return err
	}
	j, err := t.Documents.Job(r.Context(), kb.JobID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, j)
}

func (s *Server) missedList(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Admin)
	if err != nil {
		return err
	}
	p, err := page(r)
	if err != nil {
		return err
	}
	ms, next, err := t.Conversations.MissedQueries(r.Context(), p)
	if err != nil {
		return err
	}
	return list(w, "missed_queries", ms, next)
}
