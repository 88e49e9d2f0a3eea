// Package emulator drives built function binaries as their platforms do: it
// plays AWS Lambda's runtime API, Function Compute's runtime API, and Function
// Compute's side of a custom runtime, spawns the binary with that platform's
// environment and nothing else, and invokes it with events. It is for tests
// and benchmarks on one machine; it listens on 127.0.0.1 only. The protocols
// are those that aws-lambda-go v1.55.1 and fc-runtime-go-sdk v0.3.1 speak
// (facts/serverless.md §2 and §3).
package emulator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Options say how to run a binary.
type Options struct {
	Binary string
	Args   []string
	// Env is added to what the platform sets; nothing else is inherited.
	Env map[string]string
	// Dir is the working directory; "" = the binary's caller's.
	Dir string
	// Timeout is the function's; 0 = 30 s. At its end the instance is killed.
	Timeout time.Duration
	// Output receives the binary's stdout and stderr as they come, beside what
	// Instance.Output keeps; nil = none.
	Output io.Writer
	// Freeze stops the process (SIGSTOP) while no invocation is under way, as
	// Lambda does.
	Freeze bool
}

func (o Options) timeout() time.Duration {
	if o.Timeout <= 0 {
		return 30 * time.Second
	}
	return o.Timeout
}

// ErrExited is what an invocation fails with whose process has ended.
var ErrExited = errors.New("the process exited")

// FunctionError is an error that the function reported to its platform.
type FunctionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// Instance is one running process. Its methods are safe for concurrent use.
type Instance struct {
	cmd     *exec.Cmd
	exited  chan struct{}
	waitErr error // after exited
	started time.Time
	out     tail
}

// newInstance returns an instance that is not spawned yet: the platform's
// side must listen before the process exists.
func newInstance() *Instance { return &Instance{exited: make(chan struct{})} }

// spawn starts the binary with env.
func (in *Instance) spawn(ctx context.Context, o Options, env map[string]string) error {
	in.out.also = o.Output
	in.cmd = exec.CommandContext(ctx, o.Binary, o.Args...)
	in.cmd.Dir = o.Dir
	in.cmd.Stdout, in.cmd.Stderr = &in.out, &in.out
	in.cmd.WaitDelay = time.Second
	// A list that is not nil, even when empty: a nil one inherits ours.
	in.cmd.Env = []string{}
	for _, m := range []map[string]string{env, o.Env} {
		for k, v := range m {
			in.cmd.Env = append(in.cmd.Env, k+"="+v)
		}
	}
	in.started = time.Now()
	if err := in.cmd.Start(); err != nil {
		return fmt.Errorf("spawn %s: %w", o.Binary, err)
	}
	go func() {
		in.waitErr = in.cmd.Wait()
		close(in.exited)
	}()
	return nil
}

// Pid is the process id.
func (in *Instance) Pid() int { return in.cmd.Process.Pid }

// Started is when the process was spawned.
func (in *Instance) Started() time.Time { return in.started }

// Exited is closed when the process has ended.
func (in *Instance) Exited() <-chan struct{} { return in.exited }

// Alive reports whether the process runs.
func (in *Instance) Alive() bool {
	select {
	case <-in.exited:
		return false
	default:
		return true
	}
}

// Output returns the last 1 MiB that the process printed.
func (in *Instance) Output() string { return in.out.String() }

// Kill ends the process at once and waits for it.
func (in *Instance) Kill() {
	_ = in.cmd.Process.Kill() // it may have ended
	<-in.exited
}

// Freeze stops the process as a platform does between invocations.
func (in *Instance) Freeze() { _ = in.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (in *Instance) Thaw() { _ = in.cmd.Process.Signal(syscall.SIGCONT) }

// terminate sends SIGTERM and, after grace, SIGKILL. It returns the exit code,
// -1 for a process that had to be killed.
func (in *Instance) terminate(grace time.Duration) int {
	in.Thaw()
	_ = in.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-in.exited:
	case <-time.After(grace):
		in.Kill()
	}
	return in.cmd.ProcessState.ExitCode()
}

// MaxRSS returns the process's peak resident memory in bytes; it must have ended.
func (in *Instance) MaxRSS() int64 {
	if u, ok := in.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		return u.Maxrss << 10 // Linux counts KiB, getrusage(2)
	}
	return 0
}

// CPU returns the processor time that the process used; it must have ended.
func (in *Instance) CPU() time.Duration {
	return in.cmd.ProcessState.UserTime() + in.cmd.ProcessState.SystemTime()
}

// RSS returns the resident memory of the running process in bytes.
func (in *Instance) RSS() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", in.Pid()))
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	return resident * int64(os.Getpagesize()), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	also io.Writer
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.also != nil {
		_, _ = t.also.Write(p)
	}
	t.buf.Write(p)
	const most = 1 << 20
	if over := t.buf.Len() - most; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
