package vector

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// slabBytes is the size of a full slab's hi plane. What With reserves beyond
// what it was given is at most as much again as there is, and two such planes.
const slabBytes = 4 << 20

// Matrix holds the vectors of one space for searching. It never changes, so it
// needs no lock: With returns a larger one, which shares the old one's memory.
// Vectors are not removed; a search is told which are dead, and who holds the
// Matrix makes a new one when too many are.
type Matrix struct {
	dims  int
	n     int
	parts []part
	runs  []run // by first; they do not overlap
}

// part is what a Matrix sees of a slab: its first n rows.
type part struct {
	*slab
	n int
}

// slab is memory for rows. A row is written once, before any Matrix shows it.
type slab struct {
	used   atomic.Int64 // rows given away; who raises it from a to b writes rows a to b−1
	ids    []kb.ChunkID
	scales []float32
	hi, lo []byte
}

// run says where the vectors of consecutive chunks lie: in consecutive rows.
type run struct {
	kb.Span
	part, row int
}

// NewMatrix returns an empty Matrix of vectors of dims coordinates, 1 to
// MaxDims.
func NewMatrix(dims int) (*Matrix, error) {
	if dims < 1 || dims > MaxDims {
		return nil, fmt.Errorf("a matrix of %d dimensions: 1 to %d are possible", dims, MaxDims)
	}
	return &Matrix{dims: dims}, nil
}

// With returns a Matrix of m's vectors and those of blocks, which are copied; m
// stays as it is. A call costs time for every block there is, so give it many
// at once. The error of a block that cannot be used is ErrBlock and names its
// chunks, as is that of one that has chunks in common with another; then
// nothing was added. With is safe for concurrent use.
func (m *Matrix) With(blocks ...kb.VectorBlock) (*Matrix, error) {
	decoded := make([]Block, len(blocks))
	rows := 0
	for i, b := range blocks {
		d, err := Decode(b.Data, m.dims)
		if err == nil && (b.Last < b.First || b.Last-b.First != kb.ChunkID(d.Len()-1)) {
			err = fmt.Errorf("%w: it holds %d vectors", ErrBlock, d.Len())
		}
		if err != nil {
			return nil, fmt.Errorf("vectors of chunks %d to %d: %w", b.First, b.Last, err)
		}
		decoded[i] = d
		rows += d.Len()
	}
	next := &Matrix{dims: m.dims, n: m.n, parts: slices.Clone(m.parts), runs: slices.Grow(slices.Clone(m.runs), len(blocks))}
	for i, b := range decoded {
		next.add(blocks[i].First, b, rows)
		rows -= b.Len()
	}
	slices.SortFunc(next.runs, func(a, b run) int { return cmp.Compare(a.First, b.First) })
	for i := 1; i < len(next.runs); i++ {
		if a, b := next.runs[i-1], next.runs[i]; b.First <= a.Last {
			return nil, fmt.Errorf("%w: chunks %d to %d and %d to %d overlap", ErrBlock, a.First, a.Last, b.First, b.Last)
		}
	}
	return next, nil
}

// add copies b into the last part, or a new one with room for as many of the
// expected rows, b's among them, as a slab takes.
func (m *Matrix) add(first kb.ChunkID, b Block, expected int) {
	n := b.Len()
	if !m.reserve(n) {
		rows := max(n, min(max(expected, m.n), slabBytes/m.dims))
		m.parts = append(m.parts, part{slab: &slab{
			ids:    make([]kb.ChunkID, rows),
			scales: make([]float32, rows),
			hi:     make([]byte, rows*m.dims),
			lo:     make([]byte, rows*m.dims),
		}})
		m.reserve(n)
	}
	last := len(m.parts) - 1
	p := m.parts[last]
	from := p.n - n
	for i := range n {
		p.ids[from+i] = first + kb.ChunkID(i)
	}
	copy(p.scales[from:], b.scales)
	copy(p.hi[from*m.dims:], b.hi)
	copy(p.lo[from*m.dims:], b.lo)
	m.runs = append(m.runs, run{kb.Span{First: first, Last: first + kb.ChunkID(n-1)}, last, from})
	m.n += n
}

// reserve gets n rows at the end of the last part for m alone. It fails where
// there is no room, or another Matrix grew from the same one and has them.
func (m *Matrix) reserve(n int) bool {
	if len(m.parts) == 0 {
		return false
	}
	p := &m.parts[len(m.parts)-1]
	if p.n+n > len(p.ids) || !p.used.CompareAndSwap(int64(p.n), int64(p.n+n)) {
		return false
	}
	p.n += n
	return true
}

// Len returns how many vectors there are, dead ones included.
func (m *Matrix) Len() int { return m.n }

// Bytes returns the memory that m holds, with what it shares and has reserved.
func (m *Matrix) Bytes() int64 {
	const idBytes, scaleBytes, runBytes = 8, 4, 32
	total := int64(len(m.runs)) * runBytes
	for _, p := range m.parts {
		total += int64(len(p.ids)) * int64(idBytes+scaleBytes+2*m.dims)
	}
	return total
}

// Has reports whether there is a vector of the chunk.
func (m *Matrix) Has(id kb.ChunkID) bool {
	_, ok := m.find(id)
	return ok
}

// Cosine returns the cosine of the query to the chunk's vector, −1 to 1; false
// if the chunk has none or the query has other dimensions.
func (m *Matrix) Cosine(q Query, id kb.ChunkID) (float32, bool) {
	r, ok := m.find(id)
	if !ok || q.Dims() != m.dims {
		return 0, false
	}
	return q.row.cosine(r), true
}

func (m *Matrix) find(id kb.ChunkID) (row, bool) {
	i, ok := slices.BinarySearchFunc(m.runs, id, func(r run, id kb.ChunkID) int {
		switch {
		case r.Last < id:
			return -1
		case r.First > id:
			return 1
		}
		return 0
	})
	if !ok {
		return row{}, false
	}
	r := m.runs[i]
	return m.parts[r.part].at(r.row+int(id-r.First), m.dims), true
}

func (s *slab) at(i, dims int) row {
	return row{s.hi[i*dims:][:dims], s.lo[i*dims:][:dims], s.scales[i]}
}
