package retrieve

import (
	"math"
)

// Signals of the decision to answer.
const (
	sBias       = iota
	sCover      // best sentence: share of the question's terms
	sPassage    // best passage with title: share of the question's terms
	sGap        // between the two best passages
	sStrength   // BM25 of the best passage, of the highest possible
	sKnown      // share of the question's terms that are in the index at all
	sNear       // best sentence: share near the asking phrase
	sCommon     // best sentence: longest common substring
	sType       // best sentence: kind agrees
	sContext    // best sentence with neighbours and title
	sMargin     // best sentence score to the next
	sPair       // smallest: share of pairs (bigrams) covered
	sScore      // of the best sentence
	sMissing    // heaviest pair or word that the best passage lacks
	sFocus      // best sentence: share of what the title does not have
	sStrong     // best passage: share of pairs and words
	sStand      // best passage's BM25 above the mean of the next nine
	sSquare     // sPassage squared
	sClause     // best sentence: best clause
	sRelated    // best sentence: words for the relation
	sKind       // best sentence: something of the kind asked for, when a kind is
	sTotalCover // of the first three quotes together
	signals
)

func logistic(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// signals fills what the decision to answer rests on.
func (t *Trace) signals() [signals]float32 {
	var x [signals]float32
	x[sBias] = 1
	best, second := t.bestSentence()
	p := &t.passages[0]
	g := t.weigher
	x[sPassage] = share(sum(g.w, p.text|p.title), g.total)
	if len(t.passages) > 1 {
		x[sGap] = lead(t.passages[1].bm25, p.bm25)
	} else {
		x[sGap] = 1
	}
	x[sStrength] = share(p.bm25, 2.2*g.total)
	known := float32(0)
	for i, s := range t.stats.Terms {
		if s.DF > 0 {
			known += g.w[i]
		}
	}
	x[sKnown] = share(known, g.total)
	if best == nil {
		return x
	}
	x[sCover], x[sNear], x[sCommon] = best.x[fCover], best.x[fNear], best.x[fCommon]
	for f := fTime; f <= fThing; f++ {
		x[sType] += best.x[f]
	}
	x[sContext] = min(1, best.x[fCover]+best.x[fPrev]+best.x[fTitle])
	x[sScore] = best.score / 10
	if second != nil {
		x[sMargin] = (best.score - second.score) / 10
	}
	var pairs, covered float32
	for i, s := range t.stats.Terms {
		if len([]rune(s.Key)) == 2 {
			pairs += g.w[i]
			if best.terms>>i&1 == 1 {
				covered += g.w[i]
			}
		}
	}
	x[sPair] = share(covered, pairs)
	own := p.text | p.title
	x[sMissing] = share(sum(g.w, heaviest(g.w, g.strong&^own)), g.total)
	x[sFocus], x[sClause], x[sRelated] = best.x[fFocus], best.x[fClause], best.x[fRelated]
	x[sStrong] = share(sum(g.w, own&g.strong), sum(g.w, g.strong))
	x[sSquare] = x[sPassage] * x[sPassage]
	if n := min(len(t.passages), 10); n > 1 {
		var rest float32
		for _, o := range t.passages[1:n] {
			rest += o.bm25 / float32(n-1)
		}
		x[sStand] = lead(rest, p.bm25)
	}
	if k := t.question.kind; k != Other && k != Thing && k != Yes {
		x[sKind] = flag(x[sType] > 0) - 0.5
	}
	x[sTotalCover] = share(sum(g.w, best.terms|t.passages[best.passage].title|t.around(best)), g.total)
	return x
}

// lead is how far first is ahead of other, 1 at most. What a model put first
// may have next to no BM25: it then counts as behind by no more than its all.
func lead(other, first float32) float32 { return max(-1, 1-share(other, first)) }

// around returns the terms of the sentences beside s.
func (t *Trace) around(s *sentence) uint64 {
	var set uint64
	p := &t.passages[s.passage]
	for i := p.from; i < p.to; i++ {
		if t.sentences[i].Start == s.Start {
			if i > p.from {
				set |= t.sentences[i-1].terms
			}
			if i+1 < p.to {
				set |= t.sentences[i+1].terms
			}
		}
	}
	return set
}

func (t *Trace) bestSentence() (best, second *sentence) {
	for i := range t.sentences {
		s := &t.sentences[i]
		switch {
		case best == nil || s.score > best.score:
			best, second = s, best
		case second == nil || s.score > second.score:
			second = s
		}
	}
	return best, second
}
