package dir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// disk models what a power cut leaves: of a folder's entries those that were
// there when its last fsync began, of a file what was fsynced. It is fed by the
// hooks and the fsyncs of all buckets on one folder.
type disk struct {
	root string

	mu        sync.Mutex
	processes int
	syncing   map[string][]string // by process and folder: what a running fsync covers
	durable   map[string]bool
	files     map[string]bool // temporary files whose content is on the disk
	early     []string        // names given to files before that
	trace     []string
}

func newDisk(root string) *disk {
	return &disk{root: root, syncing: map[string][]string{}, durable: map[string]bool{}, files: map[string]bool{}}
}

// fsync returns the fsync of one process.
func (d *disk) fsync(process int) func(*os.File) error {
	return func(h *os.File) error {
		path, err := filepath.Rel(d.root, h.Name())
		if err != nil {
			return err
		}
		if path = filepath.ToSlash(path); path == "." {
			path = ""
		}
		d.step(process, "sync begins", path)
		err = h.Sync()
		if err == nil {
			d.step(process, "sync ends", path)
		}
		return err
	}
}

// hook returns the hook of one process.
func (d *disk) hook(process int) func(step, path string) {
	return func(step, path string) { d.step(process, step, path) }
}

func (d *disk) step(process int, step, path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trace = append(d.trace, fmt.Sprint(process, " ", step, " ", path))
	run := fmt.Sprint(process, " ", path)
	kind, temp, _ := strings.Cut(step, " ")
	switch {
	case kind == "link" || kind == "rename":
		if !d.files[temp] {
			d.early = append(d.early, path)
		}
	case step == "sync begins":
		d.syncing[run] = nil
		entries, _ := os.ReadDir(filepath.Join(d.root, filepath.FromSlash(path)))
		for _, e := range entries {
			d.syncing[run] = append(d.syncing[run], join(path, e.Name()))
		}
	case step == "sync ends":
		_, name := split(path)
		d.files[name] = true // if it is a file
		for _, entry := range d.syncing[run] {
			d.durable[entry] = true
		}
	}
}

// lost names the first part of key that a power cut now would lose.
func (d *disk) lost(key string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.early, key) {
		return "the content of " + key
	}
	for i := range len(key) + 1 {
		if (i == len(key) || key[i] == '/') && !d.durable[key[:i]] {
			return key[:i]
		}
	}
	return ""
}

func openOn(t *testing.T, root string, d *disk) *Bucket {
	t.Helper()
	b, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if d != nil {
		d.processes++
		b.hook, b.fsync = d.hook(d.processes), d.fsync(d.processes)
	}
	return b
}

func create(t *testing.T, b *Bucket, key string) {
	t.Helper()
	if _, err := b.Create(t.Context(), key, strings.NewReader("of "+key)); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsAcknowledgedOutlivesAPowerCut(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := newDisk(root)
	buckets := []*Bucket{openOn(t, root, d), openOn(t, root, d), openOn(t, root, d)} // three processes
	var wg sync.WaitGroup
	for g, b := range buckets {
		for w := range 2 {
			wg.Go(func() {
				for i := range 12 {
					key := fmt.Sprintf("t/%d/l/%d/%d", i%3, i%2, i)
					_, err := b.Create(t.Context(), key, strings.NewReader("x"))
					if err != nil && !errors.Is(err, objstore.ErrExist) {
						t.Errorf("Create = %v", err)
					}
					if lost := d.lost(key); lost != "" {
						t.Errorf("writer %d.%d was told %v, and a power cut would lose %s", g, w, err, lost)
					}
				}
			})
		}
	}
	wg.Wait()
	if _, err := buckets[0].Put(t.Context(), "other/place", strings.NewReader("x")); err != nil || d.lost("other/place") != "" {
		t.Errorf("Put = %v, and %q would be lost", err, d.lost("other/place"))
	}
	if t.Failed() {
		t.Log(strings.Join(d.trace, "\n"))
	}
}

func TestAFolderThatAnotherProcessJustMadeIsMadeDurableByBoth(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := newDisk(root)
	slow, fast := openOn(t, root, d), openOn(t, root, d)
	made, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow.hook = func(step, path string) {
		d.step(1, step, path)
		if step == "mkdir" && path == "t" {
			once.Do(func() { close(made) })
			<-proceed
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := slow.Create(context.Background(), "t/a/1", strings.NewReader("x"))
		done <- err
	}()
	<-made // and not fsynced yet
	create(t, fast, "t/a/2")
	if lost := d.lost("t/a/2"); lost != "" {
		t.Errorf("acknowledged, and a power cut would lose %s", lost)
	}
	close(proceed)
	if err := <-done; err != nil || d.lost("t/a/1") != "" {
		t.Errorf("Create = %v, would lose %q", err, d.lost("t/a/1"))
	}
}

func TestWhatIsReadOutlivesAPowerCut(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := newDisk(root)
	writer, reader := openOn(t, root, d), openOn(t, root, d)
	linked, proceed := make(chan struct{}), make(chan struct{})
	writer.hook = func(step, path string) {
		d.step(1, step, path)
		if strings.HasPrefix(step, "link") {
			close(linked)
			<-proceed
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := writer.Create(context.Background(), "t/slot", strings.NewReader("x"))
		done <- err
	}()
	<-linked // visible, and not fsynced yet
	if d.lost("t/slot") != "t/slot" {
		t.Fatalf("the model believes it durable: %v", d.trace)
	}
	if _, err := reader.Create(t.Context(), "t/slot", strings.NewReader("y")); !errors.Is(err, objstore.ErrExist) || d.lost("t/slot") != "" {
		t.Errorf("Create = %v; a power cut would lose %q", err, d.lost("t/slot"))
	}
	close(proceed)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// Linked by a process that was killed before it fsynced.
	if err := os.WriteFile(filepath.Join(root, "t", "orphan"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		before := len(d.trace)
		if _, _, err := reader.Get(t.Context(), "t/orphan"); err != nil || d.lost("t/orphan") != "" {
			t.Errorf("Get = %v; a power cut would lose %q", err, d.lost("t/orphan"))
		}
		if synced := len(d.trace) > before; synced != (i == 0) {
			t.Errorf("read %d: fsynced %v, want the first time only", i+1, synced)
		}
	}
}

func TestAFailedFsyncEndsTheBucket(t *testing.T) {
	t.Parallel()
	b := openOn(t, t.TempDir(), nil)
	create(t, b, "t/a")
	b.folders["t"].dir.Close() // the next fsync fails
	_, err := b.Create(t.Context(), "t/b", strings.NewReader("x"))
	if !errors.Is(err, objstore.ErrDown) {
		t.Fatalf("Create = %v, want ErrDown", err)
	}
	// t/b is visible, and nobody knows whether it is on the disk: reading it
	// back must not turn "unknown" into "done".
	_, _, err1 := b.Get(t.Context(), "t/b")
	_, _, err2 := b.List(t.Context(), "", "", 1)
	_, err3 := b.Create(t.Context(), "u/c", strings.NewReader("x"))
	err4 := b.Delete(t.Context(), "t/a")
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, objstore.ErrDown) || !strings.Contains(err.Error(), "checked") {
			t.Errorf("call %d after it = %v, want ErrDown with what to do", i+1, err)
		}
	}
}
