package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestEveryMutationFindsItsPlace(t *testing.T) {
	t.Parallel()
	for _, m := range mutations {
		src, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(m.file)))
		if err != nil {
			t.Fatal(err)
		}
		mutant, err := m.apply(string(src))
		if err != nil {
			t.Errorf("%s: %v", m.change, err)
		} else if mutant == string(src) {
			t.Errorf("%s: changes nothing", m.change)
		}
	}
}

func TestRedTestsAreNamed(t *testing.T) {
	t.Parallel()
	const out = `--- FAIL: TestSlots (0.01s)
    --- FAIL: TestSlots/one (0.00s)
panic: test timed out after 1s
	running tests:
		TestHangs (1s)

goroutine 1 [running]:
FAIL
panic: runtime error: index out of range

goroutine 7 [running]:
example.com/log.take(...)
	log.go:7
example.com/log.TestPanics.func1(0xc000)
	log_test.go:9
FAIL`
	if got, want := red(out), []string{"TestHangs", "TestPanics", "TestSlots"}; !slices.Equal(got, want) {
		t.Errorf("red = %v, want %v", got, want)
	}
}
