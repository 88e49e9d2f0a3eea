package parse

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// readCSV reads comma, semicolon or tab separated values; tsv fixes the tab.
// The first line may be Excel's "sep=;".
func (l Limits) readCSV(ctx context.Context, s string, tsv bool, b *builder) error {
	comma := '\t'
	if !tsv {
		if rest, ok := strings.CutPrefix(s, "sep="); ok && len(rest) > 1 && (rest[1] == '\n') {
			comma, s = rune(rest[0]), rest[2:]
			if !strings.ContainsRune(",;\t|", comma) {
				return kb.E(kb.Unprocessable, nil, "file: line 1 names the separator %q; use a comma, semicolon or tab", comma)
			}
		} else {
			comma = sniffComma(s)
		}
	}
	r := csv.NewReader(strings.NewReader(s))
	r.Comma = comma
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	r.LazyQuotes = true // "5" screen" is common; RFC 4180 files read the same
	recs := newRecords(b, l.Rows)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return recs.end()
		}
		if err != nil {
			return kb.E(kb.Unprocessable, err, "file: is not valid CSV: %v", err)
		}
		if err := recs.add(sheetRow{cells: row, names: row, span: 1}); err != nil {
			return err
		}
	}
}

// sniffComma picks the separator that splits the first lines into the most
// even rows; quoted parts do not count.
func sniffComma(s string) rune {
	const sample = 64 << 10
	s = s[:min(len(s), sample)]
	best, bestScore := ',', 0
	for _, c := range []byte{',', ';', '\t'} {
		// The share of rows that agree with the first one, times its columns.
		first, agree := -1, 0
		rows := 0
		for n := range countPerRow(s, c) {
			if first < 0 {
				first = n
			}
			if n == first {
				agree++
			}
			if rows++; rows == 50 {
				break
			}
		}
		if first <= 0 {
			continue
		}
		if score := first * agree * 100 / rows; score > bestScore {
			best, bestScore = rune(c), score
		}
	}
	return best
}

// countPerRow yields how often c stands outside quotes in each non-blank row.
func countPerRow(s string, c byte) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		n, quoted, blank := 0, false, true
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] == '"':
				quoted, blank = !quoted, false
			case quoted:
			case s[i] == c:
				n++
			case s[i] == '\n':
				if !blank && !yield(n) {
					return
				}
				n, blank = 0, true
			default:
				blank = false
			}
		}
		if !blank {
			yield(n)
		}
	}
}
