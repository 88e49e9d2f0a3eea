// Package milvustest provides servers to test against: Milvus Lite, a real
// one, which pip installs, and a fake in the process that fails as it is told.
package milvustest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// requirements pins Milvus Lite and all it needs.
//
//go:embed requirements.txt
var requirements []byte

// python makes the virtual environment with Milvus Lite, once for each set of
// requirements on a machine, and returns its interpreter.
var python = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	sum := sha256.Sum256(requirements)
	dir := filepath.Join(cache, "eino-qa", "milvus-lite-"+hex.EncodeToString(sum[:6]))
	bin := filepath.Join(dir, "bin", "python")
	if _, err := os.Stat(bin); err == nil {
		return bin, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "milvus-lite-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp) // what a failure leaves
	list := filepath.Join(tmp, "requirements.txt")
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return "", err
	}
	// Installing took 13 s where this was written; a slow registry takes longer.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"python3", "-m", "venv", tmp},
		{filepath.Join(tmp, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r", list},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s\n(Milvus Lite needs python3 3.11 or newer with venv, and PyPI; -short skips its tests)", strings.Join(args, " "), err, out)
		}
	}
	// Another test run may have been quicker; its environment is as good.
	if err := os.Rename(tmp, dir); err != nil {
		if _, err2 := os.Stat(bin); err2 != nil {
			return "", err
		}
	}
	return bin, nil
})

// Lite is a running Milvus Lite server.
type Lite struct {
	Address string // host:port, the same after a restart

	t      testing.TB
	dir    string
	cmd    *exec.Cmd
	output *bytes.Buffer
}

// StartLite starts a server with an empty data folder; it ends with the test.
// Under -short the test is skipped. It fails the test where Milvus Lite cannot
// be had.
func StartLite(t testing.TB) *Lite {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: Milvus Lite takes seconds to start")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Lite{Address: listener.Addr().String(), t: t, dir: t.TempDir()}
	listener.Close()
	l.Start()
	t.Cleanup(l.Kill)
	return l
}

// Start starts the server again after Kill, with the data it had.
func (l *Lite) Start() {
	l.t.Helper()
	bin, err := python()
	if err != nil {
		l.t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(l.Address)
	l.output = new(bytes.Buffer)
	l.cmd = exec.Command(bin, "-m", "milvus_lite", "server", "--data-dir", l.dir, "--host", host, "--port", port)
	l.cmd.Stdout, l.cmd.Stderr = l.output, l.output
	if err := l.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", l.Address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Since(begun) > 2*time.Minute {
			l.Kill()
			l.t.Fatalf("Milvus Lite does not listen after two minutes: %v\n%s", err, l.output)
		}
	}
}

// Kill ends the server at once. What it held is on its disk or lost.
func (l *Lite) Kill() {
	if l.cmd == nil {
		return
	}
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
	l.cmd = nil
	if l.t.Failed() {
		l.t.Logf("Milvus Lite said:\n%s", l.output)
	}
}
