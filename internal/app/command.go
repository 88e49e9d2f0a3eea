//go:build !function

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/ingest"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/parse"
)

// Ask answers one question of a tenant and prints it as a terminal shows it:
// the answer, then each source with the place it stands at.
func (a *App) Ask(ctx context.Context, id kb.TenantID, question string, out io.Writer) error {
	t, err := a.Tenant(ctx, id, false)
	if err != nil {
		return err
	}
	var text string // printed when it is whole: a terminal cannot take back what a stream replaces
	var sources []kb.Citation
	for ev, err := range t.Chat.Answer(ctx, kb.Question{Query: question, Owner: "terminal"}) {
		if err != nil {
			return err
		}
		switch ev.Type {
		case kb.EventChunk, kb.EventHandoff:
			text += ev.Content
		case kb.EventReplace:
			text = ev.Content
		case kb.EventEnd:
			sources = ev.Sources
		}
	}
	fmt.Fprintln(out, text)
	for i, s := range sources {
		m := s.Metadata
		fmt.Fprintf(out, "  [%d] %s, version %d, bytes %d-%d, confidence %.2f\n", i+1, joinPath(m.Title, m.Heading), m.Version, m.Start, m.End, s.Score)
	}
	return nil
}

func joinPath(title, heading string) string {
	if heading == "" {
		return title
	}
	return title + " › " + heading
}

// Report tells what became of the files of IngestPaths.
type Report struct {
	Ready, Duplicate, Skipped, Failed int
}

// IngestPaths loads files and folders into a tenant. Files of kinds we do not
// read are skipped; the others' names are their paths from the folder given on.
// bar is called as it goes on.
func (a *App) IngestPaths(ctx context.Context, id kb.TenantID, paths []string, bar func(done, of int, name string), problems io.Writer) (Report, error) {
	var rep Report
	t, err := a.Tenant(ctx, id, true)
	if err != nil {
		return rep, err
	}
	files, err := find(paths)
	if err != nil {
		return rep, err
	}
	b := &batch{in: t.Ingester, rep: &rep, of: len(files), bar: bar, problems: problems}
	for group := range slices.Chunk(files, submitAhead) {
		if err := b.submit(ctx, group); err != nil {
			return rep, err
		}
		if err := t.Ingester.Work(ctx, b.ended); err != nil {
			return rep, err
		}
	}
	return rep, nil
}

// batch is the progress of IngestPaths. Its methods may be called from several
// goroutines.
type batch struct {
	in       ingester
	of       int
	bar      func(done, of int, name string)
	problems io.Writer

	mu   sync.Mutex
	rep  *Report
	done int
}

// submit hands files in, several at a time: each waits for the disk, and
// their commits share one wait.
func (b *batch) submit(ctx context.Context, files []file) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(submitAtOnce)
	for _, f := range files {
		g.Go(func() error {
			switch err := submit(ctx, b.in, f); {
			case err == nil:
			case errors.Is(err, errDuplicate):
				b.count(&b.rep.Duplicate, f.name)
			case kb.KindOf(err) == kb.Unsupported:
				b.count(&b.rep.Skipped, f.name)
			case kb.KindOf(err) != kb.Internal && kb.KindOf(err) != kb.Unavailable:
				b.count(&b.rep.Failed, f.name)
				fmt.Fprintf(b.problems, "%s: %v\n", f.name, err)
			default:
				return fmt.Errorf("%s: %w", f.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// ended counts a job.
func (b *batch) ended(p ingest.Progress) {
	if p.Err == nil {
		b.count(&b.rep.Ready, p.Job.Name)
		return
	}
	fmt.Fprintf(b.problems, "%s: %v\n", p.Job.Name, p.Err)
	b.count(&b.rep.Failed, p.Job.Name)
}

func (b *batch) count(n *int, name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n++
	b.done++
	b.bar(min(b.done, b.of), b.of, name) // jobs of others may end with ours
}

// submitAhead is how many files are handed in before they are worked on: one
// batch of the ingester.
const submitAhead = 64

// submitAtOnce is how many wait for the disk together; more gain nothing here.
const submitAtOnce = 16

var errDuplicate = errors.New("is there already")

type file struct{ path, name string }

func submit(ctx context.Context, in ingester, f file) error {
	data, err := readUpTo(f.path, maxFile)
	if err != nil {
		return err
	}
	sub, err := in.Submit(ctx, kb.File{Name: f.name, Exact: true, Data: data})
	if err == nil && sub.Duplicate && sub.Status == kb.Ready {
		return errDuplicate
	}
	return err
}

// maxFile bounds a file given on the command line: the most that parse reads.
const maxFile = 64 << 20

func readUpTo(path string, limit int64) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, kb.E(kb.Invalid, err, "cannot be read")
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, kb.E(kb.Invalid, err, "cannot be read")
	}
	if n > limit {
		return nil, kb.E(kb.TooLarge, nil, "larger than %d MiB", limit>>20)
	}
	return b.Bytes(), nil
}

// find lists the files of paths. Hidden ones below a folder are left out.
func find(paths []string) ([]file, error) {
	var files []file
	for _, root := range paths {
		info, err := os.Stat(root)
		if err != nil {
			return nil, kb.E(kb.Invalid, err, "%s cannot be read", root)
		}
		if !info.IsDir() {
			files = append(files, file{root, filepath.Base(root)})
			continue
		}
		abs, err := filepath.Abs(root) // "." has a name, too
		if err != nil {
			return nil, kb.E(kb.Invalid, err, "%s cannot be read", root)
		}
		err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if p != root && strings.HasPrefix(d.Name(), ".") {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if d.Type().IsRegular() {
				rel, err := filepath.Rel(root, p)
				if err != nil {
					return err
				}
				files = append(files, file{p, filepath.ToSlash(filepath.Join(filepath.Base(abs), rel))})
			}
			return nil
		})
		if err != nil {
			return nil, kb.E(kb.Invalid, err, "%s cannot be read", root)
		}
	}
	if len(files) == 0 {
		return nil, kb.E(kb.Invalid, nil, "there is no file; give files or folders with %s", parse.Supported)
	}
	return files, nil
}
