//go:build unix

package objstoretest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// Tool builds pkg in the module tools/name, once for each version of it on a
// machine, and returns the program's path. With -short a test is skipped that
// would have to wait for that.
func Tool(t testing.TB, name, pkg string) string {
	t.Helper()
	module := toolModule(t, name)
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "eino-qa-tools")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, name+"-"+toolVersion(t, module))
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if testing.Short() {
		t.Skipf("%s is not built yet, and that takes minutes", name)
	}
	unlock := lockFile(t, bin+".lock") // tests of several packages run at once
	defer unlock()
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	t.Logf("building %s, once", name)
	temp := fmt.Sprintf("%s.%d", bin, os.Getpid())
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", temp, pkg)
	cmd.Dir = module
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s in %s: %v\n%s", name, module, err, out)
	}
	if err := os.Rename(temp, bin); err != nil {
		t.Fatal(err)
	}
	return bin
}

// toolModule is the folder of the module that pins a tool.
func toolModule(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		module := filepath.Join(dir, "tools", name)
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module
		}
		if dir == filepath.Dir(dir) {
			t.Fatalf("there is no tools/%s above the working folder", name)
		}
	}
}

// toolVersion names what the program would be built from.
func toolVersion(t testing.TB, module string) string {
	t.Helper()
	h := sha256.New()
	io.WriteString(h, runtime.Version())
	for _, f := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(module, f))
		if err != nil {
			t.Fatal(err)
		}
		h.Write(data)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

func lockFile(t testing.TB, path string) (unlock func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return func() { f.Close() }
	}
}
