package dir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

const (
	tempPrefix = "~" // not of a key's alphabet, so never a key
	// tempLife is after how long without a write a temporary file is a killed
	// writer's: no upload pauses for a day.
	tempLife = 24 * time.Hour
	// maxTries bounds how often a writer makes a folder again that others
	// prune; each loss needs a Delete that empties the folder in that instant.
	maxTries = 1000
	// copyBytes is how much is copied between two looks at ctx.
	copyBytes = 256 << 10
)

func tempName() string { return tempPrefix + rand.Text() }

// Create implements objstore.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.store(ctx, key, body, false)
}

// Put implements objstore.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.store(ctx, key, body, true)
}

func (b *Bucket) store(ctx context.Context, key string, body io.ReadSeeker, replace bool) (objstore.Info, error) {
	path, name := split(key)
	for range maxTries {
		if err := b.check(ctx, key); err != nil {
			return objstore.Info{}, err
		}
		f, err := b.acquire(path)
		var fi fs.FileInfo
		if err == nil {
			fi, err = b.storeIn(ctx, f, name, body, replace)
			b.release(f)
		}
		switch {
		case err == nil:
			b.setSettled(key, fi)
			return info(key, fi), nil
		case !errors.Is(err, errStale):
			return objstore.Info{}, fmt.Errorf("store %s: %w", key, err)
		}
	}
	return objstore.Info{}, fmt.Errorf("store %s: %w, %d times", key, errStale, maxTries)
}

// storeIn writes a temporary file into f, gives it its name, and fsyncs both.
func (b *Bucket) storeIn(ctx context.Context, f *folder, name string, body io.ReadSeeker, replace bool) (fs.FileInfo, error) {
	if old, err := f.root.Lstat(name); err == nil {
		if old.IsDir() {
			return nil, objstore.ErrKeyConflict
		}
		if !replace { // spares the loser the writing
			return nil, b.exists(f)
		}
	}
	temp := tempName()
	fi, err := b.writeTemp(ctx, f, temp, body)
	if err != nil {
		return nil, err
	}
	if replace {
		err = f.root.Rename(temp, name)
		b.note("rename "+temp, join(f.path, name))
	} else {
		err = b.link(f, temp, name)
	}
	if err != nil {
		f.root.Remove(temp) // best effort, else swept later
		return nil, b.nameError(f, name, err)
	}
	if !replace {
		f.root.Remove(temp) // as above
	}
	if err := b.syncFolder(f); err != nil {
		return nil, err
	}
	return fi, nil
}

func join(folder, name string) string {
	if folder == "" {
		return name
	}
	return folder + "/" + name
}

// writeTemp stores body durably, but under no key yet.
func (b *Bucket) writeTemp(ctx context.Context, f *folder, temp string, body io.ReadSeeker) (fi fs.FileInfo, err error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("rewind body: %w", err)
	}
	h, err := f.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, b.stale(f, err)
	}
	defer func() {
		if err2 := h.Close(); err == nil && err2 != nil {
			err = trouble(err2)
		}
		if err != nil {
			f.root.Remove(temp) // best effort, else swept later
		}
	}()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := io.CopyN(h, body, copyBytes)
		if n < copyBytes && errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("write: %w", trouble(err))
		}
	}
	if err := b.fsync(h); err != nil {
		return nil, fmt.Errorf("fsync: %w", trouble(err))
	}
	if err := ctx.Err(); err != nil { // the last moment at which nothing has happened
		return nil, err
	}
	return h.Stat()
}

// link gives temp the name if nothing has it. Over NFS a link may be made and
// its answer lost, so that the client's second try says "exists".
func (b *Bucket) link(f *folder, temp, name string) error {
	err := f.root.Link(temp, name)
	if errors.Is(err, fs.ErrExist) {
		mine, err1 := f.root.Lstat(temp)
		there, err2 := f.root.Lstat(name)
		if err1 == nil && err2 == nil && os.SameFile(mine, there) {
			err = nil
		}
	}
	if err == nil {
		b.note("link "+temp, join(f.path, name))
	}
	return err
}

// nameError says why a temporary file did not get its name.
func (b *Bucket) nameError(f *folder, name string, err error) error {
	if there, lerr := f.root.Lstat(name); lerr == nil && there.IsDir() {
		return objstore.ErrKeyConflict
	}
	if errors.Is(err, fs.ErrExist) {
		return b.exists(f)
	}
	return linkError(b.root, err)
}

// exists returns ErrExist when what exists is durable too.
func (b *Bucket) exists(f *folder) error {
	if err := b.syncFolder(f); err != nil {
		return err
	}
	return objstore.ErrExist
}

// Delete implements objstore.Bucket. Folders that it leaves empty go as well.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := b.check(ctx, key); err != nil {
			return err
		}
	}
	touched := map[string]bool{}
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := syscall.Unlink(b.path(key))
		switch {
		case err == nil:
			folder, _ := split(key)
			touched[folder] = true
			b.note("unlink", key)
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
			// No such object. (A folder of keys answers EISDIR on Linux.)
		case b.isFolder(key): // EPERM elsewhere
		default:
			return fmt.Errorf("delete %s: %w", key, trouble(err))
		}
	}
	for path := range touched {
		if err := b.syncPath(path); err != nil {
			return fmt.Errorf("delete in %s: %w", path, err)
		}
		b.prune(ctx, path)
	}
	return nil
}

func (b *Bucket) isFolder(key string) bool {
	fi, err := os.Lstat(b.path(key))
	return err == nil && fi.IsDir()
}

// syncPath fsyncs the folder at path, if it is still there.
func (b *Bucket) syncPath(path string) error {
	d, err := os.Open(b.path(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return trouble(err)
	}
	defer d.Close()
	if err := b.fsync(d); err != nil {
		return trouble(err)
	}
	return nil
}
