// Package objstoretest holds what tests of and over buckets need: Run, the
// conformance suite that every objstore.Bucket passes; Fault, a bucket that
// fails as networks do; Meter, one that counts and slows; and servers to test
// against.
package objstoretest

import (
	"context"
	"errors"
	"fmt"
	"io"
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

func absent(t *testing.T, b objstore.Bucket) {
	create(t, b, "there/one", "x")
	for _, key := range []string{"no", "there/two", "there/onemore", "no/such/folder/x", "there", "there"} {
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
