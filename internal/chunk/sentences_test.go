package chunk

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func texts(s string) []string {
	var out []string
	for _, sp := range Sentences(s) {
		out = append(out, s[sp.Start:sp.End])
	}
	return out
}

func TestSentences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []string // in, joined by blanks, where nil
	}{
		{"Chinese full stops, questions and exclamations end sentences", "今天下雨。你带伞了吗？带了！走吧", []string{"今天下雨。", "你带伞了吗？", "带了！", "走吧"}},
		{"a full-width semicolon ends a clause that can be quoted", "事假扣薪；病假不扣。", []string{"事假扣薪；", "病假不扣。"}},
		{"an ellipsis ends a sentence", "他想了想……然后走了。", []string{"他想了想……", "然后走了。"}},
		{"an ellipsis before a comma does not", "苹果、香蕉……，都可以。", nil},
		{"repeated marks stay together", "真的？！是的。。。", []string{"真的？！", "是的。。。"}},
		{"closing quotes stay with their sentence", "他说：“可以退款。”客服同意了。", []string{"他说：“可以退款。”", "客服同意了。"}},
		{"closing brackets stay with their sentence", "需提前申请（见第三章。）逾期无效。", []string{"需提前申请（见第三章。）", "逾期无效。"}},
		{"corner brackets stay too", "「好的。」她回答。", []string{"「好的。」", "她回答。"}},
		{"a title that asks is not a sentence", "请阅读《为什么要备份？》一文。", nil},
		{"a semicolon behind a quote goes with it", "甲说“好。”；乙说不。", []string{"甲说“好。”；", "乙说不。"}},
		{"Chinese decimals, times and versions are whole", "价格为3.14元，版本2.0.1于12:30发布。", nil},
		{"English sentences end at full stops", "Open the app. Press Start! Does it work? Yes.", []string{"Open the app.", "Press Start!", "Does it work?", "Yes."}},
		{"abbreviations of titles do not end sentences", "Ask Dr. Smith or Mrs. Jones. They know.", []string{"Ask Dr. Smith or Mrs. Jones.", "They know."}},
		{"e.g. and i.e. do not end sentences", "Use a key, e.g. API_KEY, i.e. Not a password. Done.", []string{"Use a key, e.g. API_KEY, i.e. Not a password.", "Done."}},
		{"No. and Fig. are abbreviations before a number", "See Fig. 3 and No. 5. It is clear. Is it? No. Then stop.", []string{"See Fig. 3 and No. 5.", "It is clear.", "Is it?", "No.", "Then stop."}},
		{"initials are not sentences", "J. R. R. Tolkien wrote it. U.S. Army units came.", []string{"J. R. R. Tolkien wrote it.", "U.S. Army units came."}},
		{"initials may end a sentence", "He lives in the U.S. The house is big.", []string{"He lives in the U.S.", "The house is big."}},
		{"decimals, versions and addresses are whole", "Pi is 3.14. Use v1.2.3 or Node.js 18.0 from 10.0.0.1. Go.", []string{"Pi is 3.14.", "Use v1.2.3 or Node.js 18.0 from 10.0.0.1.", "Go."}},
		{"URLs and e-mail addresses are whole", "See https://a.example.com/x.html?a=1&b=2!c for details. Mail a.b@c.io.", []string{"See https://a.example.com/x.html?a=1&b=2!c for details.", "Mail a.b@c.io."}},
		{"a lower-case word goes on", "It took approx. five min. of work. Fine.", []string{"It took approx. five min. of work.", "Fine."}},
		{"English quotes stay with their sentence", `He said "Go." Then he left. (Really.) Yes.`, []string{`He said "Go."`, "Then he left.", "(Really.)", "Yes."}},
		{"an ellipsis of dots ends before a capital only", "Wait... what? Well... Then go.", []string{"Wait... what?", "Well...", "Then go."}},
		{"numbers of items are not sentences", "1. Install it. 2. Run it.\n3. 完成。", []string{"1. Install it.", "2. Run it.", "3. 完成。"}},
		{"a number at the end of a sentence ends it", "See chapter 3. The rest is easy.", []string{"See chapter 3.", "The rest is easy."}},
		{"each line is a sentence", "标题行\n第二行 | 单元格\n\n- 列表项", []string{"标题行", "第二行 | 单元格", "列表项"}},
		{"marks of list items are left out", "- one\n  - two\n* three\n• four", []string{"one", "two", "three", "four"}},
		{"a full stop between English and Chinese ends", "请先安装 Docker.然后启动。", []string{"请先安装 Docker.", "然后启动。"}},
		{"a number before Chinese does not", "1.安装 2.启动", nil},
		{"mixed text", "Dify 支持 v1.2.3。Use it! 然后重启。", []string{"Dify 支持 v1.2.3。", "Use it!", "然后重启。"}},
		{"not-equal and arrows are not exclamations", "if a != b then c?d:e", nil},
		{"Japanese half-width full stops end", "ｱｲｳ｡ｴｵ｡", []string{"ｱｲｳ｡", "ｴｵ｡"}},
		{"stray marks go with the sentence before", "好的。 ——\n---\n下一行", []string{"好的。 ——", "下一行"}},
		{"nothing", " \n\t\n——", []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := tt.want
			if want == nil {
				want = []string{tt.in}
			}
			got := texts(tt.in)
			if len(got) == 0 {
				got = []string{}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Sentences(%q) (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

// checkSentences fails unless the sentences of s are in order, not blank, on
// character boundaries, and hold every letter and digit.
func checkSentences(t *testing.T, s string) {
	t.Helper()
	at := 0
	for _, sp := range Sentences(s) {
		if sp.Start < at || sp.End <= sp.Start || sp.End > len(s) {
			t.Fatalf("span %v after %d of %q", sp, at, s)
		}
		if strings.IndexFunc(s[at:sp.Start], wordRune) >= 0 {
			t.Fatalf("%q is in no sentence of %q", s[at:sp.Start], s)
		}
		q := s[sp.Start:sp.End]
		if strings.TrimFunc(q, unicode.IsSpace) != q || !hasWord(q) {
			t.Fatalf("sentence %q of %q has blanks around it or no word", q, s)
		}
		if utf8.ValidString(s) && !utf8.ValidString(q) {
			t.Fatalf("sentence %q cuts a character of %q", q, s)
		}
		at = sp.End
	}
	if strings.IndexFunc(s[at:], wordRune) >= 0 {
		t.Fatalf("%q is in no sentence of %q", s[at:], s)
	}
}

func FuzzSentences(f *testing.F) {
	for _, s := range []string{
		"今天。明天！“后天？”", "Dr. Smith said e.g. 3.14. OK", "1. a\n- b\n* ", "……。！？", "...", "a.b.c", "．。｡；", ")。)\"'", "\xff.\xe3\x80", "A.\nB.", "- - - x",
	} {
		f.Add(s)
	}
	f.Fuzz(checkSentences)
}

func TestSentencesTakesLinearTime(t *testing.T) {
	t.Parallel()
	const n = 200_000 / slowdown
	for _, unit := range []string{".", ". ", "…", "a.", "1.", "。", "）", "\"", ".)", "!", " ", "-", "- ", "\n---", "U.S.", "(1.", "? a", "；", "e.g. "} {
		s := strings.Repeat(unit, n)
		start := time.Now()
		Sentences(s)
		Sentences(s + "x")
		// A quadratic scan of this much takes minutes.
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("Sentences of %d × %q took %v", n, unit, d)
		}
	}
}

func BenchmarkSentences(b *testing.B) {
	for _, bb := range []struct{ name, text string }{
		{"zh", strings.Repeat("员工每天上午九点上班，下午六点下班。迟到三次扣一天工资；请假须提前申请！", 1000)},
		{"en", strings.Repeat("Employees start at 9 a.m. every day. Dr. Smith approved v1.2.3 of the policy, e.g. for visitors. See https://example.com/a.b. ", 1000)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			for b.Loop() {
				Sentences(bb.text)
			}
		})
	}
}
