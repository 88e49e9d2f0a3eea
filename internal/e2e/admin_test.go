package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAdminRoutesAreForWhoMayUseThem(t *testing.T) {
	t.Parallel()
	const common = "an-admin-key-of-settings"
	s := start(t, t.TempDir(), "TENANTS_SAMPLE=off", "API_KEY_1="+common)
	if r := s.json("POST", "/admin/tenants", map[string]string{"id": "acme"}, "X-API-Key", s.key); r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var made struct{ ID, Key string }
	s.json("POST", "/admin/tenants/acme/keys", map[string]any{"scopes": []string{"chat", "ingest", "admin"}}, "X-API-Key", s.key).into(t, &made)
	for _, tt := range []struct {
		name, method, path, body, key string
		status                        int
		want                          string
	}{
		{"without a key", "GET", "/admin/tenants", "", "", 401, "X-API-Key"},
		{"with an admin key", "GET", "/admin/tenants", "", common, 403, "root"},
		{"with an admin key, the log's level", "GET", "/admin/log-level", "", common, 200, ""},
		{"with a tenant's admin key, the log's level", "GET", "/admin/log-level", "", made.Key, 403, "bound to a tenant"},
		{"with a tenant's admin key, its own backups", "GET", "/admin/tenants/acme/backups", "", made.Key, 403, "root"},
		{"a root key for one tenant", "POST", "/admin/tenants/acme/keys", `{"scopes":["root"]}`, s.key, 400, "cannot be root"},
		{"a key that may do nothing", "POST", "/admin/keys", `{}`, s.key, 400, "scopes"},
		{"a scope that is none", "POST", "/admin/keys", `{"scopes":["everything"]}`, s.key, 400, "everything"},
		{"a key that never was valid", "POST", "/admin/keys", `{"scopes":["chat"],"expires_in":"-1h"}`, s.key, 400, "expires_in"},
		{"an overlap of nothing", "POST", "/admin/keys", `{"scopes":["chat"],"overlap":"1h"}`, s.key, 400, "replaces"},
		{"a key for a tenant that is not there", "POST", "/admin/tenants/nobody/keys", `{"scopes":["chat"]}`, s.key, 404, "nobody"},
		{"another tenant's key", "DELETE", "/admin/tenants/nobody/keys/" + made.ID, "", s.key, 404, "no key"},
		{"a tenant's key as one of none", "DELETE", "/admin/keys/" + made.ID, "", s.key, 404, "no key"},
		{"the control database", "DELETE", "/admin/tenants/_control", "", s.key, 400, "tenant_id"},
		{"restore to nothing", "POST", "/admin/tenants/acme/restore", `{}`, s.key, 400, "time, commit"},
		{"restore to both", "POST", "/admin/tenants/acme/restore", `{"time":"2026-05-01T12:00:00Z","commit":"1.2"}`, s.key, 400, "not both"},
		{"restore to a word", "POST", "/admin/tenants/acme/restore", `{"time":"yesterday"}`, s.key, 400, "RFC 3339"},
		{"restore with a misspelt field", "POST", "/admin/tenants/acme/restore", `{"commmit":"1.2"}`, s.key, 400, "commmit"},
		{"restore to what is not there", "POST", "/admin/tenants/acme/restore", `{"commit":"1.99"}`, s.key, 404, "1.99"},
		{"undo of nothing", "POST", "/admin/tenants/acme/undo", "", s.key, 409, "nothing"},
		{"import of something else", "POST", "/admin/tenants/new/import", "not a database", s.key, 422, "SQLite"},
		{"import over a tenant", "POST", "/admin/tenants/acme/import", "", s.key, 409, "replace"},
		{"export of nobody", "GET", "/admin/tenants/nobody/export", "", s.key, 404, "nobody"},
		{"a level that is none", "POST", "/admin/log-level", `{"level":"loud"}`, common, 400, "level"},
		{"a level for ever", "POST", "/admin/log-level", `{"level":"debug","for":"100000h"}`, common, 400, "for"},
	} {
		r := s.do(tt.method, tt.path, strings.NewReader(tt.body), "X-API-Key", tt.key, "Content-Type", "application/x-www-form-urlencoded")
		if r.status != tt.status || tt.want != "" && !strings.Contains(r.message(), tt.want) {
			t.Errorf("%s: %d %s, want %d with %q", tt.name, r.status, r.body, tt.status, tt.want)
		}
	}
}

// What one server is told reaches every server of the store, within 5 seconds
// of requests; a revoked key, too.
func TestChangesReachEveryServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := start(t, dir, "TENANTS_SAMPLE=off")
	b := start(t, dir, "TENANTS_SAMPLE=off")
	var old, made struct{ ID, Key string }
	a.json("POST", "/admin/keys", map[string]any{"scopes": []string{"ingest"}}, "X-API-Key", a.key).into(t, &old)
	list := func(key string) int { return b.do("GET", "/api/v1/documents", nil, "X-API-Key", key).status }
	b.wait(15*time.Second, "new key on the other server", func() bool { return list(old.Key) == http.StatusOK })
	a.json("POST", "/admin/keys", map[string]any{"replaces": old.ID, "overlap": "1h"}, "X-API-Key", a.key).into(t, &made)
	if r := a.json("POST", "/admin/log-level", map[string]string{"level": "debug", "for": "10m"}, "X-API-Key", a.key); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	b.wait(15*time.Second, "debug lines of the other server", func() bool {
		list(old.Key)
		time.Sleep(100 * time.Millisecond)
		return strings.Contains(b.out.String(), "level=DEBUG")
	})
	if list(old.Key) != http.StatusOK || list(made.Key) != http.StatusOK {
		t.Errorf("within the overlap: old %d, new %d", list(old.Key), list(made.Key))
	}
	if r := a.do("DELETE", "/admin/keys/"+old.ID, nil, "X-API-Key", a.key); r.status != http.StatusNoContent {
		t.Fatalf("%d %s", r.status, r.body)
	}
	b.wait(15*time.Second, "end of the revoked key", func() bool {
		time.Sleep(100 * time.Millisecond)
		return list(old.Key) == http.StatusUnauthorized
	})
	if list(made.Key) != http.StatusOK {
		t.Error("its successor ended with it")
	}
	if strings.Contains(a.out.String()+b.out.String(), made.Key) {
		t.Error("a log holds a key")
	}
}
