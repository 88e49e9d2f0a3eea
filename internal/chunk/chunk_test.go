package chunk

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// build makes a text of blocks, each "kind/level/group: content"; header is
// that of all table rows.
func build(title, header string, blocks ...kb.Block) func(contents ...string) kb.Text {
	return func(contents ...string) kb.Text {
		t := kb.Text{Title: title}
		for i, b := range blocks {
			if i > 0 {
				sep := "\n\n"
				if b.Group > 0 && b.Group == blocks[i-1].Group {
					sep = "\n"
				}
				t.Body += sep
			}
			b.Start = len(t.Body)
			t.Body += contents[i]
			b.End = len(t.Body)
			if b.Kind == kb.TableRow {
				b.Header = header
			}
			t.Blocks = append(t.Blocks, b)
		}
		return t
	}
}

func h(level int) kb.Block      { return kb.Block{Kind: kb.Heading, Level: level} }
func para() kb.Block            { return kb.Block{Kind: kb.Paragraph} }
func item(group int) kb.Block   { return kb.Block{Kind: kb.ListItem, Group: group} }
func row(group int) kb.Block    { return kb.Block{Kind: kb.TableRow, Group: group} }
func record(group int) kb.Block { return kb.Block{Kind: kb.Record, Group: group} }

func sentence(n int) string { return strings.Repeat("字", n-1) + "。" }

// check fails unless chunks are exact ranges that cover each non-blank byte
// outside headings once.
func check(t *testing.T, text kb.Text, chunks []kb.Chunk) {
	t.Helper()
	heading := make([]bool, len(text.Body)+1)
	for _, b := range normalise(text) {
		if b.Kind == kb.Heading {
			for i := b.Start; i < b.End; i++ {
				heading[i] = true
			}
		}
	}
	at := 0
	gap := func(end int) {
		for i, r := range text.Body[at:end] {
			if !unicode.IsSpace(r) && !heading[at+i] {
				t.Fatalf("%q at %d is in no chunk", r, at+i)
			}
		}
	}
	for i, c := range chunks {
		if c.Ordinal != i {
			t.Fatalf("chunk %d has ordinal %d", i, c.Ordinal)
		}
		if c.Start < at || c.End > len(text.Body) || c.Start >= c.End {
			t.Fatalf("chunk %d is %d to %d after %d", i, c.Start, c.End, at)
		}
		if c.Text != text.Body[c.Start:c.End] || strings.TrimSpace(c.Text) == "" {
			t.Fatalf("chunk %d: text %q is not its range or blank", i, c.Text)
		}
		gap(c.Start)
		at = c.End
	}
	gap(len(text.Body))
}

func TestSplit(t *testing.T) {
	t.Parallel()
	a, b, c := sentence(150), sentence(150), sentence(150)
	for _, tt := range []struct {
		name string
		text kb.Text
		want []kb.Chunk // Heading, Prefix and Text only
	}{
		{"a short text is one chunk", build("T", "", para(), para())("一。", "二。"), []kb.Chunk{{Text: "一。\n\n二。"}}},
		{
			"chunks do not cross headings", build("T", "", h(1), para(), h(2), para(), h(2), para())("甲", "一。", "乙", "二。", "丙", "三。"),
			[]kb.Chunk{{Heading: "甲", Text: "一。"}, {Heading: "甲 › 乙", Text: "二。"}, {Heading: "甲 › 丙", Text: "三。"}},
		},
		{
			"the title is not repeated in the path", build("T", "", h(1), para(), h(2), para())("T", "一。", "乙", "二。"),
			[]kb.Chunk{{Text: "一。"}, {Heading: "乙", Text: "二。"}},
		},
		{
			"two headings of one name stay apart", build("T", "", h(2), para(), h(2), para())("例", "一。", "例", "二。"),
			[]kb.Chunk{{Heading: "例", Text: "一。"}, {Heading: "例", Text: "二。"}},
		},
		{
			"a heading without text is text", build("T", "", h(1), para(), h(2), h(2), h(1), para())("甲", "一。", "空一", "空二", "乙", "二。"),
			[]kb.Chunk{{Heading: "甲", Text: "一。\n\n空一\n\n空二"}, {Heading: "乙", Text: "二。"}},
		},
		{"the title as a heading of its own is no text", build("T", "", h(1), h(1), para())("T", "甲", "一。"), []kb.Chunk{{Heading: "甲", Text: "一。"}}},
		{"a document of its title only is found", build("T", "", h(1))("T"), []kb.Chunk{{Text: "T"}}},
		{
			"paragraphs fill chunks evenly", build("T", "", para(), para(), para(), para())(a+b, a, b, c+a),
			[]kb.Chunk{{Text: a + b + "\n\n" + a}, {Text: b + "\n\n" + c + a}},
		},
		{"long paragraphs are cut at sentences", build("T", "", para())(a + b + c + a + b), []kb.Chunk{{Text: a + b + c}, {Text: a + b}}},
		{"a tiny rest goes with its predecessor", build("T", "", para(), para())(sentence(400), "完。"), []kb.Chunk{{Text: sentence(400) + "\n\n完。"}}},
		{
			"a list stays whole and keeps what announces it", build("T", "", para(), para(), item(1), item(1), item(1))(sentence(300), "步骤如下：", "1. "+a, "2. "+b, "3. "+c),
			[]kb.Chunk{{Text: sentence(300)}, {Text: "步骤如下：\n\n1. " + a + "\n2. " + b + "\n3. " + c}},
		},
		{
			"a tiny rest goes with a long list too", build("T", "", item(1), item(1), item(1), item(1), para())("1. "+sentence(250), "2. "+sentence(250), "3. "+sentence(250), "4. "+sentence(250), "完毕。"),
			[]kb.Chunk{{Text: "1. " + sentence(250) + "\n2. " + sentence(250) + "\n3. " + sentence(250) + "\n4. " + sentence(250) + "\n\n完毕。"}},
		},
		{
			"a header is not parted from its table", build("T", "名 | 值", para(), row(1), row(1), row(1))(sentence(390), "名 | 值", "甲 | "+sentence(200), "乙 | "+sentence(200)),
			[]kb.Chunk{{Text: sentence(390)}, {Text: "名 | 值\n甲 | " + sentence(200) + "\n乙 | " + sentence(200)}},
		},
		{
			"table pieces repeat the header", build("T", "名 | 值", row(1), row(1), row(1), row(1))("名 | 值", "甲 | "+sentence(300), "乙 | "+sentence(300), "丙 | "+sentence(300)),
			[]kb.Chunk{{Text: "名 | 值\n甲 | " + sentence(300)}, {Prefix: "名 | 值", Text: "乙 | " + sentence(300)}, {Prefix: "名 | 值", Text: "丙 | " + sentence(300)}},
		},
		{"a small table stays whole", build("T", "名 | 值", row(1), row(1), row(1))("名 | 值", "甲 | 1", "乙 | 2"), []kb.Chunk{{Text: "名 | 值\n甲 | 1\n乙 | 2"}}},
		{
			"a record is not split", build("T", "", record(1), record(1))("备注: "+strings.Repeat("一句。", 500), "备注: 短。"),
			[]kb.Chunk{{Text: "备注: " + strings.Repeat("一句。", 500)}, {Text: "备注: 短。"}},
		},
		{"small records share a chunk", build("T", "", record(1), record(1))("名: 甲; 值: 1", "名: 乙; 值: 2"), []kb.Chunk{{Text: "名: 甲; 值: 1\n名: 乙; 值: 2"}}},
		{"text outside blocks counts as paragraphs", kb.Text{Title: "T", Body: "一。\n\n二。"}, []kb.Chunk{{Text: "一。\n\n二。"}}},
		{
			"blocks out of order are skipped",
			kb.Text{Body: "一。二。", Blocks: []kb.Block{{Kind: kb.Code, Start: 6, End: 12}, {Kind: kb.Heading, Start: 0, End: 6}, {Start: 3, End: 99}, {Start: -1, End: 3}}},
			[]kb.Chunk{{Text: "一。二。"}},
		},
		{"a blank text has no chunks", kb.Text{Body: " \n\u3000"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Split(tt.text, Options{})
			check(t, tt.text, got)
			var short []kb.Chunk
			for _, c := range got {
				short = append(short, kb.Chunk{Heading: c.Heading, Prefix: c.Prefix, Text: c.Text})
			}
			if diff := cmp.Diff(tt.want, short); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSplitLongThings(t *testing.T) {
	t.Parallel()
	t.Run("a list above the cap is cut between items", func(t *testing.T) {
		t.Parallel()
		var blocks []kb.Block
		var items []string
		for i := range 60 {
			blocks, items = append(blocks, item(1)), append(items, fmt.Sprintf("%d. %s", i+1, sentence(50)))
		}
		text := build("T", "", blocks...)(items...)
		got := Split(text, Options{})
		check(t, text, got)
		for _, c := range got {
			if !strings.HasSuffix(c.Text, "。") || c.Text[0] < '0' || c.Text[0] > '9' {
				t.Errorf("chunk %q is not whole items", c.Text)
			}
			if w := weigh(c.Text); w < 200 || w > 800 {
				t.Errorf("chunk has %d units, want about 400", w)
			}
		}
	})
	t.Run("code above the cap is cut between lines and keeps its indentation", func(t *testing.T) {
		t.Parallel()
		code := strings.Repeat("func main() {\n    return values, nil\n}\n\n", 200)
		text := build("T", "", kb.Block{Kind: kb.Code})(strings.TrimSpace(code))
		got := Split(text, Options{})
		check(t, text, got)
		if len(got) < 3 {
			t.Fatalf("%d chunks", len(got))
		}
		for _, c := range got {
			if !strings.HasPrefix(c.Text, "func") || !strings.HasSuffix(c.Text, "}") {
				t.Errorf("code is cut inside a function: %q", c.Text)
			}
		}
	})
	t.Run("a text without sentences is cut at blanks and never inside a character", func(t *testing.T) {
		t.Parallel()
		for _, s := range []string{
			strings.Repeat("长", 5000), strings.Repeat("word ", 5000), strings.Repeat("x", 20000),
			// The marks stand where a cut by count would fall, for one of these.
			strings.Repeat("e\u0301", 9000), "x" + strings.Repeat("e\u0301", 9000), "xx" + strings.Repeat("e\u0301", 9000), "xxx" + strings.Repeat("e\u0301", 9000),
			strings.Repeat("👩‍👩‍👧", 2000), "x" + strings.Repeat("👩‍👩‍👧", 2000), "xx" + strings.Repeat("👩‍👩‍👧", 2000), "xxx" + strings.Repeat("👩‍👩‍👧", 2000),
		} {
			text := kb.Text{Body: s}
			got := Split(text, Options{})
			check(t, text, got)
			for _, c := range got {
				if w := weigh(c.Text); w > 1000 {
					t.Errorf("chunk of %d units from %q", w, s[:20])
				}
				if strings.HasPrefix(c.Text, "\u0301") || strings.HasPrefix(c.Text, "\u200d") {
					t.Errorf("chunk begins inside a character: %q", c.Text[:10])
				}
			}
		}
	})
	t.Run("options are kept", func(t *testing.T) {
		t.Parallel()
		text := kb.Text{Body: strings.Repeat(sentence(10), 100)}
		for _, c := range Split(text, Options{Target: 50}) {
			if w := weigh(c.Text); w > 75 {
				t.Errorf("chunk of %d units, want about 50", w)
			}
		}
	})
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int{
		"": 0, " \n": 0, "中文": 2, "two words": 4, "中文 words": 4, "。": 1, "v1": 2, "https://example.com/a/very/long/path": 16, strings.Repeat("a", 48): 8, "价格: 5 元": 5,
	} {
		if got := weigh(in); got != want {
			t.Errorf("weigh(%q) = %d, want %d", in, got, want)
		}
	}
	// The two measures of DESIGN §5.2 agree.
	if zh, en := weigh(strings.Repeat("字", 400)), weigh(strings.Repeat("word ", 200)); zh != en {
		t.Errorf("400 characters weigh %d, 200 words %d", zh, en)
	}
}

// FuzzSplit makes blocks of arbitrary bytes: three per block choose kind,
// group and length.
func FuzzSplit(f *testing.F) {
	f.Add("一。二。\n- a\n- b\n| c |", []byte{0, 1, 3, 1, 0, 6, 2, 1, 4})
	f.Add(strings.Repeat("word. ", 400), []byte{4, 1, 200, 3, 0, 255, 5, 9, 100})
	f.Add("# a\n## b", []byte{0, 1, 3, 0, 2, 4})
	f.Add("\xff\xfe 坏\x00", []byte{1, 0, 1, 0, 1, 1})
	f.Fuzz(func(t *testing.T, body string, shape []byte) {
		text := kb.Text{Title: "T", Body: body}
		kinds := []kb.BlockKind{kb.Heading, kb.Paragraph, kb.ListItem, kb.Code, kb.TableRow, kb.Record}
		for at := 0; len(shape) >= 3 && at < len(body); shape = shape[3:] {
			end := at + int(shape[2])
			text.Blocks = append(text.Blocks, kb.Block{Kind: kinds[int(shape[0])%len(kinds)], Level: 1 + int(shape[1])%6, Group: int(shape[1]) % 4, Header: "H", Start: at, End: end})
			at = end
		}
		for _, o := range []Options{{}, {Target: 20, Whole: 40, Record: 60}} {
			got := Split(text, o)
			check(t, text, got)
			if diff := cmp.Diff(got, Split(text, o)); diff != "" {
				t.Fatal("two runs differ")
			}
		}
	})
}

func TestSplitTakesLinearTime(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]kb.Text{
		"one long paragraph":  {Body: strings.Repeat("短。", 200_000/slowdown)},
		"one word":            {Body: strings.Repeat("x", 2_000_000/slowdown)},
		"dots":                {Body: strings.Repeat(". ", 500_000/slowdown)},
		"combining marks":     {Body: "a" + strings.Repeat("\u0301", 500_000/slowdown)},
		"a line per sentence": {Body: strings.Repeat("a\n", 300_000/slowdown)},
	} {
		start := time.Now()
		got := Split(text, Options{})
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: %d chunks took %v", name, len(got), d)
		}
	}
}

func BenchmarkSplit(b *testing.B) {
	var blocks []kb.Block
	var contents []string
	for i := range 200 {
		blocks, contents = append(blocks, h(2), para(), para(), item(i+1), item(i+1)), append(contents, fmt.Sprintf("第%d节", i), strings.Repeat("员工每天上午九点上班，下午六点下班。", 12), strings.Repeat("Employees start at nine. They leave at six. ", 10), "1. 提前申请。", "2. 主管批准。")
	}
	text := build("手册", "", blocks...)(contents...)
	b.SetBytes(int64(len(text.Body)))
	b.ReportAllocs()
	for b.Loop() {
		Split(text, Options{})
	}
}

func ExampleSplit() {
	t := kb.Text{
		Title:  "员工手册",
		Body:   "考勤\n\n上午九点上班。迟到三次扣一天工资。",
		Blocks: []kb.Block{{Kind: kb.Heading, Level: 1, Start: 0, End: 6}, {Kind: kb.Paragraph, Start: 8, End: 59}},
	}
	for _, c := range Split(t, Options{}) {
		fmt.Printf("%s: %s\n", c.Heading, c.Text)
	}
	// Output: 考勤: 上午九点上班。迟到三次扣一天工资。
}

func ExampleSentences() {
	text := "详见 v1.2.3 说明。Ask Dr. Li!"
	for _, s := range Sentences(text) {
		fmt.Println(text[s.Start:s.End])
	}
	// Output:
	// 详见 v1.2.3 说明。
	// Ask Dr. Li!
}
