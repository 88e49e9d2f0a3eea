package retrieve

import (
	"math"
	"math/bits"
	"slices"
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
	titled  bool // the question names its title
	from    int  // of its sentences in scored
	to      int
}

// sentence is a candidate quote.
type sentence struct {
	passage int
	chunk.Span
	terms   uint64
	related relationSet // of the question's, that it has a word of
	cues    cues
	x       [features]float32
	score   float32
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
	fFocus      // fLocal over the terms that title and heading do not have
	fPairs      // neighbours in the question that are neighbours here
	fClause     // best share within one clause
	fRelated    // words for the relation asked about
	fDefines    // asked what something is: begins with it and says so
	fDefHead    // asked what something is: first sentence of the document
	fStart      // begins with a term of the question
	fRare       // has the term that fewest candidates have
	fAgree      // kind agrees, by the share near the asking phrase
	fNoun       // a character of what follows the asking phrase ends a new word
	fStrong     // fLocal over pairs and words, without single characters
	fRuns       // common substrings, long ones counting more
	fStrongC    // fCover over pairs and words
	fPeople     // asked for a person, and there is what looks like a new name
	fForeign    // asked for a person or a place: a new name written by sound
	fTyped      // most of what stands beside the asking phrase in a clause with something of its kind
	fTypedCover // the same with all terms
	fLocated    // asked where: says 位于 and the like
	fProfile    // asked for what a profile begins with: first sentence of the document
	fAllRelated // every relation asked about has a word
	fAbout      // asked for a relation: head of the document
	fKindPrev   // kind agrees, and the sentence before has most of the question
	fCloze      // reads like the question with something in the place of its asking phrase
	fSide       // one side of that
	fOption     // holds something of the kind asked for that the question does not
	fBeside     // the question's words near that
	fBesideNear // the same, weighted by nearness to the asking phrase
	fLack       // units that the sentence and the headings do not bear out
	fLackPrev   // the same with the sentence before
	fLackRun    // heaviest run of them
	fEarlier    // share that all earlier sentences of the passage add
	fLater      // share that all later ones add
	fOpening    // share that the first sentence of the passage adds
	fCoverTop   // fCover, of the best candidate's
	fLocalTop   // fLocal, of the best candidate's
	fNearTop    // fNear, of the best candidate's
	fBesideTop  // fBeside, of the best candidate's
	fPlace1     // by fLocal no candidate is better
	fFused      // score of the passage by the reranker, of the best passage's
	fAttribute  // asked for an attribute: it stands before 是, 为, a colon or a number
	fTitled     // the question names the title of the document
	fHeadCover  // share of its first characters that the question has
	fNounNew    // last character of the noun asked for ends a new word

	features
)

// weigher holds the weights of the terms of one question.
type weigher struct {
	w, near       []float32
	total, nearby float32
	strong        uint64 // pairs and words
	han           uint64 // characters and pairs of scripts without spaces
}

func (q *question) weigher(terms []lexical.TermStat, docs int) weigher {
	g := weigher{w: make([]float32, len(terms)), near: make([]float32, len(terms))}
	for i, t := range terms {
		if t.Key[0] >= 0xE2 { // CJK in UTF-8; below it are scripts with spaces
			g.han |= 1 << i
		}
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
// or word in one of 2,000. In a small knowledge base a character that is there by
// chance would else weigh as much as a name that is missing. The rates are set
// by hand; with them (and small knowledge bases in training) own-zh refused 10
// of 15 unanswerable questions instead of 8.
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
func (q *question) candidates(ps []passage, g weigher, us []unit, room *room) []sentence {
	n := 0
	for i := range ps {
		n += len(ps[i].spans)
	}
	out := slices.Grow(room.sentences[:0], n)
	room.sentences = out
	for i := range ps {
		p := &ps[i]
		p.from = len(out)
		p.titled = q.names(p.chunk.Title)
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
	l := &room.line
	l.left, l.right = q.sides()
	for i := range out {
		s, p := &out[i], &ps[out[i].passage]
		l.read(p.chunk.Text[s.Start:s.End])
		q.fill(s, p, out, i, g, l)
		q.answers(s, p, g, l)
		q.surrounding(s, p, out, i, g, us)
		s.x[fFused] = share(p.score, ps[0].score)
		s.x[fLocal] = share(sum(local, s.terms), localTotal)
		s.x[fFocus] = share(sum(local, s.terms&^p.title), sum(local, pool&^p.title))
		s.x[fStrong] = share(sum(local, s.terms&g.strong), strongTotal)
		s.x[fStrongC] = share(sum(g.w, s.terms&g.strong), strongAll)
		s.x[fRare] = flag(s.terms&rare != 0)
		s.x[fPassage] = share(p.bm25, ps[0].bm25)
	}
	relative(out)
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

func (q *question) fill(s *sentence, p *passage, all []sentence, i int, g weigher, l *line) {
	x, runes := &s.x, l.runes
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
	if !q.asked.empty() {
		s.related = q.asked.in(l.text())
		x[fRelated] = float32(s.related.count()) / float32(q.asked.count())
		x[fAllRelated] = flag(s.related == q.asked)
	}
	starts := len(own) > 0 && int(own[0].Start)-s.Start <= 6
	x[fStart] = flag(starts)
	if q.define {
		x[fDefines] = flag(starts && says(l.text()))
		x[fDefHead] = flag(p.chunk.Ordinal == 0 && i == p.from)
	}
	x[fShort] = flag(len(runes) < 8)
	x[fHead] = flag(p.chunk.Ordinal == 0 && i == p.from)
	x[fNew] = novelty(p, s, len(runes))
	x[fDense] = cover / (0.5 + float32(len(runes))/80)
	s.cues = q.clauses(p, s, own, g, l)
	c := s.cues
	if q.kind == Place {
		x[fLocated] = flag(located(l.text()))
	}
	if p.chunk.Ordinal == 0 && i == p.from {
		x[fProfile] = flag(q.profile)
		x[fAbout] = flag(!q.asked.empty())
	}
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
		x[fKindPrev] += x[f] * x[fPrev]
	}
}

// clauses reads the cues of a sentence clause by clause and fills the features
// that want the answer and what is asked in the same one.
func (q *question) clauses(p *passage, s *sentence, ms []lexical.Match, g weigher, l *line) cues {
	var all cues
	runes := l.runes
	text := p.chunk.Text[s.Start:s.End]
	from, r, at := 0, 0, 0 // first rune of the clause, this rune, next match
	flush := func(to, end int) {
		if to == from {
			return
		}
		c := look(runes[from:to], l.classes[from:to], q.Text)
		var set uint64
		for at < len(ms) && int(ms[at].End) <= s.Start+end {
			set |= 1 << ms[at].Term
			at++
		}
		if n := c.of(q.kind); n > 0 {
			s.x[fTyped] = max(s.x[fTyped], level(n)*share(sum(g.near, set), g.nearby))
			s.x[fTypedCover] = max(s.x[fTypedCover], level(n)*share(sum(g.w, set), g.total))
		}
		all.add(c, from == 0)
		from = to
	}
	for i, c := range text {
		r++
		switch c {
		case '，', ',', '；', ';', '：', ':', '。', '（', '）', '(', ')':
			flush(r, i)
		}
	}
	flush(r, len(text))
	if hasLatin(runes) {
		all.english(l.text())
	}
	return all
}

// located reports a folded sentence that says where something is.
func located(s string) bool {
	for _, w := range [...]string{"位于", "地处", "坐落", "座落", "位处", "设于", "设在", "所在地", "地址", "境内", "located", "lies ", "situated", "address"} {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
