package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func request(t *testing.T, header, value string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		r.Header.Set(header, value)
	}
	return r
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	keys := NewKeys([]Key{{ID: "fixed", Hash: HashKey("k1"), Scopes: []Scope{Chat, Ingest}}}, func(context.Context) ([]Key, error) {
		return []Key{
			{ID: "stored", Hash: HashKey("k2"), Scopes: []Scope{Root}, Tenant: "acme"},
			{ID: "old", Hash: HashKey("k3"), Scopes: []Scope{Root}, Expires: time.Now().Add(-time.Minute)},
		}, nil
	})
	basic := request(t, "", "")
	basic.SetBasicAuth("x", "k1")
	for name, tt := range map[string]struct {
		r    *http.Request
		want string // key id; "" = public
		kind kb.Kind
	}{
		"no key is a visitor":          {r: request(t, "", "")},
		"X-API-Key":                    {r: request(t, "X-API-Key", "k1"), want: "fixed"},
		"a bearer token":               {r: request(t, "Authorization", "bearer k2"), want: "stored"},
		"the password of Basic auth":   {r: basic, want: "fixed"},
		"a wrong key is no visitor":    {r: request(t, "X-API-Key", "nope"), kind: kb.Unauthenticated},
		"an expired key":               {r: request(t, "X-API-Key", "k3"), kind: kb.Unauthenticated},
		"a key with a blank behind it": {r: request(t, "X-API-Key", "k1 x"), kind: kb.Unauthenticated},
	} {
		p, err := keys.Principal(tt.r)
		if p.KeyID != tt.want || err != nil && kb.KindOf(err) != tt.kind || err == nil && tt.kind != 0 {
			t.Errorf("%s: %q, %v, want %q, kind %d", name, p.KeyID, err, tt.want, tt.kind)
		}
	}
}

func TestNothingIsOpenBecauseAListIsEmpty(t *testing.T) {
	t.Parallel()
	keys := NewKeys(nil, func(context.Context) ([]Key, error) { return nil, nil })
	for _, key := range []string{"", "x"} {
		p, err := keys.Principal(request(t, "X-API-Key", key))
		for _, s := range []Scope{Chat, Ingest, Admin, Root} {
			if err == nil && p.Require(s) == nil {
				t.Errorf("key %q may %s", key, s)
			}
		}
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	p := Principal{KeyID: "k", scopes: []Scope{Chat}}
	if err := p.Require(Chat); err != nil {
		t.Error(err)
	}
	if err := p.Require(Admin); kb.KindOf(err) != kb.Forbidden {
		t.Errorf("Require(admin) = %v, want forbidden", err)
	}
	if err := (Principal{}).Require(Admin); kb.KindOf(err) != kb.Unauthenticated {
		t.Errorf("visitor: %v, want unauthenticated", err)
	}
	if err := (Principal{KeyID: "r", scopes: []Scope{Root}}).Require(Admin); err != nil {
		t.Errorf("root: %v", err)
	}
}

func TestForTenant(t *testing.T) {
	t.Parallel()
	bound, free := Principal{KeyID: "b", Tenant: "acme"}, Principal{KeyID: "f"}
	for _, tt := range []struct {
		p     Principal
		named []string
		want  kb.TenantID
		kind  kb.Kind
	}{
		{free, []string{"", "", ""}, kb.DefaultTenant, 0},
		{free, []string{"", "x", "y"}, "x", 0},
		{bound, []string{"", "", ""}, "acme", 0},
		{bound, []string{"acme"}, "acme", 0},
		{bound, []string{"", "other"}, "", kb.Forbidden},
		{free, []string{"../x"}, "", kb.Invalid},
		{free, []string{"_control"}, "", kb.Invalid},
	} {
		got, err := tt.p.ForTenant(tt.named...)
		if got != tt.want || err != nil && kb.KindOf(err) != tt.kind || (err == nil) != (tt.kind == 0) {
			t.Errorf("ForTenant(%q) of %q = %q, %v", tt.named, tt.p.Tenant, got, err)
		}
	}
}

func TestARevokedKeyWorksNoLongerThanMaxAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := []Key{{ID: "k", Hash: HashKey("k")}}
		var down error
		keys := NewKeys(nil, func(context.Context) ([]Key, error) { return list, down })
		if _, err := keys.Principal(request(t, "X-API-Key", "k")); err != nil {
			t.Fatal(err)
		}
		list = nil
		time.Sleep(maxAge)
		if _, err := keys.Principal(request(t, "X-API-Key", "k")); kb.KindOf(err) != kb.Unauthenticated {
			t.Errorf("revoked: %v", err)
		}
		down = errors.New("store down")
		time.Sleep(maxAge)
		if _, err := keys.Principal(request(t, "X-API-Key", "k")); kb.KindOf(err) != kb.Unavailable {
			t.Errorf("store down: %v, want unavailable and not open", err)
		}
	})
}

func TestLinks(t *testing.T) {
	t.Parallel()
	links, err := NewLinks([]byte("0123456789abcdef"), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	target := Target{Tenant: "acme", Document: "doc_1", Version: 2, Start: 10, End: 20}
	u, err := url.Parse(links.URL(target, now))
	if err != nil {
		t.Fatal(err)
	}
	doc := strings.TrimPrefix(u.Path, SourcePath)
	if got, err := links.Verify(doc, u.Query(), now); err != nil || got != target {
		t.Errorf("Verify = %+v, %v", got, err)
	}
	if _, err := links.Verify(doc, u.Query(), now.Add(3*time.Hour)); kb.KindOf(err) != kb.Forbidden {
		t.Errorf("expired: %v", err)
	}
	for key, value := range map[string]string{"tenant": "other", "v": "3", "start": "0", "end": "99", "exp": "99999999999", "sig": "x"} {
		q := u.Query()
		q.Set(key, value)
		if _, err := links.Verify(doc, q, now); kb.KindOf(err) != kb.Forbidden {
			t.Errorf("%s changed: %v, want forbidden", key, err)
		}
	}
	if _, err := links.Verify("doc_2", u.Query(), now); kb.KindOf(err) != kb.Forbidden {
		t.Error("another document opens with the same signature")
	}
	other, _ := NewLinks([]byte("fedcba9876543210"), time.Hour)
	if _, err := other.Verify(doc, u.Query(), now); kb.KindOf(err) != kb.Forbidden {
		t.Error("another secret opens the link")
	}
}
