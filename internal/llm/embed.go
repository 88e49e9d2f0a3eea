package llm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// EmbedOptions are the settings of one Embed; the zero value is the configured
// model, for a query someone waits for.
type EmbedOptions struct {
	Model      string // empty = the configured one
	Dimensions int    // 0 = the configured ones, or with another model its default
	Tenant     kb.TenantID
	Bulk       bool        // ingestion: others go first, minute limits are waited out
	Observe    func(Usage) // told of each batch
}

const unknownRows = 16 // texts per call for models without a known limit: small servers take this many

// embedRequest is the body of POST /embeddings.
type embedRequest struct {
	Model      string   `json:"model"`
	Input      []string `json:"input"`
	Dimensions int      `json:"dimensions,omitempty"`
	Format     string   `json:"encoding_format"`
}

type embedReply struct {
	Data []struct {
		Index  *int   `json:"index"`
		Vector vector `json:"embedding"`
	} `json:"data"`
}

// Embed returns one vector per text, in the same order, all of one length and
// L2-normalised. A text over the model's limit is embedded by its beginning.
// Batches have the model's size; those of one call run a few at a time and the
// first error ends them all. Empty texts are an Invalid error, answers that
// cannot be true (count, order, length, zeros) Unavailable with ErrBadReply.
func (c *Client) Embed(ctx context.Context, texts []string, o EmbedOptions) ([][]float32, Usage, error) {
	e := c.embedding
	if !e.on {
		return nil, Usage{}, notConfigured(OpEmbed)
	}
	j := c.embedJob(o)
	input := make([]string, len(texts))
	for i, t := range texts {
		if strings.TrimSpace(t) == "" {
			return nil, Usage{}, kb.E(kb.Invalid, nil, "texts[%d]: is empty", i).With("field", "texts")
		}
		input[i] = Trim(t, j.tokens)
	}
	j.texts, j.out = input, make([][]float32, len(texts))
	usage, err := inBatches(ctx, j.batches(span{0, len(texts)}), j.run)
	if err != nil {
		return nil, usage, err
	}
	for _, v := range j.out {
		if len(v) != len(j.out[0]) {
			return nil, usage, e.lied("vectors of %d and %d numbers", len(j.out[0]), len(v))
		}
	}
	return j.out, usage, nil
}

// embedJob is one Embed under way. Batches write disjoint parts of out.
type embedJob struct {
	c      *Client
	o      EmbedOptions
	model  string
	dim    int // 0 = as it comes
	send   int // the dimensions parameter, 0 = none
	tokens int // of a text
	texts  []string
	out    [][]float32
}

func (c *Client) embedJob(o EmbedOptions) *embedJob {
	j := &embedJob{c: c, o: o, model: or(o.Model, c.embedding.model), dim: o.Dimensions, tokens: 8192}
	if j.dim == 0 && j.model == c.embedding.model {
		j.dim = c.cfg.Dimensions
	}
	j.send = j.dim
	m, known := Lookup(j.model)
	if !known || m.Op != OpEmbed {
		return j
	}
	// Also behind a gateway: a known model that answers with another length is
	// not that model, and must not found a space of vectors of its own.
	j.dim = or(j.dim, m.Dimensions[0])
	if c.embedding.provider == DashScope {
		j.tokens, j.send = m.MaxInput, j.dim
		if m.Fixed {
			j.send = 0
		}
	}
	return j
}

// rows is the model's batch limit: learned, configured, known, or cautious.
func (j *embedJob) rows() int {
	if n, ok := j.c.rows.Load(j.model); ok {
		return n.(int)
	}
	if j.c.embedding.rows > 0 {
		return j.c.embedding.rows
	}
	if m, known := Lookup(j.model); known {
		return m.BatchRows
	}
	return unknownRows
}

func (j *embedJob) batches(s span) []span {
	var out []span
	for rows := j.rows(); s.from < s.to; s.from += rows {
		out = append(out, span{s.from, min(s.from+rows, s.to)})
	}
	return out
}

// run embeds one batch. A batch the provider finds too large is cut and tried
// again, and the limit remembered.
func (j *embedJob) run(ctx context.Context, b span) (Usage, error) {
	texts := j.texts[b.from:b.to]
	k := &call{
		op: OpEmbed, model: j.model, tenant: j.o.Tenant, bulk: j.o.Bulk, sink: j.o.Observe,
		retries: j.c.embedding.retries, maxBody: 64<<10 + int64(len(texts))*int64(or(j.dim, 8192))*32,
	} // a number is some 20 bytes
	for _, t := range texts {
		k.tokens += EstimateTokens(t)
	}
	var reply embedReply
	err := j.c.embedding.post(ctx, k, j.c.embedding.base.JoinPath("embeddings").String(),
		embedRequest{Model: j.model, Input: texts, Dimensions: j.send, Format: "float"}, &reply)
	if errors.Is(err, errOverBatch) && len(texts) > 1 {
		return j.smaller(ctx, b, err, k.spent())
	}
	if err != nil {
		return k.spent(), err
	}
	return k.spent(), j.place(b, &reply)
}

func (j *embedJob) smaller(ctx context.Context, b span, err error, spent Usage) (Usage, error) {
	rows := (b.to - b.from) / 2
	if ce, ok := errors.AsType[*CallError](err); ok {
		if m := batchLike().FindStringSubmatch(ce.Message); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil && n >= 1 && n < b.to-b.from {
				rows = n
			}
		}
	}
	j.c.rows.Store(j.model, rows)
	for _, part := range j.batches(b) {
		u, err := j.run(ctx, part)
		spent = spent.Add(u)
		if err != nil {
			return spent, err
		}
	}
	return spent, nil
}

// place checks a reply and puts its vectors where their index says.
func (j *embedJob) place(b span, reply *embedReply) error {
	e, n := j.c.embedding, b.to-b.from
	if len(reply.Data) != n {
		return e.lied("%d vectors for %d texts", len(reply.Data), n)
	}
	for at, d := range reply.Data {
		if (d.Index == nil) != (reply.Data[0].Index == nil) {
			return e.lied("an index for some vectors only")
		}
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= n || j.out[b.from+at] != nil {
			return e.lied("index %d of %d is out of range or comes twice", at, n)
		}
		if j.dim > 0 && len(d.Vector) != j.dim {
			return e.lied("a vector of %d numbers, not %d", len(d.Vector), j.dim)
		}
		if !normalise(d.Vector) {
			return e.lied("a vector without direction")
		}
		j.out[b.from+at] = d.Vector
	}
	return nil
}

// normalise makes v one long, and reports false if it has no direction.
func normalise(v []float32) bool {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if !(sum > 0) || math.IsInf(sum, 1) {
		return false
	}
	f := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * f)
	}
	return true
}

// vector is a JSON array of numbers. It decodes itself because encoding/json
// takes null for zero, and a vector with holes still has a length and a direction.
type vector []float32

// UnmarshalJSON takes numbers only.
func (v *vector) UnmarshalJSON(data []byte) error {
	inner, ok := bytes.CutPrefix(data, []byte("["))
	if !ok {
		return errors.New("an embedding is no array")
	}
	inner = bytes.TrimSpace(bytes.TrimSuffix(inner, []byte("]")))
	out := make([]float32, 0, bytes.Count(inner, []byte(","))+1)
	for len(inner) > 0 {
		num, rest, more := bytes.Cut(inner, []byte(","))
		x, err := strconv.ParseFloat(string(bytes.TrimSpace(num)), 32)
		if err != nil || !slices.Contains([]byte("-0123456789"), num[skip(num)]) {
			return fmt.Errorf("an embedding holds %.20q", num)
		}
		out = append(out, float32(x))
		if inner = rest; !more {
			break
		}
	}
	*v = out
	return nil
}

// skip is where num's first byte that is no space is, 0 if there is none.
func skip(num []byte) int {
	for i, c := range num {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return i
		}
	}
	return 0
}
