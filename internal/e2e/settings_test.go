package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTheExampleEnvironmentStartsUnedited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".env"), example, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, dir, "DASHSCOPE_API_KEY=", "API_KEY_1=") // empty counts as absent
}

func TestTheEnvironmentWinsOverDotEnv(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("SERVER_PORT=1\nTENANTS_SAMPLE=off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir) // with SERVER_PORT=0 in the process environment
	if strings.Contains(s.out.String(), "sample knowledge base") {
		t.Error(".env was not read")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := filepath.Join(dir, "good.yaml")
	if err := os.WriteFile(good, []byte("server:\n  port: 18080\ndashscope:\n  api_key: ${KEY}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, dir, []string{"KEY=sk-0123456789abcdef", "SERVER_MODE=debug"}, "-config", good, "-validate")
	if err != nil || !strings.Contains(out, "mode: debug") || strings.Contains(out, "0123456789abcdef") {
		t.Errorf("%v\n%s\nwant the effective settings without secrets", err, out)
	}
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("server:\n  port: 99999\n  prot: 1\nrag:\n  top_k: many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = run(t, dir, nil, "-config", bad, "-validate")
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 2 {
		t.Errorf("a bad file: %v, want exit code 2", err)
	}
	for _, want := range []string{"server.port", "server.prot", "rag.top_k"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s is not among the problems:\n%s", want, out)
		}
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "data")); len(entries) > 0 {
		t.Error("-validate made data")
	}
}

func TestUnknownFlagsAndCommandsAreUsageErrors(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-nonsense"}, {"frobnicate"}, {"ingest"}, {"ask"}} {
		out, err := run(t, t.TempDir(), nil, args...)
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || out == "" {
			t.Errorf("%v: %v, %q, want exit code 2 and a word about it", args, err, out)
		}
	}
}

func TestAnOccupiedPortIsNamedWithItsRemedy(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir(), "TENANTS_SAMPLE=off")
	port := s.url[strings.LastIndex(s.url, ":")+1:]
	out, err := run(t, t.TempDir(), []string{"SERVER_PORT=" + port, "TENANTS_SAMPLE=off"})
	if err == nil || !strings.Contains(out, "SERVER_PORT") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAFolderThatCannotBeWrittenIsNamedWithItsRemedy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte("a file in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, dir, nil)
	if err == nil || !strings.Contains(out, "database.base_path") && !strings.Contains(out, "storage.url") && !strings.Contains(out, "DATABASE_BASE_PATH") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestHangupReopensTheLogFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "app.log")
	s := start(t, dir, "TENANTS_SAMPLE=off", "LOGGING_OUTPUT=file", "LOGGING_FILE_PATH="+path, "LOGGING_LEVEL=debug")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.wait(10*time.Second, "new log file", func() bool {
		s.do("GET", "/health/live", nil)
		info, err := os.Stat(path)
		return err == nil && info.Size() > 0
	})
}

func TestTheFirstCommandShowsTheAdminKeyToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.md"), []byte("Some text to load."), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, dir, nil, "ingest", "a.md"); err != nil || !strings.Contains(out, "admin key, shown this once") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAServerThatHasARootKeyGeneratesNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.md"), []byte("Some text to load."), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out, err := run(t, dir, []string{"ROOT_KEY=root-key-of-the-settings-0123456789"}, "ingest", "a.md"); err != nil || strings.Contains(out, "admin key") {
			t.Errorf("with ROOT_KEY: %v\n%s", err, out)
		}
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "*", "root.key")); err != nil || len(kept) > 0 {
		t.Errorf("a key was kept: %v, %v", kept, err)
	}
	// Without it nobody could manage the store any more: then one is made, once.
	for i, want := range []bool{true, false} {
		if out, err := run(t, dir, nil, "ingest", "a.md"); err != nil || strings.Contains(out, "admin key, shown this once") != want {
			t.Errorf("start %d without ROOT_KEY: %v\n%s", i, err, out)
		}
	}
}
