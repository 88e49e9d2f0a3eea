package parse

import (
	"encoding/xml"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// wordCell is a cell of a Word table.
type wordCell struct {
	paras    []*paragraph
	span     int  // columns
	carries  bool // continues the cell above (w:vMerge)
	startsAt bool // begins a cell that later rows continue
}

func (c *wordCell) text() string {
	var parts []string
	for _, p := range c.paras {
		if p.listed && p.marker != "-" {
			parts = append(parts, p.marker)
		}
		parts = append(parts, p.text.String())
	}
	return oneLine(strings.Join(parts, " "))
}

// table reads to the end of the w:tbl that has just begun and adds its rows.
func (x *docx) table() error {
	rows, err := x.rows()
	if err != nil {
		return err
	}
	x.group = 0
	width := 0
	for _, r := range rows {
		width = max(width, len(r))
	}
	if width <= 1 { // a frame around text
		for _, r := range rows {
			for _, c := range r {
				for _, p := range c.paras {
					x.write(p)
				}
			}
		}
		return nil
	}
	group, header := x.b.group(), ""
	above := map[int]string{} // by column: text of a cell that spans rows
	for i, r := range rows {
		var texts []string
		for _, c := range r {
			s := c.text()
			switch col := len(texts); {
			case c.carries:
				s = above[col]
			case c.startsAt:
				above[col] = s
			default:
				delete(above, col)
			}
			texts = append(texts, s)
			for k := 1; k < c.span && len(texts) < maxTableColumns; k++ {
				texts = append(texts, "") // merged to the right: once is enough
			}
		}
		s := rowText(texts)
		if i == 0 && len(rows) > 1 {
			// Word marks repeated header rows, but hardly anyone sets the
			// mark; the first row is the header by custom.
			header = s
		}
		x.b.row(group, header, s)
	}
	return nil
}

// rows reads the rows of a table; a nested table's cells become paragraphs of
// the cell it stands in.
func (x *docx) rows() (rows [][]*wordCell, err error) {
	if x.depth++; x.depth > maxDocxDepth {
		x.depth--
		return nil, x.skip()
	}
	defer func() { x.depth-- }()
	var cell *wordCell
	depth := 1
	for depth > 0 {
		tok, err := x.next()
		if err != nil {
			return nil, eof(err)
		}
		switch t := tok.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			depth++
			switch t.Name.Local {
			case "tr":
				rows = append(rows, nil)
			case "tc":
				cell = &wordCell{span: 1}
				if len(rows) == 0 {
					rows = append(rows, nil)
				}
				rows[len(rows)-1] = append(rows[len(rows)-1], cell)
			case "tcPr":
				depth--
				if err := x.cellProperties(cell, &t); err != nil {
					return nil, err
				}
			case "p", "tbl":
				depth--
				if cell == nil {
					cell = &wordCell{}
				}
				if err := x.intoCell(cell, t.Name.Local == "tbl"); err != nil {
					return nil, err
				}
			default:
				if skippedWord(t.Name.Local) {
					depth--
					if err := x.skip(); err != nil {
						return nil, err
					}
				}
			}
		}
	}
	return rows, nil
}

func (x *docx) intoCell(cell *wordCell, nested bool) error {
	if nested {
		rows, err := x.rows()
		if err != nil {
			return err
		}
		for _, r := range rows {
			for _, c := range r {
				cell.paras = append(cell.paras, c.paras...)
			}
		}
		return nil
	}
	p, err := x.paragraph()
	if err != nil {
		return err
	}
	x.number(p) // in the order of the file
	cell.paras = append(cell.paras, p)
	for _, box := range p.boxes {
		cell.paras = append(cell.paras, box...)
	}
	p.boxes = nil
	return nil
}

func (x *docx) cellProperties(cell *wordCell, start *xml.StartElement) error {
	var tp struct {
		Span  *val `xml:"gridSpan"`
		Merge *val `xml:"vMerge"`
	}
	if err := x.d.DecodeElement(&tp, start); err != nil {
		return broken(err)
	}
	if cell == nil {
		return nil
	}
	if tp.Span != nil {
		if n, err := strconv.Atoi(tp.Span.Val); err == nil && n > 0 {
			cell.span = min(n, maxSpan)
		}
	}
	if tp.Merge != nil {
		cell.startsAt = tp.Merge.Val == "restart"
		cell.carries = !cell.startsAt
	}
	return nil
}

// note returns the number of a reference to a note in the order of the text,
// or 0 for the separators that every file defines.
func (x *docx) note(start xml.StartElement) int {
	ref := noteRef{end: start.Name.Local == "endnoteReference"}
	for _, a := range start.Attr {
		if a.Name.Local == "id" {
			ref.id = a.Value
		}
	}
	if ref.id == "" || ref.id[0] == '-' {
		return 0
	}
	x.notes = append(x.notes, ref)
	return len(x.notes)
}

// writeNotes adds the notes that the text refers to, behind it.
func (x *docx) writeNotes(a *archive, foot, end string) error {
	if len(x.notes) == 0 {
		return nil
	}
	texts := map[noteRef]string{}
	for _, part := range []struct {
		name string
		end  bool
	}{{foot, false}, {end, true}} {
		data, err := a.read(part.name)
		if err != nil {
			return err
		}
		if data == nil {
			continue
		}
		if err := x.readNotes(data, part.end, texts); err != nil {
			return err
		}
	}
	for i, ref := range slices.Clip(x.notes) {
		if s := texts[ref]; s != "" {
			x.b.paragraph("[" + strconv.Itoa(i+1) + "] " + s)
		}
	}
	return nil
}

func (x *docx) readNotes(data []byte, end bool, texts map[noteRef]string) error {
	x.d = newXML(data)
	var cur noteRef
	for {
		tok, err := x.next()
		if err != nil {
			if e := eof(err); !errors.Is(e, err) { // the end of the part
				return nil
			}
			return err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "footnote", "endnote":
			cur = noteRef{end: end}
			for _, a := range start.Attr {
				if a.Name.Local == "id" {
					cur.id = a.Value
				}
			}
		case "p":
			p, err := x.paragraph()
			if err != nil {
				return err
			}
			texts[cur] = strings.TrimSpace(texts[cur] + " " + oneLine(p.text.String()))
		}
	}
}
