// Package crypt encrypts what a bucket holds, so that whoever can read the
// store reads nothing. Each tenant has data keys of its own, kept beside the
// data and wrapped by a keyring that only the service has. Objects keep their
// keys, sizes can be seen, ranges can be read (format.go), and the same
// content under the same key is stored as the same bytes.
//
// Presigned links are not passed on: what clients put or get by themselves
// would not be encrypted.
package crypt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Bucket is an objstore.Bucket that encrypts into another. Make it with New.
type Bucket struct {
	b    objstore.Bucket
	keys *store
}

var (
	_ objstore.Bucket  = (*Bucket)(nil)
	_ objstore.Checker = (*Bucket)(nil)
)

// New returns b encrypted with data keys that are kept in keys, wrapped by
// ring. keys may be a part of b (objstore.Sub) that is used for nothing else.
// It sends nothing.
func New(b, keys objstore.Bucket, ring Keyring) (*Bucket, error) {
	if len(ring.keys) == 0 {
		return nil, errors.New("encryption needs a key")
	}
	return &Bucket{b: b, keys: newStore(keys, ring)}, nil
}

// Check implements objstore.Checker for what the bucket below can tell.
func (b *Bucket) Check(ctx context.Context) error {
	if c, ok := b.b.(objstore.Checker); ok {
		return c.Check(ctx)
	}
	return nil
}

// Rekey wraps every data key with the first key of the keyring, and returns
// how many it wrapped. It may be stopped, repeated, and run twice at once. Do
// it after every server has the new key, and drop the old one afterwards.
func (b *Bucket) Rekey(ctx context.Context) (int, error) { return b.keys.rekey(ctx) }

// plain turns the description of an encrypted object into that of its content.
func plain(info objstore.Info) (objstore.Info, error) {
	size, err := plainSize(info.Size)
	if err != nil {
		return objstore.Info{}, objstore.Trouble(objstore.ErrCorrupt, fmt.Errorf("object %s: %w", info.Key, err))
	}
	info.Size = size
	return info, nil
}

func (b *Bucket) opener(ctx context.Context, key string, size int64) *opener {
	return &opener{key: key, plain: size, find: func(number uint32) (dataKey, error) { return b.keys.find(ctx, Scope(key), number) }}
}

// Get implements objstore.Bucket.
func (b *Bucket) Get(ctx context.Context, key string) ([]byte, objstore.Info, error) {
	data, info, err := b.b.Get(ctx, key)
	if errors.Is(err, objstore.ErrTooLarge) { // perhaps by its records' heads only
		return b.stream(ctx, key, func(size int64) (int64, int64, error) {
			if size > objstore.MaxGet {
				return 0, 0, fmt.Errorf("get %s, %d bytes: %w", key, size, objstore.ErrTooLarge)
			}
			return 0, size, nil
		})
	}
	if err != nil {
		return nil, objstore.Info{}, err
	}
	if info, err = plain(info); err != nil {
		return nil, objstore.Info{}, err
	}
	out, err := b.decrypt(ctx, key, info.Size, data, 0)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return out, info, nil
}

// decrypt decrypts whole records, in place; data begins with record first.
func (b *Bucket) decrypt(ctx context.Context, key string, size int64, data []byte, first int64) ([]byte, error) {
	o := b.opener(ctx, key, size)
	out := data[:0]
	for i := first; len(data) > 0; i++ {
		record := data[:min(recordBytes, len(data))]
		data = data[len(record):]
		chunk, err := o.open(record[headBytes:headBytes], record, i) // exactly in place, as cipher.AEAD wants it
		if err != nil {
			return nil, err
		}
		out = append(out, chunk...) // moves it down over heads and tags, never into the next record
	}
	return out, nil
}

// GetRange implements objstore.Bucket, in one request to the bucket below.
func (b *Bucket) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Info, error) {
	if n < 0 {
		_, _, err := objstore.Span(0, off, n)
		return nil, objstore.Info{}, err
	}
	from, length := around(off, n)
	if length > objstore.MaxGet {
		return b.stream(ctx, key, func(size int64) (int64, int64, error) { return objstore.Span(size, off, n) })
	}
	data, info, err := b.b.GetRange(ctx, key, from, length)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	total := info.Size
	if info, err = plain(info); err != nil {
		return nil, objstore.Info{}, err
	}
	start, want, err := objstore.Span(info.Size, off, n)
	if err == nil && want == 0 {
		err = b.verify(ctx, key, info.Size)
	}
	if err != nil || want == 0 {
		return nil, info, err
	}
	if from < 0 {
		from = max(0, total+from)
	}
	first := start / chunkBytes
	skip := first*recordBytes - from
	end := min((start+want+chunkBytes-1)/chunkBytes*recordBytes, total) - from
	if skip < 0 || end > int64(len(data)) {
		return nil, objstore.Info{}, objstore.Trouble(objstore.ErrDown, fmt.Errorf("get %s: the bucket sent %d bytes from %d on, which is another range", key, len(data), from))
	}
	out, err := b.decrypt(ctx, key, info.Size, data[skip:end], first)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	at := start - first*chunkBytes
	return out[at : at+want], info, nil
}

// verify makes sure that an object has size bytes of content before that is
// said without reading any of them.
func (b *Bucket) verify(ctx context.Context, key string, size int64) error {
	data, _, err := b.b.GetRange(ctx, key, 0, recordBytes)
	if err == nil {
		_, err = b.opener(ctx, key, size).open(nil, data, 0)
	}
	return err
}

// around is the range of the ciphertext that holds n bytes from off. From the
// end, where records begin is not known before the size is, so it takes one
// record more.
func around(off, n int64) (from, length int64) {
	const most = math.MaxInt64 / 2 / recordBytes * chunkBytes // no object is that large
	if off < 0 {
		records := min(-max(off, -most), most)/chunkBytes + 2
		return -records * recordBytes, records * recordBytes
	}
	off, n = min(off, most), min(n, most)
	first := off / chunkBytes
	if n == 0 {
		return first * recordBytes, 0
	}
	return first * recordBytes, ((off+n-1)/chunkBytes - first + 1) * recordBytes
}

// stream reads the bytes that span chooses by way of Open.
func (b *Bucket) stream(ctx context.Context, key string, span func(size int64) (start, n int64, err error)) ([]byte, objstore.Info, error) {
	r, info, err := b.openAt(ctx, key, func(size int64) (int64, error) {
		start, _, err := span(size)
		return start, err
	})
	if err != nil {
		return nil, objstore.Info{}, err
	}
	defer r.Close()
	_, n, err := span(info.Size)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, objstore.Info{}, fmt.Errorf("get %s: %w", key, err)
	}
	return data, info, nil
}

// Open implements objstore.Bucket.
func (b *Bucket) Open(ctx context.Context, key string, off int64) (io.ReadCloser, objstore.Info, error) {
	if off > 0 {
		return b.openFrom(ctx, key, off)
	}
	return b.openAt(ctx, key, func(size int64) (int64, error) {
		start, _, err := objstore.Span(size, off, 0)
		return start, err
	})
}

// openAt streams from where start, knowing the size, wants to begin. It opens
// the object twice unless that is the start of it.
func (b *Bucket) openAt(ctx context.Context, key string, start func(size int64) (int64, error)) (io.ReadCloser, objstore.Info, error) {
	r, info, err := b.openFrom(ctx, key, 0)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	off, err := start(info.Size)
	if err == nil && off == 0 {
		return r, info, nil
	}
	r.Close()
	if err != nil {
		return nil, objstore.Info{}, err
	}
	return b.openFrom(ctx, key, off)
}

func (b *Bucket) openFrom(ctx context.Context, key string, off int64) (io.ReadCloser, objstore.Info, error) {
	from, _ := around(off, 0)
	r, info, err := b.b.Open(ctx, key, from)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	if info, err = plain(info); err != nil {
		r.Close()
		return nil, objstore.Info{}, err
	}
	if off = min(off, info.Size); off == info.Size {
		if err := b.verify(ctx, key, info.Size); err != nil {
			r.Close()
			return nil, objstore.Info{}, err
		}
	}
	return &reader{r: r, o: b.opener(ctx, key, info.Size), index: from / recordBytes, skip: off % chunkBytes, left: info.Size - off}, info, nil
}

// reader decrypts a stream of records.
type reader struct {
	r      io.ReadCloser
	o      *opener
	index  int64 // of the next record
	skip   int64 // bytes of the next record before what is wanted
	left   int64 // bytes still to be returned
	record []byte
	chunk  []byte // decrypted and not yet returned
	err    error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.left == 0 && r.err == nil {
		r.err = io.EOF
	}
	if len(r.chunk) == 0 && r.err == nil {
		r.err = r.next()
	}
	if r.err != nil {
		return 0, r.err
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	r.left -= int64(n)
	return n, nil
}

func (r *reader) next() error {
	size := min(chunkBytes, r.o.plain-r.index*chunkBytes)
	if r.record == nil {
		r.record = make([]byte, recordBytes)
	}
	record := r.record[:headBytes+size+tagBytes]
	if _, err := io.ReadFull(r.r, record); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			err = objstore.Trouble(objstore.ErrDown, fmt.Errorf("object %s ended early: %w", r.o.key, io.ErrUnexpectedEOF))
		}
		return err
	}
	chunk, err := r.o.open(record[headBytes:headBytes], record, r.index)
	if err != nil {
		return err
	}
	r.chunk = chunk[r.skip:]
	r.skip = 0
	r.index++
	return nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	r.err = errors.New("read of a closed object")
	return r.r.Close()
}

// Create implements objstore.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.put(ctx, key, body, b.b.Create)
}

// Put implements objstore.Bucket.
func (b *Bucket) Put(ctx context.Context, key string, body io.ReadSeeker) (objstore.Info, error) {
	return b.put(ctx, key, body, b.b.Put)
}

func (b *Bucket) put(ctx context.Context, key string, body io.ReadSeeker, do func(context.Context, string, io.ReadSeeker) (objstore.Info, error)) (objstore.Info, error) {
	if err := ctx.Err(); err != nil {
		return objstore.Info{}, err
	}
	if err := objstore.ValidateKey(key); err != nil {
		return objstore.Info{}, err
	}
	dk, err := b.keys.current(ctx, Scope(key))
	if err != nil {
		return objstore.Info{}, fmt.Errorf("store %s: %w", key, err)
	}
	s, err := newSealer(key, body, dk)
	if err != nil {
		return objstore.Info{}, fmt.Errorf("store %s: %w", key, err)
	}
	info, err := do(ctx, key, s)
	if err != nil {
		return objstore.Info{}, err
	}
	return plain(info)
}

// List implements objstore.Bucket. An object whose size no encrypted object
// has is listed with that size; reading it tells.
func (b *Bucket) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, bool, error) {
	infos, more, err := b.b.List(ctx, prefix, after, limit)
	for i := range infos {
		if p, err := plain(infos[i]); err == nil {
			infos[i] = p
		}
	}
	return infos, more, err
}

// Delete implements objstore.Bucket.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error { return b.b.Delete(ctx, keys...) }
