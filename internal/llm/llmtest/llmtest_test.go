package llmtest

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// post sends a body and returns status and answer.
func post(t *testing.T, web *httptest.Server, path, key, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := web.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

const (
	chatPath  = "/compatible-mode/v1/chat/completions"
	embedPath = "/compatible-mode/v1/embeddings"
)

// Each row is a rule of the provider with the status and words of its answer.
func TestRules(t *testing.T) {
	t.Parallel()
	many := func(n int) string {
		b, _ := json.Marshal(strings.Split(strings.TrimSuffix(strings.Repeat("x,", n), ","), ","))
		return string(b)
	}
	hi := `"messages":[{"role":"user","content":"hi"}]`
	tests := []struct {
		name, path, key, body string
		status                int
		want                  string
	}{
		{"a key is needed", chatPath, "", `{}`, 401, `"code":"invalid_api_key"`},
		{"the right one", chatPath, "wrong", `{}`, 401, `"invalid_request_error"`},
		{"an unknown path", "/compatible-mode/v1/completions", "k", `{}`, 404, `"error"`},
		{"a body that is no JSON", chatPath, "k", `{`, 400, "Required body invalid"},
		{"an unknown model", chatPath, "k", `{"model":"gpt",` + hi + `}`, 404, "model_not_found"},
		{"no messages", chatPath, "k", `{"model":"qwen-plus","messages":[]}`, 400, "non-empty list"},
		{"an unknown role", chatPath, "k", `{"model":"qwen-plus","messages":[{"role":"boss","content":"x"}]}`, 400, "is not one of"},
		{"JSON mode without the word", chatPath, "k", `{"model":"qwen-plus","response_format":{"type":"json_object"},` + hi + `}`, 400, "must contain the word 'json'"},
		{"JSON mode with it", chatPath, "k", `{"model":"qwen-plus","response_format":{"type":"json_object"},"messages":[{"role":"user","content":"JSON!"}]}`, 200, `\"intent\"`},
		{"thinking without a stream", chatPath, "k", `{"model":"qwen-plus","enable_thinking":true,` + hi + `}`, 400, "enable_thinking must be set to false"},
		{"an open model thinks by default", chatPath, "k", `{"model":"qwen3-8b",` + hi + `}`, 400, "enable_thinking must be set to false"},
		{"unless told not to", chatPath, "k", `{"model":"qwen3-8b","enable_thinking":false,` + hi + `}`, 200, `"finish_reason":"stop"`},
		{"a prompt too long", chatPath, "k", `{"model":"qwen-max","messages":[{"role":"user","content":"` + strings.Repeat("长", 30_721) + `"}]}`, 400, "Range of input length should be [1, 30720]"},
		{"a wrong temperature", chatPath, "k", `{"model":"qwen-plus","temperature":2,` + hi + `}`, 400, "Temperature"},
		{"content in parts", chatPath, "k", `{"model":"qwen-plus","messages":[{"role":"user","content":[{"type":"text","text":"in parts"}]}]}`, 200, "in parts"},
		{"25 rows of v2", embedPath, "k", `{"model":"text-embedding-v2","input":` + many(25) + `}`, 200, `"index":24`},
		{"26 rows of v2", embedPath, "k", `{"model":"text-embedding-v2","input":` + many(26) + `}`, 400, "should not be larger than 25"},
		{"11 rows of v3", embedPath, "k", `{"model":"text-embedding-v3","input":` + many(11) + `}`, 400, "should not be larger than 10"},
		{"dimensions not on offer", embedPath, "k", `{"model":"text-embedding-v3","input":"x","dimensions":100}`, 400, "dimension is invalid"},
		{"an empty text", embedPath, "k", `{"model":"text-embedding-v3","input":[""]}`, 400, "Range of input length"},
		{"a text as base64", embedPath, "k", `{"model":"text-embedding-v4","input":"x","dimensions":64,"encoding_format":"base64"}`, 200, `"embedding":"`},
		{"reranks, compatible", "/compatible-api/v1/reranks", "k", `{"model":"qwen3-rerank","query":"q","documents":["a","q"],"top_n":1}`, 200, `"results":[{"index":1,"relevance_score":1}]`},
		{"reranks, native", nativeRerank, "k", `{"model":"gte-rerank-v2","input":{"query":"q","documents":["a","q"]},"parameters":{"top_n":1,"return_documents":true}}`, 200, `"document":{"text":"q"}`},
		{"reranks without documents", "/compatible-api/v1/reranks", "k", `{"model":"qwen3-rerank","query":"q","documents":[]}`, 400, "must not be empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(&Server{Key: "k"})
			defer web.Close()
			status, body := post(t, web, tt.path, tt.key, tt.body)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("%d %.500s, want %d with %q", status, body, tt.status, tt.want)
			}
		})
	}
}

func TestStreamFrames(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(&Server{})
	defer web.Close()
	_, body := post(t, web, chatPath, "k", `{"model":"qwen-plus","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"你好"}]}`)
	var kinds []string
	sc := bufio.NewScanner(strings.NewReader(body))
	for sc.Scan() {
		data, ok := strings.CutPrefix(sc.Text(), "data: ")
		if !ok {
			continue
		}
		var c struct {
			Choices []struct {
				Delta  struct{ Role, Content string }
				Finish *string `json:"finish_reason"`
			}
			Usage *struct {
				Total int `json:"total_tokens"`
			}
		}
		switch {
		case data == "[DONE]":
			kinds = append(kinds, "done")
		case json.Unmarshal([]byte(data), &c) != nil:
			t.Errorf("no JSON: %s", data)
		case len(c.Choices) == 0 && c.Usage != nil && c.Usage.Total > 0:
			kinds = append(kinds, "usage")
		case c.Choices[0].Finish != nil:
			kinds = append(kinds, "finish "+*c.Choices[0].Finish)
		case c.Choices[0].Delta.Role != "":
			kinds = append(kinds, "role")
		default:
			kinds = append(kinds, "text")
		}
	}
	if got, want := strings.Join(kinds, ", "), "role, text, text, text, finish stop, usage, done"; got != want {
		t.Errorf("frames %s, want %s", got, want)
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	context := "Answer from these passages. Begin with ANSWER or NONE.\n\n[1] 手册 › 保修\n保修期为两年。电池除外。\n\n[2] Shipping\nWe ship within three days. Returns are free.\n\n"
	tests := []struct{ name, user, want string }{
		{"in Chinese", context + "问题：保修期是几年？", "ANSWER 保修期为两年。 [1]"},
		{"in English", context + "Question: when do you ship?", "ANSWER We ship within three days. [2]"},
		{"without a mark, in the last paragraph", context + "are returns free", "ANSWER Returns are free. [2]"},
		{"not to be found", context + "Question: who painted Guernica", "NONE"},
		{"in tags", "<passage id=\"7\">The sky is green.</passage>\n\nQuestion: what colour is the sky?", "The sky is green. [7]"},
		{"not its heading", "[1] Warranty › How long the warranty lasts\nThe lamp is covered for two years of warranty.\n\nQuestion: How long is the warranty?", "The lamp is covered for two years of warranty. [1]"},
		{"without passages", "hello", "You said: hello"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Extract(Request{Messages: []Message{{"user", tt.user}}}); got != tt.want {
				t.Errorf("Extract = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnderstand(t *testing.T) {
	t.Parallel()
	schema := Message{"system", `Answer with JSON: {"intent": …, "question": …, "confidence": …}`}
	tests := []struct{ name, before, ask, want string }{
		{"a question", "", "保修期是几年？", `{"confidence":0.95,"intent":"knowledge","question":"保修期是几年？"}`},
		{"a follow-up", "保修期是几年？", "那价格呢", `{"confidence":0.95,"intent":"knowledge","question":"保修期是几年？ 那价格呢"}`},
		{"an order", "", "查询订单 #20251114001", `{"confidence":0.95,"intent":"order","question":"查询订单 #20251114001"}`},
		{"a human", "", "转人工", `{"confidence":0.95,"intent":"handoff","question":"转人工"}`},
		{"small talk", "", "你好", `{"confidence":0.95,"intent":"direct","question":"你好"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			msgs := []Message{schema}
			if tt.before != "" {
				msgs = append(msgs, Message{"user", tt.before}, Message{"assistant", "…"})
			}
			if got := Understand(Request{Messages: append(msgs, Message{"user", tt.ask})}); got != tt.want {
				t.Errorf("Understand = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUnderstandReadsTheLastMessageOfAConversation(t *testing.T) {
	t.Parallel()
	system := Message{"system", `{"route": "...", "confidence": 0.0, "question": "..."}`}
	for said, want := range map[string]string{
		"客户：转人工\n客服：已为您转接人工客服。\n客户：台灯保修多久？":                           `{"confidence":0.95,"question":"台灯保修多久？","route":"knowledge"}`,
		"客户：查询订单 20251114001\n客服：订单 20251114001\n客户：运费多少":             `{"confidence":0.95,"question":"运费多少","route":"knowledge"}`,
		"客户：台灯保修多久？\n客服：24 个月。\n客户：那价格呢":                              `{"confidence":0.95,"question":"台灯保修多久？ 那价格呢","route":"knowledge"}`,
		"Customer: a human please\nAssistant: …\nCustomer: how long?": `{"confidence":0.95,"question":"how long?","route":"knowledge"}`,
	} {
		if got := Understand(Request{Messages: []Message{system, {"user", said}}}); got != want {
			t.Errorf("Understand(%q) = %s, want %s", said, got, want)
		}
	}
}

func TestVectorsOfSimilarTextsAreSimilar(t *testing.T) {
	t.Parallel()
	dot := func(a, b string) float64 {
		x, y := Vector(a, 256), Vector(b, 256)
		sum := 0.0
		for i := range x {
			sum += float64(x[i]) * float64(y[i])
		}
		return sum
	}
	if s := dot("保修期是多久", "保修期是多久"); s < 0.999 {
		t.Errorf("a text and itself: %f", s)
	}
	near, far := dot("保修期是多久", "保修期为两年"), dot("保修期是多久", "今天下雨了吗")
	if near < far+0.2 {
		t.Errorf("similar %f, other %f", near, far)
	}
	near, far = dot("how do I return an item", "returning items"), dot("how do I return an item", "weather in Paris")
	if near < far+0.1 {
		t.Errorf("similar %f, other %f", near, far)
	}
	if dot("!?", "…") < 0.999 {
		t.Error("texts without letters have no vector")
	}
}
