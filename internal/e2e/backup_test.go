package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// must runs a command of the server and fails with what it said.
func must(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, env, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func TestBackupRestoreUndoExportImportDelete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	hours := func() string { return s.ask("杭州门店几点营业？", "").Answer }
	s.json("POST", "/api/v1/documents", map[string]any{"name": "hours", "title": "营业时间", "text": "杭州门店的营业时间是早上九点到晚上八点。"}, "X-API-Key", s.key)
	s.settled(20 * time.Second)

	// Everything runs beside the server.
	if out := must(t, dir, nil, "backup"); !regexp.MustCompile(`done +default +at commit 1\.\d+, snapshot 1\.\d+ verified`).MatchString(out) {
		t.Errorf("backup:\n%s", out)
	}
	exported := filepath.Join(dir, "default.db")
	must(t, dir, nil, "export", "-tenant", "default", exported)
	commit := regexp.MustCompile(`(1\.\d+) +(commit|snapshot)`).FindStringSubmatch(must(t, dir, nil, "restore", "-tenant", "default", "-list"))[1]
	s.json("POST", "/api/v1/documents", map[string]any{"name": "hours", "title": "营业时间", "text": "杭州门店的营业时间是早上十点到晚上八点。"}, "X-API-Key", s.key)
	s.settled(20 * time.Second)
	if got := hours(); !strings.Contains(got, "十点") {
		t.Fatalf("before the restore: %q", got)
	}
	if out := must(t, dir, nil, "restore", "-tenant", "default", "-commit", commit, "-preview"); !regexp.MustCompile(`versions +12 +11 +0 +1 +0`).MatchString(out) {
		t.Errorf("preview:\n%s", out)
	}
	if got := hours(); !strings.Contains(got, "十点") {
		t.Errorf("the preview changed the answer: %q", got)
	}
	must(t, dir, nil, "restore", "-tenant", "default", "-commit", commit)
	if got := hours(); !strings.Contains(got, "九点") {
		t.Errorf("after the restore: %q", got)
	}
	must(t, dir, nil, "restore", "-tenant", "default", "-undo")
	if got := hours(); !strings.Contains(got, "十点") {
		t.Errorf("after undo: %q", got)
	}

	t.Run("the export opens in the sqlite3 shell and elsewhere", func(t *testing.T) {
		sqlite3, err := exec.LookPath("sqlite3")
		if err != nil {
			t.Fatal("sqlite3 is needed: apt-get install sqlite3")
		}
		out, err := exec.Command(sqlite3, exported, "PRAGMA integrity_check; SELECT count(*) FROM documents").CombinedOutput()
		if err != nil || string(out) != "ok\n11\n" {
			t.Errorf("sqlite3: %v %s", err, out)
		}
		if out := must(t, dir, nil, "verify", exported); !strings.Contains(out, "as its manifest says") {
			t.Errorf("verify: %s", out)
		}
		other := t.TempDir()
		must(t, other, nil, "import", "-tenant", "moved", exported)
		o := start(t, other, "TENANTS_SAMPLE=off")
		r := o.json("POST", "/chat", map[string]any{"query": "杭州门店几点营业？", "tenant_id": "moved"}, "X-API-Key", o.key)
		if !bytes.Contains(r.body, []byte("九点")) {
			t.Errorf("the imported tenant answers %s", r.body)
		}
	})

	t.Run("a deleted tenant is gone for everybody until it is undone", func(t *testing.T) {
		r := s.do("POST", "/admin/tenants/away/import", bytes.NewReader(read(t, exported)), "X-API-Key", s.key)
		if r.status != http.StatusOK {
			t.Fatalf("import: %d %s", r.status, r.body)
		}
		var made struct{ ID, Key string }
		s.json("POST", "/admin/tenants/away/keys", map[string]any{"scopes": []string{"ingest"}}, "X-API-Key", s.key).into(t, &made)
		list := func() int { return s.do("GET", "/api/v1/documents", nil, "X-API-Key", made.Key).status }
		if got := list(); got != http.StatusOK {
			t.Errorf("with the new key: %d", got)
		}
		if r := s.do("DELETE", "/admin/tenants/away", nil, "X-API-Key", made.Key); r.status != http.StatusForbidden {
			t.Errorf("the tenant's own key deletes it: %d", r.status)
		}
		if r := s.do("DELETE", "/admin/tenants/away", nil, "X-API-Key", s.key); r.status != http.StatusNoContent {
			t.Fatalf("delete: %d %s", r.status, r.body)
		}
		r = s.do("GET", "/api/v1/documents?tenant=away", nil, "X-API-Key", s.key)
		if r.status != http.StatusNotFound || !strings.Contains(r.message(), "was deleted") {
			t.Errorf("using its name: %d %s, want 404: a deletion is undone on purpose only", r.status, r.body)
		}
		s.wait(15*time.Second, "end of the deleted tenant's key", func() bool { return list() == http.StatusUnauthorized })
		if r := s.do("POST", "/admin/tenants/away/undo", nil, "X-API-Key", s.key); r.status != http.StatusOK {
			t.Fatalf("undo: %d %s", r.status, r.body)
		}
		r = s.do("GET", "/api/v1/documents?tenant=away&limit=200", nil, "X-API-Key", s.key)
		if n := bytes.Count(r.body, []byte(`"doc_`)); n != 11 {
			t.Errorf("%d documents came back, want 11", n)
		}
	})

	t.Run("operators leave a trace", func(t *testing.T) {
		var page struct {
			Audit []struct{ Actor, Action, Tenant, Outcome string } `json:"audit"`
		}
		s.do("GET", "/admin/audit?limit=200", nil, "X-API-Key", s.key).into(t, &page)
		done := map[string]bool{}
		for _, e := range page.Audit {
			if e.Actor == "" {
				t.Errorf("nobody did %+v", e)
			}
			done[e.Action+" "+e.Tenant+" "+e.Outcome] = true
		}
		for _, want := range []string{"tenant.restore default begun", "tenant.restore default done", "tenant.undo default done", "tenant.export default done", "tenant.delete away done", "key.create away done"} {
			if !done[want] {
				t.Errorf("the audit does not say %q: %v", want, done)
			}
		}
		if raw, _ := json.Marshal(page); bytes.Contains(raw, []byte(s.key)) {
			t.Error("the audit holds a key")
		}
	})
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestOperatorCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.db"), []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"restore -tenant default -time yesterday", 2, "2026-05-01T12:00:00Z"},
		{"restore -tenant default", 2, "-undo"},
		{"restore -commit 1.2", 2, "-tenant is missing"},
		{"restore -tenant default -commit 1.2", 1, "does not exist"},
		{"backup -tenant nobody", 1, "1 of 1 tenants"},
		{"export -tenant default", 2, "a file"},
		{"import -tenant default x.db", 1, "no SQLite database"},
		{"import -tenant Default x.db", 2, "tenant_id"},
		{"verify x.db", 1, "no SQLite database"},
		{"keyring init x.db", 1, "never replaced"},
		{"rekey", 1, "security.encryption.enabled is false"},
		{"backup -force", 2, "-force"},
		{"tenants -delete nobody", 1, "does not exist"},
	} {
		out, err := run(t, dir, nil, strings.Fields(tt.args)...)
		code := 0
		if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // as os/exec returns it
			code = e.ExitCode()
		}
		if code != tt.code || !strings.Contains(out, tt.want) {
			t.Errorf("%s: exit %d, want %d with %q; it said:\n%s", tt.args, code, tt.code, tt.want, out)
		}
	}
}

func TestEncryptionAtRest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, dir, nil, "keyring", "init", "ring")
	if info, err := os.Stat(filepath.Join(dir, "ring")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("keyring: %v, %v, want mode 0600", info.Mode(), err)
	}
	on := []string{"SECURITY_ENCRYPTION_ENABLED=true", "SECURITY_ENCRYPTION_KEY_FILE=ring"}
	s := start(t, dir, on...)
	if a := s.ask("台灯保修多久？", ""); !strings.Contains(a.Answer, "24 个月") {
		t.Errorf("%+v", a)
	}
	s.kill()
	if out, err := exec.Command("grep", "-rl", "保修", filepath.Join(dir, "data", "db")).CombinedOutput(); err == nil {
		t.Errorf("the store can be read: %s", out)
	}
	if out, err := run(t, dir, nil, "verify"); err == nil || !strings.Contains(out, "the store is encrypted") {
		t.Errorf("without the keyring: %v %s", err, out)
	}
	must(t, dir, on, "keyring", "add", "ring")
	if out := must(t, dir, on, "rekey"); !strings.Contains(out, "data keys were wrapped") || strings.HasPrefix(out, "0 ") {
		t.Errorf("rekey: %s", out)
	}
	// The first key is the new one; without the old one everything opens.
	ring := strings.TrimSpace(string(read(t, filepath.Join(dir, "ring"))))
	lines := strings.Split(ring, "\n")
	if err := os.WriteFile(filepath.Join(dir, "ring"), []byte(lines[len(lines)-2]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, dir, on, "backup")
	must(t, dir, on, "verify")
	must(t, dir, on, "export", "-tenant", "default", "plain.db")
	must(t, dir, on, "decrypt-replica", "replica")
	folders, err := filepath.Glob(filepath.Join(dir, "replica", "t", "default", "*", "ltx", "0"))
	if err != nil || len(folders) != 1 {
		t.Errorf("replica: %v, %v", folders, err)
	}
	stock(t, filepath.Dir(filepath.Dir(folders[0])), filepath.Join(dir, "plain.db"))
	if out, err := run(t, dir, append(on, "DATABASE_BASE_PATH=replica", "DATABASE_DATA_DIR=data"), "verify"); err == nil || !strings.Contains(out, "not encrypted") {
		t.Errorf("encryption turned on over plain data: %v %s", err, out)
	}
	if out := must(t, dir, []string{"DATABASE_BASE_PATH=replica", "DATABASE_DATA_DIR=data"}, "verify", "-tenant", "default"); !strings.Contains(out, "ok   default") {
		t.Errorf("the decrypted logs: %s", out)
	}
}

// stock restores a lineage with the stock litestream that LITESTREAM names (see
// tools/litestream), and compares it with our export byte by byte.
func stock(t *testing.T, lineage, exported string) {
	t.Helper()
	tool := os.Getenv("LITESTREAM")
	if tool == "" {
		t.Log("not compared with stock litestream: LITESTREAM is not set")
		return
	}
	out := filepath.Join(t.TempDir(), "stock.db")
	if said, err := exec.Command(tool, "restore", "-o", out, "file://"+lineage).CombinedOutput(); err != nil {
		t.Errorf("litestream restore: %v %s", err, said)
		return
	}
	if !bytes.Equal(read(t, out), read(t, exported)) {
		t.Error("stock litestream restores another file than we export")
	}
}

func TestARestoredTenantIsStockToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir).kill()
	must(t, dir, nil, "restore", "-tenant", "default", "-time", "0s")
	must(t, dir, nil, "backup")
	must(t, dir, nil, "export", "-tenant", "default", "out.db")
	var m struct{ Lineage string }
	if err := json.Unmarshal(read(t, filepath.Join(dir, "out.db.json")), &m); err != nil {
		t.Fatal(err)
	}
	stock(t, filepath.Join(dir, "data", "db", "t", "default", m.Lineage), filepath.Join(dir, "out.db"))
}

func TestThePlainFilesOfTheGuideAreTakenIn(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	start(t, from).kill()
	dir := t.TempDir()
	base := filepath.Join(dir, "data", "db")
	if err := os.MkdirAll(base, 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, from, nil, "export", "-tenant", "default", filepath.Join(base, "acme.db"))
	if err := os.WriteFile(filepath.Join(base, "notes.db"), []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "TENANTS_SAMPLE=off")
	for _, want := range []string{"acme.db is imported as tenant acme", "notes.db was not imported and is left as it is"} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("it did not say %q:\n%s", want, s.out.String())
		}
	}
	r := s.json("POST", "/chat", map[string]any{"query": "台灯保修多久？", "tenant_id": "acme"}, "X-API-Key", s.key)
	if !bytes.Contains(r.body, []byte("24 个月")) {
		t.Errorf("%s", r.body)
	}
	for name, want := range map[string]bool{"acme.db": false, "acme.db.imported": true, "notes.db": true} {
		if _, err := os.Stat(filepath.Join(base, name)); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", name, err == nil, want)
		}
	}
}
