package vector

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Near is a chunk and its cosine to the query, −1 to 1.
type Near struct {
	ID     kb.ChunkID
	Cosine float32
}

const (
	// scanRows is how many rows a kernel gets at once: enough that the call
	// costs nothing, few enough that their products stay in the nearest cache.
	scanRows = 128
	// spare times k candidates, and at least leastSpare, are scored again. By hi
	// alone a cosine errs by 0.0003 on average and 0.0015 at most (root mean
	// square and maximum of 30,000 synthetic pairs of 1024 dimensions), so the
	// best k are among far fewer: BenchmarkSearch measures a recall@10 of 1.
	spare, leastSpare = 4, 64
)

// Search returns up to k vectors by their cosine to the query, best first and
// of equal ones the older chunk first. Chunks of which dead says true are not
// found and take nobody's place; dead may be nil, and is called by this
// goroutine. The result is the same on every processor. A query of other
// dimensions is an error.
func (m *Matrix) Search(q Query, k int, dead func(kb.ChunkID) bool) ([]Near, error) {
	return m.search(best(), q, k, dead)
}

func (m *Matrix) search(with kernel, q Query, k int, dead func(kb.ChunkID) bool) ([]Near, error) {
	if q.Dims() != m.dims {
		return nil, fmt.Errorf("search vectors of %d dimensions with one of %d", m.dims, q.Dims())
	}
	if k = min(k, m.n); k < 1 {
		return nil, nil
	}
	found := make(candidates, 0, min(m.n, max(spare*k, leastSpare)))
	for i := range m.parts {
		m.scan(with, i, q, &found, dead)
	}
	near := make([]Near, len(found))
	for i, c := range found {
		near[i] = Near{c.id, q.row.cosine(m.parts[c.part].at(c.row, m.dims))}
	}
	slices.SortFunc(near, func(a, b Near) int {
		return cmp.Or(cmp.Compare(b.Cosine, a.Cosine), cmp.Compare(a.ID, b.ID))
	})
	return near[:min(k, len(near))], nil
}

// scan offers the rows of one part to found, scored by their hi plane alone.
func (m *Matrix) scan(with kernel, nth int, q Query, found *candidates, dead func(kb.ChunkID) bool) {
	p := m.parts[nth]
	products := make([]int32, min(scanRows, p.n))
	for from := 0; from < p.n; from += scanRows {
		products = products[:min(scanRows, p.n-from)]
		with.dots(products, p.hi[from*m.dims:], q.row.hi)
		for i, product := range products {
			// The query's scale would be the same factor for all.
			c := candidate{float32(product) * p.scales[from+i], p.ids[from+i], nth, from + i}
			if found.wants(c) && (dead == nil || !dead(c.id)) {
				found.add(c)
			}
		}
	}
}

// candidate is a row and its score, comparable within one search only.
type candidate struct {
	score     float32
	id        kb.ChunkID
	part, row int
}

// under orders candidates; no two of a search are equal.
func (c candidate) under(o candidate) bool {
	return c.score < o.score || c.score == o.score && c.id > o.id
}

// candidates keeps the best that fit its capacity. It is a heap, the worst on
// top, once it is full; container/heap would allocate for each.
type candidates []candidate

func (h candidates) wants(c candidate) bool { return len(h) < cap(h) || h[0].under(c) }

// add is for candidates that wants wants.
func (h *candidates) add(c candidate) {
	s := *h
	if len(s) == cap(s) {
		s[0] = c
		s.down(0)
		return
	}
	s = append(s, c)
	if len(s) == cap(s) {
		for i := len(s)/2 - 1; i >= 0; i-- {
			s.down(i)
		}
	}
	*h = s
}

func (h candidates) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h) {
			return
		}
		if right := child + 1; right < len(h) && h[right].under(h[child]) {
			child = right
		}
		if !h[child].under(h[i]) {
			return
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
}
