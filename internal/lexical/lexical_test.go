package lexical

import (
	"slices"
	"testing"

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
		"a version comes whole and in parts":             {"v1.2.3", []string{"v1", "2", "3", "v1.2.3"}},
		"camelCase comes whole and in parts":             {"getUserName", []string{"getusernam", "get", "user", "name"}},
		"an initialism stays whole":                      {"APIs mRNAs", []string{"api", "mrnas", "m", "rnas"}},
		"a hyphenated word comes in parts":               {"well-known", []string{"well", "known"}},
		"a code with digits comes whole, too":            {"COVID-19 E1001", []string{"covid", "19", "covid-19", "e1001"}},
		"thousands are joined":                           {"1,000 genomes", []string{"1000", "genom"}},
		"full-width letters are the same":                {"ＡＰＩ　ｋｅｙ", []string{"api", "key"}},
		"accents are folded":                             {"naïve café", []string{"naiv", "cafe"}},
		"C++ and C# are names":                           {"C++ C#", []string{"c++", "c", "c#"}},
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
