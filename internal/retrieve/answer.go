package retrieve

import (
	"math"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Signals of the decision to answer.
const (
	sBias        = iota
	sCover       // best sentence: share of the question's terms
	sPassage     // best passage with title: share of the question's terms
	sGap         // between the two best passages
	sStrength    // BM25 of the best passage, of the highest possible
	sKnown       // share of the question's terms that are in the index at all
	sNear        // best sentence: share near the asking phrase
	sCommon      // best sentence: longest common substring
	sType        // best sentence: kind agrees
	sContext     // best sentence with neighbours and title
	sMargin      // best sentence score to the next
	sPair        // smallest: share of pairs (bigrams) covered
	sScore       // of the best sentence
	sMissing     // heaviest pair or word that the best passage lacks
	sFocus       // best sentence: share of what the title does not have
	sStrong      // best passage: share of pairs and words
	sStand       // best passage's BM25 above the mean of the next nine
	sSquare      // sPassage squared
	sClause      // best sentence: best clause
	sRelated     // best sentence: words for the relation
	sKind        // best sentence: something of the kind asked for, when a kind is
	sTotalCover  // of the first three quotes together
	sLackBest    // units the best sentence with its headings lacks
	sLackAround  // the same with the sentences beside it
	sLackPassage // units the best sentence's passage lacks
	sLackIndex   // units no chunk has
	sRunBest     // heaviest run of units, as sLackBest
	sRunPassage  // heaviest run of units, as sLackPassage
	sRunIndex    // heaviest run of units that no chunk has
	sYesLack     // sLackBest if asked whether
	sYesRun      // sRunPassage if asked whether
	sPrice       // asked for a price: whether the best sentence states one
	sPriceLack   // asked for a price: units the sentence lacks
	sSmall       // the fewer chunks there are
	sOption      // best sentence: something of the kind asked for that the question does not have
	sBeside      // best sentence: the question's words near that
	sCloze       // best sentence: reads like the question with the answer in it
	sEarlier     // best sentence: share that what stands before it adds
	sYesAbsent   // asked whether: a unit that no chunk has, not even by another word
	sYesPairs    // asked whether: share of pairs of neighbouring characters that no chunk has
	sHowAbsent   // asked how or who: as sYesAbsent
	sKindLack    // sLackBest if asked for something of a kind
	signals
)

// answerableThreshold is "more likely than not": the decision is calibrated. On
// small knowledge bases it answers nine of ten questions and refuses nearly as
// many of those that have no answer (docs/quality.md).
const answerableThreshold = 0.5

// smallDocs is where a knowledge base is half small, in chunks: a dozen pages
// of help. Set by hand between the sets of 20 chunks and those of 300.
const smallDocs = 50

// decision is what the decision to answer rests on: the signals, and again
// times sSmall. In a small knowledge base every word is rare, so that scores
// tell little and words that are missing tell much; how much of each is learned.
type decision [2 * signals]float32

func logistic(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

// decide fills what the decision to answer rests on.
func (t *Trace) decide() (d decision) {
	x := t.signals()
	for i, v := range x {
		d[i], d[signals+i] = v, v*x[sSmall]
	}
	return d
}

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
	if k := t.question.kind; k == Time || k == Quantity || k == Place || k == Person {
		x[sOption] = best.x[fOption] - 0.5
	}
	x[sBeside], x[sCloze], x[sEarlier] = best.x[fBeside], best.x[fCloze], best.x[fEarlier]
	t.lacks(&x, best)
	x[sTotalCover] = share(sum(g.w, best.terms|t.passages[best.passage].title|t.around(best)), g.total)
	return x
}

// lead is how far first is ahead of other, 1 at most. What a model put first
// may have next to no BM25: it then counts as behind by no more than its all.
func lead(other, first float32) float32 { return max(-1, 1-share(other, first)) }

// maxRun is the weight from which on a run of missing units counts in full:
// three characters are a name.
const maxRun = 3

// vetoed is the most confidence where the best sentence cannot be the answer,
// whatever words it shares with the question: it is below answerableThreshold
// and may still be shown as related.
const vetoed = 0.45

// confidence is how likely the quotes answer the question, 0 to 1.
func (t *Trace) confidence() float32 {
	c := logistic(dot(answerWeights[:], t.answer[:]))
	best, _ := t.bestSentence()
	if best == nil || c <= vetoed {
		return c
	}
	said, q := t.said(best), t.question.ask
	if asksPrice(q) && !hasPrice(said) || asksNumber(q) && !hasLongNumber(said) || t.answer[sRunIndex] >= unknownRun || t.answer[sYesPairs] > unknownPairs || t.unknownAct(said) {
		return vetoed
	}
	return c
}

// fits reports whether the best sentence states what is asked for where that
// is told by numbers: a price, an amount, a time.
func (t *Trace) fits() bool {
	best, _ := t.bestSentence()
	switch {
	case best == nil:
		return false
	case asksPrice(t.question.ask):
		return hasPrice(t.said(best))
	}
	return (t.question.kind == Time || t.question.kind == Quantity) && t.answer[sKind] > 0
}

// said is a sentence with the heads of its table, folded.
func (t *Trace) said(s *sentence) string {
	c := &t.passages[s.passage].chunk
	return lexical.Fold(c.Prefix + " " + c.Text[s.Start:s.End])
}

// unknownAct reports a question how or where to do what the knowledge base has
// no word of: 优惠券怎么领, where coupons are only mentioned.
func (t *Trace) unknownAct(said string) bool {
	if k := t.question.kind; k != Method && k != Place {
		return false
	}
	rel := t.question.asked.in(said)
	for _, u := range t.units {
		if u.start == t.question.end {
			return absent([]unit{u}, t.index, rel)
		}
	}
	return false
}

// unknownRun is a run of two Han characters or a word of which nothing is in
// the knowledge base: what is asked about is not there.
const unknownRun = 2.0 / maxRun

// unknownPairs: asked whether there is something of which more than half of the
// pairs of characters are nowhere, there is no such thing. Of the questions that
// the knowledge bases for training answer, none reaches it.
const unknownPairs = 0.5

// lacks fills the signals about what the question names and the text lacks.
func (t *Trace) lacks(x *[signals]float32, best *sentence) {
	us := t.units
	p := &t.passages[best.passage]
	own := p.chunk.Text[best.Start:best.End]
	index := t.index
	var relBest, relAll relationSet
	if asked := t.question.asked; !asked.empty() {
		head := p.chunk.Title + "\n" + p.chunk.Heading + "\n" + p.chunk.Prefix + "\n"
		relBest, relAll = asked.in(lexical.Fold(head+own)), asked.in(lexical.Fold(head+p.chunk.Text))
	}
	x[sLackBest], x[sRunBest] = lack(us, best.terms|p.title, relBest)
	x[sLackAround], _ = lack(us, best.terms|p.title|t.around(best), relBest)
	x[sLackPassage], x[sRunPassage] = lack(us, p.text|p.title, relAll)
	x[sLackIndex], x[sRunIndex] = lack(us, index, relAll)
	for _, f := range [...]int{sRunBest, sRunPassage, sRunIndex} {
		x[f] = min(1, x[f]/maxRun)
	}
	unknown := flag(absent(us, index, relAll))
	switch t.question.kind {
	case Yes:
		x[sYesLack], x[sYesRun] = x[sLackBest], x[sRunPassage]
		x[sYesAbsent], x[sYesPairs] = unknown, apart(us, index)
	case Method, Person:
		x[sHowAbsent] = unknown
	}
	if asksPrice(t.question.ask) {
		x[sPrice] = flag(hasPrice(lexical.Fold(own))) - 0.5
		x[sPriceLack] = x[sLackBest]
	}
	x[sSmall] = smallDocs / (smallDocs + float32(t.stats.Docs))
	if t.question.kind != Other && t.question.kind != Yes {
		x[sKindLack] = x[sLackBest]
	}
}

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
