package lexical

import (
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestArrays compares the processor's own instructions with the plain code, to
// the bit, for every length up to some sixteens.
func TestArrays(t *testing.T) {
	t.Parallel()
	t.Logf("sixteen at a time: %v", sixteens())
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		a, b := array{make([]byte, (n+1)/2), rng.Float32() * 30}, array{make([]byte, (n+1)/2), rng.Float32() * 30}
		for i := range a.tfs {
			a.tfs[i], b.tfs[i] = byte(rng.Uint32()), byte(rng.Uint32())
		}
		norm, want := make([]float32, n), make([]float32, n+1) // one behind that nobody may touch
		for i := range norm {
			norm[i] = 0.3 + rng.Float32()*5
		}
		for i := range want {
			want[i] = rng.Float32() * 100
		}
		got := slices.Clone(want)
		addPairPortable(want[:n], norm, a, b, 0)
		addPair(got[:n], norm, a, b)
		if !slices.Equal(got, want) {
			t.Fatalf("%d scores = %v, want %v", n, got, want)
		}
		one := slices.Clone(got)
		addArrays(got[:n], norm, []array{b, a, b}, 0)
		for i := range n {
			if addArraysAt(one, norm, []array{b, a, b}, 0, i); one[i] != got[i] {
				t.Fatalf("score %d of %d alone = %v, want %v", i, n, one[i], got[i])
			}
		}
		for range 5 {
			floor := rng.Float32() * 150
			at, exact := above(got[:n], floor), abovePortable(got[:n], floor)
			if at > exact || at < exact && at < exact&^15 {
				t.Fatalf("above(%v, %v) = %d, want %d", got[:n], floor, at, exact)
			}
			if n > 0 && above(got[:n], slices.Max(got[:n])) != n {
				t.Fatalf("a score of %v is above itself", slices.Max(got[:n]))
			}
		}
	}
}

func TestArraysThatAreTooShortAreRefused(t *testing.T) {
	t.Parallel()
	for _, sizes := range [][2]int{{31, 32}, {32, 31}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("read behind an array")
				}
			}()
			addPair(make([]float32, 64), make([]float32, 64), array{make([]byte, sizes[0]), 1}, array{make([]byte, sizes[1]), 1})
		}()
	}
}

// TestArraysOnARM64 runs the tests above in an emulated arm64.
func TestArraysOnARM64(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH == "arm64" {
		t.Skip("this is an arm64")
	}
	emulator, err := exec.LookPath("qemu-aarch64")
	if err != nil {
		if emulator, err = exec.LookPath("qemu-aarch64-static"); err != nil {
			t.Skip("the arrays are not tested on arm64: there is no qemu-aarch64; install the package qemu-user")
		}
	}
	binary := filepath.Join(t.TempDir(), "lexical.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", binary, ".")
	build.Env = append(build.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build for arm64: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), emulator, binary, "-test.v",
		"-test.run", "^(TestArrays|TestArraysThatAreTooShortAreRefused|TestSearchIsExact)$").CombinedOutput()
	if err != nil || strings.Count(string(out), "--- PASS: Test") != 3 || !strings.Contains(string(out), "sixteen at a time: true") {
		t.Errorf("on arm64: %v\n%s", err, out)
	}
}
