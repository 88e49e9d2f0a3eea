package logvfs

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Disk keeps blocks of the large files of lazy databases in a folder, so that
// a page that was evicted from memory, or a process that starts again, does
// not ask the store twice. It is a cache in every sense: blocks are checked
// when they are read, the oldest go when the budget or the disk is full, and
// when even that does not help everything works without it. Several processes
// may share a folder; each counts only what it knows of.
type Disk struct {
	dir    string
	budget int64

	mu    sync.Mutex
	bytes int64
	lru   *list.List               // of *block, newest first
	known map[string]*list.Element // by name
	off   time.Time                // no writing before: the disk refused
}

type block struct {
	name string
	size int64
}

const (
	// blockBytes is read from the store at once: at 90 MB/s its transfer
	// takes 3 ms of a round trip of 20 (facts/storage.md §4.5).
	blockBytes = 256 << 10
	// diskRest is how long a full disk is left alone.
	diskRest = time.Minute
)

// NewDisk uses dir, which it makes if it is missing, up to budget bytes, and
// takes over what an earlier process left there.
func NewDisk(dir string, budget int64) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("page cache folder: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("page cache folder: %w", err)
	}
	d := &Disk{dir: dir, budget: budget, lru: list.New(), known: map[string]*list.Element{}}
	var infos []fs.FileInfo
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".tmp" {
			_ = os.Remove(filepath.Join(dir, e.Name())) // a process died writing it
		} else if i, err := e.Info(); err == nil && i.Mode().IsRegular() && filepath.Ext(e.Name()) == ".block" {
			infos = append(infos, i)
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, i := range infos {
		d.add(i.Name(), i.Size())
	}
	d.shrink(budget)
	return d, nil
}

// Bytes returns how much the blocks take.
func (d *Disk) Bytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes
}

// read returns n bytes from off of the object key, which has size bytes and
// never changes; fetch reads from the store what is not here.
func (d *Disk) read(ctx context.Context, key string, size, off, n int64, fetch func(ctx context.Context, off, n int64) ([]byte, error)) ([]byte, error) {
	n = min(n, size-off)
	if n <= 0 {
		return nil, nil
	}
	first, last := off/blockBytes, (off+n-1)/blockBytes
	out := make([]byte, 0, (last-first+1)*blockBytes)
	for b := first; b <= last; {
		if data := d.get(blockName(key, b), blockLen(size, b)); data != nil {
			out, b = append(out, data...), b+1
			continue
		}
		end := b + 1 // what is missing is fetched in one read
		for end <= last && !d.has(blockName(key, end)) {
			end++
		}
		want := min(end*blockBytes, size) - b*blockBytes
		data, err := fetch(ctx, b*blockBytes, want)
		if err != nil {
			return nil, err
		}
		if int64(len(data)) != want {
			return out, nil // the object is shorter than it should be: the caller finds that out
		}
		out = append(out, data...)
		for ; b < end; b++ {
			l := blockLen(size, b)
			d.put(blockName(key, b), data[:l])
			data = data[l:]
		}
	}
	start := off - first*blockBytes
	return out[start : start+n], nil
}

func blockLen(size, b int64) int64 { return min(blockBytes, size-b*blockBytes) }

func blockName(key string, b int64) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s#%d", key, b))
	return hex.EncodeToString(h[:16]) + ".block"
}

func (d *Disk) has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[name] != nil
}

// get reads a block and checks it; nil if it is not here, or not good.
func (d *Disk) get(name string, n int64) []byte {
	d.mu.Lock()
	e := d.known[name]
	if e != nil {
		d.lru.MoveToFront(e)
	}
	d.mu.Unlock()
	if e == nil {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil || int64(len(b)) != n+4 || crc32.ChecksumIEEE(b[:n]) != binary.BigEndian.Uint32(b[n:]) {
		d.forget(name)
		return nil
	}
	return b[:n]
}

// put keeps a block if it can.
func (d *Disk) put(name string, data []byte) {
	size := int64(len(data)) + 4
	d.mu.Lock()
	resting := time.Now().Before(d.off)
	d.mu.Unlock()
	if resting || size > d.budget {
		return
	}
	d.shrink(d.budget - size)
	err := d.write(name, data)
	if err != nil { // most likely full: make room once, then do without
		d.shrink(d.Bytes() / 2)
		err = d.write(name, data)
	}
	if err != nil {
		d.mu.Lock()
		d.off = time.Now().Add(diskRest)
		d.mu.Unlock()
		return
	}
	d.add(name, size)
}

func (d *Disk) write(name string, data []byte) error {
	f, err := os.CreateTemp(d.dir, "*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(binary.BigEndian.AppendUint32(slices.Clip(data), crc32.ChecksumIEEE(data)))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.dir, name))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

func (d *Disk) add(name string, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known[name] == nil {
		d.known[name] = d.lru.PushFront(&block{name, size})
		d.bytes += size
	}
}

func (d *Disk) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.known[name]; e != nil {
		d.remove(e)
	}
}

// shrink removes the blocks that were not used for longest.
func (d *Disk) shrink(to int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.bytes > max(to, 0) && d.lru.Len() > 0 {
		d.remove(d.lru.Back())
	}
}

// remove deletes one block; d.mu is held.
func (d *Disk) remove(e *list.Element) {
	b := d.lru.Remove(e).(*block)
	delete(d.known, b.name)
	d.bytes -= b.size
	_ = os.Remove(filepath.Join(d.dir, b.name)) // another process may have done it
}
