package objstoretest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

func ranges(t *testing.T, b objstore.Bucket) {
	const data = "0123456789"
	create(t, b, "r", data)
	for _, c := range []struct {
		off, n int64
		want   string
	}{
		{0, 10, data},
		{0, 4, "0123"},
		{3, 4, "3456"},
		{8, 100, "89"},
		{9, 1, "9"},
		{10, 1, ""},
		{11, 5, ""},
		{1 << 40, 5, ""},
		{0, 0, ""},
		{4, 0, ""},
		{20, 0, ""},
		{-3, 3, "789"},
		{-3, 2, "78"},
		{-3, 100, "789"},
		{-10, 10, data},
		{-11, 3, "012"},
		{-1 << 40, 2, "01"},
		{-3, 0, ""},
		{0, 1 << 62, data},
		{5, 1<<63 - 1, "56789"},
		{-1 << 63, 1<<63 - 1, data},
	} {
		got, info, err := b.GetRange(t.Context(), "r", c.off, c.n)
		if err != nil || string(got) != c.want || info.Key != "r" || info.Size != 10 {
			t.Errorf("GetRange(%d, %d) = %q, %d bytes, %v, want %q, 10 bytes", c.off, c.n, got, info.Size, err, c.want)
		}
	}
	if _, _, err := b.GetRange(t.Context(), "r", 0, -1); !errors.Is(err, objstore.ErrInvalidSpan) {
		t.Errorf("GetRange of -1 bytes = %v, want ErrInvalidSpan", err)
	}
}

func emptyObject(t *testing.T, b objstore.Bucket) {
	create(t, b, "e", "")
	wantGet(t, b, "e", "")
	for _, c := range [][2]int64{{0, 0}, {0, 1}, {5, 5}, {-1, 1}, {-5, 2}} {
		if got, info, err := b.GetRange(t.Context(), "e", c[0], c[1]); err != nil || len(got) != 0 || info.Size != 0 {
			t.Errorf("GetRange(%d, %d) of nothing = %q, %+v, %v", c[0], c[1], got, info, err)
		}
	}
	for _, off := range []int64{0, 3, -3} {
		r, _, err := b.Open(t.Context(), "e", off)
		if err != nil {
			t.Errorf("Open(%d) of nothing = %v", off, err)
			continue
		}
		if got, err := io.ReadAll(r); err != nil || len(got) != 0 {
			t.Errorf("Open(%d) of nothing reads %q, %v", off, got, err)
		}
		r.Close()
	}
}

func openFrom(t *testing.T, b objstore.Bucket) {
	data := strings.Repeat("0123456789", 30_000)
	create(t, b, "s", data)
	size := int64(len(data))
	for _, c := range []struct{ off, start int64 }{{0, 0}, {1, 1}, {size - 1, size - 1}, {size, size}, {size + 9, size}, {-4, size - 4}, {-size - 4, 0}, {-1 << 63, 0}} {
		r, info, err := b.Open(t.Context(), "s", c.off)
		if err != nil {
			t.Errorf("Open(%d) = %v", c.off, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != data[c.start:] || info.Size != size {
			t.Errorf("Open(%d) reads %d bytes of %d, %v, want %d", c.off, len(got), info.Size, err, size-c.start)
		}
		if err := r.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
	}
}

// pattern is a body whose 64 KiB blocks are all different, made as it is read.
type pattern struct{ size, pos int64 }

const patternBlock = 64 << 10

var patternTable = sync.OnceValue(func() []byte {
	table := make([]byte, 2*patternBlock)
	for i := range patternBlock {
		table[i] = byte(i ^ i>>8*7)
	}
	copy(table[patternBlock:], table)
	return table
})

// patternFrom returns the rest of the block that i is in: the table turned by
// the number of the block.
func patternFrom(i int64) []byte {
	block, at := i/patternBlock, i%patternBlock
	turn := block * 7919 % patternBlock
	return patternTable()[turn+at : turn+patternBlock]
}

func patternAt(i int64) byte { return patternFrom(i)[0] }

func (p *pattern) Read(buf []byte) (int, error) {
	buf = buf[:min(int64(len(buf)), max(0, p.size-p.pos))]
	if len(buf) == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(buf) {
		n += copy(buf[n:], patternFrom(p.pos+int64(n)))
	}
	p.pos += int64(n)
	return n, nil
}

func (p *pattern) Seek(off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		off += p.pos
	case io.SeekEnd:
		off += p.size
	}
	p.pos = off
	return off, nil
}

func bigGet(t *testing.T, b objstore.Bucket) {
	const size = objstore.MaxGet + 1
	if _, err := b.Create(t.Context(), "big", &pattern{size: size}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Get(t.Context(), "big"); !errors.Is(err, objstore.ErrTooLarge) {
		t.Errorf("Get of 64 MiB + 1 = %v, want ErrTooLarge", err)
	}
	if _, _, err := b.GetRange(t.Context(), "big", 0, size); !errors.Is(err, objstore.ErrTooLarge) {
		t.Errorf("GetRange of 64 MiB + 1 = %v, want ErrTooLarge", err)
	}
	if got, info, err := b.GetRange(t.Context(), "big", -5, 5); err != nil || info.Size != size || got[4] != patternAt(size-1) {
		t.Errorf("GetRange of the end = %v of %d bytes, %v", got, info.Size, err)
	}
	r, info, err := b.Open(t.Context(), "big", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); n != size || info.Size != size || err != nil {
		t.Errorf("Open reads %d of %d bytes, %v, want %d", n, info.Size, err, size)
	}
}

func largeObject(t *testing.T, b objstore.Bucket) {
	const size = 20_000_000 // above the part size of multipart uploads, and no multiple of anything
	if _, err := b.Create(t.Context(), "large", &pattern{size: size}); err != nil {
		t.Fatal(err)
	}
	want, _ := io.ReadAll(&pattern{size: size})
	got, _, err := b.Get(t.Context(), "large")
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("Get = %d bytes, %v; equal %v", len(got), err, bytes.Equal(got, want))
	}
	for _, c := range [][2]int64{{65535, 2}, {65536, 65536}, {1 << 20, 3 << 20}, {size - 70000, 80000}} {
		got, _, err := b.GetRange(t.Context(), "large", c[0], c[1])
		if end := min(c[0]+c[1], size); err != nil || !bytes.Equal(got, want[c[0]:end]) {
			t.Errorf("GetRange(%d, %d) = %d bytes, %v", c[0], c[1], len(got), err)
		}
	}
	// A server may refuse before it has read the body and close the
	// connection, which then is all that the client sees.
	_, err = b.Create(t.Context(), "large", &pattern{size: size + 1})
	if !errors.Is(err, objstore.ErrExist) && !errors.Is(err, objstore.ErrDown) {
		t.Errorf("second Create of a large object = %v, want ErrExist, or ErrDown", err)
	}
	if _, info, err := b.GetRange(t.Context(), "large", 0, 1); err != nil || info.Size != size {
		t.Errorf("after a refused Create: %d bytes, %v", info.Size, err)
	}
}
