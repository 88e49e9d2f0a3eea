package vector

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// synthetic makes vectors that lie as embeddings do: in clusters, each spread
// along a few of the directions that all share, with a little noise everywhere.
// They are made up, and the same for the same seed; figures measured on them
// say something about speed and about the codec, nothing about a model.
type synthetic struct {
	dims    int
	basis   [][]float32
	centres [][]float32
	noise   []float32 // longer than a vector; a random window of it is one's noise
}

const (
	rank     = 48  // directions that all share
	spread   = 6   // of them, those that a vector leaves its cluster's centre in
	perGroup = 100 // vectors in a cluster
)

func newSynthetic(dims, n int) *synthetic {
	rng := rand.New(rand.NewPCG(uint64(dims), uint64(n)))
	s := &synthetic{dims: dims, basis: gauss(rng, rank, dims, 1)}
	weights := gauss(rng, max(1, n/perGroup), rank, 1)
	s.centres = make([][]float32, len(weights))
	for i, w := range weights {
		s.centres[i] = make([]float32, dims)
		for j, x := range w {
			axpy(s.centres[i], x, s.basis[j])
		}
	}
	s.noise = gauss(rng, 1, 1<<16+dims, 0.8)[0]
	return s
}

func gauss(rng *rand.Rand, rows, cols int, scale float64) [][]float32 {
	m := make([][]float32, rows)
	for i := range m {
		m[i] = make([]float32, cols)
		for j := range m[i] {
			m[i][j] = float32(rng.NormFloat64() * scale)
		}
	}
	return m
}

func axpy(to []float32, a float32, x []float32) {
	x = x[:len(to)]
	for i := range to {
		to[i] += a * x[i]
	}
}

// vector writes the vector of number id to v.
func (s *synthetic) vector(v []float32, id int) {
	rng := rand.New(rand.NewPCG(uint64(id), 7))
	copy(v, s.centres[rng.IntN(len(s.centres))])
	axpy(v, 1, s.noise[rng.IntN(1<<16):])
	for range spread {
		axpy(v, float32(rng.NormFloat64()*1.5), s.basis[rng.IntN(rank)])
	}
}

// set is a Matrix of synthetic vectors 0 to n−1, and queries with their
// neighbours, found by comparing the vectors themselves.
type set struct {
	matrix  *Matrix
	queries []Query
	nearest [][]Near // of each query the nearest 10, best first
}

// newSet makes n vectors and asks for the neighbours of some that are not among
// them, on both processors of a small machine.
func newSet(tb testing.TB, dims, n, queries int) set {
	tb.Helper()
	s := newSynthetic(dims, n)
	var made set
	asked := make([][]float32, queries)
	for i := range asked {
		asked[i] = make([]float32, dims)
		s.vector(asked[i], n+i)
		unit(asked[i])
		q, err := NewQuery(asked[i])
		if err != nil {
			tb.Fatal(err)
		}
		made.queries = append(made.queries, q)
	}

	per := PerBlock(dims)
	blocks := make([]kb.VectorBlock, (n+per-1)/per)
	errs := make([]error, len(blocks))
	const workers = 2
	tops := [workers][]top{make([]top, queries), make([]top, queries)}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rows := gauss(rand.New(rand.NewPCG(1, 1)), per, dims, 0)
			for b := w; b < len(blocks); b += workers {
				first, last := b*per, min(n, (b+1)*per)-1
				for id := first; id <= last; id++ {
					v := rows[id-first]
					s.vector(v, id)
					unit(v)
					for i, q := range asked {
						tops[w][i].offer(Near{kb.ChunkID(id), dot(q, v)})
					}
				}
				blocks[b] = kb.VectorBlock{First: kb.ChunkID(first), Last: kb.ChunkID(last)}
				blocks[b].Data, errs[b] = Encode(rows[:last-first+1])
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			tb.Fatal(err)
		}
	}
	empty, err := NewMatrix(dims)
	if err != nil {
		tb.Fatal(err)
	}
	if made.matrix, err = empty.With(blocks...); err != nil {
		tb.Fatal(err)
	}
	for i := range asked {
		for _, near := range tops[1][i] {
			tops[0][i].offer(near)
		}
		made.nearest = append(made.nearest, tops[0][i])
	}
	return made
}

// recall is the share of the true nearest 10 that a search finds.
func (s set) recall(tb testing.TB) float64 {
	tb.Helper()
	found, want := 0, 0
	for i, q := range s.queries {
		got, err := s.matrix.Search(q, 10, nil)
		if err != nil {
			tb.Fatal(err)
		}
		for _, near := range s.nearest[i] {
			want++
			for _, g := range got {
				if g.ID == near.ID {
					found++
				}
			}
		}
	}
	return float64(found) / float64(want)
}

// top is the best 10 offered, best first.
type top []Near

func (t *top) offer(n Near) {
	s := *t
	if len(s) == 10 && s[9].Cosine >= n.Cosine {
		return
	}
	if len(s) < 10 {
		s = append(s, n)
	}
	i := len(s) - 1
	for ; i > 0 && s[i-1].Cosine < n.Cosine; i-- {
		s[i] = s[i-1]
	}
	s[i] = n
	*t = s
}

func unit(v []float32) {
	scale := float32(1 / math.Sqrt(float64(dot(v, v))))
	for i := range v {
		v[i] *= scale
	}
}

// dot adds in eight lanes, which the processor does side by side.
func dot(a, b []float32) float32 {
	var s [8]float32
	for len(a) >= 8 && len(b) >= 8 {
		x, y := a[:8], b[:8]
		for i := range s {
			s[i] += x[i] * y[i]
		}
		a, b = a[8:], b[8:]
	}
	for i := range a {
		s[0] += a[i] * b[i]
	}
	return s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7]
}
