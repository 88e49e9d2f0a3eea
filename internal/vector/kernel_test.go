package vector

import (
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// reference is what all kernels must equal, in the plainest words.
func reference(out []int32, rows, query []byte) {
	for i := range out {
		var sum int64
		for j := range query {
			sum += int64(int8(rows[i*len(query)+j])) * int64(int8(query[j]))
		}
		out[i] = int32(sum)
	}
}

func TestKernels(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	fills := map[string]func(p []byte){
		"random": func(p []byte) {
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
		},
		"all -128":    func(p []byte) { fill(p, 0x80) },
		"all -127":    func(p []byte) { fill(p, 0x81) },
		"all 127":     func(p []byte) { fill(p, 0x7F) },
		"alternating": func(p []byte) { fill(p, 0x7F, 0x80) },
		"zero":        func(p []byte) { clear(p) },
	}
	dims := []int{}
	for d := range 140 {
		dims = append(dims, d)
	}
	dims = append(dims, 255, 256, 257, 383, 384, 511, 768, 1000, 1023, 1024, 1025, 1536, 3072, MaxDims-1, MaxDims)
	for _, k := range kernels() {
		t.Logf("this processor runs %s", k.name)
		for rowsAre, fillRows := range fills {
			for queryIs, fillQuery := range fills {
				for _, d := range dims {
					for _, n := range []int{0, 1, 2, 3, 5} {
						// What lies around must not be read, written or counted.
						around := make([]byte, 64+n*d+64)
						fill(around, 0x55)
						rows, query := around[64:][:n*d], make([]byte, d+1)[1:]
						fillRows(rows)
						fillQuery(query)
						got, want := make([]int32, n+1), make([]int32, n+1)
						got[n], want[n] = 42, 42
						k.dots(got[:n], rows, query)
						reference(want[:n], rows, query)
						if !slices.Equal(got, want) {
							t.Fatalf("%s of %d rows (%s) of %d by a query (%s) = %v, want %v", k.name, n, rowsAre, d, queryIs, got, want)
						}
					}
				}
			}
		}
	}
}

func fill(p []byte, with ...byte) {
	for i := range p {
		p[i] = with[i%len(with)]
	}
}

func TestKernelsRefuseRowsThatAreTooShort(t *testing.T) {
	t.Parallel()
	for _, k := range kernels() {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s read behind the rows", k.name)
				}
			}()
			k.dots(make([]int32, 3), make([]byte, 3*64-1), make([]byte, 64))
		}()
	}
}

// TestOnARM64 runs this package's tests in an emulated arm64, once with a
// processor that has SDOT and once with one that has not.
func TestOnARM64(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH == "arm64" {
		t.Skip("this is an arm64")
	}
	emulator := ""
	for _, name := range []string{"qemu-aarch64", "qemu-aarch64-static"} {
		if path, err := exec.LookPath(name); err == nil {
			emulator = path
		}
	}
	if emulator == "" {
		t.Skip("the kernels for arm64 are not tested: there is no qemu-aarch64; install the package qemu-user")
	}
	binary := filepath.Join(t.TempDir(), "vector.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", binary, ".")
	build.Env = append(build.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build for arm64: %v\n%s", err, out)
	}
	for _, tt := range []struct{ processor, runs string }{
		{"max", "sdot neon portable"},
		{"cortex-a53", "neon portable"},
	} {
		out, err := exec.CommandContext(t.Context(), emulator, "-cpu", tt.processor, binary,
			"-test.v", "-test.run", "^(TestKernels.*|TestTheSameEverywhere)$").CombinedOutput()
		if err != nil {
			t.Errorf("on %s: %v\n%s", tt.processor, err, out)
		}
		var ran []string
		for _, m := range regexp.MustCompile("this processor runs ([a-z0-9]+)").FindAllSubmatch(out, -1) {
			ran = append(ran, string(m[1]))
		}
		if got := strings.Join(ran, " "); got != tt.runs {
			t.Errorf("on %s these kernels ran: %q, want %q", tt.processor, got, tt.runs)
		}
		if !strings.Contains(string(out), "--- PASS: TestTheSameEverywhere") {
			t.Errorf("on %s the search was not tested:\n%s", tt.processor, out)
		}
	}
}
