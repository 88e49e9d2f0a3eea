package vector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// MaxDims is the most coordinates a vector may have: those of the largest
// embedding models we know, Qwen3-Embedding-8B among them.
const MaxDims = 4096

const (
	format    = 1
	headBytes = 5
	// maxVectors is what the header's two bytes can count.
	maxVectors = math.MaxUint16
	// peak is the code of a vector's largest coordinate: the largest whose hi,
	// rounded to nearest, is still a positive int8.
	peak = 127 * 256
	// blockBytes is the size PerBlock aims at: a few pages of the database, so
	// that neither a row nor its overflow chain is long.
	blockBytes = 16 << 10
)

// ErrBlock is in the chain of every error about a block that cannot be used:
// damaged, of another format or of other dimensions. Its vectors must be made
// anew.
var ErrBlock = errors.New("not a block of these vectors")

// PerBlock returns how many vectors of dims coordinates go into one block so
// that it takes about 16 KiB; at least 1.
func PerBlock(dims int) int {
	return max(1, blockBytes/(2*max(1, dims)))
}

// Block is a decoded block. It shares memory with the bytes it was decoded
// from and is safe for concurrent use while nobody changes them.
type Block struct {
	dims   int
	scales []float32
	hi, lo []byte // int8 in two's complement, row after row
}

// Encode returns the block of vectors, which have one length, 1 to MaxDims, and
// need not be normalised. A vector without a direction (all zeros, or with a
// NaN or an infinity in it) is an error that names the place.
func Encode(vectors [][]float32) ([]byte, error) {
	if len(vectors) == 0 || len(vectors) > maxVectors {
		return nil, fmt.Errorf("encode %d vectors: a block holds 1 to %d", len(vectors), maxVectors)
	}
	n, dims := len(vectors), len(vectors[0])
	data := make([]byte, headBytes+n*(4+2*dims))
	data[0] = format
	binary.LittleEndian.PutUint16(data[1:], uint16(dims)) // quantize refuses what does not fit
	binary.LittleEndian.PutUint16(data[3:], uint16(n))
	scales, hi, lo := planes(data, n, dims)
	for i, v := range vectors {
		if len(v) != dims {
			return nil, fmt.Errorf("encode vector %d: it has %d coordinates, the first has %d", i, len(v), dims)
		}
		scale, err := quantize(hi[i*dims:][:dims], lo[i*dims:][:dims], v)
		if err != nil {
			return nil, fmt.Errorf("encode vector %d: %w", i, err)
		}
		binary.LittleEndian.PutUint32(scales[4*i:], math.Float32bits(scale))
	}
	return data, nil
}

// planes cuts a block into its scales and its codes.
func planes(data []byte, n, dims int) (scales, hi, lo []byte) {
	scales, data = data[headBytes:][:4*n], data[headBytes+4*n:]
	return scales, data[:n*dims], data[n*dims:]
}

// quantize writes the code of v to hi and lo, which are as long as v, and
// returns its scale.
func quantize(hi, lo []byte, v []float32) (scale float32, err error) {
	if len(v) == 0 || len(v) > MaxDims {
		return 0, fmt.Errorf("it has %d coordinates; 1 to %d are possible", len(v), MaxDims)
	}
	var largest float64
	for i, x := range v {
		a := math.Abs(float64(x))
		if math.IsNaN(a) || math.IsInf(a, 0) {
			return 0, fmt.Errorf("coordinate %d is %v", i, x)
		}
		largest = max(largest, a)
	}
	if largest == 0 {
		return 0, errors.New("all coordinates are 0, so it has no direction")
	}
	var squares int64
	for i, x := range v {
		c := int(math.Round(float64(x) / largest * peak))
		h := (c + 128) >> 8
		hi[i], lo[i] = byte(h), byte(c-h<<8)
		squares += int64(c) * int64(c)
	}
	return float32(1 / math.Sqrt(float64(squares))), nil
}

// Decode reads a block of vectors of dims coordinates. It checks all there is
// to check, down to the length of each vector; its errors are ErrBlock.
func Decode(data []byte, dims int) (Block, error) {
	if len(data) < headBytes {
		return Block{}, fmt.Errorf("%w: %d bytes are no header", ErrBlock, len(data))
	}
	if data[0] != format {
		return Block{}, fmt.Errorf("%w: its format is %d, we read %d", ErrBlock, data[0], format)
	}
	if d := int(binary.LittleEndian.Uint16(data[1:])); d != dims || dims < 1 || dims > MaxDims {
		return Block{}, fmt.Errorf("%w: it has %d dimensions, want %d", ErrBlock, d, dims)
	}
	n := int(binary.LittleEndian.Uint16(data[3:]))
	if want := headBytes + n*(4+2*dims); n < 1 || len(data) != want {
		return Block{}, fmt.Errorf("%w: %d vectors take %d bytes, it has %d", ErrBlock, n, want, len(data))
	}
	scales, hi, lo := planes(data, n, dims)
	b := Block{dims: dims, scales: make([]float32, n), hi: hi, lo: lo}
	for i := range b.scales {
		b.scales[i] = math.Float32frombits(binary.LittleEndian.Uint32(scales[4*i:]))
		// float32 rounds to 6e-8. Written so that a NaN fails, too.
		if r := b.row(i); !(math.Abs(float64(b.scales[i])*math.Sqrt(float64(r.dot(r)))-1) < 1e-6) {
			return Block{}, fmt.Errorf("%w: vector %d of %d has not the length 1", ErrBlock, i, n)
		}
	}
	return b, nil
}

// Len returns how many vectors the block has.
func (b Block) Len() int { return len(b.scales) }

// At returns vector i, of length 1, as new memory. It panics if i is out of
// range.
func (b Block) At(i int) []float32 {
	r, v := b.row(i), make([]float32, b.dims)
	for j := range v {
		v[j] = float32(float64(r.code(j)) * float64(r.scale))
	}
	return v
}

// Cosine returns the cosine of the query to vector i, −1 to 1; false if there
// is no vector i or the query has other dimensions.
func (b Block) Cosine(q Query, i int) (float32, bool) {
	if i < 0 || i >= b.Len() || q.Dims() != b.dims {
		return 0, false
	}
	return q.row.cosine(b.row(i)), true
}

func (b Block) row(i int) row {
	return row{b.hi[i*b.dims:][:b.dims], b.lo[i*b.dims:][:b.dims], b.scales[i]}
}

// row is one vector's code.
type row struct {
	hi, lo []byte
	scale  float32
}

func (r row) code(i int) int { return int(int8(r.hi[i]))<<8 + int(int8(r.lo[i])) }

// dot returns the product of two codes; it is exact.
func (r row) dot(o row) int64 {
	var sums [4]int32 // MaxDims · 128² is far below 2³¹
	dots := best().dots
	dots(sums[0:1], r.hi, o.hi)
	dots(sums[1:2], r.hi, o.lo)
	dots(sums[2:3], r.lo, o.hi)
	dots(sums[3:4], r.lo, o.lo)
	return int64(sums[0])<<16 + (int64(sums[1])+int64(sums[2]))<<8 + int64(sums[3])
}

// cosine is the same on every processor: one integer, two float64 products.
func (r row) cosine(o row) float32 {
	c := float64(r.dot(o)) * float64(r.scale) * float64(o.scale)
	return float32(min(1, max(-1, c))) // the scales are rounded
}

// Query is a vector to search for. Its zero value finds nothing.
type Query struct{ row row }

// NewQuery prepares v, which need not be normalised. The errors are those of
// Encode.
func NewQuery(v []float32) (Query, error) {
	planes := make([]byte, 2*len(v))
	q := Query{row{hi: planes[:len(v)], lo: planes[len(v):]}}
	var err error
	if q.row.scale, err = quantize(q.row.hi, q.row.lo, v); err != nil {
		return Query{}, fmt.Errorf("the query's vector: %w", err)
	}
	return q, nil
}

// Dims returns how many coordinates the query has.
func (q Query) Dims() int { return len(q.row.hi) }
