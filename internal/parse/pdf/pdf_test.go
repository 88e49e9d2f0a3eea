package pdf

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/ascii85"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/simplifiedchinese"
)

func limits() Limits { return Limits{Pages: 100, Decoded: 32 << 20, Ops: 1_000_000} }

// file writes a PDF of numbered objects with a correct cross-reference table.
// Object 1 is the catalogue.
func file(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	offsets := make([]int, len(objects))
	for i, o := range objects {
		offsets[i] = b.Len()
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R/Info<</Title(T)>>>>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

// body is a stream object.
func body(entries, data string) string {
	return fmt.Sprintf("<<%s/Length %d>>\nstream\n%s\nendstream", entries, len(data), data)
}

const helvetica1 = "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"

// onePage is a document of one page with the given content and resources;
// font F1 is Helvetica. further objects begin at 5.
func onePage(content, resources string, objects ...string) []byte {
	return file(append([]string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1/Resources<</Font<</F1 " + helvetica1 + ">>" + resources + ">>>>",
		"<</Type/Page/Parent 2 0 R/Contents 4 0 R>>",
		body("", content),
	}, objects...)...)
}

func read(t *testing.T, data []byte) []string {
	t.Helper()
	x, err := Read(t.Context(), data, limits())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range x.Pages {
		for _, l := range p {
			out = append(out, l.Text)
		}
	}
	return out
}

func deflate(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func TestContent(t *testing.T) {
	t.Parallel()
	utf16 := func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, "%04X", r)
		}
		return "<" + b.String() + ">"
	}
	gbk, err := simplifiedchinese.GBK.NewEncoder().String("中文abc")
	if err != nil {
		t.Fatal(err)
	}
	cmapStream := body("", "1 begincodespacerange <00> <FF> endcodespacerange 2 beginbfchar <01> <4F60> <02> <00660069> endbfchar 1 beginbfrange <10> <12> <597D> endbfrange 1 beginbfrange <20> <21> [<4E00> <4E8C>] endbfrange")
	for _, tt := range []struct {
		name, content, resources string
		objects                  []string
		want                     []string
	}{
		{"lines, escapes and operators", `BT /F1 12 Tf 14 TL 72 700 Td (a\(b\)\101) Tj T* (second) Tj (third) ' 0 0 (fourth) " 0 -20 TD [(ker)-20(ned wo)-300(rds)] TJ ET`, "", nil, []string{"a(b)A", "second", "third", "fourth", "kerned wo rds"}},
		{"pieces of one line", "BT /F1 12 Tf 1 0 0 1 72 700 Tm (left) Tj 1 0 0 1 200 700 Tm (right) Tj ET", "", nil, []string{"left right"}},
		{"letters set apart are one word", "BT /F1 12 Tf 8 Tc 72 700 Td (spaced) Tj ET", "", nil, []string{"spaced"}},
		{"the transformation of the page", "q 2 0 0 2 0 0 cm BT /F1 10 Tf 10 10 Td (big) Tj ET Q BT /F1 10 Tf 10 100 Td (small) Tj ET", "", nil, []string{"big", "small"}},
		{"superscripts stay in the line", "BT /F1 12 Tf 72 700 Td (x) Tj 5 Ts /F1 7 Tf (2) Tj 0 Ts /F1 12 Tf ( y) Tj ET", "", nil, []string{"x2 y"}},
		{"text drawn twice is read once", "BT /F1 12 Tf 72 700 Td (bold) Tj 1 0 0 1 72.3 700 Tm (bold) Tj ET", "", nil, []string{"bold"}},
		{"watermarks are left out, turned text is not", "BT /F1 40 Tf 0.7 0.7 -0.7 0.7 100 100 Tm (SECRET) Tj /F1 12 Tf 0 1 -1 0 300 100 Tm (up) Tj 0 1 -1 0 320 100 Tm (next) Tj ET", "", nil, []string{"up", "next"}},
		{"artifacts are left out", "/Artifact BMC BT /F1 9 Tf (Page 1) Tj ET EMC BT /F1 12 Tf 72 700 Td (text) Tj ET", "", nil, []string{"text"}},
		{"replacement text", "BT /F1 12 Tf 72 700 Td /Span <</ActualText <FEFF4F60597D>>> BDC (??) Tj EMC ( x) Tj ET", "", nil, []string{"你好 x"}},
		{"inline images", "BI /W 1 /H 1 ID \x00EI\xff EI BT /F1 12 Tf (after) Tj ET", "", nil, []string{"after"}},
		{"forms, also in themselves", "/X Do", "/XObject<</X 5 0 R>>", []string{body("/Subtype/Form/Matrix[1 0 0 1 50 50]/Resources<</Font<</F1 "+helvetica1+">>/XObject<</X 5 0 R>>>>", "q BT /F1 12 Tf (form) Tj ET /X Do")}, []string{"form", "form", "form", "form", "form", "form", "form", "form", "form", "form", "form", "form"}},
		{"glyph names", "BT /F2 12 Tf (abcdefg) Tj ET", "/Font<</F2<</Subtype/Type1/BaseFont/X/FirstChar 97/Widths[500 500 500 500 500 500 500]/Encoding<</Differences[97/eacute/fi/uni4E2D/u1F600/f_f/a.alt/Zcaron]>>>>>>", nil, []string{"éfi中😀ffaŽ"}},
		{"ToUnicode", "BT /F2 12 Tf <01021011122021> Tj ET", "/Font<</F2<</Subtype/TrueType/BaseFont/X/FirstChar 0/Widths[500]/ToUnicode 5 0 R>>>>", []string{cmapStream}, []string{"你fi好奾奿一二"}},
		{"codes of one and two bytes", "BT /F2 12 Tf <418161428160> Tj ET", "/Font<</F2<</Subtype/Type0/Encoding 5 0 R/ToUnicode 6 0 R/DescendantFonts[<<>>]>>>>", []string{
			body("", "2 begincodespacerange <00> <7F> <8161> <FEFE> endcodespacerange 1 begincidrange <00> <7F> 0 endcidrange"),
			body("", "2 begincodespacerange <00> <7F> <8161> <FEFE> endcodespacerange 2 beginbfchar <41> <0041> <8161> <4E2D> endbfchar 1 beginbfchar <42> <0042> endbfchar 1 beginbfchar <81> <0058> endbfchar"),
		}, []string{"A中BX"}},
		{"Chinese by UCS-2", "BT /F2 12 Tf " + utf16("中文，a1") + " Tj ET", "/Font<</F2<</Subtype/Type0/BaseFont/S/Encoding/UniGB-UCS2-H/DescendantFonts[<</Subtype/CIDFontType0>>]>>>>", nil, []string{"中文，a1"}},
		{"Chinese by GBK", "BT /F2 12 Tf <" + hex.EncodeToString([]byte(gbk)) + "> Tj ET", "/Font<</F2<</Subtype/Type0/BaseFont/S/Encoding/GBK-EUC-H/DescendantFonts[<</Subtype/CIDFontType0>>]>>>>", nil, []string{"中文abc"}},
		{"Chinese is not blown up by small gaps, columns are", "BT /F2 10 Tf 1 0 0 1 72 700 Tm <4E2D> Tj 1 0 0 1 83 700 Tm <6587> Tj 1 0 0 1 120 700 Tm <5B57> Tj ET", "/Font<</F2<</Subtype/Type0/BaseFont/S/Encoding/UniGB-UCS2-H/DescendantFonts[<<>>]>>>>", nil, []string{"中文 字"}},
		{"Kangxi radicals become characters", "BT /F2 10 Tf <2F64> Tj ET", "/Font<</F2<</Subtype/Type0/BaseFont/S/Encoding/UniGB-UCS2-H/DescendantFonts[<<>>]>>>>", nil, []string{"用"}},
		{"vertical writing", "BT /F2 10 Tf 1 0 0 1 300 700 Tm <4E2D6587> Tj 1 0 0 1 280 700 Tm <5B57> Tj ET", "/Font<</F2<</Subtype/Type0/BaseFont/S/Encoding/UniGB-UCS2-V/DescendantFonts[<<>>]>>>>", nil, []string{"中文", "字"}},
		{"marks of lists drawn apart", "BT /F1 12 Tf 1 0 0 1 90 700 Tm (first item) Tj 1 0 0 1 90 680 Tm (second item) Tj 1 0 0 1 72 700 Tm (1.) Tj 1 0 0 1 72 680 Tm (2.) Tj ET", "", nil, []string{"1. first item", "2. second item"}},
		{"unbalanced states", "Q Q q q BT /F1 12 Tf (x) Tj EMC EMC ] >> ) 1 2 3 cm (y) Tj", "", nil, []string{"xy"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tt.want, read(t, onePage(tt.content, tt.resources, tt.objects...))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestGeometry(t *testing.T) {
	t.Parallel()
	line := func(content string) Line {
		t.Helper()
		x, err := Read(t.Context(), onePage(content, ""), limits())
		if err != nil || len(x.Pages) != 1 || len(x.Pages[0]) != 1 {
			t.Fatalf("%q: %v, %v", content, x, err)
		}
		return x.Pages[0][0]
	}
	plain := line("BT /F1 10 Tf 72 700 Td (a b) Tj ET")
	// In Helvetica a and b are 556 wide, a blank 278.
	if want := 72 + 13.9; plain.X0 != 72 || plain.Y != 700 || plain.Size != 10 || plain.X1 < want-0.01 || plain.X1 > want+0.01 {
		t.Errorf("line = %+v, want it from 72 to %v", plain, want)
	}
	for content, more := range map[string]float64{
		"BT /F1 10 Tf 5 Tw 72 700 Td (a b) Tj ET":                5,
		"BT /F1 10 Tf 1 Tc 72 700 Td (a b) Tj ET":                3,
		"BT /F1 10 Tf 200 Tz 72 700 Td (a b) Tj ET":              13.9,
		"BT /F1 10 Tf 72 700 Td [(a)-100( b)] TJ ET":             1,
		"BT /F1 10 Tf 1 0 0 1 72 700 Tm (a) Tj ( b) Tj ET":       0,
		"1 0 0 1 70 690 cm BT /F1 10 Tf 2 10 Td (a b) Tj ET":     0,
		"BT /F1 10 Tf 72 720 Td 20 TL T* (a b) Tj ET":            0,
		"BT /F1 10 Tf 72 720 Td 0 -20 TD (a b) Tj ET":            0,
		"q BT /F1 99 Tf ET Q BT /F1 10 Tf 72 700 Td (a b) Tj ET": 0,
	} {
		if l := line(content); l.X1 < plain.X1+more-0.01 || l.X1 > plain.X1+more+0.01 || l.Y != 700 {
			t.Errorf("%s: line = %+v, want it to %v", content, l, plain.X1+more)
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	const content = "BT /F1 12 Tf 72 700 Td (hello) Tj ET"
	a85 := make([]byte, ascii85.MaxEncodedLen(len(content)))
	a85 = a85[:ascii85.Encode(a85, []byte(content))]
	up := func(s string) string { // PNG "up" rows of four bytes
		var out, prev []byte
		prev = make([]byte, 4)
		for len(s)%4 != 0 {
			s += " "
		}
		for i := 0; i < len(s); i += 4 {
			out = append(out, 2)
			for k := range 4 {
				out = append(out, s[i+k]-prev[k])
			}
			prev = []byte(s[i : i+4])
		}
		return string(out)
	}
	for _, tt := range []struct{ name, entries, data string }{
		{"deflate", "/Filter/FlateDecode", deflate(content)},
		{"deflate that is cut off", "/Filter/FlateDecode", deflate(content + strings.Repeat(" ", 5000))[:60]},
		{"hexadecimal", "/Filter[/ASCIIHexDecode]", hex.EncodeToString([]byte(content)) + ">"},
		{"base 85", "/Filter/ASCII85Decode", string(a85) + "~>"},
		{"run lengths", "/Filter/RunLengthDecode", string([]byte{byte(len(content) - 1)}) + content + "\x80"},
		{"a chain", "/Filter[/ASCIIHexDecode/FlateDecode]/DecodeParms[null null]", hex.EncodeToString([]byte(deflate(content)))},
		{"predictors", "/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>", deflate(up(content))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := file("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
				"<</Type/Page/Parent 2 0 R/Contents[4 0 R]/Resources<</Font<</F1 "+helvetica1+">>>>>>", body(tt.entries, tt.data))
			if got := read(t, data); len(got) != 1 || got[0] != "hello" {
				t.Errorf("text = %q", got)
			}
		})
	}
	t.Run("LZW", func(t *testing.T) {
		t.Parallel()
		// The example of ISO 32000-1 §7.4.4.2.
		got := unLZW([]byte{0x80, 0x0b, 0x60, 0x50, 0x22, 0x0c, 0x0c, 0x85, 0x01}, true, 1000)
		if want := []byte{45, 45, 45, 45, 45, 65, 45, 45, 45, 66}; !bytes.Equal(got, want) {
			t.Errorf("LZW = %v, want %v", got, want)
		}
	})
}

func TestStructure(t *testing.T) {
	t.Parallel()
	good := onePage("BT /F1 12 Tf 72 700 Td (hello) Tj ET", "")
	// An object stream holds the catalogue and the page tree.
	packed := func() []byte {
		var b bytes.Buffer
		b.WriteString("%PDF-1.5\n")
		objects := []string{"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", "<</Type/Page/Parent 2 0 R/Contents 5 0 R/Resources<</Font<</F1 " + helvetica1 + ">>>>>>"}
		var head, all string
		for i, o := range objects {
			head += fmt.Sprintf("%d %d ", i+1, len(all))
			all += o + " "
		}
		o4 := b.Len()
		z := deflate(head + all)
		fmt.Fprintf(&b, "4 0 obj\n<</Type/ObjStm/N 3/First %d/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream\nendobj\n", len(head), len(z), z)
		o5 := b.Len()
		fmt.Fprintf(&b, "5 0 obj\n%s\nendobj\n", body("", "BT /F1 12 Tf 72 700 Td (hello) Tj ET"))
		xref := b.Len()
		var rows []byte
		for i := range 7 {
			row := []byte{0, 0, 0, 0}
			switch i {
			case 1, 2, 3:
				row = []byte{2, 0, 4, byte(i - 1)}
			case 4:
				row = []byte{1, byte(o4 >> 8), byte(o4), 0}
			case 5:
				row = []byte{1, byte(o5 >> 8), byte(o5), 0}
			case 6:
				row = []byte{1, byte(xref >> 8), byte(xref), 0}
			}
			rows = append(rows, row...)
		}
		fmt.Fprintf(&b, "6 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF", body("/Type/XRef/Size 7/W[1 2 1]/Root 1 0 R", string(rows)), xref)
		return b.Bytes()
	}()
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"a plain file", good},
		{"object and cross-reference streams", packed},
		{"streams without their table", bytes.Replace(packed, []byte("startxref"), []byte("startXXXX"), 1)},
		{"bytes before the header", append([]byte("mail: junk\r\n"), good...)},
		{"a wrong startxref", bytes.Replace(good, []byte("startxref\n"), []byte("startxref\n9"), 1)},
		{"no trailer at all", good[:bytes.Index(good, []byte("xref\n"))]},
		{"wrong lengths", bytes.ReplaceAll(good, []byte("/Length 3"), []byte("/Length 9"))},
		{"a file cut off behind its page", good[:bytes.Index(good, []byte("xref\n0"))-4]},
		{"a PDF 2.0 header and old line ends", bytes.ReplaceAll(bytes.Replace(good, []byte("%PDF-1.7\n"), []byte("%PDF-2.0 "), 1), []byte("\nendobj\n"), []byte("\rendobj\r"))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := read(t, tt.data); len(got) != 1 || got[0] != "hello" {
				t.Errorf("text = %q", got)
			}
		})
	}
	t.Run("the title", func(t *testing.T) {
		t.Parallel()
		x, err := Read(t.Context(), good, limits())
		if err != nil || x.Title != "T" {
			t.Errorf("title = %q, %v", x.Title, err)
		}
	})
	t.Run("pages come in order and nest", func(t *testing.T) {
		t.Parallel()
		page := func(parent int, s string) string {
			return fmt.Sprintf("<</Type/Page/Parent %d 0 R/Contents %s>>", parent, s)
		}
		data := file("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R 6 0 R]/Resources<</Font<</F1 "+helvetica1+">>>>>>", "<</Type/Pages/Kids[4 0 R 5 0 R 2 0 R]/Parent 2 0 R>>",
			page(3, "7 0 R"), page(3, "8 0 R"), page(2, "9 0 R"), body("", "BT /F1 9 Tf (one) Tj ET"), body("", "BT /F1 9 Tf (two) Tj ET"), body("", "BT /F1 9 Tf (three) Tj ET"))
		if d := cmp.Diff([]string{"one", "two", "three"}, read(t, data)); d != "" {
			t.Error(d)
		}
	})
}

func TestFiles(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{"subset-font.pdf": "上午九点上班，下午六点下班。Overtime is paid.", "owner-rc4.pdf": "为了规范员工考勤管理", "owner-rc4-40.pdf": "为了规范员工考勤管理", "owner-aes128.pdf": "为了规范员工考勤管理", "owner-aes256.pdf": "为了规范员工考勤管理"} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, data); len(got) == 0 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s: text = %q", file, got)
		}
	}
	data, err := os.ReadFile("testdata/password.pdf")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), data, limits()); !errors.Is(err, ErrEncrypted) {
		t.Errorf("error = %v, want ErrEncrypted", err)
	}
}

func TestHostile(t *testing.T) {
	t.Parallel()
	pages := "<</Type/Pages/Kids[3 0 R]/Count 1>>"
	for _, tt := range []struct {
		name string
		data []byte
		want error // nil: any result
	}{
		{"nothing but a header", []byte("%PDF-1.4\n"), ErrBroken},
		{"a catalogue that is its own page tree", file("<</Type/Catalog/Pages 1 0 R/Kids[1 0 R]>>"), ErrBroken},
		{"kids that are their parents", file("<</Type/Catalog/Pages 2 0 R>>", "<</Kids[2 0 R 2 0 R 3 0 R]>>", "<</Kids[2 0 R 3 0 R]>>"), ErrBroken},
		{"a length that is itself", file("<</Pages 2 0 R>>", pages, "<</Contents 4 0 R>>", "<</Length 4 0 R>>\nstream\nx\nendstream"), ErrNoText},
		{"references in a circle", bytes.Replace(file("2 0 R", "3 0 R", "1 0 R"), []byte("Root"), []byte("Root"), 1), ErrBroken},
		{"an object stream in itself", []byte("%PDF-1.5\n1 0 obj<</Type/ObjStm/N 1/First 4/Length 9>>stream\n1 0 <<>>\nendstream endobj\n2 0 obj<</Type/XRef/W[1 1 1]/Index[0 2]/Root 1 0 R/Size 2/Length 6>>stream\n\x02\x01\x00\x02\x01\x00\nendstream\nendobj\nstartxref\n80\n%%EOF"), nil},
		{"cross-reference sections in a circle", []byte("%PDF-1.4\nxref\n0 0\ntrailer<</Prev 9/Root 1 0 R>>\nstartxref\n9\n%%EOF"), ErrBroken},
		{"a table of two thousand million rows", []byte("%PDF-1.4\nxref\n0 2000000000\ntrailer<</Root 1 0 R>>\nstartxref\n9\n%%EOF"), ErrBroken},
		{"a size that cannot be", []byte("%PDF-1.5\n1 0 obj<</Type/XRef/Size 9223372036854775807/W[0 0 0]/Length 0>>stream\n\nendstream endobj\nstartxref\n9\n%%EOF"), ErrBroken},
		{"arrays a million deep", file("<</Pages 2 0 R/X "+strings.Repeat("[", 1_000_000), pages), nil},
		{"dictionaries a million deep", file("<</Pages 2 0 R/X "+strings.Repeat("<</a ", 500_000), pages), nil},
		{"a stream that unpacks without end", onePage("", "/XObject<</X 5 0 R>>", body("/Filter/FlateDecode", deflate(strings.Repeat("0", 40<<20)))), ErrNoText},
		{"content that unpacks without end", file("<</Pages 2 0 R>>", pages, "<</Contents[4 0 R 4 0 R 4 0 R 4 0 R]>>", body("/Filter/FlateDecode", deflate(strings.Repeat(" ", 20<<20)))), ErrTooLarge},
		{"operators without end", file("<</Pages 2 0 R>>", pages, "<</Contents 4 0 R>>", body("/Filter/FlateDecode", deflate(strings.Repeat("q ", 2_000_000)))), ErrTooLarge},
		{"forms that call each other", onePage("/A Do", "/XObject<</A 5 0 R>>", body("/Subtype/Form/Resources<</XObject<</A 5 0 R>>>>", strings.Repeat("/A Do ", 50))), ErrTooLarge},
		{"a hundred thousand stream heads", []byte("%PDF-1.4\n" + strings.Repeat("1 0 obj<</Length 1>>stream\n", 100_000) + "2 0 obj<</Type/Catalog/Pages 1 0 R>>endobj trailer<</Root 2 0 R>>"), nil},
		{"an endless string", onePage(strings.Repeat("(", 1_000_000), ""), ErrNoText},
		{"an endless hexadecimal string", onePage("<"+strings.Repeat("4", 1_000_000), ""), ErrNoText},
		{"numbers that are none", onePage("BT /F1 1e999 Tf 99999999999999999999999999 -.-. Td (x) Tj --5 +. ET", ""), nil},
		{"sizes of zero and without end", onePage("BT /F1 0 Tf (x) Tj /F1 999999999999 Tf (y) Tj 0 0 0 0 0 0 Tm (z) Tj ET", ""), nil},
		{"a character map of everything", onePage("BT /F2 9 Tf <00000001> Tj ET", "/Font<</F2<</Subtype/Type0/Encoding/Identity-H/ToUnicode 5 0 R>>>>", body("", strings.Repeat("<0000> <ffff> <0000> ", 100_000)+"endbfrange")), nil},
		{"widths of everything", onePage("BT /F2 9 Tf <0001> Tj ET", "/Font<</F2<</Subtype/Type0/Encoding/Identity-H/DescendantFonts[<</W["+strings.Repeat("0 65535 500 ", 2000)+"]>>]>>>>"), nil},
		{"fonts without a character map", onePage("BT /F2 9 Tf <000100020003> Tj ET", "/Font<</F2<</Subtype/Type0/Encoding/Identity-H/DescendantFonts[<<>>]>>>>"), ErrNoMap},
		{"pages of pictures", onePage("/I Do", "/XObject<</I 5 0 R>>", body("/Subtype/Image/Width 1/Height 1/Filter/DCTDecode", "x")), ErrNoText},
		{"unknown encryption", bytes.Replace(onePage("", ""), []byte("/Root 1 0 R"), []byte("/Root 1 0 R/Encrypt<</Filter/Other>>"), 1), ErrEncrypted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := Read(t.Context(), tt.data, limits())
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			if d := time.Since(start); d > 8*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
	t.Run("searches for the ends of streams are counted", func(t *testing.T) {
		t.Parallel()
		var kids, streams strings.Builder
		for i := 3; i < 20_000; i++ {
			fmt.Fprintf(&kids, "%d 0 R ", i)
			fmt.Fprintf(&streams, "%d 0 obj<<>>stream\n", i)
		}
		data := []byte("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Kids[" + kids.String() + "]>>endobj\n" + streams.String() + "trailer<</Root 1 0 R>>")
		l := limits()
		l.Pages = 100_000
		if _, err := Read(t.Context(), data, l); !errors.Is(err, ErrTooLarge) {
			t.Errorf("error = %v, want ErrTooLarge", err)
		}
	})
	t.Run("too many pages", func(t *testing.T) {
		t.Parallel()
		l := limits()
		l.Pages = 0
		if _, err := Read(t.Context(), onePage("", ""), l); !errors.Is(err, ErrTooLarge) {
			t.Errorf("error = %v, want ErrTooLarge", err)
		}
	})
	t.Run("a context that ended", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Read(ctx, onePage("BT /F1 9 Tf (x) Tj ET", ""), limits()); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want Canceled", err)
		}
	})
}

func TestSfnt(t *testing.T) {
	t.Parallel()
	// A cmap table of format 4 with one segment, 0x4e2d to 0x4e2e as glyphs 5 and 6.
	sub := []byte{0, 4, 0, 32, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0x4e, 0x2e, 0xff, 0xff, 0, 0, 0x4e, 0x2d, 0xff, 0xff, 0xb1, 0xd8, 0, 1, 0, 0, 0, 0}
	table := append([]byte{0, 0, 0, 1, 0, 3, 0, 1, 0, 0, 0, 12}, sub...)
	font := append([]byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 'c', 'm', 'a', 'p', 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, byte(len(table))}, table...)
	want := map[uint32]string{5: "中", 6: "丮"}
	if d := cmp.Diff(want, sfntGlyphs(font)); d != "" {
		t.Error(d)
	}
	for n := range len(font) {
		sfntGlyphs(font[:n]) // must not panic
	}
	data := onePage("BT /F2 12 Tf <00050006> Tj ET", "/Font<</F2<</Subtype/Type0/Encoding/Identity-H/DescendantFonts[<</FontDescriptor<</FontFile2 5 0 R>>>>]>>>>", body("", string(font)))
	if got := read(t, data); len(got) != 1 || got[0] != "中丮" {
		t.Errorf("text = %q", got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(onePage("BT /F1 12 Tf 72 700 Td [(a)-300(b)] TJ T* (c) ' ET", ""))
	f.Add(onePage("/X Do BI ID EI /Artifact BMC EMC", "/XObject<</X 5 0 R>>", body("/Subtype/Form/Filter/FlateDecode", deflate("BT ET"))))
	f.Add([]byte("%PDF-1.5\n1 0 obj<</Type/ObjStm/N 1/First 4/Length 9>>stream\n1 0 <<>>\nendstream endobj"))
	for _, name := range []string{"owner-rc4.pdf", "owner-aes256.pdf", "subset-font.pdf"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = Read(t.Context(), data, Limits{Pages: 20, Decoded: 1 << 20, Ops: 20_000})
	})
}

func FuzzContent(f *testing.F) {
	f.Add("BT /F1 12 Tf (x) Tj ET", "1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfrange <00> <ff> <0041> endbfrange")
	f.Add("q 1 0 0 1 0 0 cm BT /F2 1 Tf <0001> Tj ET Q", "<00> <ff> 0 endcidrange")
	f.Fuzz(func(t *testing.T, content, cmap string) {
		data := onePage(content, "/Font<</F2<</Subtype/Type0/Encoding 5 0 R/ToUnicode 5 0 R/DescendantFonts[<</W[0[1 2]3 4 5]>>]>>>>", body("", cmap))
		_, _ = Read(t.Context(), data, Limits{Pages: 20, Decoded: 1 << 20, Ops: 20_000})
	})
}
