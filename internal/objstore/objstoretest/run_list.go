package objstoretest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

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
