//go:build !function

package app

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"

	"github.com/eino-qa/eino-qa/internal/kb"
)

//go:embed sample
var sampleFiles embed.FS

// SampleQuestion is asked after the sample was loaded, to show what an answer
// is.
const SampleQuestion = "台灯保修多久？"

// LoadSample loads the sample knowledge base into the default tenant if that
// has no document yet. report is called after each file. It returns how many
// were loaded.
func (a *App) LoadSample(ctx context.Context, report func(done, of int, name string)) (int, error) {
	t, err := a.Tenant(ctx, kb.DefaultTenant, true)
	if err != nil {
		return 0, err
	}
	if n, err := t.Store.CountDocuments(ctx); err != nil || n > 0 {
		return 0, err
	}
	var names []string
	err = fs.WalkDir(sampleFiles, "sample", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, p)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list sample: %w", err)
	}
	for i, p := range names {
		data, err := sampleFiles.ReadFile(p)
		if err != nil {
			return i, fmt.Errorf("read sample: %w", err)
		}
		if _, err := t.Ingester.Submit(ctx, kb.File{Name: p, Exact: true, Data: data}); err != nil {
			return i, fmt.Errorf("load sample %s: %w", p, err)
		}
		report(i+1, len(names), p)
	}
	return len(names), t.Ingester.Work(ctx, nil)
}

// Welcome loads the sample knowledge base on the first start and asks it a
// question, so that a new user sees what an answer is.
func (a *App) Welcome(ctx context.Context, out io.Writer, bar func(done, of int, name string)) error {
	if !a.cfg.Sample() {
		return nil
	}
	n, err := a.LoadSample(ctx, bar)
	if err != nil || n == 0 {
		return err
	}
	fmt.Fprintf(out, "\nQ: %s\nA: ", SampleQuestion)
	return a.Ask(ctx, kb.DefaultTenant, SampleQuestion, out)
}
