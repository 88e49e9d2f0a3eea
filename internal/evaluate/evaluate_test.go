package evaluate_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/evaluate"
	"github.com/eino-qa/eino-qa/internal/retrieve"
)

var update = flag.Bool("update", false, "write testdata/scores.txt anew")

// TestOwnSetsDoNotRegress measures the sets of testdata, which were written
// for it, and fails where a figure is below the last one committed. The last
// two figures are shares of questions treated rightly at the shipped
// threshold: answered, and refused.
func TestOwnSetsDoNotRegress(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, name := range []string{"own-en", "own-zh"} {
		dir := filepath.Join("testdata", name)
		set, err := evaluate.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		var m evaluate.Memory
		s, err := evaluate.Measure(t.Context(), &m, set)
		if err != nil {
			t.Fatal(err)
		}
		m.Hide(nil, nil)
		answered, refused := 0, 0
		for _, q := range set.Queries {
			if answers(t, &m, q.Text) {
				answered++
			} else {
				t.Logf("%s: not answered: %s", name, q.Text)
			}
		}
		no := unanswerable(t, filepath.Join(dir, "unanswerable.jsonl"))
		for _, q := range no {
			if !answers(t, &m, q) {
				refused++
			} else {
				t.Logf("%s: should be refused: %s", name, q)
			}
		}
		fmt.Fprintf(&got, "%s %s answered %.4f refused %.4f\n", name, s,
			float64(answered)/float64(len(set.Queries)), float64(refused)/float64(len(no)))
	}
	got.WriteString(small(t, "judge", 8))
	got.WriteString(small(t, "everyday", 2))
	got.WriteString(reading(t))
	path := filepath.Join("testdata", "scores.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got.String(), string(want))
}

// small measures a folder of small knowledge bases that no weight was learned
// from, n of them: the shares of questions answered, with the right quote among the first three, and
// refused, and what is kept when nine of ten are refused.
func small(t *testing.T, folder string, n int) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "refusal", folder, "*.txt"))
	if err != nil || len(files) < n {
		t.Fatalf("%d knowledge bases in %s, %v", len(files), folder, err)
	}
	var yes, no []float64
	answered, right, refused := 0.0, 0.0, 0.0
	for _, f := range files {
		base, err := evaluate.LoadSmall(f)
		if err != nil {
			t.Fatal(err)
		}
		m, err := base.Memory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range base.Answered {
			r, err := m.Retriever().Retrieve(t.Context(), q.Text, 5)
			if err != nil {
				t.Fatal(err)
			}
			yes = append(yes, r.Answerable)
			if r.Answers() {
				answered++
			} else {
				t.Logf("%s: not answered: %s", base.Name, q.Text)
			}
			if slices.ContainsFunc(r.Quotes, func(x retrieve.Quote) bool { return evaluate.Holds(r.Text(x), q.Answers) }) {
				right++
			}
		}
		for _, q := range base.Unanswered {
			r, err := m.Retriever().Retrieve(t.Context(), q, 5)
			if err != nil {
				t.Fatal(err)
			}
			no = append(no, r.Answerable)
			if !r.Answers() {
				refused++
			} else {
				t.Logf("%s: should be refused: %s", base.Name, q)
			}
		}
	}
	all := float64(len(yes))
	return fmt.Sprintf("%s answered %.4f right@3 %.4f refused %.4f kept@90 %.4f\n", folder, answered/all, right/all, refused/float64(len(no)), evaluate.Kept(yes, no, 0.9))
}

// reading measures the choice of sentences in English articles.
func reading(t *testing.T) string {
	t.Helper()
	set, err := evaluate.Load(filepath.Join("testdata", "reading-en", "judge"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := evaluate.Measure(t.Context(), new(evaluate.Memory), set)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("reading-en/judge %s\n", s)
}

// compare fails where a number of got is below the one at its place in want.
func compare(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Fields(got), strings.Fields(want)
	if len(g) != len(w) {
		t.Fatalf("scores are\n%swant the form of\n%s", got, want)
	}
	for i := range w {
		var gv, wv float64
		if _, err := fmt.Sscan(w[i], &wv); err != nil {
			continue
		}
		if _, err := fmt.Sscan(g[i], &gv); err != nil || gv < wv {
			t.Errorf("%s = %s, last %s; all now:\n%s", w[i-1], g[i], w[i], got)
		}
	}
}

func answers(t *testing.T, m *evaluate.Memory, question string) bool {
	t.Helper()
	r, err := m.Retriever().Retrieve(t.Context(), question, 5)
	if err != nil {
		t.Fatal(err)
	}
	return r.Answers()
}

func unanswerable(t *testing.T, path string) (out []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var q struct{ Text string }
		if err := json.Unmarshal(sc.Bytes(), &q); err != nil {
			t.Fatal(err)
		}
		out = append(out, q.Text)
	}
	return out
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	gold := map[string]int{"a": 1, "b": 1}
	near := func(name string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	near("nDCG of a perfect list", evaluate.NDCG([]string{"b", "a", "x"}, gold, 10), 1)
	near("nDCG of gold at 2 of 2", evaluate.NDCG([]string{"x", "a"}, map[string]int{"a": 1}, 10), 1/math.Log2(3))
	near("nDCG beyond k", evaluate.NDCG([]string{"x", "a"}, gold, 1), 0)
	near("MRR of gold at 3", evaluate.MRR([]string{"x", "y", "a"}, gold, 10), 1.0/3)
	near("MRR of nothing", evaluate.MRR(nil, gold, 10), 0)
	near("recall of one of two", evaluate.Recall([]string{"x", "a"}, gold, 100), 0.5)
	near("kept, told apart", evaluate.Kept([]float64{3, 4}, []float64{1, 2}, 0.9), 1)
	near("kept, all alike", evaluate.Kept([]float64{1, 1}, []float64{1, 1}, 0.9), 0)
	near("kept, one no in ten above", evaluate.Kept([]float64{5}, []float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 9}, 0.9), 1)
	if !evaluate.Holds("在 ２０１４ 年成立", []string{"2014年"}) || evaluate.Holds("abc", []string{""}) {
		t.Error("Holds is wrong about width, spaces or empty answers")
	}
	s := evaluate.Scores{NDCG10: 1, MRR10: 0.5, Recall100: 0.25, Sentence1: math.NaN(), Sentence3: math.NaN(), Refusal90: 0}
	if got, want := s.String(), "ndcg@10 1.0000 mrr@10 0.5000 recall@100 0.2500 sentence@1 - sentence@3 - refusal@90 0.0000"; got != want {
		t.Errorf("String = %q, want %q", got, want)
	}
}

func TestLoadNamesTheBadLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"corpus.jsonl": "{\"_id\":\"1\"}\n", "queries.jsonl": "{\"_id\":\"q\"}\n", "qrels.tsv": "h\th\th\nq\t1\tx\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := evaluate.Load(dir); err == nil || !strings.Contains(err.Error(), "qrels.tsv line 2") {
		t.Errorf("Load = %v, want an error that names qrels.tsv line 2", err)
	}
}
