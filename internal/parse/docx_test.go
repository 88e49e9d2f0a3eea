package parse

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// wp is a paragraph of Word; props are the children of its w:pPr.
func wp(props, text string) string {
	return `<w:p><w:pPr>` + props + `</w:pPr><w:r><w:t xml:space="preserve">` + text + `</w:t></w:r></w:p>`
}

func ws(id string) string { return `<w:pStyle w:val="` + id + `"/>` }

func wn(level, id string) string {
	return `<w:numPr><w:ilvl w:val="` + level + `"/><w:numId w:val="` + id + `"/></w:numPr>`
}

func TestDOCX(t *testing.T) {
	t.Parallel()
	cell := func(props, text string) string {
		return `<w:tc><w:tcPr>` + props + `</w:tcPr>` + wp("", text) + `</w:tc>`
	}
	for _, tt := range []struct {
		name, body string
		want       []string
	}{
		{
			"headings by style, based-on style and outline level", wp(ws("1"), "A") + wp(ws("sub"), "B") + wp(`<w:outlineLvl w:val="2"/>`, "C") + wp(ws("loop"), "text") + wp(ws("1"), strings.Repeat("长", 130)),
			[]string{"heading1: A", "heading1: B", "heading3: C", "paragraph: text", "paragraph: " + strings.Repeat("长", 130)},
		},
		{"a title and no table of contents", wp(ws("T"), "手册") + wp(ws("toc"), "第一章 1") + wp("", "text"), []string{"heading1: 手册", "paragraph: text"}},
		{
			"numbers that Word computes", wp(wn("0", "1"), "one") + wp(wn("0", "1"), "two") + wp(wn("1", "1"), "sub") + wp(wn("1", "1"), "sub2") + wp(wn("0", "1"), "three") + wp("", "text") + wp(wn("0", "1"), "four") + wp(wn("0", "4"), "five"),
			[]string{"list/1: 1. one", "list/1: 2. two", "list/1: a) sub", "list/1: b) sub2", "list/1: 3. three", "paragraph: text", "list/2: 4. four", "list/2: 5. five"},
		},
		{"bullets", wp(wn("0", "2"), "x") + wp(wn("0", "2"), "y"), []string{"list/1: - x", "list/1: - y"}},
		{
			"numbered headings and clauses in Chinese", wp(ws("1")+wn("0", "3"), "总则") + wp(ws("2"), "范围") + wp(ws("2"), "定义") + wp(ws("1")+wn("0", "3"), "附则") + wp(ws("2"), "生效"),
			[]string{"heading1: 第一章 总则", "heading2: 1.1 范围", "heading2: 1.2 定义", "heading1: 第二章 附则", "heading2: 2.1 生效"},
		},
		{"numbering switched off, or of no list", wp(wn("0", "0"), "x") + wp(wn("0", "99"), "y"), []string{"paragraph: x", "paragraph: y"}},
		{"deleted, moved, hidden and struck text is left out", `<w:p><w:r><w:t>a</w:t></w:r><w:del><w:r><w:delText>no</w:delText></w:r></w:del><w:ins><w:r><w:t>b</w:t></w:r></w:ins><w:moveFrom><w:r><w:t>no</w:t></w:r></w:moveFrom>` +
			`<w:r><w:rPr><w:vanish/></w:rPr><w:t>no</w:t></w:r><w:r><w:rPr><w:strike/></w:rPr><w:t>no</w:t></w:r><w:r><w:rPr><w:strike w:val="0"/></w:rPr><w:t>c</w:t></w:r></w:p>`, []string{"paragraph: abc"}},
		{
			"breaks, tabs, fields, links and runs", `<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/><w:t>d</w:t></w:r><w:r><w:fldChar/><w:instrText>PAGE</w:instrText></w:r><w:hyperlink><w:r><w:t xml:space="preserve"> link</w:t></w:r></w:hyperlink><w:sdt><w:sdtPr><w:alias w:val="no"/></w:sdtPr><w:sdtContent><w:r><w:t>!</w:t></w:r></w:sdtContent></w:sdt></w:p>`,
			[]string{"paragraph: a b⏎c-d link!"},
		},
		{
			"text boxes once, after their paragraph", `<w:p><w:r><w:t>a</w:t><mc:AlternateContent><mc:Choice><wps:txbx><w:txbxContent>` + wp("", "box") + `</w:txbxContent></wps:txbx></mc:Choice><mc:Fallback><w:txbxContent>` + wp("", "box") + `</w:txbxContent></mc:Fallback></mc:AlternateContent><w:t>b</w:t></w:r></w:p>`,
			[]string{"paragraph: ab", "paragraph: box"},
		},
		{"ruby keeps the base text", `<w:p><w:r><w:ruby><w:rt><w:r><w:t>han</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>汉</w:t></w:r></w:rubyBase></w:ruby></w:r></w:p>`, []string{"paragraph: 汉"}},
		{"footnotes follow the text", `<w:p><w:r><w:t>a</w:t><w:footnoteReference w:id="7"/><w:t>b</w:t></w:r></w:p>`, []string{"paragraph: a[1]b", "paragraph: [1] 脚注。"}},
		{
			"tables with merged cells", `<w:tbl><w:tr>` + cell("", "级别") + cell("", "天数") + cell("", "注") + `</w:tr><w:tr>` + cell(`<w:vMerge w:val="restart"/>`, "甲") + cell("", "5") + cell("", "") + `</w:tr><w:tr>` + cell(`<w:vMerge/>`, "") + cell(`<w:gridSpan w:val="2"/>`, "10") + `</w:tr></w:tbl>`,
			[]string{"table/1: 级别 | 天数 | 注", "table/1: 甲 | 5 |", "table/1: 甲 | 10 |"},
		},
		{"a frame of one cell is text", `<w:tbl><w:tr><w:tc>` + wp(ws("1"), "A") + wp(wn("0", "1"), "x") + `</w:tc></w:tr></w:tbl>`, []string{"heading1: A", "list/1: 1. x"}},
		{"tables in tables", `<w:tbl><w:tr>` + cell("", "k") + `<w:tc><w:tbl><w:tr>` + cell("", "a") + cell("", "b") + `</w:tr></w:tbl></w:tc></w:tr></w:tbl>`, []string{"table/1: k | a b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			diff(t, show(mustParse(t, "a.docx", docxOf(t, tt.body))), tt.want)
		})
	}
	t.Run("the title is the properties' unless a program made it up", func(t *testing.T) {
		t.Parallel()
		parts := docxParts(wp(ws("T"), "手册"))
		if got := mustParse(t, "a.docx", zipOf(t, parts)).Title; got != "手册" {
			t.Errorf("title = %q", got)
		}
		parts["docProps/core.xml"] = strings.Replace(parts["docProps/core.xml"], "Microsoft Word - a.doc", "规程", 1)
		if got := mustParse(t, "a.docx", zipOf(t, parts)).Title; got != "规程" {
			t.Errorf("title = %q", got)
		}
	})
	t.Run("a header row is named by each row", func(t *testing.T) {
		t.Parallel()
		x := mustParse(t, "a.docx", docxOf(t, `<w:tbl><w:tr>`+cell("", "A")+cell("", "B")+`</w:tr><w:tr>`+cell("", "1")+cell("", "2")+`</w:tr></w:tbl>`))
		if got := x.Blocks[1].Header; got != "A | B" {
			t.Errorf("header = %q", got)
		}
	})
}

func TestFormatNumber(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n            int
		format, want string
	}{
		{4, "upperRoman", "IV"},
		{1999, "lowerRoman", "mcmxcix"},
		{28, "upperLetter", "BB"},
		{5, "decimalZero", "05"},
		{10, "chineseCounting", "十"},
		{21, "chineseCountingThousand", "二十一"},
		{103, "chineseCountingThousand", "一百零三"},
		{110, "chineseCountingThousand", "一百一十"},
		{1001, "chineseCountingThousand", "一千零一"},
		{12, "chineseLegalSimplified", "拾贰"},
		{3, "ideographTraditional", "丙"},
		{7, "decimalEnclosedCircle", "⑦"},
		{42, "decimalEnclosedCircle", "42"},
		{12, "decimalFullWidth", "１２"},
		{7, "unknown", "7"},
		{0, "upperRoman", "0"},
		{99999, "chineseCounting", "99999"},
	} {
		if got := formatNumber(tt.n, tt.format); got != tt.want {
			t.Errorf("formatNumber(%d, %s) = %q, want %q", tt.n, tt.format, got, tt.want)
		}
	}
}

func TestHostileArchives(t *testing.T) {
	t.Parallel()
	text := wp("", "x")
	bomb := docxParts(text + strings.Repeat(" ", 40<<20))
	lie := zipOf(t, docxParts(text+strings.Repeat(" ", 3<<20)))
	patchSize(t, lie, "word/document.xml", 1000)
	many := docxParts(text)
	for i := range 50 {
		many["x/"+strings.Repeat("y", i+1)+".xml"] = "<x/>"
	}
	encrypted := docxOf(t, text)
	for i := 0; ; {
		k := bytes.Index(encrypted[i:], []byte("PK\x01\x02"))
		if k < 0 {
			break
		}
		encrypted[i+k+8] |= 1
		i += k + 4
	}
	deep := strings.Repeat(`<w:tbl><w:tr><w:tc>`, 3000) + wp("", "x") + strings.Repeat(`</w:tc></w:tr></w:tbl>`, 3000)
	for _, tt := range []struct {
		name string
		data []byte
		l    Limits
		kind kb.Kind
		msg  string
	}{
		{"an entry that unpacks too far", zipOf(t, bomb), Limits{}, kb.Unprocessable, "times its size"},
		{"entries that unpack to too much together", zipOf(t, bomb), Limits{ZipBytes: 4 << 20}, kb.TooLarge, "unpacks to more"},
		{"a directory that lies about sizes", lie, Limits{}, kb.Unprocessable, ""},
		{"too many entries", zipOf(t, many), Limits{ZipEntries: 40}, kb.Unprocessable, "entries"},
		{"encrypted entries", encrypted, Limits{}, kb.Unprocessable, "password"},
		{"broken XML", docxOf(t, text+"</w:body>"), Limits{}, kb.Unprocessable, "broken XML"},
		{"XML that is cut off", docxOf(t, `<w:p><w:r><w:t>x`), Limits{}, kb.Unprocessable, "broken XML"},
		{"entities", zipOf(t, map[string]string{"word/document.xml": `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><w:document ` + wordNS + `><w:p><w:r><w:t>&b;</w:t></w:r></w:p></w:document>`}), Limits{}, kb.Unprocessable, "broken XML"},
		{"no text", docxOf(t, wp("", " ")), Limits{}, kb.Invalid, "document has no text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := tt.l.Parse(t.Context(), "a.docx", "", tt.data)
			if kb.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.msg) {
				t.Errorf("error = %v, want kind %d and %q", err, tt.kind, tt.msg)
			}
		})
	}
	t.Run("tables a thousand deep do not end the process", func(t *testing.T) {
		t.Parallel()
		_, _, err := Parse(t.Context(), "a.docx", "", docxOf(t, deep))
		if err != nil && kb.KindOf(err) == kb.Internal {
			t.Error(err)
		}
	})
	t.Run("pictures are not unpacked", func(t *testing.T) {
		t.Parallel()
		parts := docxParts(text)
		parts["word/media/image1.png"] = strings.Repeat("\x00", 8<<20)
		if _, _, err := (Limits{ZipBytes: 1 << 20}).Parse(t.Context(), "a.docx", "", zipOf(t, parts)); err != nil {
			t.Error(err)
		}
	})
}

// patchSize overwrites the unpacked size that the directory gives for a part.
func patchSize(t *testing.T, data []byte, name string, size uint32) {
	t.Helper()
	for i := 0; ; {
		k := bytes.Index(data[i:], []byte("PK\x01\x02"))
		if k < 0 {
			t.Fatal("no such part")
		}
		i += k
		if strings.HasPrefix(string(data[i+46:]), name) {
			binary.LittleEndian.PutUint32(data[i+24:], size)
			return
		}
		i += 4
	}
}

func FuzzDOCX(f *testing.F) {
	for _, s := range []string{
		wp(ws("1"), "a"), wp(wn("0", "1"), "b") + wp(wn("8", "3"), "c"), `<w:tbl><w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr></w:tc></w:tr></w:tbl>`, `<w:p><w:r><w:footnoteReference w:id="7"/>`, `<w:p><w:txbxContent><w:p><w:tbl>`,
	} {
		f.Add(s, `<w:lvl w:ilvl="0"><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1%9"/></w:lvl>`)
	}
	f.Fuzz(func(t *testing.T, body, levels string) {
		parts := docxParts(body)
		parts["word/numbering.xml"] = strings.Replace(parts["word/numbering.xml"], `<w:abstractNum w:abstractNumId="0">`, `<w:abstractNum w:abstractNumId="0">`+levels, 1)
		fuzzed(t, "a.docx", "", zipOf(t, parts))
	})
}
