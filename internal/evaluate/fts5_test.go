package evaluate_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/ext/fts5"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// BenchmarkAgainstFTS5 asks FTS5 and our index the same questions on the same
// 70k chunks in one run: FTS5 over the same tokens, joined by OR, as it would
// have to be used. It reports both times and how many of the first ten agree.
func BenchmarkAgainstFTS5(b *testing.B) {
	chunks, questions := fixture(b, 70000)
	db, err := sqlite3.Open(filepath.Join(b.TempDir(), "fts5.db")) // in memory it would not fit
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := fts5.Register(db); err != nil {
		b.Fatal(err)
	}
	if err := db.Exec(`CREATE VIRTUAL TABLE f USING fts5(t, content='', tokenize="unicode61 remove_diacritics 0 tokenchars '_'")`); err != nil {
		b.Fatal(err)
	}
	put, _, err := db.Prepare(`INSERT INTO f(rowid, t) VALUES (?, ?)`)
	if err != nil {
		b.Fatal(err)
	}
	defer put.Close()
	if err := db.Exec(`PRAGMA journal_mode = off; PRAGMA cache_size = -65536; BEGIN`); err != nil {
		b.Fatal(err)
	}
	for i := range chunks {
		chunks[i].Title = "" // FTS5 would weigh a title in another way
		put.BindInt64(1, int64(chunks[i].ID))
		put.BindText(2, strings.Join(lexical.Tokens(chunks[i].Text), " "))
		if err := put.Exec(); err != nil {
			b.Fatal(err)
		}
		if i%5000 == 4999 {
			if err := db.Exec(`COMMIT; BEGIN`); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := db.Exec(`COMMIT`); err != nil {
		b.Fatal(err)
	}
	blob, err := lexical.Build(slices.Values(chunks))
	if err != nil {
		b.Fatal(err)
	}
	seg, err := lexical.OpenBytes(blob)
	if err != nil {
		b.Fatal(err)
	}
	ix := lexical.Index{Segments: []*lexical.Segment{seg}}
	get, _, err := db.Prepare(`SELECT rowid FROM f WHERE f MATCH ? ORDER BY rank LIMIT 10`)
	if err != nil {
		b.Fatal(err)
	}
	defer get.Close()

	questions = questions[:30]
	var theirs, ours time.Duration
	same, total := 0, 0
	for b.Loop() {
		for _, q := range questions {
			terms := lexical.Parse(q, nil)
			var quoted []string
			for _, t := range terms.Terms {
				quoted = append(quoted, fmt.Sprintf("%q", t.Key))
			}
			begin := cpu()
			get.BindText(1, strings.Join(quoted, " OR "))
			var rows []int64
			for get.Step() {
				rows = append(rows, get.ColumnInt64(0))
			}
			if err := get.Reset(); err != nil {
				b.Fatal(err)
			}
			theirs += cpu() - begin
			const repeat = 20 // the clock ticks slowly
			begin = cpu()
			var r lexical.Result
			for range repeat {
				if r, err = ix.Search(b.Context(), lexical.Parse(q, nil), 10); err != nil {
					b.Fatal(err)
				}
			}
			ours += (cpu() - begin) / repeat
			for _, h := range r.Hits {
				if slices.Contains(rows, int64(h.ID)) {
					same++
				}
			}
			total += len(rows)
		}
	}
	n := float64(b.N * len(questions))
	b.ReportMetric(theirs.Seconds()*1e3/n, "fts5-ms/q")
	b.ReportMetric(ours.Seconds()*1e3/n, "ours-ms/q")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "times-faster")
	b.ReportMetric(float64(same)/float64(total), "same-of-10")
}
