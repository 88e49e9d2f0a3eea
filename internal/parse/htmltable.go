package parse

import (
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// table reads a table as rows of cells. A table that holds tables, headings or
// lists, or has one column, lays a page out; its cells are read as text.
func (w *htmlWalker) table(n *html.Node) {
	w.flush()
	rows, head, caption := collectRows(n)
	if caption != nil {
		w.b.paragraph(textOf(caption))
	}
	if isLayout(n) || widest(rows) <= 1 {
		for _, row := range rows {
			for _, c := range row {
				w.children(c)
				w.flush()
			}
		}
		return
	}
	group, header := w.b.group(), ""
	var below []spanned
	for i, row := range rows {
		var texts []string
		texts, below = fillRow(row, below)
		s := rowText(texts)
		if i == 0 && head {
			header = s
		}
		w.b.row(group, header, s)
	}
}

// collectRows returns the rows of a table, not of those inside it, and whether
// the first row is its header.
func collectRows(n *html.Node) (rows [][]*html.Node, head bool, caption *html.Node) {
	inHead := false
	var walk func(*html.Node, bool)
	walk = func(n *html.Node, thead bool) {
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			switch c.DataAtom {
			case atom.Thead:
				walk(c, true)
			case atom.Tbody, atom.Tfoot:
				walk(c, false)
			case atom.Caption:
				caption = c
			case atom.Tr:
				var row []*html.Node
				heads := 0
				for d := c.FirstChild; d != nil; d = d.NextSibling {
					if (d.DataAtom == atom.Td || d.DataAtom == atom.Th) && !skipped(d) {
						row = append(row, d)
						if d.DataAtom == atom.Th {
							heads++
						}
					}
				}
				if len(rows) == 0 && len(row) > 0 {
					inHead = thead || heads == len(row)
				}
				if len(row) > 0 {
					rows = append(rows, row)
				}
			}
		}
	}
	walk(n, false)
	return rows, inHead, caption
}

// fillRow returns the texts of a row's cells; a cell that spans rows repeats
// in each. below holds, by column, the cells that reach into later rows.
func fillRow(row []*html.Node, below []spanned) ([]string, []spanned) {
	var texts []string
	reach := func() {
		for len(texts) < len(below) && below[len(texts)].rows > 0 {
			below[len(texts)].rows--
			texts = append(texts, below[len(texts)].text)
		}
	}
	for _, c := range row {
		reach()
		text := textOf(c)
		for range span(attr(c, "colspan")) {
			if len(texts) >= maxTableColumns {
				break
			}
			for len(below) <= len(texts) {
				below = append(below, spanned{})
			}
			below[len(texts)] = spanned{text, span(attr(c, "rowspan")) - 1}
			texts = append(texts, text)
			text = "" // merged to the right: once is enough
		}
	}
	reach()
	return texts, below
}

func widest(rows [][]*html.Node) int {
	n := 0
	for _, r := range rows {
		n = max(n, len(r))
	}
	return n
}

// isLayout looks for blocks that a cell of data does not hold.
func isLayout(n *html.Node) bool {
	return find(n, func(d *html.Node) bool {
		switch d.DataAtom {
		case atom.Table, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Section, atom.Article:
			return true
		}
		return false
	}) != nil
}
