package vector

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// uniform returns n vectors that are the same on every processor: nothing in
// making them is rounded in more than one way.
func uniform(seed uint64, n, dims int) [][]float32 {
	rng := rand.New(rand.NewPCG(seed, 3))
	vs := make([][]float32, n)
	for i := range vs {
		vs[i] = make([]float32, dims)
		for j := range vs[i] {
			vs[i][j] = rng.Float32() - 0.5
		}
	}
	return vs
}

func encode(tb testing.TB, vs [][]float32) []byte {
	tb.Helper()
	data, err := Encode(vs)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func query(tb testing.TB, v []float32) Query {
	tb.Helper()
	q, err := NewQuery(v)
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

// cosine is the truth, in float64.
func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa) / math.Sqrt(bb)
}

func TestCosinesOfBlocksAreThoseOfTheVectors(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	long := func(v []float32) { // a few coordinates dwarf the rest, as models' "rogue dimensions" do
		for range 3 {
			v[rng.IntN(len(v))] *= 30
		}
	}
	for _, tt := range []struct {
		name   string
		dims   int
		change func(v []float32)
		within float64
	}{
		{"one dimension", 1, nil, 0},
		{"three dimensions", 3, nil, 1e-4},
		{"a small model", 384, nil, 1e-5},
		{"an odd length", 1001, nil, 1e-5},
		{"a large model", 1536, nil, 1e-5},
		{"the most there may be", MaxDims, nil, 1e-5},
		{"some dimensions dwarf others", 1024, long, 1e-4},
		{"tiny numbers", 256, func(v []float32) { scale(v, 1e-38) }, 1e-5},
		{"huge numbers", 256, func(v []float32) { scale(v, 1e38) }, 1e-5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vs := uniform(1, 40, tt.dims)
			if tt.change != nil {
				for _, v := range vs {
					tt.change(v)
				}
			}
			vs[1] = vs[0]
			b, err := Decode(encode(t, vs), tt.dims)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range vs {
				for j, w := range vs[:8] {
					got, ok := b.Cosine(query(t, w), i)
					want := cosine(v, w)
					if !ok || math.Abs(float64(got)-want) > tt.within+6e-8 {
						t.Errorf("cosine of %d and %d = %v, want %v within %v", i, j, got, want, tt.within)
					}
					if got > 1 || got < -1 {
						t.Errorf("cosine of %d and %d = %v", i, j, got)
					}
				}
				if length := cosine(b.At(i), v); length < 1-1e-6 {
					t.Errorf("vector %d came back with a cosine of %v to itself", i, length)
				}
			}
		})
	}
}

func scale(v []float32, by float32) {
	for i := range v {
		v[i] *= by
	}
}

func TestABlockSurvivesDecodingAndEncoding(t *testing.T) {
	t.Parallel()
	for _, dims := range []int{1, 7, 64, 1024} {
		data := encode(t, uniform(9, 5, dims))
		b, err := Decode(data, dims)
		if err != nil {
			t.Fatal(err)
		}
		var vs [][]float32
		for i := range b.Len() {
			v := b.At(i)
			if got := math.Sqrt(float64(dot(v, v))); math.Abs(got-1) > 1e-5 {
				t.Errorf("vector %d of %d dimensions has length %v, want 1", i, dims, got)
			}
			vs = append(vs, v)
		}
		if diff := cmp.Diff(data, encode(t, vs)); diff != "" {
			t.Errorf("%d dimensions: encoding what was decoded (-want +got):\n%s", dims, diff)
		}
	}
}

// The bytes are a promise to the databases there are.
func TestEncodeWritesTheFormat(t *testing.T) {
	t.Parallel()
	got := encode(t, [][]float32{{3, -4}, {0, 2}})
	want := []byte{1, 2, 0, 2, 0}
	want = binary.LittleEndian.AppendUint32(want, math.Float32bits(float32(1/math.Hypot(24384, 32512))))
	want = binary.LittleEndian.AppendUint32(want, math.Float32bits(1./32512))
	want = append(want,
		95, 0x81, 0, 127, // 0.75 · 127 = 95.25 and −127; 0 and 127
		64, 0, 0, 0) // the quarter
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("block (-want +got):\n%s", diff)
	}
}

func TestEncodeNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for _, tt := range []struct {
		name    string
		vectors [][]float32
		want    string
	}{
		{"no vectors", nil, "encode 0 vectors"},
		{"too many", make([][]float32, 1<<16), "encode 65536 vectors"},
		{"no coordinates", [][]float32{{}}, "vector 0: it has 0 coordinates"},
		{"too many coordinates", [][]float32{make([]float32, MaxDims+1)}, "vector 0: it has 4097 coordinates"},
		{"another length", [][]float32{{1, 2}, {3}}, "vector 1: it has 1 coordinates, the first has 2"},
		{"zero", [][]float32{{1}, {1}, {0}}, "vector 2: all coordinates are 0"},
		{"NaN", [][]float32{{1, 1}, {1, nan}}, "vector 1: coordinate 1 is NaN"},
		{"infinity", [][]float32{{inf, 1}}, "vector 0: coordinate 0 is -Inf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data, err := Encode(tt.vectors)
			if err == nil || !strings.Contains(err.Error(), tt.want) || data != nil {
				t.Errorf("Encode = %d bytes, %v, want an error with %q", len(data), err, tt.want)
			}
			if len(tt.vectors) != 1 {
				return
			}
			if _, err := NewQuery(tt.vectors[0]); err == nil {
				t.Error("NewQuery took it")
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good := encode(t, uniform(2, 3, 64))
	changed := func(at int, to ...byte) []byte {
		d := append([]byte(nil), good...)
		copy(d[at:], to)
		return d
	}
	for _, tt := range []struct {
		name string
		data []byte
		dims int
		want string
	}{
		{"nothing", nil, 64, "0 bytes are no header"},
		{"half a header", good[:4], 64, "4 bytes are no header"},
		{"another format", changed(0, 2), 64, "its format is 2"},
		{"other dimensions", good, 65, "it has 64 dimensions, want 65"},
		{"no dimensions", changed(1, 0, 0), 0, "it has 0 dimensions"},
		{"too many dimensions", changed(1, 1, 0x10), MaxDims + 1, "it has 4097 dimensions"},
		{"no vectors", changed(3, 0, 0)[:headBytes], 64, "0 vectors take 5 bytes"},
		{"more vectors than bytes", changed(3, 4), 64, "4 vectors take"},
		{"a byte less", good[:len(good)-1], 64, "3 vectors take"},
		{"a byte more", append(changed(0), 0), 64, "3 vectors take"},
		{"a scale that is NaN", changed(headBytes, 0, 0, 0xC0, 0x7F), 64, "vector 0 of 3 has not the length 1"},
		{"a scale below 0", changed(headBytes+4+3, good[headBytes+4+3]|0x80), 64, "vector 1 of 3 has not the length 1"},
		{"a damaged hi", changed(headBytes+12+64*2, good[headBytes+12+64*2]^0x40), 64, "vector 2 of 3 has not the length 1"},
		{"a vector of zeros", changed(headBytes+12, make([]byte, len(good)-headBytes-12)...), 64, "vector 0 of 3 has not the length 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Decode(tt.data, tt.dims); !errors.Is(err, ErrBlock) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Decode = %v, want ErrBlock with %q", err, tt.want)
			}
		})
	}
}

func TestCosineOfWhatCannotBeCompared(t *testing.T) {
	t.Parallel()
	b, err := Decode(encode(t, uniform(1, 2, 8)), 8)
	if err != nil {
		t.Fatal(err)
	}
	right, wrong := query(t, []float32{1, 0, 0, 0, 0, 0, 0, 0}), query(t, []float32{1})
	for _, tt := range []struct {
		name string
		q    Query
		i    int
		want bool
	}{
		{"the last", right, 1, true},
		{"behind the last", right, 2, false},
		{"before the first", right, -1, false},
		{"other dimensions", wrong, 0, false},
		{"no query", Query{}, 0, false},
	} {
		if _, ok := b.Cosine(tt.q, tt.i); ok != tt.want {
			t.Errorf("%s: Cosine says %v, want %v", tt.name, ok, tt.want)
		}
	}
}

func TestPerBlockFillsAFewPages(t *testing.T) {
	t.Parallel()
	for dims, want := range map[int]int{0: 8192, 1: 8192, 384: 21, 1024: 8, 1536: 5, MaxDims: 2, 1 << 20: 1} {
		if got := PerBlock(dims); got != want {
			t.Errorf("PerBlock(%d) = %d, want %d", dims, got, want)
		}
	}
}

// FuzzDecode: bytes are refused or make vectors of length 1, which encode.
func FuzzDecode(f *testing.F) {
	for _, dims := range []int{1, 3, 64, 100} {
		data := encode(f, uniform(uint64(dims), 3, dims))
		f.Add(data, uint16(dims))
		rng := rand.New(rand.NewPCG(1, uint64(dims)))
		for range 20 {
			mutant := append([]byte(nil), data...)
			mutant[rng.IntN(len(mutant))] ^= 1 << rng.IntN(8)
			f.Add(mutant[:len(mutant)-rng.IntN(2)*rng.IntN(len(mutant))], uint16(dims))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, dims uint16) {
		b, err := Decode(data, int(dims))
		if err != nil {
			if !errors.Is(err, ErrBlock) {
				t.Fatalf("Decode = %v, want ErrBlock", err)
			}
			return
		}
		var vs [][]float32
		for i := range b.Len() {
			vs = append(vs, b.At(i))
		}
		again, err := Decode(encode(t, vs), int(dims))
		if err != nil || again.Len() != b.Len() {
			t.Fatalf("what was decoded does not encode: %v", err)
		}
		for i, v := range vs {
			if got, ok := again.Cosine(query(t, v), i); !ok || got < 0.999999 {
				t.Errorf("vector %d has a cosine of %v to itself", i, got)
			}
		}
	})
}
