package e2e

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// role is what infra/aliyun/roles grants a function on the store. A test of
// package deploy holds that template.yaml grants the same.
type role struct {
	name       string
	statements []struct {
		Effect           string
		Action, Resource []string
		Condition        map[string]map[string][]string
	}
}

func readRole(t testing.TB, name string) role {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../infra/aliyun/roles", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	r := role{name: name}
	if err := json.Unmarshal(raw, &struct{ Statement any }{&r.statements}); err != nil || len(r.statements) == 0 {
		t.Fatalf("role %s: %v", name, err)
	}
	return r
}

const roleResource = "acs:oss:*:*:${QA_BUCKET}"

// may reports whether the role allows action on a key, or a list below prefix
// where key is "": denied if any statement denies it.
func (r role) may(action, key, prefix string) bool {
	allowed := false
	for _, s := range r.statements {
		resource := slices.ContainsFunc(s.Resource, func(res string) bool {
			res = strings.TrimPrefix(res, roleResource)
			below, wild := strings.CutSuffix(res, "*")
			return key == "" && res == "" || key != "" && (res == "/"+key || wild && strings.HasPrefix("/"+key, below))
		})
		if !resource || !slices.Contains(s.Action, action) {
			continue
		}
		if ps := s.Condition["StringLike"]["oss:Prefix"]; ps != nil && !slices.ContainsFunc(ps, func(p string) bool {
			return strings.HasPrefix(prefix, strings.TrimSuffix(p, "*"))
		}) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		allowed = true
	}
	return allowed
}

// action is one thing that a request asks of the store.
type action struct{ name, key, prefix string }

// actions are what an S3 request needs rights for.
func actions(r *http.Request) []action {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	switch {
	case key != "" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return []action{{"oss:GetObject", key, ""}}
	case key != "" && r.Method == http.MethodDelete:
		return []action{{"oss:DeleteObject", key, ""}}
	case key != "":
		return []action{{"oss:PutObject", key, ""}}
	case q.Has("versioning"):
		return []action{{"oss:GetBucketVersioning", "", ""}}
	case q.Has("delete"):
		body, _ := io.ReadAll(r.Body) // what is cut short the store refuses
		r.Body = io.NopCloser(bytes.NewReader(body))
		var doc struct {
			Object []struct{ Key string }
		}
		_ = xml.Unmarshal(body, &doc)
		var as []action
		for _, o := range doc.Object {
			as = append(as, action{"oss:DeleteObject", o.Key, ""})
		}
		return as
	case r.Method == http.MethodGet:
		return []action{{"oss:ListObjects", "", q.Get("prefix")}}
	}
	return []action{{"something else: " + r.Method + " " + r.URL.RawQuery, "", ""}}
}

// guarded is the way of one function to the store: it lets through what the
// function's role allows and refuses the rest as S3 does. A function that
// meets a refusal was given less than it needs, which fails the test.
func guarded(t testing.TB, name, endpoint string) string {
	t.Helper()
	r := readRole(t, name)
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64} // not the one that others close
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for _, a := range actions(req) {
			if !r.may(a.name, a.key, a.prefix) {
				t.Errorf("the role of %s does not allow %s on %q (prefix %q)", name, a.name, a.key, a.prefix)
				w.Header().Set("Content-Type", "application/xml")
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
				return
			}
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestRolesAreReadAsTheyAreMeant(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		role, action, key, prefix string
		want                      bool
	}{
		{"chat", "oss:PutObject", "t/acme/0001/x", "", true},
		{"chat", "oss:DeleteObject", "t/acme/0001/x", "", false},
		{"chat", "oss:PutObject", "t/_control/0001/x", "", false},
		{"chat", "oss:ListObjects", "", "t/acme/", true},
		{"chat", "oss:ListObjects", "", "inbox/", false},
		{"chat", "oss:ListObjects", "", "", false},
		{"chat", "oss:GetBucketVersioning", "", "", true},
		{"backup", "oss:DeleteObject", "t/acme/0001/x", "", true},
		{"health", "oss:GetObject", "t/acme/0001/x", "", false},
	} {
		if got := readRole(t, tt.role).may(tt.action, tt.key, tt.prefix); got != tt.want {
			t.Errorf("%s may %s on %q, prefix %q: %v, want %v", tt.role, tt.action, tt.key, tt.prefix, got, tt.want)
		}
	}
}

// TestWhatIsOverIsDeletedByBackupAlone: with nothing worth keeping, a backup
// on demand deletes nothing, for the function admin may not; the scheduled one
// does, also what a deleted tenant left.
func TestWhatIsOverIsDeletedByBackupAlone(t *testing.T) {
	t.Parallel()
	store := s3Store(t)
	w := &walk{cloud: newCloud(t, "lambda-v2", store)}
	old := func() { // all that is there is three weeks old
		long := time.Now().Add(-21 * 24 * time.Hour)
		err := filepath.WalkDir(filepath.Join(store.Dir, w.bucket, "t"), func(p string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Chtimes(p, long, long)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	objects := func(prefix string) (n int) {
		_ = filepath.WalkDir(filepath.Join(store.Dir, w.bucket, filepath.FromSlash(prefix)), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				n++
			}
			return nil
		})
		return n
	}
	backedUp := func() {
		t.Helper()
		if err := w.tick("backup", "backup"); err != nil {
			t.Fatal(err)
		}
	}
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
	w.document("保修", "台灯保修 24 个月。")
	backedUp()
	w.document("地址", "门店在南山路 5 号。")
	old()
	before := objects("t/default")
	if got := w.must(200, "POST", "/admin/tenants/default/backup", map[string]any{}); got["snapshot"] == nil || got["deleted"] != 0.0 {
		t.Errorf("a backup on demand: %v, want a snapshot and nothing deleted", got)
	}
	if after := objects("t/default"); after <= before {
		t.Errorf("%d objects, %d before the backup on demand: want more", after, before)
	}
	old()
	before = objects("t/default")
	backedUp()
	if after := objects("t/default"); after >= before {
		t.Errorf("%d objects, %d before the scheduled backup: want fewer", after, before)
	}
	if a := w.ask("台灯保修多久？", ""); !strings.Contains(a.Answer, "24 个月") {
		t.Errorf("after it: %q", a.Answer)
	}
	w.must(204, "DELETE", "/admin/tenants/default", nil)
	for range 3 {
		old()
		backedUp()
	}
	if n := objects("t/default/blob") + objects("control/backup/default"); n != 0 {
		t.Errorf("%d objects of the deleted tenant are left", n)
	}
}

// TestANewStoreIsPreparedByAdmin: the others may not make the database of keys,
// and say what to do.
func TestANewStoreIsPreparedByAdmin(t *testing.T) {
	t.Parallel()
	store := s3Store(t)
	w := &walk{cloud: newCloud(t, "lambda-v2", store)}
	if err := w.tick("ingest", "sweep"); err != nil {
		t.Errorf("a sweep of nothing: %v", err)
	}
	r, err := w.do("POST", "/chat", map[string]any{"query": "台灯保修多久？"}, "X-API-Key", functionKey)
	if err != nil || r.status != http.StatusServiceUnavailable || !bytes.Contains(r.body, []byte("function admin prepares it")) {
		t.Errorf("chat on a new store: %d %s %v, want 503 and what to do", r.status, r.body, err)
	}
	w.must(200, "GET", "/api/v1/documents?tenant=default", nil)
	if a := w.ask("台灯保修多久？", ""); a.Answer == "" {
		t.Error("chat has no answer although the store is prepared")
	}
}
