package parse

import (
	"bytes"
	"context"
	"encoding/xml"
	"strconv"

	"github.com/xuri/excelize/v2"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// readXLSX reads every visible sheet of a workbook: its name is a heading, its
// rows are records with values as displayed. Formulas show their stored
// result; hidden sheets are left out, as a reader does not see them.
func (l Limits) readXLSX(ctx context.Context, data []byte, b *builder) (err error) {
	a, err := openArchive(data, l)
	if err != nil {
		return err
	}
	if data, err = a.slim(); err != nil {
		return err
	}
	f, err := excelize.OpenReader(bytes.NewReader(data), excelize.Options{
		UnzipSizeLimit:    max(a.unzip, 1),
		UnzipXMLSizeLimit: max(a.unzip, 1), // equal, so nothing goes to temporary files
		// Excel shows format 14 by the reader's locale; without one, only the
		// ISO order is not ambiguous. Formats 27 to 58 exist in East Asian
		// files only (ECMA-376 part 1 §18.8.30).
		ShortDatePattern: "yyyy-mm-dd",
		CultureInfo:      excelize.CultureNameZhCN,
	})
	if err != nil {
		return kb.E(kb.Unprocessable, err, "file: is not a readable workbook; save it again as .xlsx")
	}
	defer func() { _ = f.Close() }()
	parts, err := sheetParts(a)
	if err != nil {
		return err
	}
	if p, err := f.GetDocProps(); err == nil && p != nil {
		b.title = p.Title
	}
	rows := l.Rows
	for _, sheet := range f.GetSheetList() {
		if visible, err := f.GetSheetVisible(sheet); err != nil || !visible {
			continue
		}
		part := parts[sheet]
		if part == "" {
			continue // a chart sheet
		}
		merged, err := mergedRanges(a, part)
		if err != nil {
			return err
		}
		n, err := readSheet(ctx, f, sheet, merged, rows, b)
		if err != nil {
			return err
		}
		rows -= n
	}
	return nil
}

// maxCells bounds the work for one sheet: a row whose only cell stands in
// Excel's last column (XFD) costs 16,384 cells for forty bytes of file.
const maxCells = 50_000_000

func readSheet(ctx context.Context, f *excelize.File, sheet string, merged []mergedRange, limit int, b *builder) (int, error) {
	before := len(b.blocks)
	b.heading(2, sheet) // level 1 would make the first sheet the title
	headed := len(b.blocks)
	it, err := f.Rows(sheet)
	if err != nil {
		return 0, kb.E(kb.Unprocessable, err, "file: sheet %q cannot be read; save it again", sheet)
	}
	defer func() { _ = it.Close() }()
	recs := newRecords(b, limit)
	m := merger{ranges: merged}
	cells := 0
	for row := 1; it.Next(); row++ {
		if row%256 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		values, err := it.Columns()
		if err != nil {
			return 0, kb.E(kb.Unprocessable, err, "file: row %d of sheet %q cannot be read; save it again", row, sheet)
		}
		if cells += len(values); cells > maxCells {
			return 0, kb.E(kb.TooLarge, nil, "file: sheet %q has more than %d cells; split it", sheet, maxCells)
		}
		if err := recs.add(m.fill(row, values)); err != nil {
			return 0, err
		}
	}
	if err := it.Error(); err != nil {
		return 0, kb.E(kb.Unprocessable, err, "file: sheet %q cannot be read; save it again", sheet)
	}
	if err := recs.end(); err != nil {
		return 0, err
	}
	if len(b.blocks) == headed { // an empty sheet leaves no heading
		b.drop(before)
	}
	return recs.rows, nil
}

// sheetParts maps sheet names to part names of worksheets.
func sheetParts(a *archive) (map[string]string, error) {
	root, err := a.relations("")
	if err != nil {
		return nil, err
	}
	book := related(root, "officeDocument")
	if !a.has(book) {
		book = "xl/workbook.xml"
	}
	data, err := a.read(book)
	if err != nil {
		return nil, err
	}
	var x struct {
		Sheets []struct {
			Name  string     `xml:"name,attr"`
			Attrs []xml.Attr `xml:",any,attr"`
		} `xml:"sheets>sheet"`
	}
	if err := decodeXML(data, &x); err != nil {
		return nil, err
	}
	rels, err := a.relations(book)
	if err != nil {
		return nil, err
	}
	byID := map[string]relation{}
	for _, r := range rels {
		byID[r.ID] = r
	}
	parts := map[string]string{}
	for _, s := range x.Sheets {
		for _, at := range s.Attrs {
			if r, ok := byID[at.Value]; ok && at.Name.Local == "id" && related([]relation{r}, "worksheet") != "" {
				parts[s.Name] = r.Target
			}
		}
	}
	return parts, nil
}

// mergedRange is a range of merged cells; all bounds count from 1 and are
// inclusive.
type mergedRange struct{ left, top, right, bottom int }

var mergeRef = lazily(`<(?:\w+:)?mergeCell\s[^>]*?ref="\$?([A-Z]{1,3})\$?(\d{1,7}):\$?([A-Z]{1,3})\$?(\d{1,7})"`)

// mergedRanges finds the merged cells of a sheet. They stand behind the rows,
// so a streaming reader of rows meets them too late; this scan is cheap.
func mergedRanges(a *archive, part string) ([]mergedRange, error) {
	data, err := a.read(part)
	if err != nil {
		return nil, err
	}
	i := bytes.LastIndex(data, []byte("</sheetData>"))
	if j := bytes.LastIndex(data, []byte("mergeCells>")); j < 0 || i > j {
		return nil, nil
	}
	var out []mergedRange
	for _, m := range mergeRef.FindAllSubmatch(data[max(i, 0):], -1) {
		top, _ := strconv.Atoi(string(m[2]))
		bottom, _ := strconv.Atoi(string(m[4]))
		r := mergedRange{columnNumber(m[1]), top, columnNumber(m[3]), bottom}
		if r.left <= r.right && r.top <= r.bottom {
			out = append(out, r)
		}
	}
	return out, nil
}

func columnNumber(s []byte) int {
	n := 0
	for _, c := range s {
		n = n*26 + int(c-'A') + 1
	}
	return n
}
