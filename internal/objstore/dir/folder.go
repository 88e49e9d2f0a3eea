package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// maxFolders is how many folders are held open, at two descriptors each: far
// below the 1,024 descriptors that a Lambda function has (facts/storage.md §7).
const maxFolders = 64

// settleTime is how long after its last write an object may still be on its
// way to the disk. Linux writes metadata back within 30 s
// (vm.dirty_expire_centisecs, and the same for the XFS log); twice that.
const settleTime = 60 * time.Second

// folder is an open folder whose own entry, and those of its parents, are
// durable for as long as it exists. It is addressed by descriptor: another
// process that prunes it and makes it anew makes another folder, in which
// nothing is written through this one (the system says "no such file").
type folder struct {
	path string
	root *os.Root
	dir  *os.File // the same folder, to fsync; open before anything is linked

	// refs and used are guarded by Bucket.mu. A folder that left
	// Bucket.folders is closed with its last user.
	refs int
	used int64
	gone bool

	syncMu  sync.Mutex
	startMu sync.Mutex
	started int64 // fsyncs begun
	done    int64 // the newest fsync that succeeded
}

// errStale: the folder was pruned by another; open it anew.
var errStale = errors.New("folder was removed meanwhile")

func newFolder(path string, root *os.Root) (*folder, error) {
	d, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	return &folder{path: path, root: root, dir: d}, nil
}

func (f *folder) close() {
	f.dir.Close()
	f.root.Close()
}

// acquire returns the folder at path below the root, made durably if need be.
// The caller releases it.
func (b *Bucket) acquire(path string) (*folder, error) {
	b.mu.Lock()
	if f := b.folders[path]; f != nil {
		f.refs++
		b.clock++
		f.used = b.clock
		b.mu.Unlock()
		return f, nil
	}
	closed := b.folders == nil
	b.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("bucket in %s: %w", b.root, fs.ErrClosed)
	}
	up, name := split(path)
	parent, err := b.acquire(up)
	if err != nil {
		return nil, err
	}
	defer b.release(parent)
	f, err := b.enter(parent, path, name)
	if err != nil {
		return nil, err
	}
	return b.keep(f), nil
}

// enter makes and opens the folder name in parent. The order matters: what
// was opened before parent's fsync and is still there later was durable.
func (b *Bucket) enter(parent *folder, path, name string) (*folder, error) {
	err := parent.root.Mkdir(name, 0o700)
	if err == nil {
		b.note("mkdir", path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, b.stale(parent, err)
	}
	root, err := parent.root.OpenRoot(name)
	if err != nil {
		if errors.Is(err, syscall.ENOTDIR) || isFile(parent.root, name) {
			return nil, fmt.Errorf("%s is an object: %w", path, objstore.ErrKeyConflict)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errStale // pruned since Mkdir; parent may be fine
		}
		return nil, trouble(err)
	}
	f, err := newFolder(path, root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errStale
	}
	if err != nil {
		return nil, trouble(err)
	}
	if err := b.syncFolder(parent); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func isFile(root *os.Root, name string) bool {
	fi, err := root.Lstat(name)
	return err == nil && !fi.IsDir()
}

// stale turns "no such file" into errStale and forgets f, which is gone then.
func (b *Bucket) stale(f *folder, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return trouble(err)
	}
	if f.path == "" {
		return objstore.Trouble(objstore.ErrDown, fmt.Errorf("folder %s was removed: %w", b.root, err))
	}
	b.mu.Lock()
	b.forget(f)
	b.mu.Unlock()
	return errStale
}

// keep adds f, in use, to the folders held open, and returns the one that is
// there already if another goroutine was faster.
func (b *Bucket) keep(f *folder) *folder {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock++
	if have := b.folders[f.path]; have != nil {
		f.close()
		f = have
	}
	f.refs++
	f.used = b.clock
	b.folders[f.path] = f
	for len(b.folders) > maxFolders {
		var oldest *folder
		for _, g := range b.folders {
			if g.path != "" && g != f && (oldest == nil || g.used < oldest.used) {
				oldest = g
			}
		}
		b.forget(oldest)
	}
	return f
}

// forget closes f once its last user released it. b.mu is held.
func (b *Bucket) forget(f *folder) {
	if b.folders[f.path] == f {
		delete(b.folders, f.path)
	}
	if f.refs == 0 && !f.gone {
		f.close()
	}
	f.gone = true
}

func (b *Bucket) release(f *folder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.refs--
	if f.refs == 0 && f.gone {
		f.close()
	}
}

// syncFolder returns when an fsync of f that began after this call ended.
// Concurrent callers share one. A failure breaks the bucket: nobody can say
// what of the folder is on the disk.
func (b *Bucket) syncFolder(f *folder) error {
	f.startMu.Lock()
	need := f.started + 1 // an fsync that has begun already may miss our entry
	f.startMu.Unlock()
	f.syncMu.Lock()
	defer f.syncMu.Unlock()
	if f.done >= need {
		return nil
	}
	f.startMu.Lock()
	f.started++
	mine := f.started
	f.startMu.Unlock()
	if err := b.fsync(f.dir); err != nil {
		broken := objstore.Trouble(objstore.ErrDown, fmt.Errorf("fsync of folder %q in %s: %w; nothing more is read or written here until the disk was checked and the service restarted", f.path, b.root, err))
		b.broken.CompareAndSwap(nil, &broken)
		return broken
	}
	f.done = mine
	return nil
}

// settle makes durable what another process may have linked just now and not
// yet fsynced: who acts on what it read must not see it undone by a power cut.
func (b *Bucket) settle(key string, fi fs.FileInfo) error {
	if time.Since(fi.ModTime()) > settleTime || b.isSettled(key, fi) {
		return nil
	}
	path, _ := split(key)
	for range maxTries {
		f, err := b.acquire(path)
		if err == nil {
			err = b.syncFolder(f)
			b.release(f)
		}
		if err == nil {
			b.setSettled(key, fi)
		}
		if !errors.Is(err, errStale) {
			return err
		}
	}
	return fmt.Errorf("settle %s: %w", key, errStale)
}

// maxSettled is how many young objects are remembered to be durable: more
// than one catch-up reads in settleTime, at about 300 bytes each.
const maxSettled = 1024

func (b *Bucket) isSettled(key string, fi fs.FileInfo) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was, ok := b.settled[key]
	return ok && os.SameFile(was, fi) && was.ModTime().Equal(fi.ModTime())
}

// setSettled remembers that the object which fi describes is durable.
func (b *Bucket) setSettled(key string, fi fs.FileInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.settled == nil || len(b.settled) >= maxSettled {
		b.settled = map[string]fs.FileInfo{}
	}
	b.settled[key] = fi
}

// prune removes path and its parents while they are empty. rmdir fails as
// soon as anything is inside, so a concurrent Create either has its temporary
// file there already or finds its folder gone and makes it again.
func (b *Bucket) prune(ctx context.Context, path string) {
	for path != "" && ctx.Err() == nil {
		b.sweep(path)
		if err := syscall.Rmdir(b.path(path)); err != nil {
			return
		}
		b.mu.Lock()
		if f := b.folders[path]; f != nil {
			b.forget(f)
		}
		b.mu.Unlock()
		path, _ = split(path)
	}
}

// sweep removes what killed writers left in the folder. The age is that of
// the last write, by the clock of the file system against ours: were a living
// writer's file taken by mistake, its link would fail and nothing be stored.
func (b *Bucket) sweep(path string) {
	entries, err := os.ReadDir(b.path(path))
	if err != nil {
		return
	}
	for _, e := range entries {
		if isTemp(e.Name()) {
			b.sweepOne(path, e)
		}
	}
}

func (b *Bucket) sweepOne(path string, e fs.DirEntry) {
	fi, err := e.Info()
	if err == nil && fi.Mode().IsRegular() && time.Since(fi.ModTime()) > tempLife {
		os.Remove(filepath.Join(b.path(path), e.Name())) // best effort: the next one tries again
	}
}

func isTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }
