package parse

import (
	"strconv"
	"strings"
)

// htmlCell is a cell of an HTML table in Markdown.
type htmlCell struct {
	source     string
	head       bool
	cols, rows int
}

const (
	maxTableColumns = 256 // a wider one is no longer read by people
	maxSpan         = 64
	costCell        = 8 // of a cell that repeats another, in bytes of lookahead
)

// table rewrites an HTML table as Markdown's, where its tag has just ended.
// Merged cells repeat downwards, so that each row says what it is about.
func (r *rewriter) table() {
	s, ok := r.inner("table")
	if !ok {
		return
	}
	var rows [][]string
	head := true
	var below []spanned // by column: cells that reach into later rows
	for i, cells := range tableRows(s) {
		var row []string
		next := func() {
			for len(row) < len(below) && below[len(row)].rows > 0 && r.cost(costCell) {
				below[len(row)].rows--
				row = append(row, below[len(row)].text)
			}
		}
		for _, c := range cells {
			next()
			text := strings.ReplaceAll(r.flatten(c.source), "|", `\|`)
			for k := 0; k < c.cols && len(row) < maxTableColumns && (k == 0 || r.cost(costCell)); k++ {
				for len(below) <= len(row) {
					below = append(below, spanned{})
				}
				below[len(row)] = spanned{text: text, rows: c.rows - 1}
				row = append(row, text)
				text = "" // merged to the right: once is enough
			}
			if i == 0 {
				head = head && c.head
			}
		}
		next()
		rows = append(rows, row)
	}
	r.writeTable(rows, head)
}

type spanned struct {
	text string
	rows int // that the cell still covers
}

func (r *rewriter) writeTable(rows [][]string, head bool) {
	columns := 0
	for _, row := range rows {
		columns = max(columns, len(row))
	}
	if columns == 0 {
		return
	}
	prefix := r.prefix()
	if !r.atLineStart() {
		r.write("\n" + prefix)
	}
	line := func(cells []string) {
		r.write("\n" + prefix + "|")
		for i := range columns {
			if i < len(cells) {
				r.write(" " + cells[i])
			}
			r.write(" |")
		}
	}
	if !head {
		line(nil)
	}
	for i, row := range rows {
		if i == 1 || i == 0 && !head {
			if i == 0 || head {
				r.write("\n" + prefix + strings.Repeat("|---", columns) + "|")
			}
		}
		line(row)
	}
	if len(rows) == 1 && head {
		r.write("\n" + prefix + strings.Repeat("|---", columns) + "|")
	}
	r.write("\n" + prefix + "\n" + prefix)
}

// tableRows splits the source between <table> and </table> into cells.
func tableRows(s string) [][]htmlCell {
	var rows [][]htmlCell
	var cell *htmlCell
	start := 0
	nested := 0
	end := func(i int) {
		if cell != nil {
			cell.source = s[start:i]
			cell = nil
		}
	}
	for i := 0; i < len(s); {
		k := strings.IndexByte(s[i:], '<')
		if k < 0 {
			break
		}
		i += k
		t, looked, ok := parseTag(s, i)
		if !ok {
			i += min(max(looked, 1), 2)
			continue
		}
		switch name := strings.ToLower(t.name); {
		case name == "table" && !t.closing:
			nested++
		case name == "table":
			nested--
		case nested > 0:
		case name == "tr" || name == "thead" || name == "tbody":
			end(i)
			if name == "tr" && !t.closing {
				rows = append(rows, nil)
			}
		case name == "td" || name == "th":
			end(i)
			if t.closing {
				break
			}
			if len(rows) == 0 {
				rows = append(rows, nil)
			}
			row := &rows[len(rows)-1]
			*row = append(*row, htmlCell{head: name == "th", cols: span(t.attr("colspan"), t.attr("colSpan")), rows: span(t.attr("rowspan"), t.attr("rowSpan"))})
			cell, start = &(*row)[len(*row)-1], t.end
		}
		i = t.end
	}
	end(len(s))
	return rows
}

// span reads the first number among the attribute's spellings.
func span(values ...string) int {
	for _, v := range values {
		if n, err := strconv.Atoi(strings.TrimSpace(v)); err == nil && n > 0 {
			return min(n, maxSpan)
		}
	}
	return 1
}
