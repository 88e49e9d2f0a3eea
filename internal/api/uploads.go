package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Uploader is an Ingester that takes large files in two steps: they are
// announced, and then put where a link leads.
type Uploader interface {
	// Announce records a file that is to come: size bytes with that SHA-256.
	Announce(ctx context.Context, f kb.File, size int64, sum string) (kb.Submitted, error)
	// Link returns the request that stores the bytes of a job without us;
	// false where the store hands out none.
	Link(ctx context.Context, job kb.JobID, size int64, mediaType string, life time.Duration) (Link, bool, error)
	// Receive stores the bytes of an announced job.
	Receive(ctx context.Context, job kb.JobID, data []byte) error
}

// Link is a request that its holder may send until it expires.
type Link struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"` // relative where it leads to us
	Header  map[string]string `json:"headers,omitempty"`
	Expires time.Time         `json:"expires_at"`
}

// uploadRequest is the body of POST /api/v1/uploads.
type uploadRequest struct {
	Name     string         `json:"name"`
	Title    string         `json:"title"`
	Size     int64          `json:"size"`
	SHA256   string         `json:"sha256"`
	MIME     string         `json:"mime"` // default: found out by the name and the bytes
	Document kb.DocumentID  `json:"document_id"`
	Metadata map[string]any `json:"metadata"`
}

// uploadAnswer is submitted with the request that sends the bytes.
type uploadAnswer struct {
	submitted
	Upload *Link `json:"upload,omitempty"` // absent: these bytes are a document already
}

// uploadLife is how long a link to upload works: 64 MiB at 115 KB/s.
const uploadLife = 10 * time.Minute

func (s *Server) uploadPost(w http.ResponseWriter, r *http.Request) error {
	t, err := s.tenantFor(w, r, auth.Ingest)
	if err != nil {
		return err
	}
	up, ok := t.Ingester.(Uploader)
	if !ok {
		return kb.E(kb.NotFound, nil, "this function takes no documents: send them to the function admin")
	}
	var req uploadRequest
	if err := readJSON(w, r, s.cfg.MaxBody, &req); err != nil {
		return err
	}
	if req.Name == "" {
		return kb.E(kb.Invalid, nil, "name: give the file's name").With("field", "name")
	}
	f := kb.File{Name: req.Name, Exact: true, Replaces: req.Document, Title: req.Title, MIME: req.MIME}
	if f.Metadata, err = metadata(req.Metadata); err != nil {
		return err
	}
	sub, err := up.Announce(r.Context(), f, req.Size, req.SHA256)
	if err != nil {
		return err
	}
	out := uploadAnswer{submitted: submitted{sub.Document, sub.Job, sub.Status, sub.Version, sub.Duplicate}}
	status := http.StatusAccepted
	if sub.Duplicate && sub.Status == kb.Ready {
		status = http.StatusOK
	} else if out.Upload, err = s.uploadLink(r.Context(), t.ID, up, sub.Job, req); err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/documents/"+string(sub.Document))
	return writeJSON(w, status, out)
}

// uploadLink is the store's own link, or one to us.
func (s *Server) uploadLink(ctx context.Context, id kb.TenantID, up Uploader, job kb.JobID, req uploadRequest) (*Link, error) {
	media := req.MIME
	if media == "" {
		media = "application/octet-stream"
	}
	l, ok, err := up.Link(ctx, job, req.Size, media, uploadLife)
	if err != nil {
		return nil, kb.E(kb.Unavailable, err, "the upload could not be prepared; try again")
	}
	if !ok {
		expires := now().Add(uploadLife)
		l = Link{Method: http.MethodPut, URL: s.links.UploadURL(auth.Upload{Tenant: id, Job: job, Size: req.Size}, expires), Expires: expires}
	}
	return &l, nil
}

// uploadPut takes the bytes where the store hands out no links. The signature
// is the permission: no key is asked for.
func (s *Server) uploadPut(w http.ResponseWriter, r *http.Request) error {
	u, err := s.links.VerifyUpload(r.PathValue("id"), r.URL.Query(), now())
	if err != nil {
		return err
	}
	if r.ContentLength > u.Size {
		return tooLarge(u.Size)
	}
	t, err := s.backend.Tenant(r.Context(), u.Tenant, false)
	if err != nil {
		return err
	}
	up, ok := t.Ingester.(Uploader)
	if !ok {
		return kb.E(kb.NotFound, nil, "this function takes no documents: send them to the function admin")
	}
	_ = http.NewResponseController(w).SetReadDeadline(now().Add(uploadTime)) // not on every platform
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, u.Size))
	if err != nil {
		if _, big := errors.AsType[*http.MaxBytesError](err); big {
			return tooLarge(u.Size)
		}
		return kb.E(kb.Invalid, err, "body: it did not arrive whole; send it again")
	}
	if err := up.Receive(r.Context(), u.Job, data); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// nameUploads adds to a refusal for size the route that takes more.
func nameUploads(err error) error {
	if e, ok := errors.AsType[*kb.Error](err); ok && e.Kind == kb.TooLarge {
		return kb.E(kb.TooLarge, err, "%s: use POST /api/v1/uploads and send the bytes where its answer says", e.Msg).
			With("limit_bytes", e.Details["limit_bytes"]).With("upload_route", "POST /api/v1/uploads")
	}
	return err
}
