package oss_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/objstore/oss"
	"github.com/eino-qa/eino-qa/internal/objstore/ossfake"
)

func config(s *ossfake.Server) oss.Config {
	return oss.Config{Bucket: s.Bucket(), Endpoint: s.Endpoint, Region: s.Region, Credentials: oss.Static(s.Key, s.Secret, s.Token)}
}

func open(t *testing.T, cfg oss.Config) *oss.Bucket {
	t.Helper()
	b, err := oss.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucket(t *testing.T) {
	t.Parallel()
	s := ossfake.Start(t)
	objstoretest.Run(t, func(t *testing.T) objstore.Bucket { return open(t, config(s)) })
}

func TestOpenKeepsBelowThePrefix(t *testing.T) {
	t.Parallel()
	s := ossfake.Start(t)
	cfg := config(s)
	cfg.Prefix = "team/qa/"
	b, err := oss.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := objstore.SelfTest(t.Context(), b, "control"); err != nil {
		t.Error(err)
	}
	if _, err := b.Create(t.Context(), "k", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	infos, _, err := open(t, cfg).List(t.Context(), "", "", 10)
	if err != nil || len(infos) != 1 || infos[0].Key != "team/qa/k" {
		t.Errorf("the bucket holds %v, %v", infos, err)
	}
	if p, ok := b.(objstore.Presigner); !ok {
		t.Error("below a prefix there are no links")
	} else if link, err := p.PresignGet(t.Context(), "k", time.Minute); err != nil || !strings.Contains(link.URL, "/team/qa/k?") {
		t.Errorf("PresignGet = %s, %v", link.URL, err)
	}
}

func TestVersionedBucketsAreRefused(t *testing.T) {
	t.Parallel()
	s := ossfake.Start(t)
	for _, status := range []string{"Enabled", "Suspended"} {
		cfg := config(s)
		b := open(t, cfg)
		if err := objstore.SelfTest(t.Context(), b, "control"); err != nil {
			t.Fatalf("before versioning: %v", err)
		}
		s.SetVersioning(cfg.Bucket, status)
		err := objstore.SelfTest(t.Context(), b, "control")
		if kb.KindOf(err) != kb.Unavailable || !strings.Contains(err.Error(), "versioning ("+status+")") {
			t.Errorf("SelfTest with versioning %s = %v, want a refusal", status, err)
		}
		// Without the permission to ask, the race finds it out.
		if err := objstore.SelfTest(t.Context(), struct{ objstore.Bucket }{b}, "control"); err == nil {
			t.Errorf("SelfTest with versioning %s, unasked = nil", status)
		}
		// Switched on while we run: not acknowledged.
		if _, err := b.Create(t.Context(), "slot", strings.NewReader("x")); !errors.Is(err, objstore.ErrConfig) {
			t.Errorf("Create with versioning %s = %v, want ErrConfig", status, err)
		}
	}
	s.Next(ossfake.Answer{Status: 403, Code: "AccessDenied"})
	if err := open(t, config(s)).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "oss:GetBucketVersioning") {
		t.Errorf("Check without permission = %v, want its remedy", err)
	}
}

func TestCreateIsSentOnceAndItsAnswerIsNotGuessed(t *testing.T) {
	t.Parallel()
	s := ossfake.Start(t)
	for _, c := range []struct {
		name   string
		answer ossfake.Answer
		want   error
		stored bool
	}{
		{"done", ossfake.Answer{}, nil, true},
		{"lost the race", ossfake.Answer{Status: 409, Code: "FileAlreadyExists"}, objstore.ErrExist, false},
		{"internal error", ossfake.Answer{Status: 500, Code: "InternalError"}, objstore.ErrDown, false},
		{"done, but an error came back", ossfake.Answer{Status: 500, Code: "InternalError", Apply: true}, objstore.ErrDown, true},
		{"done, but the connection broke", ossfake.Answer{Apply: true}, objstore.ErrDown, true},
		{"too many requests", ossfake.Answer{Status: 503, Code: "QpsLimitExceeded"}, objstore.ErrThrottled, false},
		{"a timeout of the server", ossfake.Answer{Status: 400, Code: "RequestTimeout"}, objstore.ErrDown, false},
		{"clocks differ", ossfake.Answer{Status: 403, Code: "RequestTimeTooSkewed"}, objstore.ErrDenied, false},
		{"denied", ossfake.Answer{Status: 403, Code: "AccessDenied"}, objstore.ErrDenied, false},
		{"expired", ossfake.Answer{Status: 403, Code: "SecurityTokenExpired"}, objstore.ErrDenied, false},
		{"unpaid", ossfake.Answer{Status: 403, Code: "UserDisable"}, objstore.ErrReadOnly, false},
		{"retention", ossfake.Answer{Status: 409, Code: "FileImmutable"}, objstore.ErrReadOnly, false},
		{"full", ossfake.Answer{Status: 403, Code: "StorageCapacityExceeded"}, objstore.ErrFull, false},
		{"no such bucket", ossfake.Answer{Status: 404, Code: "NoSuchBucket"}, objstore.ErrConfig, false},
		{"not implemented", ossfake.Answer{Status: 400, Code: "NotImplemented"}, objstore.ErrConfig, false},
		{"another region", ossfake.Answer{Status: 301, Code: "AccessDenied"}, objstore.ErrDenied, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, config(s))
			s.Requests()
			s.Next(c.answer)
			info, err := b.Create(t.Context(), "k", strings.NewReader("body"))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("Create = %v, want %v", err, c.want)
			}
			if err == nil && time.Since(info.Date).Abs() > time.Minute {
				t.Errorf("Date = %v, want the server's", info.Date)
			}
			reqs := s.Requests()
			if len(reqs) != 1 || reqs[0].Header.Get("x-oss-forbid-overwrite") != "true" {
				t.Errorf("%d requests, want one that forbids overwriting", len(reqs))
			}
			if _, _, err := b.Get(t.Context(), "k"); (err == nil) != c.stored {
				t.Errorf("Get afterwards = %v, stored should be %v", err, c.stored)
			}
		})
	}
}

func TestReadsAreTriedAgainWithinBounds(t *testing.T) {
	t.Parallel()
	s := ossfake.Start(t)
	b := open(t, config(s))
	if _, err := b.Put(t.Context(), "k", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests()[0].Header.Get("x-oss-forbid-overwrite"); got != "" {
		t.Errorf("Put forbids overwriting: %q", got)
	}
	s.Next(ossfake.Answer{Status: 503, Code: "QpsLimitExceeded"}, ossfake.Answer{Apply: true}, ossfake.Answer{CutBody: 4})
	if got, _, err := b.Get(t.Context(), "k"); err != nil || string(got) != "0123456789" || len(s.Requests()) != 4 {
		t.Errorf("Get = %q, %v", got, err)
	}
	for range 8 {
		s.Next(ossfake.Answer{Status: 500, Code: "InternalError"})
	}
	if _, _, err := b.List(t.Context(), "", "", 1); !errors.Is(err, objstore.ErrDown) || len(s.Requests()) != 4 {
		t.Errorf("List = %v, want ErrDown after four requests", err)
	}
	if err := b.Delete(t.Context(), "x"); !errors.Is(err, objstore.ErrDown) {
		t.Errorf("Delete = %v", err)
	}
	for _, c := range []struct {
		status int
		code   string
	}{{404, "NoSuchBucket"}, {404, "BadGateway"}, {403, "AccessDenied"}} {
		s.Next(ossfake.Answer{Status: c.status, Code: c.code})
		if _, _, err := b.Get(t.Context(), "k"); err == nil || errors.Is(err, objstore.ErrNotExist) {
			t.Errorf("Get with %d %s = %v, which must not look like absence", c.status, c.code, err)
		}
	}
}

func TestStreamsGoOnWhereTheyBroke(t *testing.T) {
	t.Parallel()
	s := ossfake.Start(t)
	b := open(t, config(s))
	if _, err := b.Put(t.Context(), "k", strings.NewReader("0123456789")); err != nil {
		t.Fatal(err)
	}
	s.Next(ossfake.Answer{CutBody: 4}, ossfake.Answer{CutBody: 2}, ossfake.Answer{Status: 503, Code: "QpsLimitExceeded"})
	r, info, err := b.Open(t.Context(), "k", 0)
	if err != nil || info.Size != 10 {
		t.Fatal(info, err)
	}
	if got, err := io.ReadAll(iotest.OneByteReader(r)); string(got) != "0123456789" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	r.Close()
	s.Next(ossfake.Answer{CutBody: 4})
	if r, _, err = b.Open(t.Context(), "k", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Put(t.Context(), "k", strings.NewReader("abcdefghij")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err == nil {
		t.Errorf("went on with %q of another object", got)
	}
	r.Close()
}

func TestSignaturesAreVerified(t *testing.T) {
	t.Parallel()
	s := ossfake.Start(t)
	s.Token = "sts-token"
	good := config(s)
	if _, err := open(t, good).Create(t.Context(), "a/b.c_d-e", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cred oss.Credentials
	}{
		{"an unknown key", oss.Credentials{Key: "LTAIother", Secret: s.Secret, Token: s.Token}},
		{"a wrong secret", oss.Credentials{Key: s.Key, Secret: "guess", Token: s.Token}},
		{"no token", oss.Credentials{Key: s.Key, Secret: s.Secret}},
		{"nothing", oss.Credentials{}},
	} {
		cfg := good
		cfg.Credentials = func(context.Context) (oss.Credentials, error) { return c.cred, nil }
		_, _, err := open(t, cfg).Get(t.Context(), "k")
		if !errors.Is(err, objstore.ErrDenied) || strings.Contains(err.Error(), s.Secret) {
			t.Errorf("%s: Get = %v, want ErrDenied", c.name, err)
		}
	}
	var asked atomic.Int32
	cfg := good
	cfg.Credentials = func(context.Context) (oss.Credentials, error) {
		life := time.Hour
		if asked.Add(1) == 1 {
			life = time.Minute
		}
		return oss.Credentials{Key: s.Key, Secret: s.Secret, Token: s.Token, Expires: time.Now().Add(life)}, nil
	}
	b := open(t, cfg)
	for range 4 {
		if _, _, err := b.List(t.Context(), "", "", 1); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked.Load(); got != 2 {
		t.Errorf("credentials were asked for %d times, want again shortly before they end", got)
	}
}

func TestPresignedLinksWorkWithoutCredentials(t *testing.T) {
	t.Parallel()
	s := ossfake.Start(t)
	s.Token = "sts-token"
	b := open(t, config(s))
	send := func(p objstore.Presigned, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), p.Method, p.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = p.Header.Clone()
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(data)
	}
	put, err := b.PresignPut(t.Context(), "inbox/acme/1", 5, "text/plain", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if code, text := send(put, "12345"); code != 200 {
		t.Errorf("upload = %d %s", code, text)
	}
	if code, _ := send(put, "123456"); code != 403 {
		t.Errorf("an upload of another size = %d, want 403", code)
	}
	get, err := b.PresignGet(t.Context(), "inbox/acme/1", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if code, text := send(get, ""); code != 200 || text != "12345" {
		t.Errorf("download = %d %q", code, text)
	}
	other := get
	other.URL = strings.Replace(get.URL, "/acme/", "/evil/", 1)
	if code, _ := send(other, ""); code != 403 {
		t.Errorf("download of another key = %d, want 403", code)
	}
	if left := time.Until(put.Expires); left < 50*time.Second || left > time.Minute {
		t.Errorf("the link expires in %v", left)
	}
	if _, err := b.PresignGet(t.Context(), "k", 8*24*time.Hour); kb.KindOf(err) != kb.Invalid {
		t.Errorf("link for 8 days = %v, want Invalid", err)
	}
}

// opened is the configuration that a URL ends up as.
func opened(raw string) (oss.Config, error) {
	cfg, err := oss.ParseURL(raw)
	if err != nil {
		return oss.Config{}, err
	}
	cfg.Credentials = oss.Static("k", "s", "")
	b, err := oss.New(cfg)
	if err != nil {
		return oss.Config{}, err
	}
	return b.Config(), nil
}

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ url, prefix, endpoint, region string }{
		{"oss://my-bucket?region=cn-hangzhou", "", "https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"},
		{"oss://my-bucket/a/b/?endpoint=oss-ap-southeast-1.aliyuncs.com", "a/b", "https://oss-ap-southeast-1.aliyuncs.com", "ap-southeast-1"},
		{"oss://my-bucket?endpoint=oss-cn-beijing-internal.aliyuncs.com", "", "https://oss-cn-beijing-internal.aliyuncs.com", "cn-beijing"},
		{"oss://my-bucket?endpoint=oss-cn-beijing-internal.aliyuncs.com&internal=true", "", "https://oss-cn-beijing-internal.aliyuncs.com", "cn-beijing"},
		{"oss://my-bucket?region=cn-beijing&internal=true", "", "https://oss-cn-beijing-internal.aliyuncs.com", "cn-beijing"},
		{"oss://my-bucket?endpoint=http://oss-cn-beijing.aliyuncs.com&internal=true", "", "http://oss-cn-beijing-internal.aliyuncs.com", "cn-beijing"},
		{"oss://my-bucket?endpoint=files.example.com&cname=true&region=cn-hangzhou", "", "https://files.example.com", "cn-hangzhou"},
		{"oss://my-bucket?endpoint=http://127.0.0.1:80&region=cn-x", "", "http://127.0.0.1:80", "cn-x"},
	} {
		got, err := opened(c.url)
		if err != nil || got.Bucket != "my-bucket" || got.Prefix != c.prefix || got.Endpoint != c.endpoint || got.Region != c.region {
			t.Errorf("ParseURL(%q) = %+v, %v", c.url, got, err)
		}
	}
	for _, c := range []struct{ url, want string }{
		{"s3://bucket", "oss://bucket/prefix"},
		{"oss://bucket", "endpoint or region is missing"},
		{"oss://b.c.d?region=cn-x", "named with"},
		{"oss://bucket?endpoint=files.example.com", "region is missing"},
		{"oss://bucket?endpoint=files.example.com&region=cn-x&internal=true", "is none"},
		{"oss://bucket?cname=true&region=cn-x", "domain as endpoint"},
		{"oss://bucket?endpoint=s3.oss-cn-hangzhou.aliyuncs.com", "s3."},
		{"oss://bucket?endpoint=bucket.oss-cn-hangzhou.aliyuncs.com", "leave it out"},
		{"oss://bucket?endpoint=oss-cn-x.aliyuncs.com&path_style=true", "unknown setting"},
		{"oss://key:topsecret@bucket?region=cn-x", "credentials"},
	} {
		_, err := opened(c.url)
		if kb.KindOf(err) != kb.Invalid || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("opening %q = %v, want Invalid with %q", c.url, err, c.want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"oss://bucket/p?region=cn-x", "oss://bucket?endpoint=oss-cn-x-internal.aliyuncs.com&internal=1", "oss://k:s@bucket", "oss://bucket?endpoint=%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := oss.ParseURL(raw)
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
