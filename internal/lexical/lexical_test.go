package lexical

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
)

func keys(q Query) []string {
	out := []string{}
	for _, t := range q.Terms {
		out = append(out, t.Key)
	}
	return out
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []string
	}{
		"Chinese becomes characters and pairs":           {"退款政策", []string{"退", "款", "退款", "政", "款政", "策", "政策"}},
		"Traditional is folded":                          {"臺灣", []string{"台", "湾", "台湾"}},
		"question words go and cut pairs":                {"退款要多少天？", []string{"退", "款", "退款", "要", "款要", "天"}},
		"English is stemmed, stop words go":              {"How do I configure the refunds?", []string{"configur", "refund"}},
		"an identifier comes whole and in parts":         {"STORAGE_URL", []string{"storag", "url", "storage_url"}},
		"a version comes whole and in parts":             {"v1.2.3", []string{"v1", "v1.2.3"}},
		"camelCase comes whole and in parts":             {"getUserName", []string{"get", "user", "name", "getusernam"}},
		"an initialism stays whole":                      {"APIs mRNAs", []string{"api", "mrnas"}},
		"a hyphenated word comes in parts":               {"well-known", []string{"well", "known"}},
		"a code with digits comes whole, too":            {"COVID-19 E1001", []string{"covid", "19", "covid-19", "e1001"}},
		"thousands are joined":                           {"1,000 genomes", []string{"1000", "genom"}},
		"full-width letters are the same":                {"ＡＰＩ　ｋｅｙ", []string{"api", "key"}},
		"accents are folded":                             {"naïve café", []string{"naiv", "cafe"}},
		"C++ and C# are names":                           {"C++ C#", []string{"c", "c++", "c#"}},
		"only question words leave nothing":              {"为什么？怎么办？ what is it", []string{}},
		"mixed scripts are cut where they meet":          {"用API登录", []string{"用", "api", "登", "录", "登录"}},
		"an order id stays whole":                        {"2025-1114-001", []string{"2025", "1114", "001", "2025-1114-001"}},
		"broken UTF-8 separates":                         {"退\xff款", []string{"退", "款"}},
		"an apostrophe drops the ending":                 {"user's", []string{"user"}},
		"compatibility characters are what they look as": {"① Ⅳ ﬁle", []string{"1", "iv", "file"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(tt.want, keys(Parse(tt.in, nil))); d != "" {
				t.Errorf("Parse(%q): -want +got\n%s", tt.in, d)
			}
		})
	}
}

func chunks(texts ...string) []kb.Chunk {
	var out []kb.Chunk
	for i, s := range texts {
		out = append(out, kb.Chunk{ID: kb.ChunkID(i + 1), Text: s})
	}
	return out
}

func open(t testing.TB, cs []kb.Chunk) *Segment {
	t.Helper()
	blob, err := Build(slices.Values(cs))
	if err != nil {
		t.Fatal(err)
	}
	s, err := OpenBytes(blob)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSearchFinds(t *testing.T) {
	t.Parallel()
	ix := Index{Segments: []*Segment{open(t, chunks(
		"退款一般在七个工作日内到账。", "Set STORAGE_URL to s3://bucket/prefix.", "發票可以在訂單頁面下載。", "error E1001 means timeout"))}}
	for q, want := range map[string]kb.ChunkID{
		"退款多久到账": 1, "storage_url": 2, "发票怎么下载": 3, "E1001": 4, "timeouts": 4,
	} {
		r, err := ix.Search(t.Context(), Parse(q, nil), 3)
		if err != nil || len(r.Hits) == 0 || r.Hits[0].ID != want {
			t.Errorf("Search(%q) = %v, %v, want %d first", q, r.Hits, err, want)
		}
	}
}

func TestMergeEqualsBuild(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	all := randomChunks(rng, 300)
	dead := func(id kb.ChunkID) bool { return id%7 == 3 }
	var live []kb.Chunk
	parts := make([][]kb.Chunk, 4)
	for i, c := range all {
		p := i * len(parts) / len(all) // ranges, and one part that overlaps them
		if i%10 == 0 {
			p = 3
		}
		parts[p] = append(parts[p], c)
		if !dead(c.ID) {
			live = append(live, c)
		}
	}
	var segs []*Segment
	for _, p := range parts {
		segs = append(segs, open(t, p))
	}
	got, err := Merge(t.Context(), segs, dead)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Build(slices.Values(live))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("Merge gives %d bytes unlike the %d of Build", len(got), len(want))
	}
}

// randomChunks makes chunks of a small vocabulary, both scripts, with ids that
// have gaps.
func randomChunks(rng *rand.Rand, n int) []kb.Chunk {
	words := strings.Fields("退款 发票 登录 密码 订单 配送 storage_url configure timeout E1001 v1.2.3 会员 积分 优惠 the a 臺灣 服務")
	var out []kb.Chunk
	for i := range n {
		var b strings.Builder
		for range 5 + rng.IntN(60) {
			// Zipf: the first words are in nearly every chunk.
			w := words[min(int(rng.ExpFloat64()*4), len(words)-1)]
			b.WriteString(w)
			if rng.IntN(3) == 0 {
				b.WriteString("。")
			}
		}
		out = append(out, kb.Chunk{ID: kb.ChunkID(10 + 3*i + rng.IntN(2)), Title: words[rng.IntN(len(words))], Text: b.String()})
	}
	return out
}

// TestSearchIsExact compares several segments, read lazily and whole, with
// scoring every chunk by the formula.
func TestSearchIsExact(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	all := randomChunks(rng, 500)
	dead := func(id kb.ChunkID) bool { return id%5 == 0 }
	var whole, lazy Index
	whole.Dead, lazy.Dead = dead, dead
	for i := 0; i < len(all); i += 170 {
		blob, err := Build(slices.Values(all[i:min(i+170, len(all))]))
		if err != nil {
			t.Fatal(err)
		}
		w, err1 := OpenBytes(blob)
		l, err2 := Open(t.Context(), int64(len(blob)), func(_ context.Context, off, n int64) ([]byte, error) { return blob[off : off+n], nil })
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		whole.Segments, lazy.Segments = append(whole.Segments, w), append(lazy.Segments, l)
	}
	for _, text := range []string{"退款", "退款发票登录", "storage_url", "臺灣服務 E1001", "timeout configure 订单", "没有的词", "密码"} {
		q := Parse(text, nil)
		want := brute(all, q, 10, dead)
		for name, ix := range map[string]Index{"whole": whole, "lazy": lazy} {
			r, err := ix.Search(t.Context(), q, 10)
			if err != nil {
				t.Fatal(err)
			}
			got := r.Hits
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApprox(1e-4, 0)); d != "" {
				t.Errorf("%s: Search(%q): -brute force +got\n%s", name, text, d)
			}
		}
	}
}

// TestSearchBeyondOneWindow: chunks of all windows are found, with what lists
// and arrays say of them.
func TestSearchBeyondOneWindow(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	words := strings.Fields("the 退款 发票 登录 密码 订单 配送 E1001 v1.2.3 会员 积分 优惠")
	all := make([]kb.Chunk, 2*window+77)
	for i := range all {
		text := ""
		for range 1 + rng.IntN(4) {
			text += words[min(int(rng.ExpFloat64()*2), len(words)-1)] + " "
		}
		all[i] = kb.Chunk{ID: kb.ChunkID(i + 1), Text: text}
	}
	for _, at := range []int{0, window - 1, window, 2*window - 1, 2 * window, len(all) - 1} {
		all[at].Text = "积分积分积分 优惠 E1001"
	}
	ix := Index{Segments: []*Segment{open(t, all)}}
	for _, text := range []string{"积分优惠 E1001", "退款", "会员", "密码 v1.2.3"} {
		q := Parse(text, nil)
		r, err := ix.Search(t.Context(), q, 20)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(brute(all, q, 20, func(kb.ChunkID) bool { return false }), r.Hits, cmpopts.EquateApprox(1e-4, 0)); d != "" {
			t.Errorf("Search(%q): -brute force +got\n%s", text, d)
		}
	}
}

// TestCommonTermsAreLookedUpWhereRoundingDecides: chunk 1 lacks two of many words
// that all others have, and 5001 is ahead of it by no more than sums are rounded.
func TestCommonTermsAreLookedUpWhereRoundingDecides(t *testing.T) {
	t.Parallel()
	for n := 37000; n < 38500; n += 500 {
		docs := make([]doc, n)
		for i := range docs {
			docs[i] = doc{kb.ChunkID(i + 1), 300}
		}
		docs[0].len, docs[5000].len = 60, 60
		w, err := newWriter(docs)
		if err != nil {
			t.Fatal(err)
		}
		var q Query
		for c := range 54 {
			var list []posting
			for i := range docs {
				if i > 0 || c != 1 && c != 3 {
					list = append(list, posting{uint32(i), 1})
				}
			}
			q.Terms = append(q.Terms, Term{fmt.Sprintf("c%02d", c), 1})
			w.add([]byte(q.Terms[c].Key), list)
		}
		for r := range 6 {
			q.Terms = append(q.Terms, Term{fmt.Sprintf("r%d", r), 1})
			w.add([]byte(q.Terms[54+r].Key), []posting{{0, 1}, {5000, 1}})
		}
		s, err := OpenBytes(w.finish())
		if err != nil {
			t.Fatal(err)
		}
		ix := Index{Segments: []*Segment{s}}
		one, err1 := ix.Search(t.Context(), q, 1)
		all, err2 := ix.Search(t.Context(), q, n)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if one.Hits[0] != all.Hits[0] {
			t.Errorf("of %d chunks the best is %v, the best of all %v", n, one.Hits[0], all.Hits[0])
		}
	}
}

// counter counts terms the slow way.
type counter struct {
	tf     map[string]int
	n      int
	weight int
}

func (c *counter) add(k string) { c.tf[k] += c.weight; c.n++ }
func (c *counter) han(r, prev rune, _, _, _ int) {
	c.add(string(r))
	if prev != 0 {
		c.add(string(prev) + string(r))
	}
}

func (c *counter) word(raw string, _, _ int) {
	if w := normWord(raw); w != "" {
		c.add(w)
	}
}

func brute(all []kb.Chunk, q Query, k int, dead func(kb.ChunkID) bool) []Hit {
	counts := make([]counter, len(all))
	df, total := map[string]int{}, 0
	for i, c := range all {
		counts[i] = counter{tf: map[string]int{}, weight: titleWeight}
		scan(c.Title, &counts[i])
		counts[i].weight = 1
		scan(c.Text, &counts[i])
		total += counts[i].n
		for t := range counts[i].tf {
			df[t]++
		}
	}
	avg := float64(total) / float64(len(all))
	var out []Hit
	for i, c := range all {
		var s float64
		for _, t := range q.Terms {
			if tf := float64(counts[i].tf[t.Key]); tf > 0 {
				if df[t.Key] > len(all)/12 { // stored as an array of four bits
					tf = min(tf, 15)
				}
				s += float64(IDF(len(all), df[t.Key])) * tf * (k1 + 1) / (tf + k1*(1-lengthB+lengthB*float64(counts[i].n)/avg))
			}
		}
		if s > 0 && !dead(c.ID) {
			out = append(out, Hit{c.ID, float32(s)})
		}
	}
	slices.SortFunc(out, func(a, b Hit) int {
		if worse(b, a) {
			return -1
		}
		return 1
	})
	return out[:min(k, len(out))]
}

// TestUnfoldIsFoldBackwards: what folds to a rune is known, and nothing else.
func TestUnfoldIsFoldBackwards(t *testing.T) {
	t.Parallel()
	want := map[rune][]rune{}
	for r := rune(foldFirst); r <= foldLast; r++ {
		if to := foldHan(r); to != r {
			want[to] = append(want[to], r)
		}
	}
	for r := rune(foldFirst - 1); r <= foldLast+1; r++ {
		got := []rune{}
		eachVariant(r, func(v rune) { got = append(got, v) })
		if !slices.Equal(got, append([]rune{r}, want[r]...)) {
			t.Fatalf("variants of %c = %q, want %q behind it", r, got, want[r])
		}
	}
}

// TestMatcherFindsWhatAScanDoes: the way past characters that are in no term
// finds the same as looking at each of them.
func TestMatcherFindsWhatAScanDoes(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 8))
	pieces := []string{"退", "款", "臺", "灣", "台", "湾", "著", "着", "服務", "服务", "㐀", "䷀", "䶿", "一", "鿿", "、", "。", "，", "の", "カ", "한", "𠀀", "a", "API", "v1.2", " ", "\xe4\xb8", "\xe9", "\xff", "Ａ", "豈", "　", "0"}
	for range 3000 {
		var b strings.Builder
		for range rng.IntN(30) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		var stats []TermStat
		for _, k := range Parse(pieces[rng.IntN(len(pieces))]+pieces[rng.IntN(len(pieces))]+"台湾着服务 api", nil).Terms {
			stats = append(stats, TermStat{Term: k})
		}
		want := NewMatcher(stats)
		scan(b.String(), want)
		if got := NewMatcher(stats).Find(b.String(), nil); !slices.Equal(got, want.out) {
			t.Fatalf("Find(%q) = %v, want %v", b.String(), got, want.out)
		}
	}
}
