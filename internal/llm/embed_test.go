package llm

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

func words(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("text number %d 第%d段", i, i)
	}
	return out
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		cfg     Config
		texts   int
		batches []int
		dim     int
		sent    any // the dimensions field
	}{
		{"v2 takes 25 at once and no dimensions", Config{}, 60, []int{25, 25, 10}, 1536, nil},
		{"v3 takes 10", Config{Embedding: Endpoint{Model: "text-embedding-v3"}}, 25, []int{10, 10, 5}, 1024, 1024.0},
		{"v4 with other dimensions", Config{Embedding: Endpoint{Model: "text-embedding-v4"}, Dimensions: 256}, 3, []int{3}, 256, 256.0},
		{"smaller batches by setting", Config{Embedding: Endpoint{BatchRows: 2}}, 3, []int{2, 1}, 1536, nil},
		{"no texts, no call", Config{}, 0, nil, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := stand(t, tt.cfg)
			texts := words(tt.texts)
			got, usage, err := c.Embed(t.Context(), texts, EmbedOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var batches []int
			for _, r := range s.Requests(llmtest.Embed) {
				batches = append(batches, len(r.Inputs))
				if r.Fields["dimensions"] != tt.sent || r.Fields["encoding_format"] != "float" {
					t.Errorf("sent %v", r.Fields)
				}
			}
			slices.Sort(batches)
			slices.Reverse(batches)
			if !slices.Equal(batches, tt.batches) || usage.Calls != len(tt.batches) {
				t.Errorf("batches %v, %d calls; want %v", batches, usage.Calls, tt.batches)
			}
			if len(got) != tt.texts {
				t.Fatalf("%d vectors", len(got))
			}
			for i, v := range got {
				want := llmtest.Vector(texts[i], tt.dim)
				if len(v) != tt.dim || cosine(v, want) < 0.999999 {
					t.Fatalf("vector %d has %d numbers and cosine %f to its own", i, len(v), cosine(v, want))
				}
			}
			if tt.dim > 0 && tt.texts > 0 && c.Dimensions() != tt.dim {
				t.Errorf("Dimensions = %d, want %d", c.Dimensions(), tt.dim)
			}
		})
	}
}

func cosine(a, b []float32) float64 {
	var dot, x, y float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
		x += float64(a[i]) * float64(a[i])
		y += float64(b[i]) * float64(b[i])
	}
	return dot / math.Sqrt(x*y)
}

func TestEmbedIsNotLiedTo(t *testing.T) {
	t.Parallel()
	for _, lie := range []llmtest.Lie{llmtest.TooFew, llmtest.TooMany, llmtest.SameIndex, llmtest.WrongDim, llmtest.ZeroVector, llmtest.NotANumber} {
		s, c := stand(t, Config{})
		s.Always(llmtest.Embed, llmtest.Act{Lie: lie})
		got, _, err := c.Embed(t.Context(), words(3), EmbedOptions{})
		t.Log(lie)
		wantErr(t, err, kb.Unavailable, ErrBadReply)
		if got != nil {
			t.Errorf("%s: vectors beside the error", lie)
		}
	}
	s, c := stand(t, Config{})
	s.Always(llmtest.Embed, llmtest.Act{Lie: llmtest.Shuffled})
	texts := words(30)
	got, _, err := c.Embed(t.Context(), texts, EmbedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if cosine(v, llmtest.Vector(texts[i], 1536)) < 0.999 {
			t.Errorf("vector %d is another text's", i)
		}
	}
}

func TestEmbedLearnsTheBatchLimit(t *testing.T) {
	t.Parallel()
	// A gateway in front of v3 that we believe takes 25.
	s, c := stand(t, Config{Embedding: Endpoint{Model: "text-embedding-v3", BatchRows: 25}})
	texts := words(25)
	got, _, err := c.Embed(t.Context(), texts, EmbedOptions{})
	if err != nil || len(got) != 25 || cosine(got[24], llmtest.Vector(texts[24], 1024)) < 0.999 {
		t.Fatalf("%d vectors, %v", len(got), err)
	}
	s.Reset()
	if _, _, err := c.Embed(t.Context(), texts, EmbedOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Requests(llmtest.Embed)); n != 3 {
		t.Errorf("%d requests the second time, want 3 of 10", n)
	}
}

func TestEmbedCutsAndRefuses(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	long := strings.Repeat("很长的文字", 3000)
	if _, _, err := c.Embed(t.Context(), []string{long, strings.Repeat("long words ", 5000)}, EmbedOptions{}); err != nil {
		t.Errorf("a long text: %v", err)
	}
	if got := s.Requests(llmtest.Embed)[0].Inputs[0]; !strings.HasPrefix(long, got) || len(got) != 2048*3 {
		t.Errorf("sent %d bytes of it, want its first 2048 characters", len(got))
	}
	_, _, err := c.Embed(t.Context(), []string{"a", " \n"}, EmbedOptions{})
	wantErr(t, err, kb.Invalid, nil)
	if !strings.Contains(err.Error(), "texts[1]") {
		t.Errorf("error %q does not name the text", err)
	}
}

func TestEmbedRunsFewBatchesAtOnce(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{Embedding: Endpoint{BatchRows: 1}})
	s.Always(llmtest.Embed, llmtest.Act{Delay: 20 * time.Millisecond})
	if _, _, err := c.Embed(t.Context(), words(16), EmbedOptions{Bulk: true}); err != nil {
		t.Fatal(err)
	}
	if _, peak := s.InFlight(llmtest.Embed); peak > 4 || peak < 2 {
		t.Errorf("%d batches at once, want up to 4", peak)
	}
}

func TestEmbedEndsAtTheFirstError(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{Embedding: Endpoint{BatchRows: 1}})
	s.Push(llmtest.Embed, llmtest.Act{}, llmtest.Inspected())
	s.Always(llmtest.Embed, llmtest.Act{Delay: 100 * time.Millisecond})
	start := time.Now()
	_, _, err := c.Embed(t.Context(), words(40), EmbedOptions{})
	wantErr(t, err, kb.Invalid, ErrRefused)
	if n := len(s.Requests(llmtest.Embed)); n > 8 || time.Since(start) > time.Second {
		t.Errorf("%d requests in %v, want the rest left out", n, time.Since(start))
	}
}

// Servers that are not DashScope: plain paths, unknown models, no index field.
func TestEmbedElsewhere(t *testing.T) {
	t.Parallel()
	var body map[string]any
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/embeddings" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		fmt.Fprint(w, `{"data":[{"embedding":[3, 4]},{"embedding":[ 0 , -2e0 ]}]}`)
	}))
	defer web.Close()
	c, err := New(Config{BaseURL: web.URL + "/v1", Embedding: Endpoint{Model: "minilm"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, usage, err := c.Embed(t.Context(), []string{"a", "b"}, EmbedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[[0.6 0.8] [0 -1]]" || !usage.Estimated || body["dimensions"] != nil {
		t.Errorf("vectors %v, usage %+v, sent %v", got, usage, body)
	}
}

func TestTokensAreEstimatedAndTrimmed(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"": 0, "a": 1, "abc": 1, "abcd": 2, "中文": 2, "中文abc": 3, "é": 2, "👍": 2} {
		if got := EstimateTokens(s); got != want {
			t.Errorf("EstimateTokens(%q) = %d, want %d", s, got, want)
		}
	}
	for _, s := range []string{"中文abc中文", "👍👍👍", "plain words", ""} {
		for n := range 12 {
			got := Trim(s, n)
			if EstimateTokens(got) > n || !strings.HasPrefix(s, got) {
				t.Errorf("Trim(%q, %d) = %q", s, n, got)
			}
			if rest := []rune(s[len(got):]); len(rest) > 0 && EstimateTokens(got+string(rest[0])) <= n {
				t.Errorf("Trim(%q, %d) = %q leaves room", s, n, got)
			}
		}
	}
}

func FuzzVector(f *testing.F) {
	for _, s := range []string{"[]", "[1]", "[ 0.25 , -1e-3,2E5 ]", "[null]", "[1,,2]", "[NaN]", "[0x1p-2]", "[1e400]", "[[1]]", "null", `["1"]`, "[1,", "[,]", "[1 2]", "[+1]", "[1_0]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want []float32
		var slow []*float32
		ok := json.Unmarshal(data, &want) == nil && json.Unmarshal(data, &slow) == nil && want != nil && !slices.Contains(slow, nil)
		var got vector
		err := json.Unmarshal(data, &got)
		if string(data) == "null" || !json.Valid(data) {
			return
		}
		if (err == nil) != ok && strings.TrimSpace(string(data)) != "null" {
			t.Fatalf("Unmarshal(%q) = %v, encoding/json ok = %v", data, err, ok)
		}
		if err == nil && !slices.Equal(got, want) {
			t.Errorf("Unmarshal(%q) = %v, want %v", data, got, want)
		}
		_ = new(vector).UnmarshalJSON(data) // must not panic on anything
	})
}

func BenchmarkDecodeVectors(b *testing.B) {
	dense := make([]float32, 1536)
	for i := range dense {
		dense[i] = float32(math.Sin(float64(i*i))) / 40
	}
	v, _ := json.Marshal(dense)
	row := fmt.Sprintf(`{"index":0,"embedding":%s}`, v)
	body := []byte(`{"data":[` + strings.Repeat(row+",", 24) + row + `]}`)
	b.SetBytes(int64(len(body)))
	b.Run("own", func(b *testing.B) {
		for b.Loop() {
			var r embedReply
			if err := json.Unmarshal(body, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			var r struct {
				Data []struct {
					Embedding []float32 `json:"embedding"`
				} `json:"data"`
			}
			if err := json.Unmarshal(body, &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestAKnownModelHasItsLengthAlsoBehindAGateway(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{Embedding: Endpoint{Provider: OpenAI, Model: "text-embedding-v2"}})
	if vs, _, err := c.Embed(t.Context(), words(1), EmbedOptions{}); err != nil || len(vs[0]) != 1536 {
		t.Fatal(len(vs), err)
	}
	s.Always(llmtest.Embed, llmtest.Act{Lie: llmtest.WrongDim})
	_, _, err := c.Embed(t.Context(), words(1), EmbedOptions{})
	wantErr(t, err, kb.Unavailable, ErrBadReply)
}
