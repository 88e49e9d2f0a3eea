package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeCommandsWork runs every command of both READMEs beside a running
// server, in a folder that looks like a checkout. The two make targets are
// checked by name: this test runs inside one of them.
func TestReadmeCommandsWork(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	fence := regexp.MustCompile("(?s)```sh\n(.*?)```")
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("../..", name))
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			checkout(t, dir, name, text)
			s := start(t, dir, "RATE_LIMIT_PUBLIC_PER_MINUTE=0")
			blocks := fence.FindAllStringSubmatch(string(text), -1)
			if len(blocks) < 8 {
				t.Fatalf("%d commands found: the README or this test is broken", len(blocks))
			}
			setup := ""
			for _, b := range blocks {
				script := b[1]
				if target, ok := strings.CutPrefix(script, "make "); ok {
					if !strings.Contains("\n"+string(makefile), "\n"+strings.TrimSpace(target)+":") {
						t.Errorf("the Makefile has no target %q", target)
					}
					continue
				}
				if strings.HasPrefix(script, "KEY=") {
					setup = script
				}
				out, err := shell(dir, "set -euo pipefail\n"+setup+strings.ReplaceAll(script, "http://127.0.0.1:8080", s.url))
				if err != nil || strings.Contains(out, `"trace_id"`) {
					t.Errorf("%s\nfailed: %v\n%s", script, err, out)
				}
			}
		})
	}
}

// checkout puts what the commands name into dir.
func checkout(t *testing.T, dir, readme string, text []byte) {
	t.Helper()
	for _, d := range []string{"bin", "docs"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(binary, filepath.Join(dir, "bin", "server")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{readme, "docs/notes.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), append([]byte("# "+name+"\n\n"), text...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func shell(dir, script string) (string, error) {
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
