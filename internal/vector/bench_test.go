package vector

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"
)

// The goal of "within twice the memory's bandwidth" is for this many.
const (
	benchVectors = 100_000
	benchDims    = 1024
	benchQueries = 30
)

var large = sync.OnceValue(func() *set { return new(set) })

// BenchmarkSearch finds 10 of 100,000 synthetic vectors and reports
//
//   - x-read: how many times longer that takes than reading the bytes of the
//     scan's plane once, the two taking turns so that both meet the same
//     machine, medians of each;
//   - GB/s: of reading them;
//   - x-portable: how many times longer it takes without assembly;
//   - recall@10 against the vectors in float32.
func BenchmarkSearch(b *testing.B) {
	s := large()
	if s.matrix == nil {
		*s = newSet(b, benchDims, benchVectors, benchQueries)
	}
	const rounds = 15
	var searches, reads []time.Duration
	b.ResetTimer()
	for i := 0; i < max(b.N, rounds); i++ {
		begun := time.Now()
		if _, err := s.matrix.Search(s.queries[i%benchQueries], 10, nil); err != nil {
			b.Fatal(err)
		}
		searches = append(searches, time.Since(begun))
		begun = time.Now()
		s.read(b)
		reads = append(reads, time.Since(begun))
	}
	b.StopTimer()
	begun := time.Now()
	if _, err := s.matrix.search(portable, s.queries[0], 10, nil); err != nil {
		b.Fatal(err)
	}
	slow := time.Since(begun)
	search, read := median(searches), median(reads)
	b.ReportMetric(float64(search.Nanoseconds()), "ns/op")
	b.ReportMetric(float64(search)/float64(read), "x-read")
	b.ReportMetric(benchVectors*benchDims/float64(read.Nanoseconds()), "GB/s")
	b.ReportMetric(float64(slow)/float64(search), "x-portable")
	b.ReportMetric(s.recall(b), "recall@10")
}

// read reads the hi planes in the fastest way that Go has: looking for a byte
// that is never there, which the runtime does in AVX2 or NEON.
func (s *set) read(tb testing.TB) {
	for _, p := range s.matrix.parts {
		if i := bytes.IndexByte(p.hi[:p.n*benchDims], 0x80); i >= 0 {
			tb.Fatalf("there is a -128 at %d", i)
		}
	}
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
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
