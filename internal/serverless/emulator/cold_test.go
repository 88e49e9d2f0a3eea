package emulator

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestColdTargetsAreParsed(t *testing.T) {
	t.Parallel()
	got, err := ParseColdTarget("name=chat&bin=b&on=rest_stream&path=/chat&body={}&until=chunk&max=3.5&env=A=b%3Dc")
	if err != nil || got.Name != "chat" || got.Max != 3.5 || got.Env["A"] != "b=c" || got.Until != "chunk" {
		t.Errorf("target = %+v, %v", got, err)
	}
	for _, bad := range []string{"name=x", "name=x&bin=b&path=/&max=y", "name=x&bin=b&path=/&colour=red", "%zz"} {
		if _, err := ParseColdTarget(bad); err == nil {
			t.Errorf("%q is taken for a target", bad)
		}
	}
	if _, err := (ColdTarget{Name: "x", Binary: bin, On: "azure", Path: "/"}).Run(t.Context()); err == nil {
		t.Error("an unknown platform is no error")
	}
}

func TestColdStartsOnEachPlatform(t *testing.T) {
	t.Parallel()
	for _, on := range []string{"rest", "rest_stream", "http_v2", "function_url", "alb", "fc", "fc_web"} {
		run, err := ColdTarget{Name: on, Binary: bin, On: on, Path: "/ok"}.Run(t.Context())
		if err != nil || run.Took <= 0 || run.Took > 10*time.Second || run.RSS < 1<<20 {
			t.Errorf("%s = %+v, %v", on, run, err)
		}
	}
	run, err := ColdTarget{Name: "sse", Binary: bin, On: "rest_stream", Path: "/sse?n=20&every=100ms", Until: `"n":1}`}.Run(t.Context())
	if err != nil || run.Took > 1500*time.Millisecond {
		t.Errorf("first event after %v, %v: the stream's end was waited for", run.Took, err)
	}
	if _, err := (ColdTarget{Name: "missing", Binary: bin, On: "rest", Path: "/nowhere"}).Run(t.Context()); err == nil || !strings.Contains(err.Error(), "answered 404") {
		t.Errorf("a 404 = %v", err)
	}
}

// TestTheAdaptersInitBudget holds what linking both platforms costs before
// main: it fails on memory, which repeats, and reports time, which does not.
func TestTheAdaptersInitBudget(t *testing.T) {
	t.Parallel()
	bare := filepath.Join(t.TempDir(), "bare")
	if err := Build(t.Context(), "github.com/eino-qa/eino-qa/internal/serverless/internal/bare", bare); err != nil {
		t.Fatal(err)
	}
	cost := func(binary, path string) (total int64) {
		run, err := ColdTarget{Name: binary, Binary: binary, On: "rest", Path: path, Env: map[string]string{"GODEBUG": "inittrace=1"}}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		inits := InitTrace(run.Output)
		if len(inits) < 20 {
			t.Fatalf("%d inits in %q", len(inits), run.Output)
		}
		for _, i := range inits {
			total += i.Bytes
			if i.Clock > 500*time.Microsecond {
				t.Logf("slow init: %s %v, %d bytes", i.Package, i.Clock, i.Bytes)
			}
		}
		return total
	}
	ours, theirs := cost(bin, "/ok"), cost(bare, "/")
	t.Logf("init allocates %d bytes, a bare function %d", ours, theirs)
	if extra := ours - theirs; extra > 32<<10 { // measured 2026-11: 1.7 KB
		t.Errorf("the adapters allocate %d bytes before main, budget 32 KiB", extra)
	}
	plain, zipped, err := ZipSize(bin)
	barePlain, _, err2 := ZipSize(bare)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	t.Logf("binary %d bytes, zip %d, bare %d", plain, zipped, barePlain)
	if plain-barePlain > 1<<20 { // measured 2026-11: 0.6 MB for both platforms and the test's routes
		t.Errorf("the adapters add %d bytes to a binary, budget 1 MiB", plain-barePlain)
	}
}

func TestInitTraceSkipsOtherLines(t *testing.T) {
	t.Parallel()
	got := InitTrace("hello\ninit net/http @0.51 ms, 0.25 ms clock, 1024 bytes, 7 allocs\ninit broken\n")
	if len(got) != 1 || got[0] != (Init{"net/http", 250 * time.Microsecond, 1024, 7}) {
		t.Errorf("InitTrace = %+v", got)
	}
}
