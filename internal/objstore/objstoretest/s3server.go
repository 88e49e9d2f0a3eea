//go:build unix

package objstoretest

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// S3 is a real S3 server, versitygw on a folder, for one test.
type S3 struct {
	Endpoint    string // http://127.0.0.1:port
	Key, Secret string
	Region      string
	Dir         string // its folders are its buckets; Dir/bucket/key is an object

	t    testing.TB
	port int
	args []string
	cmd  *exec.Cmd // nil while killed
	log  string
}

// S3Server starts a server that ends with the test. The first call on a
// machine builds it, from the module in tools/versitygw, which takes minutes;
// with -short the test is skipped instead. posixArgs are given to versitygw's
// posix backend.
func S3Server(t testing.TB, posixArgs ...string) *S3 {
	t.Helper()
	bin := buildTool(t, "versitygw", "github.com/versity/versitygw/cmd/versitygw")
	root := t.TempDir()
	if err := syscall.Access(root, 2); err != nil {
		t.Fatal(err)
	}
	s := &S3{
		Key: "testkey", Secret: rand.Text(), Region: "us-east-1",
		Dir: filepath.Join(root, "buckets"), t: t, port: freePort(t), log: filepath.Join(root, "log"),
	}
	s.Endpoint = fmt.Sprintf("http://127.0.0.1:%d", s.port)
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Never --sidecar: there a killed server leaves slots that are refused as
	// existing and not found (facts/storage.md §4.4).
	s.args = append([]string{bin, "--port", fmt.Sprintf("127.0.0.1:%d", s.port), "--health", "/health", "--quiet", "--keep-alive", "posix"}, posixArgs...)
	s.args = append(s.args, s.Dir)
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Bucket makes an empty bucket and returns its name.
func (s *S3) Bucket() string {
	s.t.Helper()
	name := "b" + strings.ToLower(rand.Text()[:12])
	if err := os.Mkdir(filepath.Join(s.Dir, name), 0o700); err != nil {
		s.t.Fatal(err)
	}
	return name
}

// Kill ends the server at once (SIGKILL) and waits for that.
func (s *S3) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have died by itself
	_ = s.cmd.Wait()         // "killed" is what we want
	s.cmd = nil
}

// Signal sends sig to the server: SIGSTOP freezes it, SIGCONT wakes it.
func (s *S3) Signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

// Restart starts the server again, on the same port and data, and returns
// when it answers.
func (s *S3) Restart() {
	s.t.Helper()
	s.Kill()
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Env = append(cmd.Environ(), "ROOT_ACCESS_KEY="+s.Key, "ROOT_SECRET_KEY="+s.Secret)
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd = cmd
	client := &http.Client{Timeout: time.Second}
	for wait := time.Now().Add(20 * time.Second); ; {
		resp, err := client.Get(s.Endpoint + "/health")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(wait) {
			text, _ := os.ReadFile(s.log)
			s.t.Fatalf("versitygw does not answer: %v\n%s", err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// buildTool builds pkg in the module tools/name, once for each version of it,
// and returns the program's path.
func buildTool(t testing.TB, name, pkg string) string {
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
