package parse

import (
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func TestMarkdown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"headings and paragraphs", "# A\n\none\ntwo\n\n## B {#id}\n\nC\n===", []string{"heading1: A", "paragraph: one two", "heading2: B", "heading1: C"}},
		{"the description is read above the text", "---\ntitle: T\ndescription: \"D\"\n---\nx", []string{"paragraph: D", "paragraph: x"}},
		{"soft breaks in Chinese leave no blank", "中文\n换行\nand\nEnglish", []string{"paragraph: 中文换行 and English"}},
		{"hard breaks stay", "a  \nb\\\nc", []string{"paragraph: a⏎b⏎c"}},
		{"markup goes, code and links keep their text", "**b** *i* `a*b<c>` [t](http://x) <https://y.example/z> \\*x\\* &amp; &#65;", []string{"paragraph: b i a*b<c> t https://y.example/z *x* & A"}},
		{"bold next to Chinese punctuation", "**注意：**请先**备份（必须）**数据，*“引号”*后，2**10 和 `**k`，a_b_c", []string{"paragraph: 注意：请先备份（必须）数据，“引号”后，2**10 和 **k，a_b_c"}},
		{"deleted text is left out, ranges are not", "原价 ~~199~~ 99 元，1~2天，3~5元", []string{"paragraph: 原价 99 元，1~2天，3~5元"}},
		{"lists with numbers, nesting, tasks and code", "3. three\n4. four\n   - sub\n\n     more\n\n   ```sh\n   ls\n   ```\n- [x] done", []string{"list/1: 3. three", "list/1: 4. four", "list/1: - sub", "list/1: more", "code/1: ls", "list/2: - [x] done"}},
		{"tables", "| A | B |\n|---|---|\n| 1 | `x\\|y` |\n| | |\n| 2 |", []string{"table/1: A | B", "table/1: 1 | x|y", "table/1: 2 |"}},
		{"code is kept", "```go\nfunc a() {\n\n\tb()\n}\n```\n\n    indented <b>\n", []string{"code: func a() {⏎⏎    b()⏎}", "code: indented <b>"}},
		{"quotes and alerts", "> [!NOTE]\n> Read this.\n>\n> > deep", []string{"paragraph: Read this.", "paragraph: deep"}},
		{"pictures that stand alone go, inside text they stay", "![shot](a.png)\n\nClick ![Save](s.png) now", []string{"paragraph: Click Save now"}},
		{"footnotes", "text[^1] more\n\n[^1]: note", []string{"paragraph: text[1] more", "paragraph: [1] note"}},
		{"HTML inside Markdown", "a <b>b</b><br>c <!-- no --> <your-key> <HOST>\n\n<div align=\"center\">\n\n**in** div\n\n</div>\n<script>x</script>\nend", []string{"paragraph: a b⏎c <your-key> <HOST>", "paragraph: in div", "paragraph: end"}},
		{"HTML headings, lists and preformatted text", "<h2 id=\"x\">A <em>B</em></h2>\ntext\n<ul>\n<li>one</li>\n<li>two <b>x</b></li>\n</ul>\n<pre><code>a &lt; b\n  c</code></pre>", []string{"heading2: A B", "paragraph: text", "list/1: - one", "list/1: - two x", "code: a < b⏎  c"}},
		{"HTML tables with merged cells", "<table><thead><tr><th>K</th><th>V|W</th></tr></thead><tbody><tr><td rowspan=\"2\">a</td><td>1<br/>x</td></tr><tr><td><p>2</p></td></tr></tbody></table>\n## next", []string{"table/1: K | V|W", "table/1: a | 1 x", "table/1: a | 2", "heading2: next"}},
		{"HTML tables without a header", "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>", []string{"table/1: a | b", "table/1: c | d"}},
		{"admonitions of Docusaurus", ":::tip 标题\ntext\n:::\nafter", []string{"paragraph: 标题", "paragraph: text", "paragraph: after"}},
		{"invisible characters go", "a\u200bb\u00adc\u202e d\u00a0e\ufeff", []string{"paragraph: abc d e"}},
		{"less-than signs are text", "a < b, x <5, <3 and <", []string{"paragraph: a < b, x <5, <3 and <"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			diff(t, show(mustParse(t, "a.md", []byte(tt.in))), tt.want)
		})
	}
}

func TestMDX(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"imports and exports go with all their lines", "import A from './a'\nimport {\n  B,\n} from 'b'\n\nexport const x = () => {\n\n  return <p>no</p>;\n};\n\nimport the file first.\n\ntext", []string{"paragraph: import the file first.", "paragraph: text"}},
		{"imports in code stay", "```js\nimport A from 'a'\n<Card title=\"x\"/>\n{y}\n```", []string{"code: import A from 'a'⏎<Card title=\"x\"/>⏎{y}"}},
		{"titles of cards become text", "<CardGroup cols={2}>\n  <Card title=\"Quick Start\" icon=\"rocket\" href=\"/x\">\n    Begin **here**.\n  </Card>\n  <Card title={'B'} href=\"/y\" />\n</CardGroup>", []string{"paragraph: Quick Start", "paragraph: Begin here.", "paragraph: B"}},
		{"steps are numbered and their content is not indented code", "<Steps>\n  <Step title=\"Install\">\n    1. one\n       - sub\n    2. two\n\n        ```sh\n        ls\n        ```\n  </Step>\n  <Step title=\"Run\">\n    Go.\n  </Step>\n</Steps>", []string{"paragraph: 1. Install", "list/1: 1. one", "list/1: - sub", "list/1: 2. two", "code/1: ls", "paragraph: 2. Run", "paragraph: Go."}},
		{"fenced code in tabs is code without their indentation", "<Tabs>\n    <Tab title=\"a.py\">\n        ```python\n        def a():\n            b()\n\n        c()\n        ```\n    </Tab>\n</Tabs>\n\nafter", []string{"paragraph: a.py", "code: def a():⏎    b()⏎⏎c()", "paragraph: after"}},
		{"tabs and notes", "<Tabs>\n<Tab title=\"macOS\">\nbrew\n</Tab>\n<Tab title=\"Linux\">apt</Tab>\n</Tabs>\n<Note>careful</Note>\n<Warning>\n  hot\n</Warning>", []string{"paragraph: macOS", "paragraph: brew", "paragraph: Linux", "paragraph: apt", "paragraph: careful", "paragraph: hot"}},
		{"fields show name, type and whether they are required", "<ParamField path=\"image\" type=\"string\" required>\n  A link.\n</ParamField>\n<ResponseField name=\"id\" type=\"int\" default=\"0\">x</ResponseField>", []string{"paragraph: image (string, required)", "paragraph: A link.", "paragraph: id (int, default 0)", "paragraph: x"}},
		{"a component in a list item stays in it", "1. one\n\n   <Note>\n     careful\n   </Note>\n2. two\n- <Tip>\n    inside\n  </Tip>", []string{"list/1: 1. one", "list/1: careful", "list/1: 2. two", "list/2: - inside"}},
		{"inline components leave their text", "This is <Badge color=\"red\">new</Badge> and <Icon icon=\"x\" /> good.", []string{"paragraph: This is new and good."}},
		{"expressions and comments go, strings stay", "a {/* no\n no */}b {\"c\"} {props.d} {`e`} {{var}} `{f}` \\{g\\}", []string{"paragraph: a b c e {{var}} {f} {g}"}},
		{"attributes with braces and JSX", "<Card title=\"T\" style={{a: 'b > c'}} icon={<svg><path d=\"x\"/></svg>} {...rest}>\nx\n</Card>", []string{"paragraph: T", "paragraph: x"}},
		{"captions of frames", "<Frame caption=\"Fig &amp; 1\">\n  ![x](y.png)\n</Frame>", []string{"paragraph: Fig & 1"}},
		{"a missing quote does not eat the document", "<Step title=\"A >\nx\n</Step>\n\ny", []string{"paragraph: A", "paragraph: x", "paragraph: y"}},
		{"tags in table rows do not break them", "| A | B |\n|---|---|\n| <div style={{w: 1}}>x</div> | <ul><li>p</li><li>q</li></ul>r<br/>s |", []string{"table/1: A | B", "table/1: x | p q r s"}},
		{"fragments", "<>\n\ntext\n\n</>", []string{"paragraph: text"}},
		{"indented text is no code", "<Foo>\n\n        deep text\n\n</Foo>\n\n      deeper\n", []string{"paragraph: deep text", "paragraph: deeper"}},
		{"unclosed components", "<Tabs>\n<Tab title=\"x\">\n\ntext\n\n## H", []string{"paragraph: x", "paragraph: text", "heading2: H"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			diff(t, show(mustParse(t, "a.mdx", []byte(tt.in))), tt.want)
		})
	}
}

func TestMarkdownTableBomb(t *testing.T) {
	t.Parallel()
	bomb := strings.Repeat("|a", 1000) + "\n" + strings.Repeat("|-", 1000) + "\n" + strings.Repeat("|x\n", 1000)
	if _, _, err := Parse(t.Context(), "a.md", "", []byte(bomb)); kb.KindOf(err) != kb.Unprocessable {
		t.Errorf("error = %v, want Unprocessable", err)
	}
	long := "|a|b|\n|-|-|\n" + strings.Repeat("|x\n", 50_000/slowdown) // short rows are no bomb
	if _, _, err := Parse(t.Context(), "a.md", "", []byte(long)); err != nil {
		t.Error(err)
	}
}

func TestMarkdownTakesLinearTime(t *testing.T) {
	t.Parallel()
	const n = 150_000 / slowdown
	rep := func(s string) string { return strings.Repeat(s, n/len(s)) }
	for name, in := range map[string]string{
		"links": rep("[a]("), "brackets": rep("["), "pictures": rep("![") + rep("](a)"), "definitions": rep("[a]: b\n"), "quotes": rep(">"),
		"lists": rep("- "), "stars": rep("*a **b "), "underscores": rep("a_"), "backticks": rep("`a``b"), "wide table": rep("|a")[:20000/slowdown] + "\n" + strings.Repeat("|-", 9999/slowdown) + "\n" + rep("|\n"),
		"tags": rep("<a b={"), "quotes in tags": rep("<a b='"), "comments": rep("<!--"), "braces": rep("{"), "exports": rep("export const x = {\n"), "html tables": rep("<table><tr><td>"),
		"rows": "<table>" + rep("<tr><td>x</td></tr>") + "</table>", "spans": "<table>" + rep("<tr><td colspan=64 rowspan=64>x</td></tr>") + "</table>", "components": rep("<A>\n"), "closed components": rep("<A>") + rep("</A>"), "one line": rep("<Card title=\"x\"/> "),
		"steps": rep("<Steps>\n"), "unclosed": rep("<del>x"), "headings": rep("<h1>"), "entities": rep("&a"), "fences": rep("```\n~~~\n"), "directives": rep(":::a\n"), "footnotes": rep("[^1]: "), "blanks": rep(" ") + "<b>", "lists of HTML": rep("<ul><li>"),
	} {
		for _, file := range []string{"a.md", "a.mdx"} {
			start := time.Now()
			x, _, err := Parse(t.Context(), file, "", []byte(in))
			if d := time.Since(start); d > 6*time.Second {
				t.Errorf("%s in %s took %v (%v)", name, file, d, err)
			}
			if err == nil {
				check(t, x)
			} else if k := kb.KindOf(err); k != kb.Invalid && k != kb.Unprocessable && k != kb.TooLarge {
				t.Errorf("%s in %s: %v", name, file, err)
			}
		}
	}
}

func FuzzMarkdown(f *testing.F) {
	for _, s := range []string{
		"# a\n\n- b\n  - c\n\n| d |\n|-|\n| e |", "<table><tr><td>x", "```\n<b>\n```", "~~a~~ **b：**c", "[^1]: x", "<ul><li>\n<Step title='a'>\n- b", "> - 1. <Note>\n> x", "<pre>a\n  b</pre>", "---\ntitle: >\n x\n---\n", "&#0;&#xd800;&amp;\\&",
		"\ufdd0\ufdd1 \u2028x", "    <b>\n", ":::", "<br><br/>|<h1>a\nb</h1>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { fuzzed(t, "a.md", "", []byte(s)) })
}

func FuzzMDX(f *testing.F) {
	for _, s := range []string{
		"import a from 'b'\n\nexport const c = {\n}\n\n<Card title=\"d\" e={{f: '}'}}>\n    g\n</Card>", "{`a`}{\"b\"}{/* c */}{d", "<Steps><Step title='x'>\n1. y\n</Step>", "<A b={<C/>} {...d}/>", "- <Tip>\n    x\n  </Tip>", "<Tab title=\"a >\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { fuzzed(t, "a.mdx", "", []byte(s)) })
}

func BenchmarkMDX(b *testing.B) {
	data := []byte(strings.Repeat("## 安装\n\n<Steps>\n  <Step title=\"下载\">\n    运行 `docker compose up -d`，**注意：**请先阅读[说明](/x)。\n\n    - 第一\n    - second item\n  </Step>\n</Steps>\n\n| A | B |\n|---|---|\n| 1 | 2 |\n\n", 500))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(b.Context(), "a.mdx", "", data); err != nil {
			b.Fatal(err)
		}
	}
}
