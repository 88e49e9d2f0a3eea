package retrieve

import (
	"slices"
	"testing"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

func TestTheNounAskedForTellsTheKind(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Kind{
		"星河频道是哪一家公司的频道？":        Thing,
		"該國的首都為何？":              Place,
		"他的職業是什麼？":              Thing,
		"這部電影由哪個演員主演？":          Person,
		"該書最早出現於哪個王朝的年代？":       Thing,
		"哪個世紀出現了這種書？":           Time,
		"當地的人口數量是什麼？":           Quantity,
		"最主要的特色為什麼設施？":          Thing,
		"這種節奏被稱為什麼？":            Thing,
		"他為什麼受人敬仰？":             Reason,
		"這是為什麼？":                Reason,
		"負責管理的單位為？":             Thing,
		"改成了什么名字？":              Thing,
		"Who founded the firm?": Person,
	} {
		if q := understand(lexical.Parse(text, nil)); q.kind != want {
			t.Errorf("%s: kind %v, want %v (noun %q)", text, q.kind, want, q.focus.noun)
		}
	}
	for text, want := range map[string]focus{
		"星河频道是哪一家公司的频道？": {noun: "公司"},
		"改成了什么名字？":       {noun: "名字"},
		"他的職業是什麼？":       {noun: "职业", ahead: true},
	} {
		if got := understand(lexical.Parse(text, nil)).focus; got != want {
			t.Errorf("%s: focus %v, want %v", text, got, want)
		}
	}
}

func TestClozeFindsTheQuestionAroundTheAnswer(t *testing.T) {
	t.Parallel()
	q := understand(lexical.Parse("他开创了哪一地区对梵语的研究？", nil))
	left, right := q.sides()
	at := func(s string) float32 {
		both, _ := cloze(left, right, []rune(s))
		return both
	}
	whole, reversed, far := at("陆特开创了欧洲对梵语的研究。"), at("对梵语的研究由他开创了。"), at("开创了一所学校。")
	if whole < 0.9 {
		t.Errorf("a sentence that is the question with its answer has %v, want nearly 1", whole)
	}
	if reversed >= whole || far >= whole {
		t.Errorf("the sides in the wrong order have %v, one side alone %v, want less than %v", reversed, far, whole)
	}
}

func TestOptionsAreNotInTheQuestion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		question, text string
		want           []string
	}{
		{"1937年的公司何时迁到上海？", "公司1937年成立，1949年迁走。", []string{"1949年"}},
		{"全长多少公里？", "铁路全长548公里，设3站。", []string{"548公", "3"}},
		{"总部在哪个城市？", "总部设在杭州市，城市很美。", []string{"杭州市"}},
		{"公司由谁创立？", "公司由林晓峰创立。", []string{"林晓峰"}},
	} {
		q := understand(lexical.Parse(c.question, nil))
		var l line
		l.read(c.text)
		runes := []rune(c.text)
		var got []string
		for _, o := range q.options(&l, nil) {
			got = append(got, string(runes[o.from:min(o.to, len(runes))]))
		}
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: options %q lack %q", c.question, got, w)
			}
		}
		if slices.Contains(got, "1937年") || slices.Contains(got, "城市") {
			t.Errorf("%s: options %q repeat the question", c.question, got)
		}
	}
}

func TestPairsThatAreApart(t *testing.T) {
	t.Parallel()
	q := understand(lexical.Parse("可以货到付款吗", nil))
	terms := make([]lexical.TermStat, len(q.Terms))
	var index uint64
	for i, term := range q.Terms {
		terms[i].Term = term
		if term.Key != "货到" && term.Key != "到付" {
			index |= 1 << i
		}
	}
	us := q.units(terms)
	if got := apart(us, index); got < 0.6 || got > 0.7 {
		t.Errorf("two of three pairs are nowhere: %v", got)
	}
	if got := apart(us, ^uint64(0)); got != 0 {
		t.Errorf("all pairs are there: %v", got)
	}
	if absent(us, ^uint64(0), relationSet{}) || !absent(us, 0, relationSet{}) {
		t.Error("absent is wrong about all or nothing")
	}
}

func TestWordsSaidAgainCountForMoreThanHanCharacters(t *testing.T) {
	t.Parallel()
	gain := func(han uint64) float32 {
		g := weigher{w: []float32{1}, han: han}
		once := passage{matches: make([]lexical.Match, 1)}
		often := passage{matches: make([]lexical.Match, 5)}
		once.chunk.Text, often.chunk.Text = "text", "text"
		return g.deep(&often, 4) / g.deep(&once, 4)
	}
	if word, char := gain(0), gain(1); word < 1.3*char {
		t.Errorf("five times a word is %v of once, a character %v", word, char)
	}
}
