package retrieve

import (
	"cmp"
	"slices"
	"strings"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Features of a passage in the reranker, all free of scale.
const (
	pFused  = iota // both arms, of the best candidate's
	pCover         // share of the question's terms in text and title
	pWindow        // most of them within windowBytes
	pOthers        // share that other chunks of its document add
	pPairs         // neighbours in the question that are neighbours here
	pTitle         // share in title and heading path
	pDeep          // what BM25 gains where words said again count for more, each of the best candidate's
	pFeatures
)

// windowBytes is about a sentence: 60 Chinese characters, 30 English words.
const windowBytes = 180

// rerankWeights were set by hand on cmrc2018-trial and on headings of product
// documentation as questions for their sections (docs/quality.md), where the
// deep BM25, the window, the pairs, the title and the other chunks each help.
var rerankWeights = [pFeatures]float32{pFused: 1, pDeep: 0.5, pWindow: 0.2, pOthers: 0.2, pPairs: 0.6, pTitle: 0.1}

// Constants of the deep BM25. The index saturates at 1.2 like FTS5; a word of a
// language with spaces that is said again and again tells more than that (of 1.5
// and 3 the better on the documentation), a Han character or pair does not.
const (
	deepWords = 3
	deepHan   = 1.2
	deepB     = 0.75 // the usual, as in the index
)

// deep is the deep BM25 of a passage, avg the mean length of the candidates.
func (g *weigher) deep(p *passage, avg float32) float32 {
	var tf [64]float32
	for _, m := range p.matches {
		tf[m.Term]++
	}
	norm := 1 - deepB + deepB*float32(len(p.chunk.Text))/avg
	var s float32
	for i, w := range g.w {
		n := tf[i]
		if p.title>>i&1 == 1 {
			n++
		}
		k := float32(deepWords)
		if g.han>>i&1 == 1 {
			k = deepHan
		}
		s += w * n * (1 + k) / (n + k*norm)
	}
	return s
}

// rerank orders the passages.
func (t *Trace) rerank() {
	docs := map[kb.DocumentID]uint64{}
	size := 0
	for _, p := range t.passages {
		docs[p.chunk.Document] |= p.text | p.title
		size += len(p.chunk.Text)
	}
	g, top := t.weigher, t.passages[0].fused
	avg, best, bm25 := max(1, float32(size)/float32(len(t.passages))), float32(0), float32(0)
	for i := range t.passages {
		p := &t.passages[i]
		p.x[pDeep] = g.deep(p, avg)
		best, bm25 = max(best, p.x[pDeep]), max(bm25, p.bm25)
	}
	for i := range t.passages {
		p := &t.passages[i]
		p.x[pDeep] = share(p.x[pDeep], best) - share(p.bm25, bm25)
		own := p.text | p.title
		p.x[pFused] = share(p.fused, top)
		p.x[pCover] = share(sum(g.w, own), g.total)
		p.x[pWindow] = share(window(p.matches, g.w), g.total)
		p.x[pOthers] = share(sum(g.w, docs[p.chunk.Document]&^own), g.total)
		p.x[pPairs] = share(g.pairs(p.matches), g.total)
		p.x[pTitle] = share(sum(g.w, p.title), g.total)
		p.score = dot(rerankWeights[:], p.x[:])
		// The rest is about words too: the vectors keep their part.
		p.score -= t.dense * (p.score - p.x[pFused])
	}
	t.sort()
}

// sort puts the best passages first; equal ones stay as they are.
func (t *Trace) sort() {
	order := make([]int, len(t.passages)) // a passage is large: each moves once
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.passages[b].score, t.passages[a].score) })
	sorted := slices.Grow(t.room.sorted[:0], len(order))
	for _, from := range order {
		sorted = append(sorted, t.passages[from])
	}
	t.room.passages, t.room.sorted = sorted, t.passages
	t.passages = sorted
}

// window returns the largest weight of distinct terms within windowBytes.
func window(ms []lexical.Match, w []float32) float32 {
	var count [64]int
	var best, cur float32
	from := 0
	for _, m := range ms {
		if count[m.Term]++; count[m.Term] == 1 {
			cur += w[m.Term]
		}
		for ms[from].Start+windowBytes < m.End {
			if f := ms[from].Term; count[f] == 1 {
				cur -= w[f]
				count[f] = 0
			} else {
				count[f]--
			}
			from++
		}
		best = max(best, cur)
	}
	return best
}

// pairs sums, over terms that follow each other in the question, how close
// they come in the text; the pair weighs what its lighter term does.
func (g *weigher) pairs(ms []lexical.Match) float32 {
	var last [64]int32 // end of the latest occurrence, +1
	var close [64]float32
	for _, m := range ms {
		last[m.Term] = m.End + 1
		for _, o := range [2]int32{m.Term - 1, m.Term + 1} {
			if o < 0 || int(o) >= len(g.w) || last[o] == 0 {
				continue
			}
			gap := max(0, m.Start+1-last[o])
			near := 1 / (1 + float32(gap)/8)
			i := min(o, m.Term)
			close[i] = max(close[i], near)
		}
	}
	var s float32
	for i := 0; i+1 < len(g.w); i++ {
		s += close[i] * min(g.w[i], g.w[i+1])
	}
	return s
}

// maxJoined bounds a sentence that is joined at semicolons, in bytes: about 200
// Chinese characters.
const maxJoined = 600

// quotable returns the sentences of text with clauses that end in a semicolon
// joined to what follows them on the line: half a sentence is no answer (DRCD
// sentence@1 .838 → .845).
func quotable(text string) []chunk.Span {
	all := chunk.Sentences(text)
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 {
			last := &out[n-1]
			before := strings.TrimRight(text[last.Start:last.End], "）)」』”’\"' ")
			if (strings.HasSuffix(before, "；") || strings.HasSuffix(before, ";")) && s.End-last.Start <= maxJoined &&
				!strings.Contains(text[last.End:s.Start], "\n") {
				last.End = s.End
				continue
			}
		}
		out = append(out, s)
	}
	return out
}
