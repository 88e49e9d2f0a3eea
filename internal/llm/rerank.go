package llm

import (
	"context"
	"math"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// RerankOptions are the settings of one Rerank; the zero value is the
// configured model.
type RerankOptions struct {
	Model    string // empty = the configured one
	Instruct string // what is searched for, for models that take it
	Tenant   kb.TenantID
	Observe  func(Usage) // told of each batch
}

// Bodies of the two forms: facts/dependencies.md §4.
type rerankFields struct {
	Query     string   `json:"query"`
	Documents []string `json:"documents"`
}

type rerankParams struct {
	TopN     int    `json:"top_n"`
	Instruct string `json:"instruct,omitempty"`
}

type rerankFlat struct {
	Model string `json:"model"`
	rerankFields
	rerankParams
}

type rerankNative struct {
	Model  string       `json:"model"`
	Input  rerankFields `json:"input"`
	Params rerankParams `json:"parameters"`
}

type rerankReply struct {
	Results []rerankResult `json:"results"`
	Data    []rerankResult `json:"data"` // as some servers name it
	Output  struct {
		Results []rerankResult `json:"results"`
	} `json:"output"` // native
}

type rerankResult struct {
	Index *int     `json:"index"`
	Score *float64 `json:"relevance_score"`
	Other *float64 `json:"score"`
}

// Rerank returns how well each document answers the query, 0 to 1, in the
// order of docs. Texts over the model's limit are judged by their beginning. A
// score that is missing, double or of another document is Unavailable with
// ErrBadReply. Servers that answer with logits have them squashed.
func (c *Client) Rerank(ctx context.Context, query string, docs []string, o RerankOptions) ([]float64, Usage, error) {
	e := c.rerank
	if !e.on {
		return nil, Usage{}, notConfigured(OpRerank)
	}
	if strings.TrimSpace(query) == "" {
		return nil, Usage{}, kb.E(kb.Invalid, nil, "query: is empty").With("field", "query")
	}
	j := c.rerankJob(query, docs, o)
	usage, err := inBatches(ctx, j.batches(), j.run)
	if err != nil {
		return nil, usage, err
	}
	if j.outside() {
		if e.provider == DashScope {
			return nil, usage, e.lied("a score that is not between 0 and 1")
		}
		for i, s := range j.scores {
			j.scores[i] = 1 / (1 + math.Exp(-s))
		}
	}
	return j.scores, usage, nil
}

// rerankJob is one Rerank under way. Batches write disjoint parts of scores.
type rerankJob struct {
	c       *Client
	o       RerankOptions
	model   Model
	query   string
	queryTo int // tokens of query
	docs    []string
	scores  []float64
}

func (c *Client) rerankJob(query string, docs []string, o RerankOptions) *rerankJob {
	m, known := Lookup(or(o.Model, c.rerank.model))
	if !known || m.Op != OpRerank {
		m = Model{ID: or(o.Model, c.rerank.model), MaxInput: 4_000, BatchRows: 100, BatchSize: 30_000} // as qwen3-rerank, by fewer
	}
	j := &rerankJob{c: c, o: o, model: m, query: Trim(query, m.MaxInput/4), scores: make([]float64, len(docs))}
	j.queryTo = EstimateTokens(j.query)
	j.docs = make([]string, len(docs))
	for i, d := range docs {
		j.docs[i] = or(Trim(d, m.MaxInput-j.queryTo), " ") // an empty document is refused, and is relevant to nothing
	}
	return j
}

// batches cuts the documents by number and by tokens; the provider counts the
// query once for each document.
func (j *rerankJob) batches() []span {
	var out []span
	from, size := 0, 0
	for i, d := range j.docs {
		n := j.queryTo + EstimateTokens(d)
		if i > from && (i-from >= j.model.BatchRows || size+n > j.model.BatchSize) {
			out, from, size = append(out, span{from, i}), i, 0
		}
		size += n
	}
	if from < len(j.docs) {
		out = append(out, span{from, len(j.docs)})
	}
	return out
}

func (j *rerankJob) run(ctx context.Context, b span) (Usage, error) {
	e := j.c.rerank
	docs := j.docs[b.from:b.to]
	k := &call{
		op: OpRerank, model: j.model.ID, tenant: j.o.Tenant, sink: j.o.Observe, retries: e.retries,
		maxBody: 1 << 20,
	} // 500 results of some 60 bytes, with room for documents sent back
	size := int64(0)
	for _, d := range docs {
		k.tokens += j.queryTo + EstimateTokens(d)
		size += int64(len(d))
	}
	k.maxBody += 6 * size // escaped
	fields, params := rerankFields{j.query, docs}, rerankParams{len(docs), j.o.Instruct}
	address, native := e.rerankURL(j.model.ID)
	var in any = rerankFlat{j.model.ID, fields, params}
	if native {
		in = rerankNative{j.model.ID, fields, params}
	}
	var reply rerankReply
	if err := e.post(ctx, k, address, in, &reply); err != nil {
		return k.spent(), err
	}
	results := reply.Results
	for _, other := range [][]rerankResult{reply.Output.Results, reply.Data} {
		if results == nil {
			results = other
		}
	}
	return k.spent(), j.place(b, results)
}

// place checks a reply and puts its scores where their index says.
func (j *rerankJob) place(b span, results []rerankResult) error {
	e, n := j.c.rerank, b.to-b.from
	if len(results) != n {
		return e.lied("%d scores for %d documents", len(results), n)
	}
	seen := make([]bool, n)
	for _, r := range results {
		score := r.Score
		if score == nil {
			score = r.Other
		}
		if r.Index == nil || score == nil || *r.Index < 0 || *r.Index >= n || seen[*r.Index] {
			return e.lied("a score without a document of its own")
		}
		seen[*r.Index] = true
		j.scores[b.from+*r.Index] = *score
	}
	return nil
}

func (j *rerankJob) outside() bool {
	for _, s := range j.scores {
		if s < 0 || s > 1 {
			return true
		}
	}
	return false
}
