package evaluate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/parse"
)

// Small is a small knowledge base with questions it answers and questions it
// does not.
type Small struct {
	Name       string
	Docs       []Document // Markdown
	Answered   []Query
	Unanswered []string
}

// LoadSmall reads a knowledge base from a text file: documents in Markdown,
// each beginning with its title as "# Title", or a line "@folder" for those in
// a folder; then "=== answered" and lines of a question, a tab and what the
// quote must hold; then "=== unanswered" and lines of a question.
func LoadSmall(path string) (Small, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Small{}, err
	}
	s := Small{Name: strings.TrimSuffix(filepath.Base(path), ".txt")}
	body, rest, _ := strings.Cut(string(data), "\n=== answered\n")
	yes, no, ok := strings.Cut(rest, "\n=== unanswered\n")
	if !ok {
		return Small{}, fmt.Errorf("%s: wants a part of answered and one of unanswered questions", path)
	}
	if folder, is := strings.CutPrefix(body, "@"); is {
		if s.Docs, err = folderOf(filepath.Join(filepath.Dir(path), folder)); err != nil {
			return Small{}, err
		}
	} else {
		for i, d := range strings.Split("\n"+body, "\n# ")[1:] {
			s.Docs = append(s.Docs, Document{ID: fmt.Sprint(i), Text: "# " + d})
		}
	}
	for line := range strings.Lines(yes) {
		q, answer, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if !ok {
			return Small{}, fmt.Errorf("%s: no answer to %q", path, q)
		}
		s.Answered = append(s.Answered, Query{Text: q, Answers: []string{answer}})
	}
	s.Unanswered = strings.Split(strings.TrimSpace(no), "\n")
	return s, nil
}

func folderOf(dir string) (docs []Document, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		docs = append(docs, Document{ID: filepath.Base(f), Text: string(data)})
	}
	return docs, err
}

// Memory returns a Memory that holds the knowledge base.
func (s Small) Memory(ctx context.Context) (*Memory, error) {
	m := &Memory{}
	var failed error
	m.Chunk = func(d Document) []kb.Chunk {
		t, _, err := parse.Parse(ctx, d.ID+".md", "text/markdown", []byte(d.Text))
		if err != nil {
			failed = err
		}
		return chunk.Split(t, chunk.Options{})
	}
	if err := m.Ingest(ctx, s.Name, s.Docs); err != nil {
		return nil, err
	}
	return m, failed
}
