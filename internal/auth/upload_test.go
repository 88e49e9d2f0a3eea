package auth

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestUploadLinks(t *testing.T) {
	t.Parallel()
	l, err := NewLinks([]byte("0123456789abcdef"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := NewLinks([]byte("fedcba9876543210"), time.Hour)
	now := time.Unix(1_800_000_000, 0)
	want := Upload{Tenant: "shop", Job: "job_1", Size: 7}
	u, err := url.Parse(l.UploadURL(want, now.Add(time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	job := strings.TrimPrefix(u.Path, UploadPath)
	if got, err := l.VerifyUpload(job, u.Query(), now); err != nil || got != want {
		t.Errorf("VerifyUpload = %v, %v, want %v", got, err, want)
	}
	changed := func(k, v string) url.Values {
		q := u.Query()
		q.Set(k, v)
		return q
	}
	for name, check := range map[string]func() (Upload, error){
		"of another job":      func() (Upload, error) { return l.VerifyUpload("job_2", u.Query(), now) },
		"of another tenant":   func() (Upload, error) { return l.VerifyUpload(job, changed("tenant", "bank"), now) },
		"of another size":     func() (Upload, error) { return l.VerifyUpload(job, changed("size", "8"), now) },
		"prolonged":           func() (Upload, error) { return l.VerifyUpload(job, changed("exp", "1900000000"), now) },
		"expired":             func() (Upload, error) { return l.VerifyUpload(job, u.Query(), now.Add(time.Hour)) },
		"of another secret":   func() (Upload, error) { return other.VerifyUpload(job, u.Query(), now) },
		"without anything":    func() (Upload, error) { return l.VerifyUpload(job, nil, now) },
		"to read, not upload": func() (Upload, error) { return l.VerifyUpload(job, mustQuery(l.URL(Target{Tenant: "shop"}, now)), now) },
	} {
		if got, err := check(); kb.KindOf(err) != kb.Forbidden {
			t.Errorf("a link %s is taken: %v, %v", name, got, err)
		}
	}
}

func mustQuery(raw string) url.Values {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u.Query()
}
