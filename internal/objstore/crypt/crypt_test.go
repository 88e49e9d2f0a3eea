package crypt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

// Keys of tests: the base64 of 32 equal bytes.
const (
	keyA = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	keyB = "b:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
)

func ring(t testing.TB, specs ...string) Keyring {
	t.Helper()
	r, err := ParseKeyring(specs)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func encrypted(t testing.TB, b, keys objstore.Bucket, specs ...string) *Bucket {
	t.Helper()
	c, err := New(b, keys, ring(t, specs...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBucket(t *testing.T) {
	t.Parallel()
	objstoretest.Run(t, func(t *testing.T) objstore.Bucket {
		return encrypted(t, new(mem.Bucket), new(mem.Bucket), keyA)
	})
}

func content(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	return data
}

func create(t testing.TB, b objstore.Bucket, key string, data []byte) {
	t.Helper()
	if _, err := b.Create(t.Context(), key, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

func raw(t testing.TB, b objstore.Bucket, key string) []byte {
	t.Helper()
	data, _, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var sizes = []int{0, 1, 100, chunkBytes - 1, chunkBytes, chunkBytes + 1, 3 * chunkBytes, 3*chunkBytes + 777}

func TestRangesAtEveryEdgeTakeOneRequest(t *testing.T) {
	t.Parallel()
	var under mem.Bucket
	m := objstoretest.NewMeter(&under, 0)
	b := encrypted(t, m, new(mem.Bucket), keyA)
	for _, size := range sizes {
		key := fmt.Sprintf("t/acme/%d", size)
		data := content(size)
		create(t, b, key, data)
		if stored := raw(t, &under, key); bytes.Contains(stored, []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) || int64(len(stored)) != cipherSize(int64(size)) {
			t.Errorf("%d bytes are stored as %d, in the clear", size, len(stored))
		}
		edges := []int64{0, 1, 99, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 3*chunkBytes - 1, 3 * chunkBytes, 3*chunkBytes + 777, 1 << 40}
		for _, off := range edges {
			for _, n := range edges[1:] {
				for _, at := range []int64{off, -off - 1} {
					m.Reset()
					got, info, err := b.GetRange(t.Context(), key, at, n)
					start, length, _ := objstore.Span(int64(size), at, n)
					if err != nil || !bytes.Equal(got, data[start:start+length]) || info.Size != int64(size) {
						t.Fatalf("GetRange(%d, %d) of %d = %d bytes of %d, %v", at, n, size, len(got), info.Size, err)
					}
					u := m.Usage()
					if n < 1<<40 && at > -1<<40 && u.Total() != 1 && length > 0 {
						t.Fatalf("GetRange(%d, %d) took %s", at, n, u)
					}
					if u.Out > length+4*recordBytes {
						t.Fatalf("GetRange(%d, %d) of %d read %d bytes", at, n, size, u.Out)
					}
				}
			}
		}
	}
}

func TestTheSameContentIsTheSameBytesAndOtherContentIsNot(t *testing.T) {
	t.Parallel()
	var keys mem.Bucket
	seal := func(key string, data []byte) []byte {
		var under mem.Bucket
		create(t, encrypted(t, &under, &keys, keyA), key, data)
		return raw(t, &under, key)
	}
	data := content(2*chunkBytes + 5)
	first := seal("t/acme/k", data)
	if !bytes.Equal(first, seal("t/acme/k", data)) {
		t.Error("a retry stores other bytes")
	}
	changed := bytes.Clone(data)
	changed[2*chunkBytes+1] ^= 1 // in the last chunk only
	others := map[string][]byte{
		"other content":     seal("t/acme/k", changed),
		"another key":       seal("t/acme/l", data),
		"another tenant":    seal("t/beta/k", data),
		"a shorter content": seal("t/acme/k", data[:2*chunkBytes]),
	}
	for name, other := range others {
		// The first chunk's plaintext is equal: under one nonce and one cipher
		// key its ciphertext would be, too.
		if bytes.Equal(first[headBytes:headBytes+64], other[headBytes:headBytes+64]) {
			t.Errorf("%s is encrypted with the same key and nonce", name)
		}
	}
}

func TestEqualChunksOfOneObjectAreEncryptedDifferently(t *testing.T) {
	t.Parallel()
	var under mem.Bucket
	create(t, encrypted(t, &under, new(mem.Bucket), keyA), "t/acme/k", make([]byte, 2*chunkBytes))
	stored := raw(t, &under, "t/acme/k")
	if bytes.Equal(stored[headBytes:headBytes+64], stored[recordBytes+headBytes:][:64]) {
		t.Error("two records share a nonce")
	}
}

func TestWhatWasTamperedWithIsNotRead(t *testing.T) {
	t.Parallel()
	var under mem.Bucket
	b := encrypted(t, &under, new(mem.Bucket), keyA)
	data := content(3*chunkBytes + 10)
	create(t, b, "t/acme/k", data)
	create(t, b, "t/acme/other", data)
	good := raw(t, &under, "t/acme/k")
	changed := bytes.Clone(data)
	changed[0]++
	if _, err := b.Put(t.Context(), "t/acme/k", bytes.NewReader(changed)); err != nil {
		t.Fatal(err)
	}
	second := raw(t, &under, "t/acme/k")
	record := func(i int) []byte { return good[i*recordBytes : min(len(good), (i+1)*recordBytes)] }
	flip := func(at int) []byte {
		out := bytes.Clone(good)
		out[at] ^= 0x80
		return out
	}
	for name, bad := range map[string][]byte{
		"a bit of the magic":              flip(0),
		"a bit of the number of the key":  flip(7),
		"a bit of the object id":          flip(20),
		"a bit of the content":            flip(headBytes + 5),
		"a bit of a tag":                  flip(recordBytes - 1),
		"a bit of the last record":        flip(len(good) - 1),
		"cut off within a record":         good[:len(good)-5],
		"cut off between records":         good[:3*recordBytes],
		"cut off to one record":           good[:recordBytes],
		"empty":                           {},
		"two records exchanged":           slices.Concat(record(1), record(0), record(2), record(3)),
		"a record twice":                  slices.Concat(record(0), record(0), record(2), record(3)),
		"a record appended":               slices.Concat(good, record(0)),
		"another object's bytes":          raw(t, &under, "t/acme/other"),
		"two versions mixed":              slices.Concat(second[:recordBytes], good[recordBytes:]),
		"two versions mixed, end of one":  slices.Concat(good[:3*recordBytes], second[3*recordBytes:]),
		"never encrypted":                 content(500),
		"never encrypted, of the length":  content(len(good)),
		"zeros, as a lost block on disk":  slices.Concat(good[:5000], make([]byte, 4096), good[9096:]),
		"never encrypted, shorter than a": []byte("hello"),
	} {
		t.Run(name, func(t *testing.T) {
			var under mem.Bucket
			c := &Bucket{b: &under, keys: b.keys}
			if _, err := under.Put(t.Context(), "t/acme/k", bytes.NewReader(bad)); err != nil {
				t.Fatal(err)
			}
			if got, _, err := c.Get(t.Context(), "t/acme/k"); !errors.Is(err, objstore.ErrCorrupt) || kb.KindOf(err) != kb.Unavailable {
				t.Errorf("Get = %d bytes, %v, want ErrCorrupt", len(got), err)
			}
			r, _, err := c.Open(t.Context(), "t/acme/k", 0)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
				r.Close()
			}
			if !errors.Is(err, objstore.ErrCorrupt) {
				t.Errorf("Open and read = %v, want ErrCorrupt", err)
			}
			// A range beside the damage may be read, but never wrongly.
			for i := range int64(4) {
				got, _, err := c.GetRange(t.Context(), "t/acme/k", i*chunkBytes, 10)
				if err == nil && !bytes.Equal(got, data[i*chunkBytes:][:10]) && !bytes.Equal(got, changed[i*chunkBytes:][:10]) {
					t.Errorf("range in record %d = %q, which nobody stored", i, got)
				}
				if cut := strings.HasPrefix(name, "cut off"); cut && err == nil {
					t.Errorf("range in record %d of an object that was cut off = nil error", i)
				}
			}
		})
	}
}

// changing is a file that someone writes to while it is uploaded.
type changing struct {
	io.ReadSeeker
	reads int
}

func (c *changing) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	if c.reads++; c.reads > 1 && n > 0 {
		p[0]++
	}
	return n, err
}

func TestABodyThatChangesIsNotStored(t *testing.T) {
	t.Parallel()
	b := encrypted(t, new(mem.Bucket), new(mem.Bucket), keyA)
	_, err := b.Create(t.Context(), "k", &changing{ReadSeeker: strings.NewReader("text")})
	if err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("Create = %v, want it to see the change", err)
	}
}

func FuzzSizesFitTogether(f *testing.F) {
	for _, n := range sizes {
		f.Add(int64(n))
	}
	f.Fuzz(func(t *testing.T, n int64) {
		if n < 0 || n > 1<<50 {
			return
		}
		if got, err := plainSize(cipherSize(n)); err != nil || got != n {
			t.Errorf("plainSize(cipherSize(%d)) = %d, %v", n, got, err)
		}
		if plain, err := plainSize(n); err == nil && cipherSize(plain) != n {
			t.Errorf("plainSize(%d) = %d, which is stored as %d", n, plain, cipherSize(plain))
		}
	})
}

func FuzzForeignBytesAreNeverContent(f *testing.F) {
	var under, keys mem.Bucket
	b := encrypted(f, &under, &keys, keyA)
	create(f, b, "t/acme/k", []byte("what was stored"))
	good := raw(f, &under, "t/acme/k")
	f.Add([]byte{})
	f.Add(good)
	f.Add(good[:headBytes+tagBytes])
	f.Add(bytes.Repeat([]byte("EQC1"), 5000))
	f.Fuzz(func(t *testing.T, data []byte) {
		var under mem.Bucket
		c := &Bucket{b: &under, keys: b.keys}
		if _, err := under.Create(t.Context(), "t/acme/k", bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if got, _, err := c.Get(t.Context(), "t/acme/k"); err == nil && string(got) != "what was stored" {
			t.Errorf("read %q", got)
		}
		if got, _, err := c.GetRange(t.Context(), "t/acme/k", -4, 4); err == nil && string(got) != "ored" {
			t.Errorf("read %q", got)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	dk, err := newDataKey(1, make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{800, 8 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := content(size)
			b.SetBytes(int64(size))
			for b.Loop() {
				s, err := newSealer("t/acme/k", bytes.NewReader(data), dk)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
