package parse

import (
	"strings"
	"unicode"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// records turns the rows of one sheet into kb.Record blocks "name: value;
// name: value". The first row with at least two texts and no bare number is
// the header; what stands above it (a report's title, its date) becomes
// paragraphs. Columns without a name are named by their letter.
type records struct {
	b      *builder
	group  int
	limit  int // on rows
	rows   int // that were not blank
	width  int // of the widest row
	names  []string
	more   int        // further rows that belong to the header
	held   [][]string // rows above the header
	headed bool
	wrote  bool
}

// maxPreamble is how many rows may stand above the header; further down, a row
// of texts is more likely data.
const maxPreamble = 10

func newRecords(b *builder, limit int) *records {
	return &records{b: b, group: b.group(), limit: limit}
}

// add takes the next row; cells are as displayed. It keeps none of the slices.
func (r *records) add(row sheetRow) error {
	filled := 0
	for i, c := range row.cells {
		// A line end in a cell is the author's, also between Chinese characters.
		row.cells[i] = oneLine(strings.ReplaceAll(c, "\n", string(lineBreak)))
		if row.cells[i] != "" {
			filled++
		}
	}
	if filled == 0 {
		return nil
	}
	if r.rows++; r.rows > r.limit {
		return kb.E(kb.TooLarge, nil, "file: has more than %d rows; split it", r.limit)
	}
	r.width = max(r.width, len(row.cells))
	switch {
	case r.more > 0:
		r.more--
		r.addNames(row.names)
	case r.headed:
		r.emit(row.cells)
	case filled >= 2 && isHeader(row.cells):
		r.headed = true
		r.preamble()
		r.addNames(row.names)
		r.more = min(row.span-1, maxHeaderRows-1)
	default:
		r.held = append(r.held, append([]string(nil), row.cells...))
		if len(r.held) >= maxPreamble {
			r.flush()
		}
	}
	return r.b.tooLarge()
}

// maxHeaderRows: "2023 / first quarter / plan" is as deep as headers get.
const maxHeaderRows = 4

// addNames adds one row of a header that may have several: "2023" over "Q1"
// makes the column "2023 Q1".
func (r *records) addNames(names []string) {
	for len(r.names) < len(names) {
		r.names = append(r.names, "")
	}
	for i, n := range names {
		n = strings.TrimRight(oneLine(n), ":： ")
		switch {
		case n == "" || r.names[i] == n || strings.HasSuffix(r.names[i], " "+n):
		case r.names[i] == "":
			r.names[i] = n
		default:
			r.names[i] += " " + n
		}
	}
}

// preamble writes the rows above the header.
func (r *records) preamble() {
	for _, cells := range r.held {
		r.b.paragraph(strings.Join(cells, " "))
	}
	r.held = nil
}

// flush gives up waiting for a header: what was held is data. A sheet of one
// column has no header to speak of, so its rows are paragraphs.
func (r *records) flush() {
	r.headed = true
	if r.width <= 1 {
		r.preamble()
		return
	}
	for _, cells := range r.held {
		r.emit(cells)
	}
	r.held = nil
}

// end writes what is still held. A header that no row follows is content.
func (r *records) end() error {
	if !r.headed {
		r.flush()
	}
	if !r.wrote {
		r.b.paragraph(rowText(r.names))
	}
	return r.b.tooLarge()
}

func (r *records) emit(cells []string) {
	r.wrote = true
	if r.width <= 1 && r.names == nil {
		r.b.paragraph(cells[0])
		return
	}
	var sb strings.Builder
	for i, c := range cells {
		if c == "" {
			continue
		}
		if sb.Len() > 0 {
			sb.WriteString("; ")
		}
		name := ""
		if i < len(r.names) {
			name = r.names[i]
		}
		if name == "" {
			name = columnLetter(i)
		}
		sb.WriteString(name)
		sb.WriteString(": ")
		sb.WriteString(c)
	}
	r.b.record(r.group, sb.String())
}

// isHeader reports whether no cell is a bare number, date or amount. Years are
// allowed: "item, 2023, 2024" heads many reports.
func isHeader(cells []string) bool {
	for _, c := range cells {
		if c == "" || len(c) == 4 && (c[:2] == "19" || c[:2] == "20") {
			continue
		}
		if strings.IndexFunc(c, unicode.IsLetter) < 0 {
			return false
		}
	}
	return true
}

// columnLetter is the name spreadsheets give column i, counted from 0.
func columnLetter(i int) string {
	var s string
	for i++; i > 0; i = (i - 1) / 26 {
		s = string(rune('A'+(i-1)%26)) + s
	}
	return s
}
