// Package evaluate measures retrieval, sentence choice and refusal on sets of
// questions with known answers, in the form that BEIR made common: corpus.jsonl,
// queries.jsonl, qrels.tsv and, where the sentence is judged, answers.jsonl.
package evaluate

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Document is one document of a set.
type Document struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Query is one question of a set with what is known about its answer.
type Query struct {
	ID      string
	Text    string
	Gold    map[string]int // document → gain, above 0
	Answers []string       // strings the answering sentence holds; nil if not judged
}

// Set is a corpus and its questions.
type Set struct {
	Name    string
	Docs    []Document
	Queries []Query
	Judged  bool // has answers
}

// Load reads the set in folder dir; its name is the folder's.
func Load(dir string) (Set, error) {
	s := Set{Name: filepath.Base(dir)}
	err := lines(filepath.Join(dir, "corpus.jsonl"), func(b []byte) error {
		var d Document
		err := json.Unmarshal(b, &d)
		s.Docs = append(s.Docs, d)
		return err
	})
	if err != nil {
		return Set{}, err
	}
	at := map[string]int{}
	err = lines(filepath.Join(dir, "queries.jsonl"), func(b []byte) error {
		var q struct {
			ID   string `json:"_id"`
			Text string `json:"text"`
		}
		err := json.Unmarshal(b, &q)
		at[q.ID] = len(s.Queries)
		s.Queries = append(s.Queries, Query{ID: q.ID, Text: q.Text, Gold: map[string]int{}})
		return err
	})
	if err != nil {
		return Set{}, err
	}
	if err := s.readQrels(filepath.Join(dir, "qrels.tsv"), at); err != nil {
		return Set{}, err
	}
	err = lines(filepath.Join(dir, "answers.jsonl"), func(b []byte) error {
		var a struct {
			ID      string   `json:"_id"`
			Answers []string `json:"answers"`
		}
		err := json.Unmarshal(b, &a)
		if i, ok := at[a.ID]; ok {
			s.Queries[i].Answers = a.Answers
			s.Judged = true
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Set{}, err
	}
	return s, nil
}

// readQrels reads "query-id<TAB>corpus-id<TAB>score" below a header line.
func (s *Set) readQrels(path string, at map[string]int) error {
	first := true
	return lines(path, func(b []byte) error {
		if first {
			first = false
			return nil
		}
		f := strings.Fields(string(b))
		if len(f) != 3 {
			return fmt.Errorf("want 3 fields, got %d", len(f))
		}
		gain, err := strconv.Atoi(f[2])
		if err != nil {
			return err
		}
		if i, ok := at[f[0]]; ok && gain > 0 {
			s.Queries[i].Gold[f[1]] = gain
		}
		return nil
	})
}

// lines calls fn with each line that is not empty.
func lines(path string, fn func([]byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 64<<20)
	for n := 1; sc.Scan(); n++ {
		if len(sc.Bytes()) == 0 {
			continue
		}
		if err := fn(sc.Bytes()); err != nil {
			return fmt.Errorf("%s line %d: %w", path, n, err)
		}
	}
	return sc.Err()
}

// Find returns the folders below dir that hold a set, in order of their names.
func Find(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, e.Name(), "qrels.tsv")); err == nil {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, nil
}
