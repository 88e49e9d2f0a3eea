package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
	"github.com/eino-qa/eino-qa/internal/objstore/s3"
)

// config reaches a new bucket on s.
func config(s *objstoretest.S3) s3.Config {
	return s3.Config{
		Bucket: s.Bucket(), Endpoint: s.Endpoint, Region: s.Region, PathStyle: true,
		Credentials: s3.Static(s.Key, s.Secret, ""),
	}
}

func open(t *testing.T, cfg s3.Config) *s3.Bucket {
	t.Helper()
	b, err := s3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBucket(t *testing.T) {
	t.Parallel()
	s := objstoretest.S3Server(t)
	objstoretest.Run(t, func(t *testing.T) objstore.Bucket { return open(t, config(s)) })
}

func TestOpenKeepsBelowThePrefix(t *testing.T) {
	t.Parallel()
	s := objstoretest.S3Server(t)
	cfg := config(s)
	cfg.Prefix = "team/qa/"
	b, err := s3.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := objstore.SelfTest(t.Context(), b, "control"); err != nil {
		t.Error(err)
	}
	if _, err := b.Create(t.Context(), "k", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, cfg.Bucket, "team", "qa", "k")); err != nil {
		t.Error(err)
	}
	if _, ok := b.(objstore.Presigner); !ok {
		t.Error("below a prefix there are no links")
	}
}

func TestTroubleOfARealServerIsNamed(t *testing.T) {
	t.Parallel()
	s := objstoretest.S3Server(t)
	wrongKey, wrongSecret, noBucket, none := config(s), config(s), config(s), config(s)
	wrongKey.Credentials = s3.Static("nobody", s.Secret, "")
	wrongSecret.Credentials = s3.Static(s.Key, "guess", "")
	noBucket.Bucket = "never-made"
	none.Credentials = func(context.Context) (s3.Credentials, error) { return s3.Credentials{}, nil }
	for _, c := range []struct {
		name string
		cfg  s3.Config
		want error
	}{
		{"an unknown key", wrongKey, objstore.ErrDenied},
		{"a wrong secret", wrongSecret, objstore.ErrDenied},
		{"a missing bucket", noBucket, objstore.ErrConfig},
		{"no credentials in time", none, objstore.ErrDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t, c.cfg)
			_, _, err1 := b.Get(t.Context(), "k")
			_, err2 := b.Create(t.Context(), "k", strings.NewReader("x"))
			_, _, err3 := b.List(t.Context(), "", "", 1)
			err4 := objstore.SelfTest(t.Context(), b, "")
			for i, err := range []error{err1, err2, err3, err4} {
				if !errors.Is(err, c.want) || kb.KindOf(err) != kb.Unavailable || strings.Contains(err.Error(), s.Secret) {
					t.Errorf("call %d = %v, want %v", i+1, err, c.want)
				}
			}
		})
	}
}

func TestVersionedBucketsAreRefused(t *testing.T) {
	t.Parallel()
	s := objstoretest.S3Server(t, "--versioning-dir", t.TempDir())
	cfg := config(s)
	b := open(t, cfg)
	if err := objstore.SelfTest(t.Context(), b, "control"); err != nil {
		t.Fatalf("before versioning: %v", err)
	}
	client := sdk.New(sdk.Options{
		BaseEndpoint: &s.Endpoint, Region: s.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(s.Key, s.Secret, ""),
	})
	for _, status := range []types.BucketVersioningStatus{types.BucketVersioningStatusEnabled, types.BucketVersioningStatusSuspended} {
		if _, err := client.PutBucketVersioning(t.Context(), &sdk.PutBucketVersioningInput{
			Bucket: &cfg.Bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
		}); err != nil {
			t.Fatal(err)
		}
		err := objstore.SelfTest(t.Context(), b, "control")
		if err == nil || !strings.Contains(err.Error(), "versioning") || !strings.Contains(err.Error(), "allow_versioning") {
			t.Errorf("SelfTest with versioning %s = %v, want a refusal with its remedy", status, err)
		}
		allowed := cfg
		allowed.AllowVersioning = true
		if err := objstore.SelfTest(t.Context(), open(t, allowed), "control"); err != nil {
			t.Errorf("SelfTest with versioning %s allowed = %v", status, err)
		}
	}
}

func TestKilledAndFrozenServer(t *testing.T) {
	t.Parallel()
	s := objstoretest.S3Server(t)
	cfg := config(s)
	cfg.Stall = 500 * time.Millisecond
	b := open(t, cfg)
	if _, err := b.Create(t.Context(), "k", strings.NewReader("kept")); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	_, err := b.Create(t.Context(), "k2", strings.NewReader("x"))
	if !errors.Is(err, objstore.ErrDown) {
		t.Errorf("Create at a killed server = %v, want ErrDown", err)
	}
	s.Restart()
	if got, _, err := b.Get(t.Context(), "k"); err != nil || string(got) != "kept" {
		t.Errorf("Get after the restart = %q, %v", got, err)
	}
	s.Signal(syscall.SIGSTOP)
	start := time.Now()
	_, err = b.Create(t.Context(), "k3", strings.NewReader("x"))
	if d := time.Since(start); !errors.Is(err, objstore.ErrDown) || d > 20*cfg.Stall {
		t.Errorf("Create at a frozen server = %v after %v, want ErrDown within %v", err, d, cfg.Stall)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err = b.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get at a frozen server = %v, want the context's end", err)
	}
	s.Signal(syscall.SIGCONT)
	if got, _, err := b.Get(t.Context(), "k"); err != nil || string(got) != "kept" {
		t.Errorf("Get after the thaw = %q, %v", got, err)
	}
}

func TestPresignedLinksWorkWithoutCredentials(t *testing.T) {
	t.Parallel()
	s := objstoretest.S3Server(t)
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
	if code, _ := send(put, "123456"); code/100 == 2 {
		t.Error("an upload of another size was taken")
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
	for _, life := range []time.Duration{0, 8 * 24 * time.Hour} {
		if _, err := b.PresignGet(t.Context(), "k", life); kb.KindOf(err) != kb.Invalid {
			t.Errorf("link for %v = %v, want Invalid", life, err)
		}
	}
	if _, err := b.PresignPut(t.Context(), "../k", 1, "", time.Hour); !errors.Is(err, objstore.ErrInvalidKey) {
		t.Errorf("link for ../k = %v", err)
	}
}

func TestObjectsOfOthersAreLeftOutOfLists(t *testing.T) {
	t.Parallel()
	s := objstoretest.S3Server(t)
	cfg := config(s)
	b := open(t, cfg)
	client := sdk.New(sdk.Options{BaseEndpoint: &s.Endpoint, Region: s.Region, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(s.Key, s.Secret, "")})
	for _, key := range []string{"a b", "folder/", "m", "z ü"} {
		if _, err := client.PutObject(t.Context(), &sdk.PutObjectInput{Bucket: &cfg.Bucket, Key: aws.String(key), Body: bytes.NewReader(nil)}); err != nil {
			t.Fatal(err)
		}
	}
	infos, more, err := b.List(t.Context(), "", "", 2)
	if err != nil || more || len(infos) != 1 || infos[0].Key != "m" {
		t.Errorf("List = %v, %v, %v, want only m", infos, more, err)
	}
}

func TestCredentialsAreAskedAgainBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	s := objstoretest.S3Server(t)
	cfg := config(s)
	var asked atomic.Int32
	cfg.Credentials = func(context.Context) (s3.Credentials, error) {
		life := time.Hour
		if asked.Add(1) == 1 {
			life = -time.Second
		}
		return s3.Credentials{Key: s.Key, Secret: s.Secret, Expires: time.Now().Add(life)}, nil
	}
	b := open(t, cfg)
	if asked.Load() != 0 {
		t.Error("credentials were asked for before the first request")
	}
	for i := range 3 {
		if _, err := b.Create(t.Context(), fmt.Sprint("k", i), strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	if got := asked.Load(); got != 2 {
		t.Errorf("asked %d times, want again after the first expired and then no more", got)
	}
}

// BenchmarkCreate is for a look at what a round trip to a local server costs.
func BenchmarkCreate(b *testing.B) {
	s := objstoretest.S3Server(b)
	cfg := config(s)
	bucket, err := s3.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 8<<10)
	i := 0
	for b.Loop() {
		i++
		if _, err := bucket.Create(b.Context(), fmt.Sprint("k", i), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}
