package parse

import (
	"strings"
	"testing"
	"time"

	"github.com/xuri/excelize/v2"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// book makes a workbook by fill.
func book(t testing.TB, fill func(f *excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	fill(f)
	buf, err := f.WriteToBuffer()
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// set writes rows from A1 on and fails the test on errors.
func set(t testing.TB, f *excelize.File, sheet string, rows ...[]any) {
	t.Helper()
	for i, r := range rows {
		name, err := excelize.CoordinatesToCellName(1, i+1)
		if err == nil {
			err = f.SetSheetRow(sheet, name, &r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestXLSX(t *testing.T) {
	t.Parallel()
	format := func(t *testing.T, f *excelize.File, cell string, s *excelize.Style) {
		t.Helper()
		id, err := f.NewStyle(s)
		if err == nil {
			err = f.SetCellStyle("Sheet1", cell, cell, id)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	merge := func(t *testing.T, f *excelize.File, from, to string) {
		t.Helper()
		if err := f.MergeCell("Sheet1", from, to); err != nil {
			t.Fatal(err)
		}
	}
	day := time.Date(2024, 3, 1, 13, 5, 0, 0, time.UTC)
	custom := `yyyy"年"m"月"d"日"`
	for _, tt := range []struct {
		name string
		fill func(*testing.T, *excelize.File)
		want []string
	}{
		{"rows are records with their columns' names", func(t *testing.T, f *excelize.File) {
			set(t, f, "Sheet1", []any{"产品", "价格", "备注"}, []any{"苹果", 12.5, "甜\n脆"}, []any{}, []any{"梨", nil, "x"})
		}, []string{"heading2: Sheet1", "record/1: 产品: 苹果; 价格: 12.5; 备注: 甜 脆", "record/1: 产品: 梨; 备注: x"}},
		{"values are as displayed", func(t *testing.T, f *excelize.File) {
			set(t, f, "Sheet1", []any{"a", "b", "c", "d", "e"}, []any{day, day, 0.15, 1234.5, 0.1 + 0.2})
			format(t, f, "A2", &excelize.Style{NumFmt: 14})
			format(t, f, "B2", &excelize.Style{CustomNumFmt: &custom})
			format(t, f, "C2", &excelize.Style{NumFmt: 9})
			format(t, f, "D2", &excelize.Style{NumFmt: 4})
		}, []string{"heading2: Sheet1", "record/1: a: 2024-03-01; b: 2024年3月1日; c: 15%; d: 1,234.50; e: 0.3"}},
		{"a title above the header", func(t *testing.T, f *excelize.File) {
			set(t, f, "Sheet1", []any{"2024 年价格表"}, []any{"产品", "价格"}, []any{"苹果", 1})
			merge(t, f, "A1", "B1")
		}, []string{"heading2: Sheet1", "paragraph: 2024 年价格表", "record/1: 产品: 苹果; 价格: 1"}},
		{"merged cells belong to each of their rows", func(t *testing.T, f *excelize.File) {
			set(t, f, "Sheet1", []any{"类", "名"}, []any{"水果", "苹果"}, []any{nil, "梨"}, []any{"蔬菜", "葱"})
			merge(t, f, "A2", "A3")
		}, []string{"heading2: Sheet1", "record/1: 类: 水果; 名: 苹果", "record/1: 类: 水果; 名: 梨", "record/1: 类: 蔬菜; 名: 葱"}},
		{"headers of two rows", func(t *testing.T, f *excelize.File) {
			set(t, f, "Sheet1", []any{"地区", "2023", nil, "2024"}, []any{nil, "Q1", "Q2", "Q1"}, []any{"华东", 1, 2, 3})
			merge(t, f, "A1", "A2")
			merge(t, f, "B1", "C1")
		}, []string{"heading2: Sheet1", "record/1: 地区: 华东; 2023 Q1: 1; 2023 Q2: 2; 2024 Q1: 3"}},
		{"hidden and empty sheets are left out", func(t *testing.T, f *excelize.File) {
			set(t, f, "Sheet1", []any{"a", "b"}, []any{"x", "y"})
			for _, s := range []string{"Hidden", "Empty"} {
				if _, err := f.NewSheet(s); err != nil {
					t.Fatal(err)
				}
			}
			set(t, f, "Hidden", []any{"a", "b"}, []any{"secret", "y"})
			if err := f.SetSheetVisible("Hidden", false); err != nil {
				t.Fatal(err)
			}
		}, []string{"heading2: Sheet1", "record/1: a: x; b: y"}},
		{"several sheets", func(t *testing.T, f *excelize.File) {
			set(t, f, "Sheet1", []any{"a", "b"}, []any{"x", "y"})
			if _, err := f.NewSheet("二"); err != nil {
				t.Fatal(err)
			}
			set(t, f, "二", []any{"c", "d"}, []any{"v", "w"})
		}, []string{"heading2: Sheet1", "record/1: a: x; b: y", "heading2: 二", "record/2: c: v; d: w"}},
		{"a cell far to the right", func(t *testing.T, f *excelize.File) {
			if err := f.SetCellValue("Sheet1", "XFD3", "x"); err != nil {
				t.Fatal(err)
			}
		}, []string{"heading2: Sheet1", "record/1: XFD: x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := mustParse(t, "价格.xlsx", book(t, func(f *excelize.File) { tt.fill(t, f) }))
			diff(t, show(x), tt.want)
			if x.Title != "价格" {
				t.Errorf("title = %q", x.Title)
			}
		})
	}
	t.Run("a workbook without cells has no text", func(t *testing.T) {
		t.Parallel()
		_, _, err := Parse(t.Context(), "a.xlsx", "", book(t, func(*excelize.File) {}))
		if kb.KindOf(err) != kb.Invalid {
			t.Errorf("error = %v, want Invalid", err)
		}
	})
	t.Run("limits hold over all sheets", func(t *testing.T) {
		t.Parallel()
		data := book(t, func(f *excelize.File) {
			set(t, f, "Sheet1", []any{"a", "b"}, []any{"x", "y"}, []any{"x", "y"})
			if _, err := f.NewSheet("S2"); err != nil {
				t.Fatal(err)
			}
			set(t, f, "S2", []any{"a", "b"}, []any{"x", "y"})
		})
		for limit, want := range map[int]kb.Kind{4: kb.TooLarge, 5: kb.Internal} {
			if _, _, err := (Limits{Rows: limit}).Parse(t.Context(), "a.xlsx", "", data); kb.KindOf(err) != want {
				t.Errorf("with %d rows: error = %v", limit, err)
			}
		}
	})
}

// sheetOf makes a workbook around the XML of one sheet.
func sheetOf(t testing.TB, sheet, strs string) []byte {
	return zipOf(t, map[string]string{
		"[Content_Types].xml":        `<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>`,
		"_rels/.rels":                `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="` + relNS + `/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
		"xl/workbook.xml":            `<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="` + relNS + `"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="` + relNS + `/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="` + relNS + `/sharedStrings" Target="sharedStrings.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml":   sheet,
		"xl/sharedStrings.xml":       `<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">` + strs + `</sst>`,
	})
}

const sheetNS = `<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">`

func TestHostileSheets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, sheet string }{
		{"a row at the far end", `<sheetData><row r="1048576"><c r="A1048576" t="inlineStr"><is><t>x</t></is></c></row></sheetData>`},
		{"a row beyond the end", `<sheetData><row r="999999999"><c r="A999999999"><v>1</v></c></row></sheetData>`},
		{"a string that does not exist", `<sheetData><row r="1"><c r="A1" t="s"><v>99</v></c><c r="B1" t="s"><v>-1</v></c></row></sheetData>`},
		{"cells out of order", `<sheetData><row r="2"><c r="C2"><v>1</v></c><c r="A2"><v>2</v></c></row><row r="1"><c r="??"><v>3</v></c></row></sheetData>`},
		{"merged ranges everywhere", `<sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData><mergeCells>` + strings.Repeat(`<mergeCell ref="A1:XFD1048576"/>`, 5000) + `</mergeCells>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			fuzzed(t, "a.xlsx", "", sheetOf(t, sheetNS+tt.sheet+`</worksheet>`, ""))
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func FuzzXLSX(f *testing.F) {
	for _, s := range []string{
		`<sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>b</t></is></c></row><row r="2"><c r="A2" s="1"><v>45000.5</v></c><c r="B2" t="b"><v>1</v></c></row></sheetData><mergeCells><mergeCell ref="A1:B2"/></mergeCells>`,
		`<sheetData><row><c><f>1+1</f></c></row></sheetData>`,
	} {
		f.Add(s, `<si><t>a</t></si><si><r><t>b</t></r></si>`)
	}
	f.Fuzz(func(t *testing.T, sheet, strs string) {
		fuzzed(t, "a.xlsx", "", sheetOf(t, sheetNS+sheet+`</worksheet>`, strs))
	})
}
