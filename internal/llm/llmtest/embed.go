package llmtest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
)

// Grams counts the character n-grams of s, lower case: one to three characters
// of CJK runs; words and three letters of others. Punctuation separates.
func Grams(s string) map[string]float64 {
	out := map[string]float64{}
	for _, run := range runs(s) {
		sizes := []int{3}
		if run[0] >= 0x2E80 {
			sizes = []int{1, 2, 3}
		} else {
			out[string(run)]++
		}
		for _, n := range sizes {
			for i := 0; i+n <= len(run); i++ {
				out[string(run[i:i+n])]++
			}
		}
	}
	return out
}

// runs cuts s into stretches of letters and digits of one kind, CJK or not.
func runs(s string) [][]rune {
	var out [][]rune
	var cur []rune
	for _, r := range strings.ToLower(s) {
		word := unicode.IsLetter(r) || unicode.IsDigit(r)
		if len(cur) > 0 && (!word || (cur[0] >= 0x2E80) != (r >= 0x2E80)) {
			out, cur = append(out, cur), nil
		}
		if word {
			cur = append(cur, r)
		}
	}
	if len(cur) > 0 {
		out = append(out, cur)
	}
	return out
}

// Vector is the embedding Server gives text: its grams hashed into dim signed
// buckets, of length one. Similar texts have similar vectors; a text without
// letters and digits gets a fixed one.
func Vector(text string, dim int) []float32 {
	v := make([]float64, dim)
	grams := Grams(text)
	for _, g := range slices.Sorted(maps.Keys(grams)) { // sorted: float sums depend on order
		h := fnv.New64a()
		_, _ = h.Write([]byte(g))
		sum := h.Sum64()
		w := math.Sqrt(grams[g])
		if sum>>63 == 1 {
			w = -w
		}
		v[sum%uint64(dim)] += w
	}
	norm := 0.0
	for _, x := range v {
		norm += x * x
	}
	if norm == 0 {
		v[0], norm = 1, 1
	}
	out := make([]float32, dim)
	for i, x := range v {
		out[i] = float32(x / math.Sqrt(norm))
	}
	return out
}

// Score is the relevance Server gives a document, 0 to 1.
func Score(query, doc string) float64 {
	return math.Round(overlap(Grams(query), Grams(doc))*1e6) / 1e6
}

func (s *Server) embed(w http.ResponseWriter, r *http.Request, req Request, act Act) {
	m, known := findEmbed(req.Model)
	if !known {
		writeError(w, noModel(req.Model))
		return
	}
	dim := m.dims[0]
	if d, ok := req.Fields["dimensions"].(float64); ok {
		dim = int(d)
		if !slices.Contains(m.dims, dim) {
			writeError(w, invalid(fmt.Sprintf("<400> InternalError.Algo.InvalidParameter: Value error, dimension is invalid, should be in %v: parameters.dimension", m.dims)))
			return
		}
	}
	if bad := checkInputs(m, req.Inputs); bad != nil {
		writeError(w, bad)
		return
	}
	base64Form := req.Fields["encoding_format"] == "base64"
	var items []json.RawMessage
	total := 0
	for i, text := range req.Inputs {
		total += tokens(text)
		items = append(items, item(i, Vector(text, dim), base64Form))
	}
	items = act.lieEmbed(items, req.Inputs, dim)
	var body bytes.Buffer
	fmt.Fprintf(&body, `{"data":[%s],"model":%q,"object":"list","usage":{"prompt_tokens":%d,"total_tokens":%d},"id":%q}`,
		bytes.Join(toBytes(items), []byte(",")), req.Model, total, total, requestID)
	s.whole(w, r, act, body.Bytes())
}

func checkInputs(m embedModel, inputs []string) *apiError {
	if len(inputs) == 0 {
		return invalid("<400> InternalError.Algo.InvalidParameter: Value error, contents is neither str nor list of str.: input.contents")
	}
	if len(inputs) > m.rows {
		return overBatch(strconv.Itoa(m.rows))
	}
	for _, t := range inputs {
		n := tokens(t)
		if t == "" || n > m.toks {
			return invalid(fmt.Sprintf("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, %d]", m.toks))
		}
	}
	return nil
}

func item(index int, v []float32, base64Form bool) json.RawMessage {
	var enc []byte
	if base64Form {
		raw := make([]byte, 0, 4*len(v))
		for _, x := range v {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		enc, _ = json.Marshal(base64.StdEncoding.EncodeToString(raw))
	} else {
		enc, _ = json.Marshal(v)
	}
	return fmt.Appendf(nil, `{"embedding":%s,"index":%d,"object":"embedding"}`, enc, index)
}

func (a Act) lieEmbed(items []json.RawMessage, texts []string, dim int) []json.RawMessage {
	last := len(items) - 1
	switch a.Lie {
	case TooFew:
		return items[:last]
	case TooMany:
		return append(items, item(last+1, Vector("one more", dim), false))
	case Shuffled:
		slices.Reverse(items)
	case SameIndex:
		items[last] = item(0, Vector(texts[last], dim), false)
	case WrongDim:
		items[last] = item(last, Vector(texts[last], dim/2), false)
	case ZeroVector:
		items[last] = item(last, make([]float32, dim), false)
	case NotANumber:
		items[last] = fmt.Appendf(nil, `{"embedding":[null%s],"index":%d,"object":"embedding"}`, strings.Repeat(",0.1", dim-1), last)
	}
	return items
}

func toBytes(items []json.RawMessage) [][]byte {
	out := make([][]byte, len(items))
	for i, it := range items {
		out[i] = it
	}
	return out
}

type scored struct {
	Index    int            `json:"index"`
	Score    float64        `json:"relevance_score"`
	Document map[string]any `json:"document,omitempty"`
}

// limits of reranks: facts §4.
const (
	rerankDocs  = 500
	rerankTotal = 120_000 // tokens: query × documents + documents
)

func (s *Server) rerank(w http.ResponseWriter, r *http.Request, req Request, act Act) {
	if !slices.Contains(rerankModels(), req.Model) {
		writeError(w, noModel(req.Model))
		return
	}
	native := r.URL.Path == nativeRerank
	params := req.Fields
	if native {
		params, _ = req.Fields["parameters"].(map[string]any)
	} else if req.Model == "gte-rerank-v2" {
		writeError(w, noModel(req.Model)) // the compatible interface knows qwen3-rerank only
		return
	}
	q := tokens(req.Query)
	total := 0
	for _, d := range req.Inputs {
		total += q + tokens(d)
	}
	switch {
	case req.Query == "" || len(req.Inputs) == 0:
		writeError(w, invalid("<400> InternalError.Algo.InvalidParameter: input.query and input.documents must not be empty"))
		return
	case len(req.Inputs) > rerankDocs:
		writeError(w, invalid(fmt.Sprintf("<400> InternalError.Algo.InvalidParameter: documents should not be more than %d", rerankDocs)))
		return
	case total > rerankTotal:
		writeError(w, invalid(fmt.Sprintf("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, %d]", rerankTotal)))
		return
	}
	results := rank(req, params)
	results = act.lieRerank(results, len(req.Inputs))
	list, _ := json.Marshal(results)
	body := fmt.Sprintf(`{"object":"list","results":%s,"model":%q,"usage":{"total_tokens":%d},"id":%q}`, list, req.Model, total, requestID)
	if native {
		body = fmt.Sprintf(`{"output":{"results":%s},"usage":{"total_tokens":%d},"request_id":%q}`, list, total, requestID)
	}
	s.whole(w, r, act, []byte(body))
}

// rank scores the documents, best first, and keeps top_n.
func rank(req Request, params map[string]any) []scored {
	out := make([]scored, len(req.Inputs))
	for i, d := range req.Inputs {
		out[i] = scored{Index: i, Score: Score(req.Query, d)}
		if params["return_documents"] == true {
			out[i].Document = map[string]any{"text": d}
		}
	}
	sort.SliceStable(out, func(a, b int) bool { return out[a].Score > out[b].Score })
	if n, ok := params["top_n"].(float64); ok && int(n) < len(out) && n >= 1 {
		out = out[:int(n)]
	}
	return out
}

func (a Act) lieRerank(results []scored, docs int) []scored {
	last := len(results) - 1
	switch a.Lie {
	case MissingScore:
		return results[:last]
	case IndexRange:
		results[last].Index = docs
	case DoubleScore:
		results[last].Index = results[0].Index
	case HugeScore:
		results[0].Score = 17.5
	}
	return results
}
