// Package ossfake is a server for tests that speaks the protocol of Alibaba
// Cloud OSS as its API reference describes it, as far as package oss uses it:
// signatures are verified, errors are XML with their codes, a request not to
// overwrite is ignored where versioning is or was on, conditional puts are not
// implemented, and a bad range gets the whole object unless asked otherwise.
// There is no real OSS to test against without an account.
package ossfake

import (
	"crypto/md5"
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a fake OSS.
type Server struct {
	Endpoint           string // http://127.0.0.1:port
	Region             string
	Key, Secret, Token string

	mu      sync.Mutex
	buckets map[string]*bucket
	script  []Answer
	seen    []*http.Request
	n       int
}

// Answer replaces one answer of the server.
type Answer struct {
	Status int
	Code   string
	// Apply carries the request out before it is answered so. Status 0 then
	// cuts the connection instead.
	Apply bool
	// CutBody sends the true answer, but only that many bytes of it.
	CutBody int
}

type bucket struct {
	versioning string
	objects    map[string]object
}

type object struct {
	data     []byte
	etag     string
	modified time.Time
}

// Start returns a server that ends with the test.
func Start(t testing.TB) *Server {
	s := &Server{Region: "cn-hangzhou", Key: "LTAItest", Secret: rand.Text(), buckets: map[string]*bucket{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.Endpoint = h.URL
	return s
}

// Bucket makes an empty bucket and returns its name.
func (s *Server) Bucket() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	name := fmt.Sprintf("bucket-%d", s.n)
	s.buckets[name] = &bucket{objects: map[string]object{}}
	return name
}

// SetVersioning sets a bucket's versioning: "Enabled" or "Suspended".
func (s *Server) SetVersioning(name, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[name].versioning = status
}

// Next makes the server give these answers, in order, before it goes on by
// itself.
func (s *Server) Next(answers ...Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = append(s.script, answers...)
}

// Requests returns what was sent since the last call, without bodies.
func (s *Server) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// failure is an error answer.
type failure struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
	EC        string `xml:",omitempty"`
	status    int
}

func fail(status int, code, message, ec string) *failure {
	return &failure{Code: code, Message: message, EC: ec, status: status}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, max(0, r.ContentLength))
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return // the client is gone
	}
	s.mu.Lock()
	s.seen = append(s.seen, r)
	var answer Answer
	if len(s.script) > 0 {
		answer, s.script = s.script[0], s.script[1:]
	}
	s.mu.Unlock()
	h := w.Header()
	h.Set("Server", "AliyunOSS")
	h.Set("x-oss-request-id", rand.Text())
	if answer.CutBody > 0 {
		w = &cutter{w, answer.CutBody}
	}
	if answer == (Answer{}) || answer.CutBody > 0 {
		s.answer(w, r, body)
		return
	}
	if answer.Apply {
		s.answer(discard{http.Header{}}, r, body)
	}
	if answer.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	writeFailure(w, r, fail(answer.Status, answer.Code, "scripted", ""))
}

// cutter cuts the connection within the body.
type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(p []byte) (int, error) {
	n, _ := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func writeFailure(w http.ResponseWriter, r *http.Request, f *failure) {
	f.RequestID, f.HostID = w.Header().Get("x-oss-request-id"), r.Host
	text, _ := xml.Marshal(f)
	if r.Method == http.MethodHead {
		w.Header().Set("x-oss-err", base64.StdEncoding.EncodeToString(text))
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(f.status)
	_, _ = w.Write(append([]byte(xml.Header), text...))
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	if code, message := s.authorize(r); code != "" {
		status := http.StatusForbidden
		if code == "InvalidArgument" {
			status = http.StatusBadRequest
		}
		writeFailure(w, r, fail(status, code, message, "0002-00000040"))
		return
	}
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	var f *failure
	q := r.URL.Query()
	switch {
	case b == nil:
		f = fail(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.", "0015-00000101")
	case key == "" && q.Has("versioning") && r.Method == http.MethodGet:
		writeXML(w, versioning{Status: b.versioning})
	case key == "" && q.Get("list-type") == "2" && r.Method == http.MethodGet:
		f = b.list(w, q)
	case key == "" && q.Has("delete") && r.Method == http.MethodPost:
		f = b.deleteMany(w, r, body)
	case key == "":
		f = fail(http.StatusNotImplemented, "NotImplemented", "not of this fake", "")
	case r.Method == http.MethodPut:
		f = b.put(w, r, key, body)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		f = b.get(w, r, key)
	case r.Method == http.MethodDelete:
		delete(b.objects, key)
		w.WriteHeader(http.StatusNoContent)
	default:
		f = fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.", "")
	}
	if f != nil {
		writeFailure(w, r, f)
	}
}

func writeXML(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/xml")
	text, _ := xml.Marshal(v)
	_, _ = w.Write(append([]byte(xml.Header), text...))
}

type versioning struct {
	XMLName xml.Name `xml:"VersioningConfiguration"`
	Status  string   `xml:",omitempty"`
}

func (b *bucket) put(w http.ResponseWriter, r *http.Request, key string, body []byte) *failure {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if r.Header.Get(name) != "" {
			return fail(http.StatusBadRequest, "NotImplemented", "A header you provided implies functionality that is not implemented.", "0017-00000245")
		}
	}
	if r.ContentLength < 0 {
		return fail(http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.", "")
	}
	if _, exists := b.objects[key]; exists && b.versioning == "" && r.Header.Get("x-oss-forbid-overwrite") == "true" {
		return fail(http.StatusConflict, "FileAlreadyExists", "The object you specified already exists and can not be overwritten.", "0026-00000002")
	}
	o := object{body, etag(body), time.Now().Truncate(time.Second)}
	b.objects[key] = o
	h := w.Header()
	h.Set("ETag", o.etag)
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)), 10))
	switch b.versioning {
	case "Enabled":
		h.Set("x-oss-version-id", rand.Text())
	case "Suspended":
		h.Set("x-oss-version-id", "null")
	}
	return nil
}

func etag(body []byte) string { return fmt.Sprintf(`"%X"`, md5.Sum(body)) }

func (b *bucket) get(w http.ResponseWriter, r *http.Request, key string) *failure {
	o, ok := b.objects[key]
	if !ok {
		return fail(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.", "0026-00000001")
	}
	tag := o.etag
	if want := r.Header.Get("If-Match"); want != "" && want != tag {
		return fail(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.", "")
	}
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	h.Set("Content-Type", "application/octet-stream")
	h.Set("x-oss-object-type", "Normal")
	status, data := http.StatusOK, o.data
	if header := r.Header.Get("Range"); header != "" {
		start, end, ok := span(header, len(o.data))
		switch {
		case ok:
			status, data = http.StatusPartialContent, o.data[start:end]
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, end-1, len(o.data)))
		case r.Header.Get("x-oss-range-behavior") == "standard":
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", len(o.data)))
			return fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied.", "0026-00000008")
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		_, _ = w.Write(data)
	}
	return nil
}

// span resolves bytes=a-b, bytes=a- and bytes=-n.
func span(header string, size int) (start, end int, ok bool) {
	first, last, _ := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	a, erra := strconv.ParseInt(first, 10, 64)
	z, errz := strconv.ParseInt(last, 10, 64)
	n := int64(size)
	switch {
	case first == "" && errz == nil && z > 0 && n > 0:
		return int(max(0, n-z)), size, true
	case erra == nil && last == "" && a < n:
		return int(a), size, true
	case erra == nil && errz == nil && a <= z && a < n:
		return int(a), int(min(z, n-1)) + 1, true
	}
	return 0, 0, false
}

type listing struct {
	XMLName      xml.Name `xml:"ListBucketResult"`
	Prefix       string
	StartAfter   string
	MaxKeys      int
	EncodingType string
	IsTruncated  bool
	KeyCount     int
	Contents     []content
}

type content struct {
	Key          string
	LastModified string
	ETag         string
	Type         string
	Size         int
	StorageClass string
}

func (b *bucket) list(w http.ResponseWriter, q url.Values) *failure {
	limit, err := strconv.Atoi(q.Get("max-keys"))
	if q.Get("max-keys") == "" {
		limit, err = 100, nil
	}
	if err != nil || limit < 1 || limit > 1000 {
		return fail(http.StatusBadRequest, "InvalidArgument", "Argument maxkeys must be an integer between 1 and 1000.", "")
	}
	encode := func(s string) string { return s }
	if q.Get("encoding-type") == "url" {
		encode = url.QueryEscape
	}
	var keys []string
	for key := range b.objects {
		if strings.HasPrefix(key, q.Get("prefix")) && key > q.Get("start-after") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	out := listing{Prefix: encode(q.Get("prefix")), StartAfter: encode(q.Get("start-after")), MaxKeys: limit, EncodingType: q.Get("encoding-type")}
	if out.IsTruncated = len(keys) > limit; out.IsTruncated {
		keys = keys[:limit]
	}
	for _, key := range keys {
		o := b.objects[key]
		out.Contents = append(out.Contents, content{
			Key: encode(key), LastModified: o.modified.UTC().Format("2006-01-02T15:04:05.000Z"),
			ETag: o.etag, Type: "Normal", Size: len(o.data), StorageClass: "Standard",
		})
	}
	out.KeyCount = len(keys)
	writeXML(w, out)
	return nil
}

func (b *bucket) deleteMany(w http.ResponseWriter, r *http.Request, body []byte) *failure {
	sum := md5.Sum(body)
	if r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]) {
		return fail(http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified is not valid.", "")
	}
	var in struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Object  []struct{ Key string }
	}
	if err := xml.Unmarshal(body, &in); err != nil || len(in.Object) == 0 || len(in.Object) > 1000 {
		return fail(http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed.", "")
	}
	type deleted struct{ Key string }
	out := struct {
		XMLName      xml.Name `xml:"DeleteResult"`
		EncodingType string
		Deleted      []deleted
	}{EncodingType: "url"}
	for _, o := range in.Object {
		delete(b.objects, o.Key)
		out.Deleted = append(out.Deleted, deleted{url.QueryEscape(o.Key)})
	}
	if !in.Quiet {
		writeXML(w, out)
	}
	return nil
}
