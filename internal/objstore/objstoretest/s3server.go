//go:build unix

package objstoretest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

	t      testing.TB
	args   []string
	health string    // a path that no other server answers
	cmd    *exec.Cmd // nil while killed
	log    string
}

// S3Server starts a server that ends with the test. The first call on a
// machine builds it, from the module in tools/versitygw, which takes minutes;
// with -short the test is skipped instead. posixArgs are given to versitygw's
// posix backend.
func S3Server(t testing.TB, posixArgs ...string) *S3 {
	t.Helper()
	bin := Tool(t, "versitygw", "github.com/versity/versitygw/cmd/versitygw")
	root := t.TempDir()
	if err := syscall.Access(root, 2); err != nil {
		t.Fatal(err)
	}
	s := &S3{
		Key: "testkey", Secret: rand.Text(), Region: "us-east-1",
		Dir: filepath.Join(root, "buckets"), t: t, health: "/health-" + rand.Text(), log: filepath.Join(root, "log"),
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Never --sidecar: there a killed server leaves slots that are refused as
	// existing and not found (facts/storage.md §4.4).
	var err error
	for range 3 { // somebody else may take the port first
		port := freePort(t)
		s.Endpoint = fmt.Sprintf("http://127.0.0.1:%d", port)
		s.args = append([]string{bin, "--port", fmt.Sprintf("127.0.0.1:%d", port), "--health", s.health, "--quiet", "--keep-alive", "posix"}, posixArgs...)
		s.args = append(s.args, s.Dir)
		if err = s.start(); err == nil {
			t.Cleanup(s.Kill)
			return s
		}
		s.Kill()
	}
	t.Fatal(err)
	return nil
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
		s.t.Fatal(err)
	}
	var status syscall.WaitStatus
	for sig == syscall.SIGSTOP && !status.Stopped() { // its threads stop one by one
		_, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			s.t.Fatal(err)
		}
	}
}

// Restart starts the server again, on the same port and data, and returns
// when it answers.
func (s *S3) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *S3) start() error {
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Env = append(cmd.Environ(), "ROOT_ACCESS_KEY="+s.Key, "ROOT_SECRET_KEY="+s.Secret)
	cmd.Stdout, cmd.Stderr = out, out
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	client := &http.Client{Timeout: time.Second}
	for wait := time.Now().Add(20 * time.Second); ; {
		resp, err := client.Get(s.Endpoint + s.health)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Now().After(wait) || ended(cmd) { // the port is another's
			text, _ := os.ReadFile(s.log)
			if err == nil {
				err = errors.New("it ended")
			}
			return fmt.Errorf("versitygw does not answer: %w\n%s", err, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// ended reports whether a child that nobody waited for is over: a zombie, proc(5).
func ended(cmd *exec.Cmd) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	_, rest, ok := strings.Cut(string(b), ") ")
	return err == nil && ok && rest[0] == 'Z'
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
