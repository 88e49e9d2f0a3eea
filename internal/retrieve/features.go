package retrieve

import (
	"math"
	"math/bits"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

// passage is a candidate chunk and which terms of the question it holds. A
// query has at most 64 terms, so a set of them is a word.
type passage struct {
	chunk   kb.Chunk
	bm25    float32
	cosine  float32
	fused   float32 // of both arms, 0 to 1
	score   float32 // of the reranker
	x       [pFeatures]float32
	text    uint64 // terms in the text
	title   uint64 // terms in title and heading path
	matches []lexical.Match
	spans   []chunk.Span
	from    int // of its sentences in scored
	to      int
}

// sentence is a candidate quote.
type sentence struct {
	passage int
	chunk.Span
	terms uint64
	cues  cues
	x     [features]float32
	score float32
}

// Features of a sentence. Every one is free of scale, so that weights learned
// on one collection serve another.
const (
	fCover     = iota // idf-weighted share of the question's terms
	fLocal            // the same, weighted by how few of the candidates have the term
	fNear             // the same, weighted by nearness to the asking phrase
	fPrev             // share the sentence before adds
	fNext             // share the sentence after adds
	fTitle            // share title and heading add
	fPassage          // BM25 of the passage, of the best passage's
	fFirst            // in the best passage
	fSecond           // in the second best
	fPassCover        // share of the passage with title
	fCommon           // longest common substring, of the question's length
	fLength           // log of the length in characters
	fShort            // fewer than eight characters
	fHead             // first sentence of the document
	fNew              // share of characters that the question does not have
	fAsks             // is itself a question
	fBest             // holds the most of its passage by fLocal
	fDense            // fCover over length
	fPronoun          // begins with 其, 该, it … after a sentence that covers
	fAfter            // holds what follows the asking phrase
	fTime             // kind of the question and of the sentence agree
	fQuantity
	fPlace
	fPerson
	fReason
	fMethod
	fList
	fThing
	fUnit   // 多少公里: a number before 公里
	fNoTime // kind asked for, but nothing of it there
	fNoNumber
	fFocus   // fLocal over the terms that title and heading do not have
	fPairs   // neighbours in the question that are neighbours here
	fClause  // best share within one clause
	fRelated // words for the relation asked about
	fDefines // asked what something is: begins with it and says so
	fDefHead // asked what something is: first sentence of the document
	fStart   // begins with a term of the question
	fRare    // has the term that fewest candidates have
	fAgree   // kind agrees, by the share near the asking phrase
	fNoun    // a character of what follows the asking phrase ends a new word
	fStrong  // fLocal over pairs and words, without single characters
	fRuns    // common substrings, long ones counting more
	fStrongC // fCover over pairs and words
	fPeople  // asked for a person, and there is what looks like a new name
	fForeign // asked for a person or a place: a new name written by sound
	features
)

// weigher holds the weights of the terms of one question.
type weigher struct {
	w, near       []float32
	total, nearby float32
	strong        uint64 // pairs and words
}

func (q *question) weigher(terms []lexical.TermStat, docs int) weigher {
	g := weigher{w: make([]float32, len(terms)), near: make([]float32, len(terms))}
	for i, t := range terms {
		strong := len(t.Key) > 4 || t.Key[0] < utf8.RuneSelf
		if strong {
			g.strong |= 1 << i
		}
		g.w[i] = expectedIDF(docs, t.DF, strong) * t.Weight
		g.near[i] = g.w[i] * q.near[i]
		g.total += g.w[i]
		g.nearby += g.near[i]
	}
	return g
}

// What is expected of a term before the knowledge base is counted: it stands
// for priorDocs chunks, of which a single character is in one of 20 and a pair
// or word in one of 2,000 (both about the medians over the terms of questions
// of cmrc2018-trial). In a small knowledge base a character that is there by
// chance would else weigh as much as a name that is missing.
const (
	priorDocs   = 1000
	priorSingle = priorDocs / 20
	priorStrong = priorDocs / 2000.0
)

func expectedIDF(docs, df int, strong bool) float32 {
	prior := float64(priorSingle)
	if strong {
		prior = priorStrong
	}
	n, d := float64(docs)+priorDocs, float64(df)+prior
	return float32(math.Log1p((n - d + 0.5) / (d + 0.5)))
}

func sum(w []float32, set uint64) float32 {
	var s float32
	for ; set != 0; set &= set - 1 {
		s += w[bits.TrailingZeros64(set)]
	}
	return s
}

func share(part, of float32) float32 {
	if of <= 0 {
		return 0
	}
	return part / of
}

// candidates cuts the passages into sentences and fills their features.
func (q *question) candidates(ps []passage, g weigher) []sentence {
	var out []sentence
	for i := range ps {
		p := &ps[i]
		p.from = len(out)
		next := 0
		for _, sp := range p.spans {
			s := sentence{passage: i, Span: sp}
			for next < len(p.matches) && int(p.matches[next].End) <= sp.End {
				if int(p.matches[next].Start) >= sp.Start {
					s.terms |= 1 << p.matches[next].Term
				}
				next++
			}
			out = append(out, s)
		}
		p.to = len(out)
	}
	local := localWeights(out, g.w)
	var localTotal float32
	var pool uint64
	for i := range out {
		pool |= out[i].terms
	}
	localTotal = sum(local, pool)
	rare := heaviest(local, pool)
	strongTotal, strongAll := sum(local, pool&g.strong), sum(g.w, g.strong)
	var runes []rune
	for i := range out {
		s, p := &out[i], &ps[out[i].passage]
		text := p.chunk.Text[s.Start:s.End]
		runes = foldRunes(text, runes[:0])
		q.fill(s, p, out, i, g, runes)
		s.x[fLocal] = share(sum(local, s.terms), localTotal)
		s.x[fFocus] = share(sum(local, s.terms&^p.title), sum(local, pool&^p.title))
		s.x[fStrong] = share(sum(local, s.terms&g.strong), strongTotal)
		s.x[fStrongC] = share(sum(g.w, s.terms&g.strong), strongAll)
		s.x[fRare] = flag(s.terms&rare != 0)
		s.x[fPassage] = share(p.bm25, ps[0].bm25)
	}
	for _, p := range ps {
		best := -1
		for i := p.from; i < p.to; i++ {
			if best < 0 || out[i].x[fLocal] > out[best].x[fLocal] {
				best = i
			}
		}
		if best >= 0 {
			out[best].x[fBest] = 1
		}
	}
	return out
}

// localWeights weighs each term by how few of the candidate sentences have it:
// the topic is in all of them and tells nothing.
func localWeights(all []sentence, w []float32) []float32 {
	count := make([]int, len(w))
	for i := range all {
		for set := all[i].terms; set != 0; set &= set - 1 {
			count[bits.TrailingZeros64(set)]++
		}
	}
	local := make([]float32, len(w))
	for t, n := range count {
		if n > 0 {
			local[t] = w[t] * float32(math.Log(float64(len(all)+1)/(float64(n)+0.5)))
		}
	}
	return local
}

func (q *question) fill(s *sentence, p *passage, all []sentence, i int, g weigher, runes []rune) {
	x := &s.x
	cover := share(sum(g.w, s.terms), g.total)
	x[fCover] = cover
	x[fNear] = share(sum(g.near, s.terms), g.nearby)
	if i > p.from {
		x[fPrev] = share(sum(g.w, all[i-1].terms&^s.terms), g.total)
	}
	if i+1 < p.to {
		x[fNext] = share(sum(g.w, all[i+1].terms&^s.terms), g.total)
	}
	x[fTitle] = share(sum(g.w, p.title&^s.terms), g.total)
	switch s.passage {
	case 0:
		x[fFirst] = 1
	case 1:
		x[fSecond] = 1
	}
	x[fPassCover] = share(sum(g.w, p.text|p.title), g.total)
	if s.terms != 0 {
		n := float32(max(len(q.runes), 1))
		longest, runs := commonSubstring(q.runes, runes)
		x[fCommon] = float32(longest) / n
		x[fRuns] = runs / n
	}
	x[fLength] = float32(math.Log(float64(1 + len(runes))))
	own := within(p.matches, s.Span)
	x[fPairs] = share(g.pairs(own), g.total)
	x[fClause] = share(bestClause(p.chunk.Text, s.Span, own, g.w), g.total)
	if q.asked != 0 {
		x[fRelated] = answersRelation(q.asked, string(runes))
	}
	starts := len(own) > 0 && int(own[0].Start)-s.Start <= 6
	x[fStart] = flag(starts)
	if q.define {
		x[fDefines] = flag(starts && says(string(runes)))
		x[fDefHead] = flag(p.chunk.Ordinal == 0 && i == p.from)
	}
	x[fShort] = flag(len(runes) < 8)
	x[fHead] = flag(p.chunk.Ordinal == 0 && i == p.from)
	x[fNew] = novelty(p, s, len(runes))
	x[fDense] = cover / (0.5 + float32(len(runes))/80)
	s.cues = look(runes, q.Text)
	c := s.cues
	x[fAsks] = flag(c.asks)
	x[fPronoun] = flag(c.pronoun) * x[fPrev]
	if q.after != "" {
		x[fAfter] = flag(containsRunes(runes, q.after))
		x[fNoun] = flag(newNoun(runes, q.after, q.Text))
	}
	x[fNoTime] = flag(q.kind == Time && c.times == 0)
	x[fNoNumber] = flag(q.kind == Quantity && c.numbers == 0)
	x[fUnit] = flag(q.kind == Quantity && q.after != "" && unitAfterNumber(runes, q.after))
	x[fTime] = flag(q.kind == Time) * level(c.times)
	x[fQuantity] = flag(q.kind == Quantity) * level(c.numbers)
	x[fPlace] = flag(q.kind == Place) * level(c.places)
	x[fPerson] = flag(q.kind == Person) * level(c.persons)
	x[fPeople] = flag(q.kind == Person) * level(c.people)
	x[fForeign] = flag(q.kind == Person || q.kind == Place) * level(c.foreign)
	x[fReason] = flag(q.kind == Reason) * level(c.reasons)
	x[fMethod] = flag(q.kind == Method) * level(c.methods)
	x[fList] = flag(q.kind == List) * level(c.lists)
	x[fThing] = flag(q.kind == Thing) * level(c.names)
	for f := fTime; f <= fThing; f++ {
		x[fAgree] += x[f] * x[fNear]
	}
}

// within returns the matches inside a sentence.
func within(ms []lexical.Match, sp chunk.Span) []lexical.Match {
	from := sort.Search(len(ms), func(i int) bool { return int(ms[i].End) > sp.Start })
	to := from
	for to < len(ms) && int(ms[to].End) <= sp.End {
		to++
	}
	return ms[from:to]
}

// bestClause returns the largest weight of distinct terms in one clause.
func bestClause(text string, sp chunk.Span, ms []lexical.Match, w []float32) float32 {
	var best float32
	for i := 0; i < len(ms); {
		end := sp.End
		if k := strings.IndexAny(text[ms[i].End:sp.End], ",，;；:："); k >= 0 {
			end = int(ms[i].End) + k
		}
		var set uint64
		for ; i < len(ms) && int(ms[i].Start) < end; i++ {
			set |= 1 << ms[i].Term
		}
		best = max(best, sum(w, set))
	}
	return best
}

// says reports a sentence that defines: X 是 …, X is ….
func says(s string) bool {
	for _, w := range [...]string{"是", "指", "为", " is ", " are ", " means ", " refers "} {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// heaviest returns the set of the one term of pool that weighs most.
func heaviest(w []float32, pool uint64) uint64 {
	best, at := float32(0), uint64(0)
	for set := pool; set != 0; set &= set - 1 {
		if i := bits.TrailingZeros64(set); w[i] > best {
			best, at = w[i], 1<<i
		}
	}
	return at
}

// level grows with a count, slowly.
func level(n int) float32 {
	return 1 - 1/float32(1+n)
}

func flag(b bool) float32 {
	if b {
		return 1
	}
	return 0
}

// novelty is the share of the sentence that no term of the question covers.
func novelty(p *passage, s *sentence, length int) float32 {
	covered, end := 0, int32(s.Start)
	for _, m := range p.matches {
		if int(m.Start) < s.Start || int(m.End) > s.End || m.End <= end {
			continue
		}
		from := max(m.Start, end)
		covered += utf8.RuneCountInString(p.chunk.Text[from:m.End])
		end = m.End
	}
	return 1 - float32(covered)/float32(max(length, 1))
}

func foldRunes(s string, to []rune) []rune {
	for _, r := range s {
		to = append(to, lexical.FoldRune(r))
	}
	return to
}

// commonSubstring returns the length of the longest run of runes in both, and
// a sum over the runes of a that lie in a common run: n−1 of n for a run of n.
func commonSubstring(a, b []rune) (longest int, runs float32) {
	if len(a) > 200 {
		a = a[:200]
	}
	row := make([]int16, len(a)+1)
	ends := make([]int16, len(a)+1) // by place in a: the longest common run that ends there
	best := int16(0)
	for _, r := range b {
		diag := int16(0)
		for j, c := range a {
			was := row[j+1]
			if c == r {
				row[j+1] = diag + 1
				ends[j+1] = max(ends[j+1], diag+1)
				best = max(best, diag+1)
			} else {
				row[j+1] = 0
			}
			diag = was
		}
	}
	for j := len(a); j > 0; {
		n := ends[j]
		if n > 1 {
			runs += float32(n) - 1
			j -= int(n)
			continue
		}
		j--
	}
	return int(best), runs
}

func containsRunes(runes []rune, s string) bool {
	first, n := utf8.DecodeRuneInString(s)
	for i, r := range runes {
		if r == first && hasRunes(runes[i+1:], s[n:]) {
			return true
		}
	}
	return false
}

// hasRunes reports whether runes begin with s.
func hasRunes(runes []rune, s string) bool {
	for _, r := range s {
		if len(runes) == 0 || runes[0] != r {
			return false
		}
		runes = runes[1:]
	}
	return true
}
