package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/eino-qa/eino-qa/internal/evaluate"
	"github.com/eino-qa/eino-qa/internal/intent"
)

// labelledSet is a set of texts with their intents, as its authors published it.
type labelledSet struct {
	name, train, test string
	header            bool // the first row names the columns
}

var labelled = [...]labelledSet{
	{"banking77", "banking77_train.csv", "banking77_test.csv", true},
	{"clinc150", "clinc150_train.tsv", "clinc150_test.tsv", false}, // in scope
}

// read reads rows of text and intent.
func (s labelledSet) read(dir, name string) ([]intent.Example, error) {
	data, err := os.ReadFile(filepath.Join(dir, "intents", name))
	if err != nil {
		return nil, err
	}
	var rows [][]string
	if filepath.Ext(name) == ".csv" {
		if rows, err = csv.NewReader(bytes.NewReader(data)).ReadAll(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	} else { // nothing is quoted there
		for line := range strings.Lines(string(data)) {
			rows = append(rows, strings.Split(strings.TrimSpace(line), "\t"))
		}
	}
	if s.header && len(rows) > 0 {
		rows = rows[1:]
	}
	out := make([]intent.Example, len(rows))
	for i, row := range rows {
		if len(row) != 2 {
			return nil, fmt.Errorf("%s: row %d has %d fields, want text and intent", name, i+1, len(row))
		}
		out[i] = intent.Example{Text: row[0], Class: row[1]}
	}
	return out, nil
}

// asked is a set of questions to the knowledge base.
type asked struct {
	name      string
	questions []string
}

// questions finds the questions below dir: of sets that have them, and what
// folders of documents in Markdown are about.
func questions(dir string) (sets []asked, err error) {
	dirs, err := evaluate.Find(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		set, err := evaluate.Load(d)
		if err != nil {
			return nil, err
		}
		a := asked{name: set.Name}
		for _, q := range set.Queries {
			if strings.TrimSpace(q.Text) != "" { // one of cmrc2018-trial is
				a.questions = append(a.questions, q.Text)
			}
		}
		sets = append(sets, a)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() || slices.Contains(dirs, filepath.Join(dir, e.Name())) {
			continue
		}
		heads, err := headings(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if len(heads) > 0 {
			sets = append(sets, asked{e.Name(), heads}, asked{e.Name() + " asked", asQuestions(heads)})
		}
	}
	return sets, nil
}

var heading = regexp.MustCompile(`^(?:#{1,6}\s+|title:\s*["']?)(.*?)["']?\s*#*$`)

// headings returns the titles and headings of the Markdown below dir, each once.
func headings(dir string) (out []string, err error) {
	seen := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !slices.Contains([]string{".md", ".mdx"}, filepath.Ext(path)) {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		fenced := false
		sc := bufio.NewScanner(f)
		sc.Buffer(nil, 16<<20)
		for sc.Scan() {
			line := strings.TrimSpace(sc.Text())
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			if m := heading.FindStringSubmatch(line); m != nil && !fenced && m[1] != "" && !seen[m[1]] {
				seen[m[1]] = true
				out = append(out, m[1])
			}
		}
		return errors.Join(sc.Err(), f.Close())
	})
	return out, err
}

// asQuestions asks for what headings promise, in their language.
func asQuestions(heads []string) []string {
	han := regexp.MustCompile(`\p{Han}`)
	zh, en := [...]string{"%s是什么？", "如何%s？", "请介绍一下%s"}, [...]string{"What is %s?", "How do I %s?", "Tell me about %s"}
	out := make([]string, len(heads))
	for i, h := range heads {
		form := en[i%len(en)]
		if han.MatchString(h) {
			form = zh[i%len(zh)]
		}
		out[i] = fmt.Sprintf(form, h)
	}
	return out
}
