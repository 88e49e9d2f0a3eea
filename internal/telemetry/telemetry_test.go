package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// open opens a log into a buffer.
func open(t *testing.T, o Options) (*Log, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	o.Stdout, o.Stderr = &b, io.Discard
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l, &b
}

func TestTheZeroOptionsWriteTextAtInfo(t *testing.T) {
	t.Parallel()
	l, b := open(t, Options{})
	l.Debug("hidden")
	l.Info("shown", Tenant, "a")
	if got := b.String(); strings.Contains(got, "hidden") || !strings.Contains(got, "level=INFO msg=shown tenant=a\n") {
		t.Errorf("log = %q", got)
	}
}

func TestJSONIsOneObjectALine(t *testing.T) {
	t.Parallel()
	l, b := open(t, Options{Format: "json"})
	ctx := WithRequest(t.Context(), "abc")
	l.With(Tenant, "t").WithGroup("g").InfoContext(ctx, "two\nlines", Took(1500*time.Microsecond), Error(errors.New("e")), Error(nil))
	var got struct {
		Level, Msg, Tenant string
		G                  struct {
			Duration float64 `json:"duration_ms"`
			Err      string
			Trace    string `json:"trace_id"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || bytes.Count(b.Bytes(), []byte("\n")) != 1 {
		t.Fatalf("%v in %q", err, b)
	}
	if got.Msg != "two\nlines" || got.Tenant != "t" || got.G.Duration != 1.5 || got.G.Err != "e" || got.G.Trace != "abc" {
		t.Errorf("got %+v", got)
	}
}

func TestTheRequestsIDIsOnEachLine(t *testing.T) {
	t.Parallel()
	l, b := open(t, Options{})
	ctx := WithRequest(t.Context(), "abc")
	l.InfoContext(ctx, "one")
	l.With("a", 1).InfoContext(ctx, "two")
	l.InfoContext(t.Context(), "three")
	for i, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		if has := strings.Contains(line, "trace_id=abc"); has != (i < 2) {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if RequestOf(ctx) != "abc" || RequestOf(t.Context()) != "" {
		t.Error("RequestOf does not return what WithRequest put")
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	a, b := NewRequest(), NewRequest()
	if a == b || len(a) != 32 || !IsRequest(a) {
		t.Errorf("NewRequest = %q, %q", a, b)
	}
	for id, want := range map[string]bool{
		"abc": true, "A.b_c-9": true, strings.Repeat("a", 64): true,
		"": false, strings.Repeat("a", 65): false, "a b": false, "a\nb": false, "a\"": false, "中": false,
	} {
		if IsRequest(id) != want {
			t.Errorf("IsRequest(%q) = %v", id, !want)
		}
	}
}

func TestTheLevelChangesAtRunTime(t *testing.T) {
	t.Parallel()
	l, b := open(t, Options{Level: "warn"})
	child := l.With("a", 1)
	child.Info("no")
	if err := l.SetLevel("debug"); err != nil {
		t.Fatal(err)
	}
	child.Debug("yes")
	if err := l.SetLevel("loud"); err == nil || err.Error() != `log level "loud": want debug, info, warn or error` {
		t.Errorf("SetLevel = %v", err)
	}
	if l.Level() != "debug" {
		t.Errorf("Level = %s", l.Level())
	}
	if got := b.String(); strings.Contains(got, "no") || !strings.Contains(got, "yes") {
		t.Errorf("log = %q", got)
	}
	for _, name := range []string{"debug", "info", "warn", "error"} {
		if err := l.SetLevel(name); err != nil || l.Level() != name {
			t.Errorf("SetLevel(%s) = %v, Level %s", name, err, l.Level())
		}
	}
}

func TestBadOptionsAreNamed(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		`log level "x": want debug, info, warn or error`: {Level: "x"},
		`log format "x": want json or text`:              {Format: "x"},
		`log output "x": want stdout, stderr or file`:    {Output: "x"},
		`log file: no path`:                              {Output: "file"},
	} {
		if _, err := Open(o); err == nil || err.Error() != want {
			t.Errorf("Open(%+v) = %v, want %s", o, err, want)
		}
	}
}

func TestWrapStandsBeforeTheWriter(t *testing.T) {
	t.Parallel()
	l, b := open(t, Options{Wrap: func(h slog.Handler) slog.Handler { return h.WithAttrs([]slog.Attr{slog.Int("wrapped", 1)}) }})
	l.InfoContext(WithRequest(t.Context(), "id"), "m")
	if got := b.String(); !strings.Contains(got, "wrapped=1") || !strings.Contains(got, "trace_id=id") {
		t.Errorf("log = %q", got)
	}
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func TestTheFileIsRotated(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "logs", "app.log")
	f, err := OpenFile(path, 100, 2, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := fmt.Fprintf(f, "line %02d %s\n", i, strings.Repeat("x", 31)); err != nil { // 40 bytes
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]string{"": {"line 18", "line 19"}, ".1": {"line 16", "line 17"}, ".2": {"line 14", "line 15"}} {
		got := lines(t, path+name)
		if len(got) != 2 || !strings.HasPrefix(got[0], want[0]) || !strings.HasPrefix(got[1], want[1]) {
			t.Errorf("app.log%s = %q, want %q", name, got, want)
		}
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("more files are kept than asked for")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("the log is open to all: %v, %v", info.Mode(), err)
	}
}

func TestRotationCountsWhatWasThereBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 99), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path, 100, 1, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("new\n")); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, path); len(got) != 1 || got[0] != "new" {
		t.Errorf("app.log = %q", got)
	}
}

func TestALineLargerThanTheFileIsWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	f, err := OpenFile(path, 10, 1, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	long := strings.Repeat("y", 50)
	for range 2 {
		if n, err := f.Write([]byte(long + "\n")); n != 51 || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	if got := lines(t, path); len(got) != 1 || got[0] != long {
		t.Errorf("app.log = %q", got)
	}
}

func TestTheFileIsReopened(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	l, err := Open(Options{Output: "file", Path: path, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	l.Info("before")
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	l.Info("between")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Info("after")
	if got := lines(t, path+".moved"); len(got) != 2 {
		t.Errorf("moved = %q", got)
	}
	if got := lines(t, path); len(got) != 1 || !strings.Contains(got[0], "after") {
		t.Errorf("app.log = %q", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Reopen after Close = %v", err)
	}
	stream, _ := open(t, Options{})
	if err := errors.Join(stream.Reopen(), stream.Close()); err != nil {
		t.Errorf("a stream has no file to reopen or close: %v", err)
	}
}

func TestWhatTheFileCannotTakeGoesToTheFallback(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	var fallback bytes.Buffer
	f, err := OpenFile(filepath.Join(dir, "app.log"), 20, 1, &fallback)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.f.Close(); err != nil { // the disk goes away
		t.Fatal(err)
	}
	if n, err := f.Write([]byte("lost?\n")); n != 6 || err != nil || fallback.String() != "lost?\n" {
		t.Errorf("Write = %d, %v; fallback %q", n, err, &fallback)
	}
	if err := f.Reopen(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("back\n")); err != nil {
		t.Fatal(err)
	}
	if got := lines(t, filepath.Join(dir, "app.log")); len(got) != 1 || got[0] != "back" {
		t.Errorf("app.log = %q", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("late\n")); err != nil || !strings.HasSuffix(fallback.String(), "late\n") {
		t.Errorf("a line after Close: %v, fallback %q", err, &fallback)
	}
}

func TestAFolderThatVanishesAndComesBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	path := filepath.Join(dir, "app.log")
	var fallback bytes.Buffer
	f, err := OpenFile(path, 10, 1, &fallback)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(s string) {
		if n, err := f.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", s, n, err)
		}
	}
	write("12345678\n")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	write("rotation fails\n")
	if got := fallback.String(); !strings.HasSuffix(got, "rotation fails\n") {
		t.Errorf("fallback = %q", got)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	write("back\n")
	if got := lines(t, path); len(got) != 1 || got[0] != "back" {
		t.Errorf("app.log = %q", got)
	}
}

func TestManyWritersLoseNoLine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	l, err := Open(Options{Output: "file", Path: path, MaxBytes: 4 << 10, MaxFiles: 1000, Format: "json", Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 100
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				l.Info("m", Count, w*each+i)
				if i%25 == 0 {
					if err := l.Reopen(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, name := range names {
		for _, line := range lines(t, name) {
			var got struct{ Count int }
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatalf("%s in %s: %q", err, name, line)
			}
			seen[got.Count] = true
		}
	}
	if len(seen) != writers*each || len(names) < 3 {
		t.Errorf("%d lines in %d files, want %d in several", len(seen), len(names), writers*each)
	}
}
