// Package dir is the bucket in a folder: every key is a file at the same path
// below it, so that other tools read it as it is. An object is durable when
// Create or Put returns, and also when Create answers ErrExist or a read
// returns it: files and folders are fsynced before anyone learns of them.
// Several processes of one host may share the folder; several hosts only where
// SelfTest passes on each and the mount caches no absence (NFSv4 with
// lookupcache=none), see DESIGN §4.
//
// A key cannot be a folder of another key: that is ErrKeyConflict. Temporary
// files begin with '~', which no key contains.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eino-qa/eino-qa/internal/largepages"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Bucket is an objstore.Bucket in a folder. Make it with Open.
type Bucket struct {
	root string
	// hook, for tests, is told of every step that a power cut could undo.
	hook func(step, path string)
	// fsync is (*os.File).Sync; tests see what really went through it.
	fsync func(*os.File) error

	mu      sync.Mutex
	folders map[string]*folder // open folders by path below root; "" is root
	clock   int64              // counts uses, for the least recently used folder
	settled map[string]fs.FileInfo

	// broken is set for good once a folder could not be fsynced: the kernel
	// reports that once, and what it then shows may not be on the disk.
	broken atomic.Pointer[error]
}

var (
	_ objstore.Bucket  = (*Bucket)(nil)
	_ objstore.Checker = (*Bucket)(nil)
)

// Open returns the bucket in the folder root, which it makes if need be.
// Close it to release the folders that it holds open.
func Open(root string) (*Bucket, error) {
	if root == "" {
		return nil, errors.New("open folder bucket: no folder given")
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open folder bucket: %w", err)
	}
	if err := makeRoot(abs); err != nil {
		return nil, fmt.Errorf("open folder bucket: %w", trouble(err))
	}
	r, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open folder bucket: %w", trouble(err))
	}
	f, err := newFolder("", r)
	if err != nil {
		return nil, fmt.Errorf("open folder bucket: %w", trouble(err))
	}
	f.refs = 1 // root stays open until Close
	return &Bucket{root: abs, fsync: (*os.File).Sync, folders: map[string]*folder{"": f}}, nil
}

// makeRoot makes abs and its parents durably.
func makeRoot(abs string) error {
	fi, err := os.Stat(abs)
	if err == nil && !fi.IsDir() {
		return fmt.Errorf("%s is a file, not a folder", abs)
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(abs)
	if err := makeRoot(parent); err != nil {
		return err
	}
	if err := os.Mkdir(abs, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Root is the folder, absolute.
func (b *Bucket) Root() string { return b.root }

// Close releases the folders held open. The bucket must not be in use.
func (b *Bucket) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.folders {
		f.close()
	}
	b.folders = nil
	return nil
}

func (b *Bucket) note(step, path string) {
	if b.hook != nil {
		b.hook(step, path)
	}
}

// path is where key is; the caller has validated it.
func (b *Bucket) path(key string) string {
	return filepath.Join(b.root, filepath.FromSlash(key))
}

// split cuts key into its folder, "" for the root, and its name.
func split(key string) (folder, name string) {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		return "", key
	}
	return key[:i], key[i+1:]
}

func (b *Bucket) check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.broken.Load(); err != nil {
		return *err
	}
	return objstore.ValidateKey(key)
}

// Check implements objstore.Checker: it tries what Create stands on.
func (b *Bucket) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f, err := b.acquire("")
	if err != nil {
		return err
	}
	defer b.release(f)
	from, to := tempName(), tempName()
	h, err := f.root.OpenFile(from, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write into %s: %w", b.root, trouble(err))
	}
	defer f.root.Remove(from)
	h.Close()
	if err := f.root.Link(from, to); err != nil {
		return linkError(b.root, err)
	}
	defer f.root.Remove(to)
	if err := b.fsync(f.dir); err != nil {
		return fmt.Errorf("fsync folder %s: %w; choose a file system that can, or S3", b.root, err)
	}
	return nil
}

// linkError explains why link failed where the file system cannot do it.
func linkError(path string, err error) error {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOSYS):
		return fmt.Errorf("the file system of %s makes no hard links for this user, and creating an object only if it is absent needs them; choose another folder, or S3: %w", path, err)
	}
	return trouble(err)
}

// trouble names what a file system may suffer from.
func trouble(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return objstore.Trouble(objstore.ErrFull, err)
	case errors.Is(err, syscall.EROFS):
		return objstore.Trouble(objstore.ErrReadOnly, err)
	case errors.Is(err, fs.ErrPermission):
		return objstore.Trouble(objstore.ErrDenied, err)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return objstore.Trouble(objstore.ErrDown, err)
	}
	return err
}

// Get implements objstore.Bucket.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	return b.read(ctx, key, 0, -1)
}

// GetRange implements objstore.Bucket.
func (b *Bucket) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	if n < 0 {
		_, _, err := objstore.Span(0, off, n)
		return nil, objstore.Info{}, err
	}
	return b.read(ctx, key, off, n)
}

// read returns n bytes from off on, all of them when n is negative.
func (b *Bucket) read(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	h, info, err := b.open(ctx, key)
	if err != nil {
		return nil, info, err
	}
	defer h.Close()
	if n < 0 {
		n = info.Size
	}
	start, length, err := objstore.Span(info.Size, off, n)
	if err != nil {
		return nil, objstore.Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	data := make([]byte, length)
	if length >= largepages.Size {
		largepages.Ask(data, largepages.Size)
	}
	if _, err := io.ReadFull(io.NewSectionReader(h, start, length), data); err != nil {
		return nil, objstore.Info{}, fmt.Errorf("read %s: %w", key, trouble(err))
	}
	return data, info, nil
}

// Open implements objstore.Bucket.
func (b *Bucket) Open(ctx context.Context, key string, off int64) (io.ReadCloser, objstore.Info, error) {
	h, info, err := b.open(ctx, key)
	if err != nil {
		return nil, info, err
	}
	start, _, err := objstore.Span(info.Size, off, 0)
	if err == nil {
		_, err = h.Seek(start, io.SeekStart)
	}
	if err != nil {
		h.Close()
		return nil, objstore.Info{}, fmt.Errorf("open %s: %w", key, trouble(err))
	}
	return &stream{ctx: ctx, File: h}, info, nil
}

type stream struct {
	ctx context.Context // of Open, for the life of the stream
	*os.File
}

func (s *stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.File.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = trouble(err)
	}
	return n, err
}

// WriteTo hides the File's own, which would not see ctx end.
func (s *stream) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{s})
}

func (b *Bucket) open(ctx context.Context, key string) (*os.File, objstore.Info, error) {
	if err := b.check(ctx, key); err != nil {
		return nil, objstore.Info{}, err
	}
	h, err := os.Open(b.path(key))
	if err != nil {
		return nil, objstore.Info{}, readError(key, err)
	}
	fi, err := h.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fs.ErrNotExist // a folder of other keys
	}
	if err == nil {
		err = b.settle(key, fi)
	}
	if err != nil {
		h.Close()
		return nil, objstore.Info{}, readError(key, err)
	}
	return h, info(key, fi), nil
}

// readError tells an absent object from a store in trouble.
func readError(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG) {
		return fmt.Errorf("%s: %w", key, objstore.ErrNotExist)
	}
	return fmt.Errorf("open %s: %w", key, trouble(err))
}

func info(key string, fi fs.FileInfo) objstore.Info {
	return objstore.Info{Key: key, Size: fi.Size(), Modified: fi.ModTime().UTC(), Date: time.Now().UTC()}
}
