package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script runs scripts/backup.sh for the store in dir.
func script(t *testing.T, dir string, env ...string) (string, error) {
	t.Helper()
	path, err := filepath.Abs("../../scripts/backup.sh")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", path)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "EINO_QA_BIN=" + binary, "BACKUP_DIR=" + filepath.Join(dir, "backups of ours")}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestBackupScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	backups := filepath.Join(dir, "backups of ours")
	if err := os.Mkdir(backups, 0o700); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(backups, "backup_20200101_000000.tar.gz")
	other := filepath.Join(backups, "notes.txt")
	for _, path := range []string{old, other} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		long := time.Now().Add(-30 * 24 * time.Hour)
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	names := func() string {
		entries, err := os.ReadDir(backups)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return strings.Join(all, " ")
	}

	// One that fails costs nothing and leaves nothing.
	before := names()
	for what, env := range map[string]string{
		"a store that is not there":  "STORAGE_URL=s3://nobody?endpoint=http://127.0.0.1:1&region=x&path_style=true",
		"no server":                  "EINO_QA_BIN=/nowhere/server",
		"a date that leaves the dir": "DATE=../x",
	} {
		if out, err := script(t, dir, env); err == nil || names() != before {
			t.Errorf("%s: %v, the folder has %s\n%s", what, err, names(), out)
		}
	}

	out, err := script(t, dir, "DATE=20260501_120000")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := names(), "backup_20260501_120000.tar.gz backup_20260501_120000.tar.gz.sha256 notes.txt"; got != want {
		t.Errorf("the folder has %s, want %s", got, want)
	}
	if out, err := script(t, dir, "DATE=20260501_120000"); err == nil {
		t.Errorf("an archive was replaced:\n%s", out)
	}

	// The way back, as the script's head says it.
	there := t.TempDir()
	sh := `cd "$1" && sha256sum -c --quiet "$0.sha256" 2>&1 || exit 1; tar -xzf "$1/$0" -C "$2" && cd "$2" && sha256sum -c SHA256SUMS && ls`
	got, err := exec.Command("bash", "-c", sh, "backup_20260501_120000.tar.gz", backups, there).CombinedOutput()
	if err != nil || !strings.Contains(string(got), "default_20260501_120000.db") {
		t.Fatalf("unpack: %v %s", err, got)
	}
	must(t, there, nil, "import", "-tenant", "default", "default_20260501_120000.db")
	o := start(t, there)
	if a, b := s.documents(), o.documents(); len(a) != len(b) || len(a) < 10 {
		t.Errorf("%d documents, %d came back", len(a), len(b))
	}
}
