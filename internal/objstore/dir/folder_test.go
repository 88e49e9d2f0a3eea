package dir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

func TestTemporaryFilesAreNoObjectsAndAreSweptWhenOld(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	b := openOn(t, root, nil)
	create(t, b, "t/a/1")
	old, fresh := filepath.Join(root, "t/a", tempName()), filepath.Join(root, "t/a", tempName())
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-tempLife - time.Minute)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	infos, _, err := b.List(t.Context(), "", "", 10)
	if err != nil || len(infos) != 1 {
		t.Errorf("List = %v, %v, want t/a/1 only", infos, err)
	}
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old one is still there: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("a living writer's file: %v", err)
	}
	if err := os.Chtimes(fresh, then, then); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "t/a/1"); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(root); len(left) != 0 {
		t.Errorf("Delete left %v", left)
	}
}

func TestWriterWhoseTemporaryFileWasSweptStoresNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	b := openOn(t, root, nil)
	b.fsync = func(h *os.File) error {
		if isTemp(filepath.Base(h.Name())) {
			os.Remove(h.Name())
		}
		return h.Sync()
	}
	if _, err := b.Create(t.Context(), "t/a", strings.NewReader("x")); err == nil {
		t.Error("Create = nil")
	}
	if _, _, err := b.Get(t.Context(), "t/a"); !errors.Is(err, objstore.ErrNotExist) {
		t.Errorf("Get = %v", err)
	}
}

func TestListOpensOnlyFoldersThatMatter(t *testing.T) {
	t.Parallel()
	b := openOn(t, t.TempDir(), nil)
	for _, tenant := range []string{"acme", "acme-2", "beta", "gamma"} {
		for _, key := range []string{"head/1", "l1/ltx/0/1", "l1/ltx/1/2"} {
			create(t, b, "t/"+tenant+"/"+key)
		}
	}
	var opened []string
	b.hook = func(step, path string) {
		if step == "list folder" {
			opened = append(opened, path)
		}
	}
	for _, c := range []struct{ prefix, after, want string }{
		{"t/acme/l1/ltx/0/", "", "t/acme/l1/ltx/0"},
		{"t/acme/l1/ltx/0/", "t/acme/l1/ltx/1", ""},
		{"t/acme/l1/ltx/1", "", "t/acme/l1/ltx t/acme/l1/ltx/1"},
		{"t/", "t/beta0", "t t/gamma t/gamma/head t/gamma/l1 t/gamma/l1/ltx t/gamma/l1/ltx/0 t/gamma/l1/ltx/1"},
		{"t/nobody/", "", "t/nobody"},
	} {
		opened = nil
		if _, _, err := b.List(t.Context(), c.prefix, c.after, 100); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(opened, " "); got != c.want {
			t.Errorf("List(%q, %q) opened %s, want %s", c.prefix, c.after, got, c.want)
		}
	}
	opened = nil
	if _, more, err := b.List(t.Context(), "t/", "", 1); err != nil || !more || len(opened) > 8 {
		t.Errorf("the first of all: more %v, %v, opened %v", more, err, opened)
	}
}

func TestFoldersHeldOpenAreBounded(t *testing.T) {
	t.Parallel()
	b := openOn(t, t.TempDir(), nil)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range maxFolders {
				key := fmt.Sprintf("t/%d/%d/x", g, i)
				if _, err := b.Create(t.Context(), key, strings.NewReader("x")); err != nil {
					t.Errorf("Create = %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(b.folders); n > maxFolders {
		t.Errorf("%d folders are open, want at most %d", n, maxFolders)
	}
	for path, f := range b.folders {
		if want := path == ""; f.refs != 0 != want {
			t.Errorf("folder %q has %d users", path, f.refs)
		}
	}
}

func TestFoldersPrunedByAnotherProcessAreMadeAgain(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := newDisk(root)
	one, two := openOn(t, root, d), openOn(t, root, d)
	var wg sync.WaitGroup
	for i, b := range []*Bucket{one, two, one, two} {
		wg.Go(func() {
			for j := range 60 {
				key := fmt.Sprintf("a/b/c/%d-%d", i, j)
				if _, err := b.Create(t.Context(), key, strings.NewReader(key)); err != nil {
					t.Errorf("Create = %v", err)
					return
				}
				if got, _, err := b.Get(t.Context(), key); err != nil || string(got) != key {
					t.Errorf("Get(%s) = %q, %v", key, got, err)
				}
				if err := b.Delete(t.Context(), key); err != nil {
					t.Errorf("Delete = %v", err)
				}
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(root); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := os.Remove(root); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Create(t.Context(), "x/y", strings.NewReader("x")); !errors.Is(err, objstore.ErrDown) {
		t.Errorf("Create without the data folder = %v, want ErrDown", err)
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("a data folder that was taken away was made again")
	}
}

func TestSymbolicLinksOfOperatorsAreFollowedByListAndGet(t *testing.T) {
	t.Parallel()
	root, disk2 := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(disk2, "acme", "l"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(disk2, "acme", "l", "1"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := openOn(t, root, nil)
	create(t, b, "t/beta/1")
	if err := os.Symlink(filepath.Join(disk2, "acme"), filepath.Join(root, "t", "acme")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(root, "t", "broken")); err != nil {
		t.Fatal(err)
	}
	infos, _, err := b.List(t.Context(), "", "", 10)
	if err != nil || len(infos) != 2 || infos[0].Key != "t/acme/l/1" {
		t.Errorf("List = %v, %v", infos, err)
	}
}

func TestTroubleOfFileSystemsIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		errno syscall.Errno
		want  string
	}{
		{syscall.ENOSPC, "full"}, {syscall.EDQUOT, "full"}, {syscall.EROFS, "read_only"}, {syscall.EACCES, "denied"}, {syscall.EIO, "down"}, {syscall.EMFILE, "down"}, {syscall.EINVAL, ""},
	} {
		err := &fs.PathError{Op: "write", Path: "x", Err: c.errno}
		if got := objstore.Reason(trouble(err)); got != c.want {
			t.Errorf("%v is %q, want %q", c.errno, got, c.want)
		}
	}
	for _, errno := range []syscall.Errno{syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		err := linkError("/data", &os.LinkError{Op: "link", Err: errno})
		if !errors.Is(err, errno) || !strings.Contains(err.Error(), "hard links") {
			t.Errorf("link %v = %v, want it explained", errno, err)
		}
	}
}

func TestOpenRefusesWhatIsNoFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"", file, filepath.Join(file, "below")} {
		if b, err := Open(root); err == nil {
			b.Close()
			t.Errorf("Open(%q) = nil", root)
		}
	}
	deep := filepath.Join(t.TempDir(), "a", "b", "c")
	b := openOn(t, deep, nil)
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("Check = %v", err)
	}
	if left, _ := os.ReadDir(deep); len(left) != 0 || b.Root() != deep {
		t.Errorf("Check left %v", left)
	}
	b.Close()
	if _, err := b.Create(t.Context(), "k", strings.NewReader("x")); err == nil {
		t.Error("Create after Close = nil")
	}
}
