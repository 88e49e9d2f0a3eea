package vector

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// block encodes vs as those of the chunks from first on.
func block(tb testing.TB, first kb.ChunkID, vs [][]float32) kb.VectorBlock {
	tb.Helper()
	return kb.VectorBlock{First: first, Last: first + kb.ChunkID(len(vs)-1), Data: encode(tb, vs)}
}

// blocks cuts vs into blocks of per; the first vector is chunk 0's.
func blocks(tb testing.TB, vs [][]float32, per int) []kb.VectorBlock {
	tb.Helper()
	var bs []kb.VectorBlock
	first := kb.ChunkID(0)
	for c := range slices.Chunk(vs, per) {
		bs = append(bs, block(tb, first, c))
		first += kb.ChunkID(len(c))
	}
	return bs
}

func matrix(tb testing.TB, dims int, bs ...kb.VectorBlock) *Matrix {
	tb.Helper()
	empty, err := NewMatrix(dims)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := empty.With(bs...)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func search(tb testing.TB, m *Matrix, q Query, k int, dead func(kb.ChunkID) bool) []Near {
	tb.Helper()
	near, err := m.Search(q, k, dead)
	if err != nil {
		tb.Fatal(err)
	}
	return near
}

// all scores every vector exactly: the order that Search must find.
func all(m *Matrix, q Query, ids []kb.ChunkID, k int) []Near {
	var near []Near
	for _, id := range ids {
		if c, ok := m.Cosine(q, id); ok {
			near = append(near, Near{id, c})
		}
	}
	slices.SortFunc(near, func(a, b Near) int { return cmp.Or(cmp.Compare(b.Cosine, a.Cosine), cmp.Compare(a.ID, b.ID)) })
	return near[:min(k, len(near))]
}

func upTo(n int) []kb.ChunkID {
	ids := make([]kb.ChunkID, n)
	for i := range ids {
		ids[i] = kb.ChunkID(i)
	}
	return ids
}

func TestSearchFindsTheNearest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ n, dims, per int }{
		{1, 8, 8}, {60, 33, 7}, {300, 64, 8}, {1000, 100, 8}, {5000, 48, 20},
	} {
		vs := uniform(11, tt.n, tt.dims)
		m := matrix(t, tt.dims, blocks(t, vs, tt.per)...)
		if m.Len() != tt.n {
			t.Fatalf("%d vectors, want %d", m.Len(), tt.n)
		}
		for i, v := range uniform(12, 20, tt.dims) {
			q := query(t, v)
			for _, k := range []int{1, 10, 100, math.MaxInt} {
				got, want := search(t, m, q, k, nil), all(m, q, upTo(tt.n), k)
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Fatalf("%d of %d: query %d, best %d (-want +got):\n%s", tt.n, tt.dims, i, k, diff)
				}
			}
			for _, near := range search(t, m, q, 5, nil) {
				if want := cosine(v, vs[near.ID]); math.Abs(float64(near.Cosine)-want) > 1e-4 {
					t.Errorf("the cosine of chunk %d is %v, want %v", near.ID, near.Cosine, want)
				}
			}
		}
	}
}

func TestSearchFindsTheSameWithEveryKernel(t *testing.T) {
	t.Parallel()
	m := matrix(t, 200, blocks(t, uniform(4, 2000, 200), 9)...)
	for i, v := range uniform(5, 10, 200) {
		q := query(t, v)
		want, err := m.search(portable, q, 20, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range kernels() {
			got, err := m.search(k, q, 20, nil)
			if diff := gocmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("query %d with %s: %v (-portable +got):\n%s", i, k.name, err, diff)
			}
		}
	}
}

// TestTheSameEverywhere has the bits of a search on record: instances of two
// architectures must not answer differently.
func TestTheSameEverywhere(t *testing.T) {
	t.Parallel()
	m := matrix(t, 77, blocks(t, uniform(6, 700, 77), 8)...)
	sum := sha256.New()
	for _, v := range uniform(7, 10, 77) {
		for _, near := range search(t, m, query(t, v), 30, nil) {
			_ = binary.Write(sum, binary.LittleEndian, near) // a hash takes all
		}
	}
	const want = "6caf6f73c5f2fc05"
	if got := hex.EncodeToString(sum.Sum(nil)[:8]); got != want {
		t.Errorf("the results' hash is %s, want %s", got, want)
	}
}

func TestDeadChunksTakeNoPlace(t *testing.T) {
	t.Parallel()
	const n, dims = 3000, 64
	m := matrix(t, dims, blocks(t, uniform(21, n, dims), 8)...)
	q := query(t, uniform(22, 1, dims)[0])
	for _, tt := range []struct {
		name string
		dead func(kb.ChunkID) bool
	}{
		{"all", func(kb.ChunkID) bool { return true }},
		{"none", func(kb.ChunkID) bool { return false }},
		{"every other", func(id kb.ChunkID) bool { return id%2 == 0 }},
		{"all but five", func(id kb.ChunkID) bool { return id%600 != 7 }},
		{"the best thousand", func() func(kb.ChunkID) bool {
			gone := map[kb.ChunkID]bool{}
			for _, near := range all(m, q, upTo(n), 1000) {
				gone[near.ID] = true
			}
			return func(id kb.ChunkID) bool { return gone[id] }
		}()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			live := slices.DeleteFunc(upTo(n), tt.dead)
			got, want := search(t, m, q, 10, tt.dead), all(m, q, live, 10)
			if diff := gocmp.Diff(want, got, gocmp.Comparer(func(a, b Near) bool { return a == b })); diff != "" && len(got)+len(want) > 0 {
				t.Errorf("found (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEqualCosinesAreInTheOrderOfTheirChunks(t *testing.T) {
	t.Parallel()
	same := uniform(1, 1, 16)[0]
	vs := make([][]float32, 500)
	for i := range vs {
		vs[i] = same
	}
	// The newer blocks come first: memory must not decide.
	bs := blocks(t, vs, 8)
	slices.Reverse(bs)
	m := matrix(t, 16, bs...)
	for _, k := range []int{1, 10, 100} {
		got := search(t, m, query(t, same), k, nil)
		for i, near := range got {
			if near != (Near{kb.ChunkID(i), 1}) {
				t.Fatalf("place %d of %d = %v, want chunk %d with 1", i, k, near, i)
			}
		}
		if len(got) != k {
			t.Errorf("found %d, want %d", len(got), k)
		}
	}
}

func TestSearchOfNothing(t *testing.T) {
	t.Parallel()
	empty := matrix(t, 4)
	m := matrix(t, 4, block(t, 1, uniform(1, 3, 4)))
	q := query(t, []float32{1, 2, 3, 4})
	for name, got := range map[string][]Near{
		"an empty matrix": search(t, empty, q, 5, nil),
		"k of 0":          search(t, m, q, 0, nil),
		"k below 0":       search(t, m, q, -1, nil),
	} {
		if len(got) != 0 {
			t.Errorf("%s: found %v", name, got)
		}
	}
	for _, q := range []Query{{}, query(t, []float32{1, 2, 3})} {
		if _, err := m.Search(q, 1, nil); err == nil {
			t.Errorf("a query of %d dimensions was taken", q.Dims())
		}
		if _, ok := m.Cosine(q, 1); ok {
			t.Errorf("a query of %d dimensions has a cosine", q.Dims())
		}
	}
	for _, dims := range []int{-1, 0, MaxDims + 1} {
		if _, err := NewMatrix(dims); err == nil {
			t.Errorf("NewMatrix(%d) gave one", dims)
		}
	}
}

func TestWithRefusesBlocksAndAddsNothing(t *testing.T) {
	t.Parallel()
	m := matrix(t, 8, block(t, 10, uniform(1, 5, 8)), block(t, 20, uniform(2, 5, 8)))
	good := block(t, 30, uniform(3, 2, 8))
	for _, tt := range []struct {
		name  string
		block kb.VectorBlock
		want  string
	}{
		{"no bytes", kb.VectorBlock{First: 40, Last: 41}, "vectors of chunks 40 to 41: not a block"},
		{"other dimensions", block(t, 40, uniform(1, 2, 9)), "it has 9 dimensions, want 8"},
		{"more chunks than vectors", kb.VectorBlock{First: 40, Last: 42, Data: good.Data}, "it holds 2 vectors"},
		{"fewer chunks than vectors", kb.VectorBlock{First: 40, Last: 40, Data: good.Data}, "it holds 2 vectors"},
		{"chunks the wrong way round", kb.VectorBlock{First: 41, Last: 40, Data: good.Data}, "it holds 2 vectors"},
		{"chunk ids that wrap", kb.VectorBlock{First: math.MaxInt64, Last: math.MinInt64, Data: good.Data}, "it holds 2 vectors"},
		{"the same chunks again", block(t, 10, uniform(1, 5, 8)), "chunks 10 to 14 and 10 to 14 overlap"},
		{"a chunk that is there", block(t, 14, uniform(1, 3, 8)), "chunks 10 to 14 and 14 to 16 overlap"},
		{"a chunk given twice", block(t, 29, uniform(1, 2, 8)), "chunks 29 to 30 and 30 to 31 overlap"},
	} {
		got, err := m.With(good, tt.block)
		if !errors.Is(err, ErrBlock) || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: With = %v, %v, want ErrBlock with %q", tt.name, got, err, tt.want)
		}
	}
	if m.Len() != 10 || m.Has(30) {
		t.Errorf("the matrix has %d vectors, want the 10 it had", m.Len())
	}
	again, err := m.With(good)
	if err != nil || again.Len() != 12 || !again.Has(31) || again.Has(32) {
		t.Errorf("after the refusals a good block was not added: %v", err)
	}
}

// TestMatricesThatGrewFromOneDoNotMix lets many grow from one at once, while
// others search it.
func TestMatricesThatGrewFromOneDoNotMix(t *testing.T) {
	t.Parallel()
	const dims, n = 24, 300
	vs := uniform(31, 4*n, dims)
	base := matrix(t, dims, block(t, 0, vs[:n]))
	// Room at the end, for which all contend.
	base, err := base.With(block(t, n, vs[n:n+1]))
	if err != nil {
		t.Fatal(err)
	}
	q := query(t, vs[0])
	before := search(t, base, q, 50, nil)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 0))
			m, ids := base, upTo(n+1)
			for range 20 {
				from, count := rng.IntN(3*n), 1+rng.IntN(9)
				first := ids[len(ids)-1] + 1 + kb.ChunkID(rng.IntN(3))
				b := kb.VectorBlock{First: first, Last: first + kb.ChunkID(count-1)}
				var err error
				if b.Data, err = Encode(vs[from:][:count]); err != nil {
					t.Error(err)
					return
				}
				if m, err = m.With(b); err != nil {
					t.Error(err)
					return
				}
				for i := range count {
					ids = append(ids, first+kb.ChunkID(i))
					got, ok := m.Cosine(query(t, vs[from+i]), first+kb.ChunkID(i))
					if !ok || got < 0.99999 {
						t.Errorf("%d: chunk %d holds another's vector: %v", w, first, got)
					}
				}
				near, err := m.Search(q, 50, nil)
				if diff := gocmp.Diff(all(m, q, ids, 50), near); err != nil || diff != "" {
					t.Errorf("%d: %v (-want +got):\n%s", w, err, diff)
				}
				if near, err = base.Search(q, 50, nil); err != nil || !slices.Equal(near, before) {
					t.Errorf("%d: the one they grew from has changed: %v", w, err)
				}
			}
			if m.Len() != len(ids) {
				t.Errorf("%d: %d vectors, want %d", w, m.Len(), len(ids))
			}
		})
	}
	wg.Wait()
}

func TestBytesIsWhatTheCodesTakeAndLittleMore(t *testing.T) {
	t.Parallel()
	const dims, n = 1024, 4000
	v := uniform(1, 8, dims)
	m := matrix(t, dims)
	for i := range n / 8 {
		var err error
		if m, err = m.With(block(t, kb.ChunkID(8*i), v)); err != nil {
			t.Fatal(err)
		}
		least := int64(m.Len()) * 2 * dims
		if got := m.Bytes(); got < least || got > 2*least+int64(m.Len())*50 {
			t.Fatalf("%d vectors take %d bytes, want %d to twice that", m.Len(), got, least)
		}
	}
	var bs []kb.VectorBlock
	for i := range n / 8 {
		bs = append(bs, block(t, kb.ChunkID(8*i), v))
	}
	if got, most := matrix(t, dims, bs...).Bytes(), int64(n*2*dims*101/100); got > most {
		t.Errorf("%d vectors given at once take %d bytes, want at most %d", n, got, most)
	}
}

func TestRecallOnClusters(t *testing.T) {
	t.Parallel()
	if got := newSet(t, 256, 5000, 20).recall(t); got < 0.99 {
		t.Errorf("recall@10 = %v, want 0.99", got)
	}
}
