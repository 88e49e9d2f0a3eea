package vector

import (
	"bytes"
	"testing"
	"time"
)

// The goal of "within twice the memory's bandwidth" is for this many.
const (
	benchVectors = 100_000
	benchDims    = 1024
	benchQueries = 30
)

// BenchmarkSearch finds 10 of 100,000 synthetic vectors with each kernel and
// reports
//
//   - x-read: how many times longer that takes than reading the bytes of the
//     scan's plane once, in the faster of the two ways below. They take turns
//     with the search, so that all meet the same machine, and the best time of
//     each counts;
//   - GB/s: of that reading;
//   - x-portable: how many times longer it takes without assembly;
//   - recall@10 against the vectors in float32.
func BenchmarkSearch(b *testing.B) {
	s := newSet(b, benchDims, benchVectors, benchQueries)
	recall := s.recall(b)
	slow := shortest(3, func() { s.search(b, portable, 0) })
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			search, read := time.Hour, time.Hour
			for i := 0; i < max(b.N, 10); i++ { // 10: one alone may be disturbed
				search = min(search, shortest(1, func() { s.search(b, k, i) }))
				read = min(read, shortest(1, s.readByRuntime), shortest(1, s.readByKernel))
			}
			b.ReportMetric(float64(search.Nanoseconds()), "ns/op")
			b.ReportMetric(float64(search)/float64(read), "x-read")
			b.ReportMetric(benchVectors*benchDims/float64(read.Nanoseconds()), "GB/s")
			b.ReportMetric(float64(slow)/float64(search), "x-portable")
			b.ReportMetric(recall, "recall@10")
		})
	}
}

func (s set) search(tb testing.TB, k kernel, i int) {
	if _, err := s.matrix.search(k, s.queries[i%len(s.queries)], 10, nil); err != nil {
		tb.Fatal(err)
	}
}

// readByRuntime reads the hi planes as the runtime's fastest reader does, in
// AVX2 or NEON: it looks for a byte that is never there.
func (s set) readByRuntime() {
	for _, p := range s.matrix.parts {
		if bytes.IndexByte(p.hi[:p.n*s.matrix.dims], 0x80) >= 0 {
			panic("an int8 code is -128")
		}
	}
}

// readByKernel reads them with the best kernel and does nothing else.
func (s set) readByKernel() {
	out := make([]int32, scanRows)
	for _, p := range s.matrix.parts {
		for from := 0; from < p.n; from += scanRows {
			best().dots(out[:min(scanRows, p.n-from)], p.hi[from*s.matrix.dims:], s.queries[0].row.hi)
		}
	}
}

func shortest(of int, f func()) time.Duration {
	least := time.Hour
	for range of {
		begun := time.Now()
		f()
		least = min(least, time.Since(begun))
	}
	return least
}

// BenchmarkKernels multiplies rows that lie in the cache.
func BenchmarkKernels(b *testing.B) {
	rows, query, out := make([]byte, 64*benchDims), make([]byte, benchDims), make([]int32, 64)
	fill(rows, 1, 2, 3)
	fill(query, 4, 5)
	for _, k := range kernels() {
		b.Run(k.name, func(b *testing.B) {
			b.SetBytes(int64(len(rows)))
			for b.Loop() {
				k.dots(out, rows, query)
			}
		})
	}
}

// BenchmarkEncode and BenchmarkWith are what 100 vectors cost to store and to
// load.
func BenchmarkEncode(b *testing.B) {
	vs := uniform(1, 100, benchDims)
	for b.Loop() {
		encode(b, vs)
	}
}

func BenchmarkWith(b *testing.B) {
	data := block(b, 1, uniform(1, 100, benchDims))
	empty := matrix(b, benchDims)
	for b.Loop() {
		if _, err := empty.With(data); err != nil {
			b.Fatal(err)
		}
	}
}
