package parse

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// set1 is a line of text on a page of a test PDF.
type set1 struct {
	x, y, size float64
	text       string // font: Helvetica, or STSong-Light if it has Chinese
}

// pdfOf writes a PDF of pages; entries go into the trailer.
func pdfOf(entries string, pages ...[]set1) []byte {
	objects := []string{"<</Type/Catalog/Pages 2 0 R>>", ""}
	var kids strings.Builder
	for _, p := range pages {
		var c strings.Builder
		for _, l := range p {
			font, s := "F1", "("+l.text+")"
			if strings.IndexFunc(l.text, wide) >= 0 {
				font, s = "F2", "<"
				for _, r := range l.text {
					s += fmt.Sprintf("%04X", r)
				}
				s += ">"
			}
			fmt.Fprintf(&c, "BT /%s %g Tf %g %g Td %s Tj ET\n", font, l.size, l.x, l.y, s)
		}
		n := len(objects) + 1
		fmt.Fprintf(&kids, "%d 0 R ", n)
		objects = append(objects, fmt.Sprintf("<</Type/Page/Parent 2 0 R/Contents %d 0 R>>", n+1), fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", c.Len(), c.String()))
	}
	objects[1] = "<</Type/Pages/Kids[" + kids.String() + "]/Resources<</Font<</F1<</Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>/F2<</Subtype/Type0/BaseFont/STSong-Light/Encoding/UniGB-UCS2-H/DescendantFonts[<<>>]>>>>>>>>"
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n")
	for i, o := range objects {
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	b.WriteString("trailer<</Root 1 0 R" + entries + ">>\n%%EOF")
	return b.Bytes()
}

// para1 sets lines 16 points apart from the top on, 11 points tall.
func para1(x, top float64, texts ...string) []set1 {
	var out []set1
	for i, s := range texts {
		out = append(out, set1{x, top - 16*float64(i), 11, s})
	}
	return out
}

func TestPDF(t *testing.T) {
	t.Parallel()
	join := func(parts ...[]set1) []set1 {
		var out []set1
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	full := "This line is as long as the column is wide and so the text goes on in the next"
	for _, tt := range []struct {
		name  string
		pages [][]set1
		want  []string
	}{
		{
			"lines are rejoined to paragraphs",
			[][]set1{join(para1(72, 700, full, full, "one. And it ends here."), para1(72, 640, "A new paragraph."))},
			[]string{"paragraph: " + full + " " + full + " one. And it ends here.", "paragraph: A new paragraph."},
		},
		{
			"Chinese lines are rejoined without blanks",
			[][]set1{join(para1(94, 700, "为了规范员工考勤管理，维护正常的工作秩序，根据国家有关法律法规，"), para1(72, 684, "结合本公司实际情况，特制定本制度。本制度适用于公司全体员工，包括试", "用期员工。"), para1(94, 636, "员工应当自觉遵守工作时间，不迟到、不早退、不旷工，违者按制度处理。"))},
			[]string{"paragraph: 为了规范员工考勤管理，维护正常的工作秩序，根据国家有关法律法规，结合本公司实际情况，特制定本制度。本制度适用于公司全体员工，包括试用期员工。", "paragraph: 员工应当自觉遵守工作时间，不迟到、不早退、不旷工，违者按制度处理。"},
		},
		{"divided words are made whole", [][]set1{para1(72, 700, full+" con-", "tinued: "+full+" and well-", "Known names.")}, []string{"paragraph: " + full + " continued: " + full + " and well- Known names."}},
		{
			"larger and numbered lines are headings",
			[][]set1{join([]set1{{72, 760, 20, "Handbook"}, {72, 730, 14, "Leave"}}, para1(72, 700, full, "more."), []set1{{72, 660, 11, "第二章 休假"}}, para1(72, 640, full, "end."))},
			[]string{"heading1: Handbook", "heading2: Leave", "paragraph: " + full + " more.", "heading2: 第二章 休假", "paragraph: " + full + " end."},
		},
		{
			"a heading of two lines is one",
			[][]set1{join([]set1{{72, 760, 20, "A very long title that"}, {72, 736, 20, "needs two lines"}}, para1(72, 700, full, "more."))},
			[]string{"heading1: A very long title that needs two lines", "paragraph: " + full + " more."},
		},
		{"marked lines are lists", [][]set1{para1(72, 700, "What you need:", "1. A key", "2. A lock", "After that.")}, []string{"paragraph: What you need:", "list/1: 1. A key", "list/1: 2. A lock", "paragraph: After that."}},
		{"running heads and page numbers go, paragraphs cross pages", [][]set1{
			join([]set1{{72, 800, 9, "Staff handbook"}}, para1(72, 700, full, full), []set1{{290, 30, 9, "- 1 -"}}),
			join([]set1{{72, 800, 9, "Staff handbook"}}, para1(72, 700, "and ends on this one.", "Next one."), []set1{{290, 30, 9, "- 2 -"}}),
		}, []string{"paragraph: " + full + " " + full + " and ends on this one.", "paragraph: Next one."}},
		{"tables of contents go", [][]set1{para1(72, 700, "Introduction .......... 3", "Scope . . . . . . . . . 12", "Text.")}, []string{"paragraph: Text."}},
		{
			"pages drawn from bottom to top are read from top to bottom",
			[][]set1{{{72, 600, 11, "fifth"}, {72, 630, 11, "fourth"}, {72, 660, 11, "third"}, {72, 690, 11, "second"}, {72, 720, 11, "first"}, {72, 570, 11, "sixth"}}},
			[]string{"paragraph: first second third fourth fifth sixth"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			diff(t, show(mustParse(t, "a.pdf", pdfOf("", tt.pages...))), tt.want)
		})
	}
	t.Run("titles that programs make up are not used", func(t *testing.T) {
		t.Parallel()
		for entry, want := range map[string]string{"/Info<</Title(Rules)>>": "Rules", "/Info<</Title(Microsoft Word - x.doc)>>": "a", "/Info<</Title<FEFF624B518C>>>": "手册"} {
			if got := mustParse(t, "a.pdf", pdfOf(entry, para1(72, 700, "text"))).Title; got != want {
				t.Errorf("%s: title = %q, want %q", entry, got, want)
			}
		}
	})
	t.Run("errors say what to do", func(t *testing.T) {
		t.Parallel()
		for _, tt := range []struct {
			data []byte
			l    Limits
			kind kb.Kind
			msg  string
		}{
			{pdfOf(""), Limits{}, kb.Unprocessable, "broken"},
			{pdfOf("", nil), Limits{}, kb.Unprocessable, "OCR"},
			{pdfOf("/Encrypt<</Filter/X>>", para1(72, 700, "x")), Limits{}, kb.Unprocessable, "password"},
			{pdfOf("", nil, nil, nil), Limits{Pages: 2}, kb.TooLarge, "2 pages"},
			{bytes.ReplaceAll(pdfOf("", para1(72, 700, "中文")), []byte("UniGB-UCS2-H"), []byte("Identity-H")), Limits{}, kb.Unprocessable, "fonts"},
		} {
			_, _, err := tt.l.Parse(t.Context(), "a.pdf", "", tt.data)
			if kb.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.msg) {
				t.Errorf("error = %v, want kind %d and %q", err, tt.kind, tt.msg)
			}
		}
	})
	t.Run("a file of ReportLab", func(t *testing.T) {
		t.Parallel()
		data, err := os.ReadFile("testdata/handbook.pdf")
		if err != nil {
			t.Fatal(err)
		}
		x := mustParse(t, "handbook.pdf", data)
		if x.Title != "考勤管理制度" {
			t.Errorf("title = %q", x.Title)
		}
		zh := "为了规范员工考勤管理，维护正常的工作秩序，根据国家有关法律法规，结合本公司实际情况，特制定本制度。本制度适用于公司全体员工，包括试用期员工与实习生。"
		en := "Annual leave is five days for employees with one to ten years of service. Requests are made in the staff portal at least one week in advance, and are answered within two working days."
		zh2 := "员工每天上午九点上班，下午六点下班。每月迟到三次以上的，扣除当月全勤奖200元。请假须提前一天提交申请，由直属主管批准后生效；未经批准擅自离岗的，按旷工处理。"
		want := []string{"heading1: 考勤管理制度"}
		for _, h := range []string{"第一章 总则", "第二章 考勤", "第三章 休假"} {
			want = append(want, "heading2: "+h)
			for range 3 {
				want = append(want, "paragraph: "+zh, "paragraph: "+en, "paragraph: "+zh2)
			}
		}
		diff(t, show(x), want)
	})
}

func FuzzPDF(f *testing.F) {
	f.Add(pdfOf("", para1(72, 700, "第一章 总则", "A line of text that", "goes on. ")))
	f.Add(pdfOf("/Info<</Title(x)>>", []set1{{1, 2, 3, "1."}, {9, 2, 3, "x"}}, []set1{{1, 2, 30, "A"}}))
	f.Fuzz(func(t *testing.T, data []byte) { fuzzed(t, "a.pdf", "", data) })
}
