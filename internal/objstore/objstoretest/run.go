// Package objstoretest holds what tests of and over buckets need: Run, the
// conformance suite that every objstore.Bucket passes; Fault, a bucket that
// fails as networks do; Meter, one that counts and slows; and servers to test
// against.
package objstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Run checks every promise of objstore.Bucket. open returns an empty bucket,
// another one each time.
func Run(t *testing.T, open func(*testing.T) objstore.Bucket) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, objstore.Bucket)
	}{
		{"one of many creators wins", createRace},
		{"create does not overwrite", createKeeps},
		{"what was created can be read at once", readAfterCreate},
		{"put replaces and is seen at once", putReplaces},
		{"a body is read from its start", bodyFromStart},
		{"a body that fails stores nothing", bodyFails},
		{"ranges are cut as documented", ranges},
		{"an empty object has empty ranges", emptyObject},
		{"open streams from an offset", openFrom},
		{"absent objects are ErrNotExist", absent},
		{"list sees every change at once", listAfterChange},
		{"list is in byte order of whole keys", listOrder},
		{"list pages with after and limit", listPages},
		{"list keeps to a prefix", listPrefix},
		{"deleting is idempotent and frees the key", deletes},
		{"an ended context stops everything", cancelled},
		{"get is bounded and open is not", bigGet},
		{"a large object keeps its bytes", largeObject},
		{"invalid keys are refused", invalidKeys},
		{"a key under another key is kept or refused", nestedKeys},
		{"use from many goroutines", concurrent},
		{"creating among deletes of neighbours", createAmongDeletes},
		{"the self-test passes and leaves nothing", selfTest},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(t, open(t)) })
	}
}

func body(s string) io.ReadSeeker { return strings.NewReader(s) }

func create(t *testing.T, b objstore.Bucket, key, data string) objstore.Info {
	t.Helper()
	info, err := b.Create(t.Context(), key, body(data))
	if err != nil {
		t.Fatalf("Create(%s) = %v", key, err)
	}
	return info
}

func wantGet(t *testing.T, b objstore.Bucket, key, want string) {
	t.Helper()
	got, info, err := b.Get(t.Context(), key)
	if err != nil || string(got) != want {
		t.Fatalf("Get(%s) = %.40q, %v, want %.40q", key, got, err, want)
	}
	if info.Key != key || info.Size != int64(len(want)) {
		t.Errorf("Get(%s) describes %s of %d bytes, want %d", key, info.Key, info.Size, len(want))
	}
	if age := time.Since(info.Modified); age < -time.Minute || age > time.Hour {
		t.Errorf("Get(%s): modified %v ago", key, age)
	}
}

func keysOf(infos []objstore.Info) []string {
	keys := make([]string, len(infos))
	for i, info := range infos {
		keys[i] = info.Key
	}
	return keys
}

func wantList(t *testing.T, b objstore.Bucket, prefix, after string, limit int, want []string, wantMore bool) {
	t.Helper()
	infos, more, err := b.List(t.Context(), prefix, after, limit)
	if err != nil {
		t.Fatalf("List(%q, %q, %d) = %v", prefix, after, limit, err)
	}
	if d := cmp.Diff(want, keysOf(infos)); d != "" && len(want)+len(infos) > 0 {
		t.Errorf("List(%q, %q, %d) differs (-want +got):\n%s", prefix, after, limit, d)
	}
	if more != wantMore {
		t.Errorf("List(%q, %q, %d): more = %v, want %v", prefix, after, limit, more, wantMore)
	}
}

func createRace(t *testing.T, b objstore.Bucket) {
	for round := range 3 {
		key := fmt.Sprintf("race/%d/slot", round)
		var wins atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				data := fmt.Sprintf("writer %d", i)
				_, err := b.Create(t.Context(), key, body(data))
				switch {
				case err == nil:
					wins.Add(1)
					winner.Store(data)
				case !errors.Is(err, objstore.ErrExist):
					t.Errorf("Create = %v, want nil or ErrExist", err)
				}
			})
		}
		wg.Wait()
		if got := wins.Load(); got != 1 {
			t.Fatalf("%d writers won, want 1", got)
		}
		wantGet(t, b, key, winner.Load().(string))
	}
}

func createKeeps(t *testing.T, b objstore.Bucket) {
	create(t, b, "k/a", "first")
	for _, data := range []string{"second", "first", ""} {
		if _, err := b.Create(t.Context(), "k/a", body(data)); !errors.Is(err, objstore.ErrExist) {
			t.Errorf("second Create of %q = %v, want ErrExist", data, err)
		}
	}
	wantGet(t, b, "k/a", "first")
}

func readAfterCreate(t *testing.T, b objstore.Bucket) {
	for i := range 8 {
		key, data := fmt.Sprintf("fresh/%d", i), strings.Repeat("x", i*1000)
		if _, _, err := b.Get(t.Context(), key); !errors.Is(err, objstore.ErrNotExist) {
			t.Fatalf("Get before = %v, want ErrNotExist", err) // a store must not remember the absence
		}
		info := create(t, b, key, data)
		if info.Key != key || info.Size != int64(len(data)) {
			t.Errorf("Create describes %s of %d bytes, want %s of %d", info.Key, info.Size, key, len(data))
		}
		wantGet(t, b, key, data)
	}
}

func putReplaces(t *testing.T, b objstore.Bucket) {
	for _, data := range []string{"one", "a longer second", "", "4"} {
		info, err := b.Put(t.Context(), "p/q", body(data))
		if err != nil || info.Key != "p/q" || info.Size != int64(len(data)) {
			t.Fatalf("Put = %+v, %v", info, err)
		}
		wantGet(t, b, "p/q", data)
	}
	if _, err := b.Create(t.Context(), "p/q", body("x")); !errors.Is(err, objstore.ErrExist) {
		t.Errorf("Create over a put object = %v, want ErrExist", err)
	}
}

func bodyFromStart(t *testing.T, b objstore.Bucket) {
	r := strings.NewReader("whole body")
	if _, err := r.Seek(6, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(t.Context(), "k", r); err != nil {
		t.Fatal(err)
	}
	wantGet(t, b, "k", "whole body")
	if _, err := b.Put(t.Context(), "k2", r); err != nil { // r is at its end now
		t.Fatal(err)
	}
	wantGet(t, b, "k2", "whole body")
}

type failing struct {
	io.Reader
	size int64
}

func (f failing) Seek(off int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return f.size + off, nil
	}
	return off, nil
}

func bodyFails(t *testing.T, b objstore.Bucket) {
	lost := errors.New("disk of the upload is gone")
	for name, f := range map[string]func(context.Context, string, io.ReadSeeker) (objstore.Info, error){"Create": b.Create, "Put": b.Put} {
		r := failing{io.MultiReader(strings.NewReader(strings.Repeat("x", 5000)), iotest.ErrReader(lost)), 10000}
		if _, err := f(t.Context(), "broken", r); err == nil {
			t.Errorf("%s of a failing body = nil", name)
		}
		if _, _, err := b.Get(t.Context(), "broken"); !errors.Is(err, objstore.ErrNotExist) {
			t.Errorf("Get after failed %s = %v, want ErrNotExist", name, err)
		}
	}
}

func ranges(t *testing.T, b objstore.Bucket) {
	const data = "0123456789"
	create(t, b, "r", data)
	for _, c := range []struct {
		off, n int64
		want   string
	}{
		{0, 10, data}, {0, 4, "0123"}, {3, 4, "3456"}, {8, 100, "89"}, {9, 1, "9"},
		{10, 1, ""}, {11, 5, ""}, {1 << 40, 5, ""}, {0, 0, ""}, {4, 0, ""}, {20, 0, ""},
		{-3, 3, "789"}, {-3, 2, "78"}, {-3, 100, "789"}, {-10, 10, data}, {-11, 3, "012"}, {-1 << 40, 2, "01"},
		{-3, 0, ""}, {0, 1 << 62, data}, {5, 1<<63 - 1, "56789"}, {-1 << 63, 1<<63 - 1, data},
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

func absent(t *testing.T, b objstore.Bucket) {
	create(t, b, "there/one", "x")
	for _, key := range []string{"no", "there/two", "there/onemore", "no/such/folder/x", "ther", "there"} {
		_, _, err1 := b.Get(t.Context(), key)
		_, _, err2 := b.GetRange(t.Context(), key, 0, 1)
		_, _, err3 := b.GetRange(t.Context(), key, -1, 1)
		_, _, err4 := b.Open(t.Context(), key, 0)
		_, _, err5 := b.GetRange(t.Context(), key, 0, 0)
		for i, err := range []error{err1, err2, err3, err4, err5} {
			if !errors.Is(err, objstore.ErrNotExist) || errors.Is(err, objstore.ErrExist) {
				t.Errorf("read %d of %s = %v, want ErrNotExist", i, key, err)
			}
		}
	}
}

func listAfterChange(t *testing.T, b objstore.Bucket) {
	wantList(t, b, "", "", 10, nil, false)
	wantList(t, b, "l/", "", 10, nil, false)
	create(t, b, "l/1", "x")
	wantList(t, b, "l/", "", 10, []string{"l/1"}, false)
	if _, err := b.Put(t.Context(), "l/2", body("four")); err != nil {
		t.Fatal(err)
	}
	wantList(t, b, "l/", "", 10, []string{"l/1", "l/2"}, false)
	infos, _, err := b.List(t.Context(), "l/2", "", 1)
	if err != nil || len(infos) != 1 || infos[0].Size != 4 || time.Since(infos[0].Modified).Abs() > time.Hour {
		t.Errorf("List describes %+v, %v, want 4 bytes, modified now", infos, err)
	}
	if err := b.Delete(t.Context(), "l/1"); err != nil {
		t.Fatal(err)
	}
	wantList(t, b, "l/", "", 10, []string{"l/2"}, false)
}

// orderKeys in byte order, which is not the order of a walk through folders:
// '-' and '.' sort before '/', digits after it.
var orderKeys = []string{
	"A", "B/x", "a", "o-", "o-/x", "o-b", "o.", "o.b/c", "o/b", "o/b-", "o/b-c/d", "o/b.c", "o/b0/e", "o/c/d/e/f", "o/c/d0", "o0", "o0/x", "oB", "o_b", "ob", "z",
}

func listKeys(t *testing.T, b objstore.Bucket, keys []string) []string {
	t.Helper()
	var made []string
	for _, k := range slices.Backward(keys) {
		if _, err := b.Create(t.Context(), k, body("x")); errors.Is(err, objstore.ErrKeyConflict) {
			continue
		} else if err != nil {
			t.Fatalf("Create(%s) = %v", k, err)
		}
		made = append(made, k)
	}
	slices.Sort(made)
	return made
}

func listOrder(t *testing.T, b objstore.Bucket) {
	keys := listKeys(t, b, orderKeys)
	wantList(t, b, "", "", 100, keys, false)
	for i, after := range keys {
		wantList(t, b, "", after, 100, keys[i+1:], false)
		wantList(t, b, "", after, 1, keys[i+1:min(i+2, len(keys))], i+2 < len(keys))
	}
	for _, after := range []string{"0", "o", "o-a", "o,", "o/", "o/b.", "o/c", "o/c/", "o0/", "zz", "~", "o/b-c/d/e"} {
		i, found := slices.BinarySearch(keys, after)
		if found {
			i++
		}
		wantList(t, b, "", after, 100, keys[i:], false)
	}
}

func listPages(t *testing.T, b objstore.Bucket) {
	var keys []string
	for i := range 25 {
		keys = append(keys, fmt.Sprintf("pages/%02d/%02d", i/10, i))
	}
	listKeys(t, b, keys)
	for _, limit := range []int{1, 2, 7, 24, 25, 26, 1000, 5000} {
		var got []string
		for after, more, page := "", true, 0; more; page++ {
			infos, m, err := b.List(t.Context(), "pages/", after, limit)
			if err != nil || len(infos) > limit || m && len(infos) == 0 || page > len(keys) {
				t.Fatalf("page %d of %d: %d objects, more %v, %v", page, limit, len(infos), m, err)
			}
			got = append(got, keysOf(infos)...)
			if more = m; more {
				after = got[len(got)-1]
			}
		}
		if d := cmp.Diff(keys, got); d != "" {
			t.Errorf("pages of %d differ (-want +got):\n%s", limit, d)
		}
	}
	wantList(t, b, "pages/", "", 0, keys, false) // 0 is a page of the store
	wantList(t, b, "pages/", "", 25, keys, false)
	wantList(t, b, "pages/", "", 24, keys[:24], true)
}

func listPrefix(t *testing.T, b objstore.Bucket) {
	keys := listKeys(t, b, []string{"t/a/1", "t/a/2", "t/ab/1", "t/b", "ta", "u", ".hid/den", "..x/y"})
	for _, prefix := range []string{"", "t", "t/", "t/a", "t/a/", "t/a/1", "t/a/10", "t/ab", "t/b/", "x", "t/c/d", ".", "..", ".h", "..x/"} {
		var want []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		wantList(t, b, prefix, "", 100, want, false)
	}
	wantList(t, b, "t/a/", "s", 100, []string{"t/a/1", "t/a/2"}, false)
	wantList(t, b, "t/a/", "t/a/1", 100, []string{"t/a/2"}, false)
	wantList(t, b, "t/a/", "t/b", 100, nil, false)
	wantList(t, b, "t/a/", "t/a", 1, []string{"t/a/1"}, true)
}

func deletes(t *testing.T, b objstore.Bucket) {
	create(t, b, "d/e/1", "x")
	create(t, b, "d/e/2", "y")
	create(t, b, "d/3", "z")
	for range 2 {
		if err := b.Delete(t.Context(), "d/e/1", "d/none", "nowhere/at/all", "d/3/under"); err != nil {
			t.Fatalf("Delete = %v", err)
		}
	}
	if err := b.Delete(t.Context()); err != nil {
		t.Errorf("Delete of nothing = %v", err)
	}
	if err := b.Delete(t.Context(), "d/e", "d"); err != nil { // prefixes of keys, but no keys
		t.Errorf("Delete of a folder = %v", err)
	}
	wantList(t, b, "", "", 10, []string{"d/3", "d/e/2"}, false)
	create(t, b, "d/e/1", "again")
	wantGet(t, b, "d/e/1", "again")
	if err := b.Delete(t.Context(), "d/e/1", "d/e/2", "d/3", "d/3"); err != nil {
		t.Errorf("Delete = %v", err)
	}
	wantList(t, b, "", "", 10, nil, false)
	create(t, b, "d/e", "now an object")
	wantGet(t, b, "d/e", "now an object")
	var many []string
	for i := range 1005 { // above one request's worth on S3 and OSS
		many = append(many, fmt.Sprintf("m/%d", i))
	}
	create(t, b, many[1004], "x")
	create(t, b, many[0], "x")
	if err := b.Delete(t.Context(), many...); err != nil {
		t.Errorf("Delete of 1,005 = %v", err)
	}
	wantList(t, b, "m/", "", 10, nil, false)
}

func cancelled(t *testing.T, b objstore.Bucket) {
	create(t, b, "c", "x")
	ctx, cancel := context.WithCancel(t.Context())
	r, _, err := b.Open(ctx, "c", 0)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	cancel()
	_, _, err1 := b.Get(ctx, "c")
	_, _, err2 := b.GetRange(ctx, "c", 0, 1)
	_, _, err3 := b.Open(ctx, "c", 0)
	_, err4 := b.Create(ctx, "c2", body("y"))
	_, err5 := b.Put(ctx, "c", body("y"))
	_, _, err6 := b.List(ctx, "", "", 1)
	err7 := b.Delete(ctx, "c")
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d = %v, want context.Canceled", i+1, err)
		}
	}
	wantGet(t, b, "c", "x")
	wantList(t, b, "", "", 10, []string{"c"}, false)
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

func invalidKeys(t *testing.T, b objstore.Bucket) {
	for _, key := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a/..", "a b", "ä", "a\x00b", "a\\b", "a~", "a%2fb", "a+b", strings.Repeat("k/", 256) + "k", strings.Repeat("k", 256)} {
		_, _, err1 := b.Get(t.Context(), key)
		_, _, err2 := b.GetRange(t.Context(), key, 0, 1)
		_, _, err3 := b.Open(t.Context(), key, 0)
		_, err4 := b.Create(t.Context(), key, body("y"))
		_, err5 := b.Put(t.Context(), key, body("y"))
		err6 := b.Delete(t.Context(), "fine", key)
		for i, err := range []error{err1, err2, err3, err4, err5, err6} {
			if !errors.Is(err, objstore.ErrInvalidKey) {
				t.Errorf("call %d with key %.20q = %v, want ErrInvalidKey", i+1, key, err)
			}
		}
	}
	for _, prefix := range []string{"/", "a//", "../", "a/../b", "a b", "%"} {
		if _, _, err := b.List(t.Context(), prefix, "", 1); !errors.Is(err, objstore.ErrInvalidKey) {
			t.Errorf("List(%q) = %v, want ErrInvalidKey", prefix, err)
		}
	}
	wantList(t, b, "", "", 10, nil, false)
	longest := strings.Repeat("k/", 60) + strings.Repeat("s", 255) + "/"
	longest += strings.Repeat("e", 400-len(longest)) // leaves room for a Sub
	create(t, b, longest, "x")
	wantGet(t, b, longest, "x")
	wantList(t, b, longest[:200], "", 10, []string{longest}, false)
}

func nestedKeys(t *testing.T, b objstore.Bucket) {
	create(t, b, "n/a", "object")
	create(t, b, "n/b/c", "object")
	for _, key := range []string{"n/a/below", "n/a/far/below", "n/b", "n"} {
		_, err := b.Create(t.Context(), key, body("nested"))
		_, err2 := b.Put(t.Context(), key, body("nested"))
		switch {
		case err == nil && err2 == nil:
			wantGet(t, b, key, "nested")
		case !errors.Is(err, objstore.ErrKeyConflict) || !errors.Is(err2, objstore.ErrKeyConflict):
			t.Errorf("Create(%s) = %v, Put = %v, want nil or ErrKeyConflict from both", key, err, err2)
		}
	}
	wantGet(t, b, "n/a", "object")
	wantGet(t, b, "n/b/c", "object")
}

func concurrent(t *testing.T, b objstore.Bucket) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 10 {
				key, data := fmt.Sprintf("g/%d/%d", g%4, g*10+i), fmt.Sprintf("%d of %d", i, g)
				if _, err := b.Create(t.Context(), key, body(data)); err != nil {
					t.Errorf("Create(%s) = %v", key, err)
				}
				if got, _, err := b.Get(t.Context(), key); err != nil || string(got) != data {
					t.Errorf("Get(%s) = %q, %v, want %q", key, got, err, data)
				}
				if _, _, err := b.List(t.Context(), "g/", "", 100); err != nil {
					t.Errorf("List = %v", err)
				}
			}
		})
	}
	wg.Wait()
	if infos, more, err := b.List(t.Context(), "g/", "", 200); err != nil || len(infos) != 80 || more {
		t.Errorf("List finds %d objects, more %v, %v, want 80", len(infos), more, err)
	}
}

// createAmongDeletes empties folders while others fill them: a store of
// folders removes empty ones, and must not remove one under a creator.
func createAmongDeletes(t *testing.T, b objstore.Bucket) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 25 {
				key := fmt.Sprintf("f/%d/x%d-%d", i%3, g, i)
				_, err := b.Create(t.Context(), key, body(key))
				for n := 0; n < 20 && errors.Is(err, objstore.ErrConflict); n++ { // "decided nothing" is an answer
					_, err = b.Create(t.Context(), key, body(key))
				}
				if err != nil {
					t.Errorf("Create(%s) = %v", key, err)
				}
				if got, _, err := b.Get(t.Context(), key); err != nil || string(got) != key {
					t.Errorf("Get(%s) = %q, %v", key, got, err)
				}
				if err := b.Delete(t.Context(), key); err != nil {
					t.Errorf("Delete(%s) = %v", key, err)
				}
			}
		})
	}
	wg.Wait()
	wantList(t, b, "", "", 10, nil, false)
}
