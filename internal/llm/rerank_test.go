package llm

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm/llmtest"
)

func TestRerank(t *testing.T) {
	t.Parallel()
	docs := []string{"天气很好", "保修期为两年", "the warranty", "", "保修期"}
	for _, tt := range []struct {
		name, model, path string
	}{
		{"qwen3-rerank in the compatible form", "", "/compatible-api/v1/reranks"},
		{"gte-rerank-v2 in the native form", "gte-rerank-v2", "/api/v1/services/rerank/text-rerank/text-rerank"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := stand(t, Config{Rerank: Endpoint{Model: tt.model}})
			got, usage, err := c.Rerank(t.Context(), "保修期", docs, RerankOptions{Instruct: "find the answer"})
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range docs {
				if got[i] != llmtest.Score("保修期", d) {
					t.Errorf("score of %q = %v, want %v", d, got[i], llmtest.Score("保修期", d))
				}
			}
			r := s.Requests(llmtest.Rerank)
			if len(r) != 1 || r[0].Path != tt.path || !strings.Contains(string(r[0].Body), `"instruct":"find the answer"`) {
				t.Errorf("requests %+v", r)
			}
			if usage.Prompt == 0 || usage.Estimated {
				t.Errorf("usage %+v", usage)
			}
		})
	}
}

func TestRerankCutsIntoBatches(t *testing.T) {
	t.Parallel()
	s, c := stand(t, Config{})
	docs := make([]string, 40)
	for i := range docs {
		docs[i] = fmt.Sprintf("%d", i) + strings.Repeat("长文", 1000) // 2,000 tokens: 14 at once
	}
	docs[39] = strings.Repeat("太长的文字", 5000)
	got, _, err := c.Rerank(t.Context(), "39 长文", docs, RerankOptions{})
	if err != nil || len(got) != 40 {
		t.Fatalf("%d scores, %v", len(got), err)
	}
	if n := len(s.Requests(llmtest.Rerank)); n < 3 || n > 4 {
		t.Errorf("%d requests, want 3 or 4", n)
	}
	if got[39] == 0 || got[7] != llmtest.Score("39 长文", docs[7]) {
		t.Errorf("scores %v", got)
	}
	many := make([]string, 501)
	for i := range many {
		many[i] = "x"
	}
	if _, _, err := c.Rerank(t.Context(), "q", many, RerankOptions{}); err != nil {
		t.Errorf("501 documents: %v", err)
	}
	if got, _, err := c.Rerank(t.Context(), "q", nil, RerankOptions{}); err != nil || len(got) != 0 {
		t.Errorf("no documents: %v, %v", got, err)
	}
	_, _, err = c.Rerank(t.Context(), " ", docs, RerankOptions{})
	wantErr(t, err, kb.Invalid, nil)
}

func TestRerankIsNotLiedTo(t *testing.T) {
	t.Parallel()
	for _, lie := range []llmtest.Lie{llmtest.MissingScore, llmtest.IndexRange, llmtest.DoubleScore, llmtest.HugeScore} {
		s, c := stand(t, Config{})
		s.Always(llmtest.Rerank, llmtest.Act{Lie: lie})
		got, _, err := c.Rerank(t.Context(), "q", []string{"a", "b", "q"}, RerankOptions{})
		t.Log(lie)
		wantErr(t, err, kb.Unavailable, ErrBadReply)
		if got != nil {
			t.Errorf("%s: scores beside the error", lie)
		}
	}
}

func TestRerankElsewhere(t *testing.T) {
	t.Parallel()
	answer := ""
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Model     string
			Documents []string
			TopN      int `json:"top_n"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		if r.URL.Path != "/v1/rerank" || body.Model != "bge" || body.TopN != len(body.Documents) {
			t.Errorf("%s %+v", r.URL.Path, body)
		}
		fmt.Fprint(w, answer)
	}))
	defer web.Close()
	c, err := New(Config{Rerank: Endpoint{BaseURL: web.URL + "/v1", Model: "bge"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer = `{"results":[{"index":1,"relevance_score":0.75,"document":{"text":"b"}},{"index":0,"relevance_score":0.5}]}`
	got, _, err := c.Rerank(t.Context(), "q", []string{"a", "b"}, RerankOptions{})
	if err != nil || fmt.Sprint(got) != "[0.5 0.75]" {
		t.Errorf("Rerank = %v, %v", got, err)
	}
	answer = `{"data":[{"index":0,"score":-2},{"index":1,"score":3}]}` // logits
	got, _, err = c.Rerank(t.Context(), "q", []string{"a", "b"}, RerankOptions{})
	if err != nil || math.Abs(got[0]-0.1192) > 1e-4 || math.Abs(got[1]-0.9526) > 1e-4 {
		t.Errorf("Rerank = %v, %v", got, err)
	}
}
