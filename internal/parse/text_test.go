package parse

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func encoded(t *testing.T, e encoding.Encoding, s string) []byte {
	t.Helper()
	b, err := e.NewEncoder().Bytes([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func utf16Bytes(s string, order binary.AppendByteOrder) []byte {
	out := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, u)
	}
	return out
}

const (
	simplified  = "员工每天上午九点上班，下午六点下班。迟到三次的，扣除当月全勤奖。"
	traditional = "員工每天上午九點上班，下午六點下班。遲到三次的，扣除當月全勤獎。"
)

func TestEncodings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		data       []byte
		want       string // the first block
	}{
		{"UTF-8 with a byte order mark", "a.txt", []byte("\ufeff" + simplified), simplified},
		{"UTF-16 little endian", "a.txt", utf16Bytes(simplified+"😀", binary.LittleEndian), simplified + "😀"},
		{"UTF-16 big endian", "a.md", utf16Bytes("# "+simplified, binary.BigEndian), simplified},
		{"GBK", "a.txt", encoded(t, simplifiedchinese.GBK, simplified), simplified},
		{"GB18030 with four-byte characters", "a.txt", encoded(t, simplifiedchinese.GB18030, simplified+"㐀"), simplified + "㐀"},
		{"Big5", "a.txt", encoded(t, traditionalchinese.Big5, traditional), traditional},
		{"short GBK", "a.csv", encoded(t, simplifiedchinese.GBK, "姓名,城市\n张伟,上海"), "姓名: 张伟; 城市: 上海"},
		{"short Big5", "a.txt", encoded(t, traditionalchinese.Big5, "產品價格說明"), "產品價格說明"},
		{"HTML that declares GBK", "a.html", encoded(t, simplifiedchinese.GBK, `<meta charset="gbk"><p>`+simplified), simplified},
		{"HTML that declares Latin-1", "a.html", encoded(t, charmap.ISO8859_1, `<meta charset="iso-8859-1"><p>Müller à côté`), "Müller à côté"},
		{"carriage returns", "a.txt", []byte("a\r\n\r\nb\rc"), "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := mustParse(t, tt.file, tt.data)
			if got := x.Body[x.Blocks[0].Start:x.Blocks[0].End]; got != tt.want {
				t.Errorf("text = %q, want %q", got, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name   string
		data   []byte
		offset int
	}{
		{"UTF-8 with a bad byte is not guessed at", []byte(simplified + "\xff" + simplified), len(simplified)},
		{"UTF-8 that is cut off", []byte(simplified[:len(simplified)-1]), len(simplified) - 3},
		{"Latin-1", encoded(t, charmap.ISO8859_1, "Die Müllabfuhr kommt früh. Schöne Grüße!"), 5},
		{"Korean", encoded(t, korean.EUCKR, strings.Repeat("안녕하세요 반갑습니다 오늘은 날씨가 좋습니다 ", 20)), 0},
		{"UTF-16 with an odd length", append(utf16Bytes("ab", binary.LittleEndian), 'x'), 6},
		{"UTF-16 with half a pair", append(utf16Bytes("a", binary.LittleEndian), 0x00, 0xd8), 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Parse(t.Context(), "a.txt", "", tt.data)
			e, ok := errors.AsType[*kb.Error](err)
			if strings.HasPrefix(tt.name, "UTF-8") && ok && !strings.Contains(e.Msg, "the rest of the file is") {
				t.Errorf("error = %v, want it to say that the file is UTF-8", err)
			}
			if !ok || e.Kind != kb.Unprocessable || e.Details["offset"] != tt.offset {
				t.Errorf("error = %v, want Unprocessable at offset %d", err, tt.offset)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	wrapped := "The quick brown fox jumps over the lazy dog and runs through the forest\n" +
		"until it reaches the river, where it drinks some of the cold water, and\n" +
		"then it goes back home to sleep."
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"paragraphs keep their lines", "a\nb\n\n  c  \n", []string{"paragraph: a⏎b", "paragraph: c"}},
		{"lines of an editor are rejoined", wrapped, []string{"paragraph: " + strings.ReplaceAll(wrapped, "\n", " ")}},
		{"chapters are headings", "公司制度\n\n第一章 总则\n第一条 为了规范管理。\n第二章　考勤\n  第一节 迟到\n迟到的处理。\n第三章规定了很多事情，这一行不是标题。", []string{"paragraph: 公司制度", "heading2: 第一章 总则", "paragraph: 第一条 为了规范管理。", "heading2: 第二章 考勤", "heading3: 第一节 迟到", "paragraph: 迟到的处理。⏎第三章规定了很多事情，这一行不是标题。"}},
		{"marked lines are lists", "须知：\n• 一\n●二\n- three\n  more\n1. four\n2) five\n（三）六\n3.5 is a number\n2024 too", []string{"paragraph: 须知：", "list/1: - 一", "list/1: - 二", "list/1: - three", "list/1: more", "list/1: 1. four", "list/1: 2) five", "list/1: （三） 六", "paragraph: 3.5 is a number⏎2024 too"}},
		{"tabs and controls", "a\tb\x07\x1b[0m\u2028c", []string{"paragraph: a b[0m⏎c"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			diff(t, show(mustParse(t, "a.txt", []byte(tt.in))), tt.want)
		})
	}
}

func TestCSV(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, in string
		want           []string
	}{
		{"commas, quotes and line ends in cells", "a.csv", "产品,价格,备注\n苹果,12.5,\"甜,\n脆\"\n\n梨,3,\n", []string{"record/1: 产品: 苹果; 价格: 12.5; 备注: 甜, 脆", "record/1: 产品: 梨; 价格: 3"}},
		{"semicolons", "a.csv", "a;b\n1,5;x\n2,5;y\n", []string{"record/1: a: 1,5; b: x", "record/1: a: 2,5; b: y"}},
		{"tabs", "a.csv", "a\tb\n1, 2\tx\n", []string{"record/1: a: 1, 2; b: x"}},
		{"TSV", "a.tsv", "a\tb\n1,2\tx,y\n", []string{"record/1: a: 1,2; b: x,y"}},
		{"Excel's separator line", "a.csv", "sep=;\na;b\nx;y\n", []string{"record/1: a: x; b: y"}},
		{"a title above the header", "a.csv", "价格表 2024,,\n单位：元,,\n产品,价格,年\n苹果,1,2\n", []string{"paragraph: 价格表 2024", "paragraph: 单位：元", "record/1: 产品: 苹果; 价格: 1; 年: 2"}},
		{"years are column names", "a.csv", "项目,2023,2024\n收入,1,2\n", []string{"record/1: 项目: 收入; 2023: 1; 2024: 2"}},
		{"no header", "a.csv", "1,x\n2,y\n", []string{"record/1: A: 1; B: x", "record/1: A: 2; B: y"}},
		{"columns without a name", "a.csv", "a,,c\n1,2,3,4\n", []string{"record/1: a: 1; B: 2; c: 3; D: 4"}},
		{"one column is paragraphs", "a.csv", "一\n二\n", []string{"paragraph: 一", "paragraph: 二"}},
		{"a header only", "a.csv", "a,b\n", []string{"paragraph: a | b"}},
		{"quotes inside cells", "a.csv", "名,尺寸\n屏,5\" 高清\n", []string{"record/1: 名: 屏; 尺寸: 5\" 高清"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			diff(t, show(mustParse(t, tt.file, []byte(tt.in))), tt.want)
		})
	}
}

func TestHTML(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"structure", `<body><nav>menu</nav><h1>A <b>b</b></h1><p>one<br>two</p>loose <i>text</i><div>in</div><footer>foot</footer></body>`, []string{"heading1: A b", "paragraph: one⏎two", "paragraph: loose text", "paragraph: in"}},
		{"what is not read", `<style>x</style><script>y</script><p hidden>h</p><p style="display: none">n</p><p aria-hidden="true">a</p><form><select><option>o</select><button>b</button></form><svg><text>s</text></svg><del>d</del><p>text</p>`, []string{"paragraph: text"}},
		{"the main part only", `<body><div>header</div><main><p>text</p></main><div>aside</div>`, []string{"paragraph: text"}},
		{"lists", `<ol start=3><li>three<ul><li><p>sub</p><p>more</p></li></ul></li><li>four</ol><ul><li>x<pre>c d</pre></ul>`, []string{"list/1: 3. three", "list/1: - sub", "list/1: more", "list/1: 4. four", "list/2: - x", "code/2: c d"}},
		{"tables", `<table><caption>C</caption><tr><th>A<th>B</tr><tr><td rowspan=2>x<td>1<tr><td>2</table>`, []string{"paragraph: C", "table/1: A | B", "table/1: x | 1", "table/1: x | 2"}},
		{"tables that lay out a page", `<table><tr><td><h2>H</h2>text<td><table><tr><td>a<td>b<tr><td>c<td>d</table></table>`, []string{"heading2: H", "paragraph: text", "table/1: a | b", "table/1: c | d"}},
		{"code keeps its lines", "<pre><code>a\n  b<br>c\n</code></pre>", []string{"code: a⏎  b⏎c"}},
		{"white space", "<p>中文\n换行 and\n  English&nbsp;x</p>", []string{"paragraph: 中文换行 and English x"}},
		{"pictures in text", `<p><img alt="shot" src=x></p><p>Click <img alt="Save"> now</p>`, []string{"paragraph: Click Save now"}},
		{"broken markup", `<p>a<p>b</div></b><table><td>c<td>d`, []string{"paragraph: a", "paragraph: b", "table/1: c | d"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			diff(t, show(mustParse(t, "a.html", []byte(tt.in))), tt.want)
		})
	}
	t.Run("nesting beyond reason is refused", func(t *testing.T) {
		t.Parallel()
		_, _, err := Parse(t.Context(), "a.html", "", []byte(strings.Repeat("<div>", 100_000)+"x"))
		if kb.KindOf(err) != kb.Unprocessable {
			t.Errorf("error = %v, want Unprocessable", err)
		}
	})
}

func FuzzDecodeText(f *testing.F) {
	for _, s := range []string{"a", "\xff\xfea\x00", "\xfe\xff\x00a", "\xef\xbb\xbfa", "\xb0\xa1\xa1\xa3", "\xa4\xa4\xa4\xe5", "\x81\x30\x81\x30", "a\x00"} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, page bool) {
		if page {
			fuzzed(t, "a.html", "", data)
		}
		fuzzed(t, "a.txt", "", data)
	})
}

func FuzzPlain(f *testing.F) {
	for _, s := range []string{"第一章 总则\n- a\n  b\n\n（一）x", "1. a\n● b\n\u2028\u2029", strings.Repeat("words and more words in this very long line of text\n", 4)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { fuzzed(t, "a.txt", "", []byte(s)) })
}

func FuzzHTML(f *testing.F) {
	for _, s := range []string{
		"<h1>a<p>b<ul><li>c<ol><li>d</ul><table><tr><td rowspan=3>e<td>f<tr><td>g</table><pre>h\n i", "<table><table><td><ul>", "<li>a<dd>b<main>c", "<title>a</title><svg><title>b", "<p style='display:none'>x", "<br><br>\u2028<td>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { fuzzed(t, "a.html", "", []byte(s)) })
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,\"2\n3\"\n", "sep=|\na|b", "a;b;c\n;;\n1", "\"", "a\tb\r\nc\td"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, s string, csv bool) {
		name := "a.tsv"
		if csv {
			name = "a.csv"
		}
		fuzzed(t, name, "", []byte(s))
	})
}
