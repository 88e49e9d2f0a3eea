// Package mem is the bucket in memory: for tests, simulations and caches of
// one process. It keeps every rule of objstore.Bucket except durability.
package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Bucket is an objstore.Bucket. The zero value is an empty bucket.
type Bucket struct {
	mu      sync.RWMutex
	objects map[string]object
	keys    []string // of objects, sorted
}

type object struct {
	data     []byte // never written after it is here
	modified time.Time
}

var _ objstore.Bucket = (*Bucket)(nil)

// Get implements objstore.Bucket.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	o, info, err := b.find(ctx, key)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	if info.Size > objstore.MaxGet {
		return nil, objstore.Info{}, fmt.Errorf("get %s, %d bytes: %w", key, info.Size, objstore.ErrTooLarge)
	}
	return bytes.Clone(o.data), info, nil
}

// GetRange implements objstore.Bucket.
func (b *Bucket) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	o, info, err := b.find(ctx, key)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	start, length, err := objstore.Span(info.Size, off, n)
	if err != nil {
		return nil, objstore.Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	return bytes.Clone(o.data[start : start+length]), info, nil
}

// Open implements objstore.Bucket.
func (b *Bucket) Open(ctx context.Context, key string, off int64) (io.ReadCloser, objstore.Info, error) {
	o, info, err := b.find(ctx, key)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	start, _, err := objstore.Span(info.Size, off, 0)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return &reader{ctx: ctx, r: bytes.NewReader(o.data[start:])}, info, nil
}

func (b *Bucket) find(ctx context.Context, key string) (object, objstore.Info, error) {
	if err := check(ctx, key); err != nil {
		return object{}, objstore.Info{}, err
	}
	b.mu.RLock()
	o, ok := b.objects[key]
	b.mu.RUnlock()
	if !ok {
		return object{}, objstore.Info{}, fmt.Errorf("%s: %w", key, objstore.ErrNotExist)
	}
	return o, o.info(key), nil
}

func (o object) info(key string) objstore.Info {
	return objstore.Info{Key: key, Size: int64(len(o.data)), Modified: o.modified, Date: time.Now().UTC()}
}

func check(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return objstore.ValidateKey(key)
}

// reader ends when ctx does, as a stream over a network would.
type reader struct {
	ctx context.Context // of Open, for the life of the stream
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (r *reader) Close() error {
	r.r = strings.NewReader("")
	return nil
}

// Create implements objstore.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.store(ctx, key, body, false)
}

// Put implements objstore.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.store(ctx, key, body, true)
}

func (b *Bucket) store(ctx context.Context, key string, body io.ReadSeeker, replace bool) (objstore.Info, error) {
	if err := check(ctx, key); err != nil {
		return objstore.Info{}, err
	}
	data, err := objstore.ReadBody(body)
	if err != nil {
		return objstore.Info{}, fmt.Errorf("read body of %s: %w", key, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return objstore.Info{}, err
	}
	i, found := slices.BinarySearch(b.keys, key)
	if found && !replace {
		return objstore.Info{}, fmt.Errorf("create %s: %w", key, objstore.ErrExist)
	}
	if !found {
		if other, bad := b.conflict(key); bad {
			return objstore.Info{}, fmt.Errorf("store %s beside %s: %w", key, other, objstore.ErrKeyConflict)
		}
		b.keys = slices.Insert(b.keys, i, key)
	}
	if b.objects == nil {
		b.objects = map[string]object{}
	}
	o := object{data: data, modified: time.Now().UTC()}
	b.objects[key] = o
	return o.info(key), nil
}

// conflict finds a key that is a folder of key or lies under it. A real store
// would hold both; refusing here shows a layout that dir could not hold.
func (b *Bucket) conflict(key string) (other string, bad bool) {
	i, _ := slices.BinarySearch(b.keys, key+"/")
	if i < len(b.keys) && strings.HasPrefix(b.keys[i], key+"/") {
		return b.keys[i], true
	}
	for i := range len(key) {
		if key[i] != '/' {
			continue
		}
		if _, ok := b.objects[key[:i]]; ok {
			return key[:i], true
		}
	}
	return "", false
}

// List implements objstore.Bucket.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if err := objstore.ValidatePrefix(prefix); err != nil {
		return nil, false, err
	}
	if limit < 1 {
		limit = objstore.ListPage
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	i, found := slices.BinarySearch(b.keys, max(prefix, after))
	if found && b.keys[i] <= after {
		i++
	}
	var infos []objstore.Info
	for ; i < len(b.keys) && strings.HasPrefix(b.keys[i], prefix); i++ {
		if len(infos) == limit {
			return infos, true, nil
		}
		infos = append(infos, b.objects[b.keys[i]].info(b.keys[i]))
	}
	return infos, false, nil
}

// Delete implements objstore.Bucket.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := check(ctx, key); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range keys {
		if i, found := slices.BinarySearch(b.keys, key); found {
			b.keys = slices.Delete(b.keys, i, i+1)
			delete(b.objects, key)
		}
	}
	return nil
}
