// Command mutate takes the safety of the storage away, one measure at a time,
// and runs the tests each time: they must turn red. It changes no file of the
// tree (go test gets the mutant as an overlay) and writes the list with what
// caught each mutant, as a table in Markdown. It exits 1 when one survived.
//
//	mutate [-only words] [-budget 3m]
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "mutate only where the measure or the change contains this")
	budget := flag.Duration("budget", 3*time.Minute, "of the tests of one package on one mutant; running out of it is red, too")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, os.Stderr, *only, *budget); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// mutation is one change of one file.
type mutation struct {
	measure string // what is taken away
	change  string // how
	file    string // below internal/
	edits   []edit
	tests   []string // packages below internal/ whose tests must notice
}

// edit replaces old, which stands in the file once.
type edit struct{ old, new string }

// apply returns the mutant of src.
func (m mutation) apply(src string) (string, error) {
	for _, e := range m.edits {
		if n := strings.Count(src, e.old); n != 1 {
			return "", fmt.Errorf("%s: %d places like %q, want one", m.file, n, e.old)
		}
		src = strings.Replace(src, e.old, e.new, 1)
	}
	return src, nil
}

// errSurvived: the tests did not notice.
var errSurvived = errors.New("the tests did not notice")

func run(ctx context.Context, out, progress io.Writer, only string, budget time.Duration) error {
	internal, err := internalFolder()
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	r := runner{internal: internal, temp: temp, budget: budget}
	if red, err := r.test(ctx, nil, packages(mutations)); err != nil || len(red) > 0 {
		return fmt.Errorf("without any mutation: %v red, %w", red, err)
	}
	fmt.Fprintln(out, "| measure | taken away | caught by |\n|---|---|---|")
	survived := 0
	for i, m := range mutations {
		if !strings.Contains(m.measure+" "+m.change, only) {
			continue
		}
		begun := time.Now()
		caught, err := r.mutate(ctx, m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.change, err)
		}
		if len(caught) == 0 {
			survived++
			caught = []string{"**nothing**"}
		}
		fmt.Fprintf(out, "| %s | %s (`%s`) | %s |\n", m.measure, m.change, m.file, strings.Join(caught, ", "))
		fmt.Fprintf(progress, "%d of %d, %s: %d tests red, %.0f s\n", i+1, len(mutations), m.change, len(caught), time.Since(begun).Seconds())
	}
	if survived > 0 {
		return fmt.Errorf("%d mutants: %w", survived, errSurvived)
	}
	return nil
}

// packages lists what has to be green before anything is mutated.
func packages(ms []mutation) (all []string) {
	for _, m := range ms {
		all = append(all, m.tests...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// internalFolder is the folder internal of the module that we run in.
func internalFolder() (string, error) {
	raw, err := exec.CommandContext(context.Background(), "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Join(filepath.Dir(strings.TrimSpace(string(raw))), "internal"), nil
}

type runner struct {
	internal, temp string
	budget         time.Duration
}

// mutate returns the tests that m turns red.
func (r runner) mutate(ctx context.Context, m mutation) ([]string, error) {
	name := filepath.Join(r.internal, filepath.FromSlash(m.file))
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	mutant, err := m.apply(string(src))
	if err != nil {
		return nil, err
	}
	to := filepath.Join(r.temp, "mutant.go")
	if err := os.WriteFile(to, []byte(mutant), 0o600); err != nil {
		return nil, err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{name: to}})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(r.temp, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return nil, err
	}
	args := []string{"-overlay", file}
	build := exec.CommandContext(ctx, "go", append([]string{"build"}, append(args, "./"+filepath.Dir(m.file))...)...)
	build.Dir = r.internal
	if out, err := build.CombinedOutput(); err != nil { // that would be red for no reason
		return nil, fmt.Errorf("the mutant does not compile: %w\n%s", err, out)
	}
	return r.test(ctx, args, m.tests)
}

// failed finds the names of red tests: those that said so, and those that were
// on a stack when the time was up or the process panicked.
var failed = regexp.MustCompile(`(?m)^(?:--- FAIL: |\t\t)(Test\w+) |^\S+\.(Test\w+)[.(]`)

// red names the tests that are red in what go test said.
func red(out string) (names []string) {
	for _, m := range failed.FindAllStringSubmatch(out, -1) {
		names = append(names, cmp.Or(m[1], m[2]))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// test runs the tests of packages and returns which are red.
func (r runner) test(ctx context.Context, args, packages []string) ([]string, error) {
	// -short leaves the processes that are killed out: what they find depends
	// on the moment. make torture is for them.
	all := append([]string{"test", "-short", "-count=1", "-vet=off", "-timeout", r.budget.String()}, args...)
	for _, p := range packages {
		all = append(all, "./"+p)
	}
	cmd := exec.CommandContext(ctx, "go", all...)
	cmd.Dir = r.internal
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err == nil {
		return nil, nil
	}
	if _, ok := errors.AsType[*exec.ExitError](err); !ok || ctx.Err() != nil {
		return nil, err
	}
	names := red(out.String())
	if len(names) == 0 {
		return nil, fmt.Errorf("go test failed and names no test:\n%s", out.String())
	}
	return names, nil
}
