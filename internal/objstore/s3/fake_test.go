package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/s3"
)

// scripted answers the n-th request with the n-th of its answers, the last one
// for ever, and remembers the requests. It stands for answers that a healthy
// server does not give.
type scripted struct {
	mu      sync.Mutex
	answers []http.HandlerFunc
	seen    []*http.Request
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	s.mu.Lock()
	s.seen = append(s.seen, r)
	answer := s.answers[min(len(s.seen), len(s.answers))-1]
	s.mu.Unlock()
	w.Header().Set("Date", "Sun, 06 Nov 2033 08:49:37 GMT")
	answer(w, r)
}

func (s *scripted) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func script(t *testing.T, answers ...http.HandlerFunc) (*s3.Bucket, *scripted) {
	t.Helper()
	s := &scripted{answers: answers}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return open(t, s3.Config{Bucket: "bucket", Endpoint: srv.URL, PathStyle: true, Credentials: s3.Static("k", "s", "")}), s
}

func fails(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>no</Message></Error>`, code)
		}
	}
}

func sends(data string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Sun, 06 Nov 2033 08:00:00 GMT")
		w.Header().Set("ETag", `"tag"`)
		status := http.StatusOK
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
			if header[i] == "Content-Range" {
				status = http.StatusPartialContent
			}
		}
		w.WriteHeader(status)
		io.WriteString(w, data)
	}
}

// breaks promises size bytes, sends data and cuts the connection.
func breaks(size int, data string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		sends(data, header...)(w, r)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func TestCreateIsSentOnceAndItsAnswerIsNotGuessed(t *testing.T) {
	t.Parallel()
	cut := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"done", sends(""), nil},
		{"lost the race", fails(412, "PreconditionFailed"), objstore.ErrExist},
		{"S3 could not decide", fails(409, "ConditionalRequestConflict"), objstore.ErrConflict},
		{"internal error", fails(500, "InternalError"), objstore.ErrDown},
		{"slow down", fails(503, "SlowDown"), objstore.ErrThrottled},
		{"too many requests", fails(429, "TooManyRequests"), objstore.ErrThrottled},
		{"a timeout of the server", fails(400, "RequestTimeout"), objstore.ErrDown},
		{"the connection broke", cut, objstore.ErrDown},
		{"denied", fails(403, "AccessDenied"), objstore.ErrDenied},
		{"expired", fails(400, "ExpiredToken"), objstore.ErrDenied},
		{"clocks differ", fails(403, "RequestTimeTooSkewed"), objstore.ErrDenied},
		{"full", fails(507, "XMinioStorageFull"), objstore.ErrFull},
		{"quota", fails(403, "QuotaExceeded"), objstore.ErrFull},
		{"read-only", fails(405, "MethodNotAllowed"), objstore.ErrReadOnly},
		{"no such bucket", fails(404, "NoSuchBucket"), objstore.ErrConfig},
		{"wrong region", fails(301, "PermanentRedirect"), objstore.ErrConfig},
		{"no conditional writes", fails(501, "NotImplemented"), objstore.ErrConfig},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, s := script(t, c.answer)
			info, err := b.Create(t.Context(), "k", strings.NewReader("body"))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("Create = %v, want %v", err, c.want)
			}
			if want := time.Date(2033, 11, 6, 8, 49, 37, 0, time.UTC); err == nil && !info.Date.Equal(want) {
				t.Errorf("Date = %v, want the server's %v", info.Date, want)
			}
			reqs := s.requests()
			if len(reqs) != 1 {
				t.Fatalf("%d requests, want 1", len(reqs))
			}
			h := reqs[0].Header
			if h.Get("If-None-Match") != "*" || reqs[0].ContentLength != 4 || h.Get("Content-Encoding") != "" || h.Get("X-Amz-Trailer") != "" {
				t.Errorf("sent %v, want If-None-Match: * and a plain body", h)
			}
			for name := range h {
				if strings.Contains(name, "Checksum") {
					t.Errorf("sent %s, which compatible servers refuse", name)
				}
			}
			if !strings.Contains(h.Get("Authorization"), "if-none-match") {
				t.Errorf("Authorization %q does not sign the condition", h.Get("Authorization"))
			}
		})
	}
}

func TestPutIsUnconditional(t *testing.T) {
	t.Parallel()
	b, s := script(t, sends(""), fails(412, "PreconditionFailed"))
	if _, err := b.Put(t.Context(), "k", strings.NewReader("x")); err != nil {
		t.Error(err)
	}
	if got := s.requests()[0].Header.Get("If-None-Match"); got != "" {
		t.Errorf("If-None-Match = %q", got)
	}
	if _, err := b.Put(t.Context(), "k", strings.NewReader("x")); errors.Is(err, objstore.ErrExist) || err == nil {
		t.Errorf("Put with 412 = %v, want some other error", err)
	}
}

func TestReadsAreTriedAgainWithinBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		answers  []http.HandlerFunc
		want     string
		wantErr  error
		requests int
	}{
		{"after errors and a cut body", []http.HandlerFunc{fails(503, "SlowDown"), fails(500, "InternalError"), breaks(4, "da"), sends("data")}, "data", nil, 4},
		{"but not for ever", []http.HandlerFunc{fails(500, "InternalError")}, "", objstore.ErrDown, 4},
		{"a cut body is no object", []http.HandlerFunc{breaks(9, "da")}, "", objstore.ErrDown, 4},
		{"absence is an answer", []http.HandlerFunc{fails(404, "NoSuchKey")}, "", objstore.ErrNotExist, 1},
		{"a proxy's 404 says nothing of the object", []http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such host", 404) }}, "", objstore.ErrConfig, 1},
		{"a missing bucket is no absence", []http.HandlerFunc{fails(404, "NoSuchBucket")}, "", objstore.ErrConfig, 1},
		{"denial is an answer", []http.HandlerFunc{fails(403, "AccessDenied")}, "", objstore.ErrDenied, 1},
		{"a huge object is refused unread", []http.HandlerFunc{breaks(objstore.MaxGet+1, "x")}, "", objstore.ErrTooLarge, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, s := script(t, c.answers...)
			got, info, err := b.Get(t.Context(), "k")
			if string(got) != c.want || !errors.Is(err, c.wantErr) || (err == nil) != (c.wantErr == nil) {
				t.Errorf("Get = %q, %v, want %q, %v", got, err, c.want, c.wantErr)
			}
			if errors.Is(err, objstore.ErrNotExist) != (c.wantErr == objstore.ErrNotExist) { //nolint:errorlint // the table's own
				t.Errorf("Get = %v", err)
			}
			if err == nil && (info.Size != 4 || info.Date.Year() != 2033 || info.Modified.Minute() != 0) {
				t.Errorf("Get describes %+v", info)
			}
			if n := len(s.requests()); n != c.requests {
				t.Errorf("%d requests, want %d", n, c.requests)
			}
		})
	}
}

func TestRangesAreCheckedAgainstTheAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"a proxy dropped Range", sends("0123456789"), "ignored the range"},
		{"another range", sends("01", "Content-Range", "bytes 0-1/10"), "from byte 0"},
		{"nonsense", sends("01", "Content-Range", "bytes 5-x/10"), "Content-Range is"},
		{"an end beyond the size", sends("01", "Content-Range", "bytes 3-12/10"), "Content-Range is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := script(t, c.answer)
			if got, _, err := b.GetRange(t.Context(), "k", 3, 2); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("GetRange = %q, %v, want an error with %q", got, err, c.want)
			}
		})
	}
}

func TestStreamsGoOnWhereTheyBroke(t *testing.T) {
	t.Parallel()
	b, s := script(t, breaks(10, "0123"), breaks(6, "45", "Content-Range", "bytes 4-9/10"), fails(503, "SlowDown"), sends("6789", "Content-Range", "bytes 6-9/10"))
	r, info, err := b.Open(t.Context(), "k", 0)
	if err != nil || info.Size != 10 {
		t.Fatal(info, err)
	}
	got, err := io.ReadAll(iotest.OneByteReader(r))
	if string(got) != "0123456789" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	reqs := s.requests()
	if last := reqs[len(reqs)-1].Header; last.Get("Range") != "bytes=6-" || last.Get("If-Match") != `"tag"` {
		t.Errorf("went on with %v, want from byte 6 of the same object", last)
	}
	r.Close()
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("Read after Close = nil")
	}
	// Replaced meanwhile: a mixture of two objects must not come out.
	b, _ = script(t, breaks(10, "0123"), fails(412, "PreconditionFailed"))
	r, _, err = b.Open(t.Context(), "k", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err == nil || string(got) != "0123" {
		t.Errorf("read %q, %v of a replaced object, want an error", got, err)
	}
}

func TestDeleteFallsBackToSingleRequests(t *testing.T) {
	t.Parallel()
	b, s := script(t, fails(501, "NotImplemented"), sends(""))
	if err := b.Delete(t.Context(), "a", "b", "c"); err != nil {
		t.Fatal(err)
	}
	if n := len(s.requests()); n != 4 {
		t.Errorf("%d requests, want one for all and then three", n)
	}
	partial := func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `<?xml version="1.0"?><DeleteResult><Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>`)
	}
	b, _ = script(t, partial)
	if err := b.Delete(t.Context(), "a", "b"); !errors.Is(err, objstore.ErrDenied) {
		t.Errorf("Delete with a denied key = %v, want ErrDenied", err)
	}
}

func TestCheckUnderstandsServersWithoutVersioning(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"never configured", sends(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>`), ""},
		{"unknown to the server", fails(501, "NotImplemented"), ""},
		{"on", sends(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`), "has versioning (Enabled)"},
		{"suspended", sends(`<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>`), "has versioning (Suspended)"},
		{"hidden", fails(403, "AccessDenied"), "s3:GetBucketVersioning"},
		{"wrong key", fails(403, "InvalidAccessKeyId"), "refuses the credentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _ := script(t, c.answer)
			err := b.Check(t.Context())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check = %v, want %q", err, c.want)
			}
		})
	}
}

func TestABodyIsNotReadAfterCreateReturned(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold })) // reads nothing
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(hold) })
	b := open(t, s3.Config{Bucket: "bucket", Endpoint: srv.URL, PathStyle: true, Credentials: s3.Static("k", "s", "")})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	body := strings.NewReader(strings.Repeat("x", 32<<20))
	if _, err := b.Create(ctx, "k", body); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Create = %v", err)
	}
	pos := body.Len() // the race detector watches this read
	time.Sleep(50 * time.Millisecond)
	if got := body.Len(); got != pos {
		t.Errorf("%d bytes were read after Create had returned", pos-got)
	}
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, bucket, prefix, endpoint, region string }{
		{"s3://my-bucket?region=eu-central-1", "my-bucket", "", "", "eu-central-1"},
		{"s3://my-bucket/a/b/?region=cn-north-1", "my-bucket", "a/b", "", "cn-north-1"},
		{"s3://b.c.d/x?endpoint=127.0.0.1:9000&path_style=true", "b.c.d", "x", "https://127.0.0.1:9000", ""},
		{"s3://b11?endpoint=http://[::1]:9000/&allow_versioning=1", "b11", "", "http://[::1]:9000", ""},
		{"s3://bucket", "bucket", "", "", ""}, // the region may come from elsewhere
	} {
		got, err := s3.ParseURL(c.url)
		if err != nil || got.Bucket != c.bucket || got.Prefix != c.prefix || got.Endpoint != c.endpoint || got.Region != c.region {
			t.Errorf("ParseURL(%q) = %+v, %v", c.url, got, err)
		}
		if got.PathStyle != strings.Contains(c.url, "path_style") || got.AllowVersioning != strings.Contains(c.url, "allow_versioning") {
			t.Errorf("ParseURL(%q) = %+v", c.url, got)
		}
	}
	for _, c := range []struct{ url, want string }{
		{"", "s3://bucket/prefix"},
		{"s3:bucket", "s3://bucket/prefix"},
		{"http://bucket", "s3://bucket/prefix"},
		{"s3://bucket", "region is missing"},
		{"s3://b?region=x", "3 to 63"},
		{"s3://Bucket?region=x", "a-z"},
		{"s3://-bucket?region=x", "a-z"},
		{"s3://key:topsecret@bucket?region=x", "credentials"},
		{"s3://bucket/../x?region=x", "prefix"},
		{"s3://bucket/a//b?region=x", "prefix"},
		{"s3://bucket?regio=x", `unknown setting "regio"`},
		{"s3://bucket?region=x&region=y", "twice"},
		{"s3://bucket?region=x&path_style=maybe", "true or false"},
		{"s3://bucket?endpoint=ftp://x", "endpoint"},
		{"s3://bucket?endpoint=https://u:p@x", "endpoint"},
		{"s3://bucket?endpoint=https://x/path", "endpoint"},
		{"s3://bucket?endpoint=https://s3.oss-cn-hangzhou.aliyuncs.com", "oss://bucket"},
		{"s3://bucket?region=x#y", "#"},
	} {
		cfg, err := s3.ParseURL(c.url)
		if err == nil {
			cfg.Credentials = s3.Static("k", "s", "")
			_, err = s3.Open(cfg)
		}
		if kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("opening %q = %v, want Invalid with %q", c.url, err, c.want)
		}
	}
	if _, err := s3.New(s3.Config{Bucket: "bucket", Region: "x"}); kb.KindOf(err) != kb.Invalid {
		t.Errorf("New without credentials = %v", err)
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"s3://bucket/p?region=x", "s3://b.c?endpoint=h:1&path_style=0", "s3://k:s@bucket", "s3://bucket/%2e%2e/?region=x", "s3://[::1]:8/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := s3.ParseURL(raw)
		if err != nil {
			if kb.KindOf(err) != kb.Invalid {
				t.Errorf("ParseURL(%q) = %v, not Invalid", raw, err)
			}
			return
		}
		if c.Prefix != "" && objstore.ValidateKey(c.Prefix) != nil || len(c.Bucket) < 3 {
			t.Errorf("ParseURL(%q) = %+v", raw, c)
		}
	})
}
