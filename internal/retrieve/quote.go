package retrieve

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/chunk"
)

// Bounds of quotes.
const (
	maxQuotes    = 3    // one sentence and two more (DESIGN §5.4)
	maxSteps     = 12   // sentences of a quoted list of steps
	maxRunBytes  = 1800 // of a quoted list: about 600 Chinese characters
	maxFollowing = 3    // sentences taken behind one that is continued by 然后, then …
)

// quotes picks the ranges to give as the answer, from the first n passages.
func (t *Trace) quotes(n int, answerable float64) []Quote {
	order := make([]int, 0, len(t.sentences))
	for i, s := range t.sentences {
		if s.passage < n && (s.terms != 0 || s.x[fPrev] > 0) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.sentences[b].score, t.sentences[a].score) })
	var out []Quote
	for _, i := range order {
		if len(out) == maxQuotes {
			break
		}
		s := &t.sentences[i]
		p := &t.passages[s.passage]
		run := t.extend(i)
		q := Quote{Passage: s.passage, Start: p.chunk.Start + run.Start, End: p.chunk.Start + run.End}
		if slices.ContainsFunc(out, func(o Quote) bool { return o.Passage == q.Passage && o.Start < q.End && q.Start < o.End }) {
			continue // inside a run that is quoted already
		}
		if slices.ContainsFunc(out, func(o Quote) bool { return t.text(o) == t.text(q) }) {
			continue // two documents say it in the same words
		}
		// Sentence scores are log-odds against the best, see package evaluate/train.
		q.Score = answerable * math.Exp(float64(s.score-t.sentences[order[0]].score))
		out = append(out, q)
	}
	t.ownLanguageFirst(out)
	return out
}

// text is what q quotes.
func (t *Trace) text(q Quote) string {
	c := t.passages[q.Passage].chunk
	return c.Text[q.Start-c.Start : q.End-c.Start]
}

// nearlyAsGood is the share of the best quote's score from which on one in the
// language of the question comes first: a knowledge base in two languages says
// most things twice.
const nearlyAsGood = 0.25

func (t *Trace) ownLanguageFirst(quotes []Quote) {
	foreign := func(q Quote) bool { return han(t.text(q)) == t.English() }
	if len(quotes) == 0 || !foreign(quotes[0]) {
		return
	}
	for i, q := range quotes {
		if !foreign(q) && q.Score >= nearlyAsGood*quotes[0].Score {
			copy(quotes[1:i+1], quotes[:i])
			quotes[0] = q
			return
		}
	}
}

// extend returns the range to quote for sentence i: itself, and where the
// question is how to do something or what there is, the list or the steps it
// belongs to; where it is why, what a conclusion is drawn from.
func (t *Trace) extend(i int) chunk.Span {
	p := &t.passages[t.sentences[i].passage]
	from, to := i, i+1
	if k := t.question.kind; k == Method || k == List || introduces(t.textOf(i)) {
		from, to = t.list(i, p)
	}
	if t.question.kind == Reason && from > p.from && concludes(t.textOf(from)) {
		from-- // the reason stands before it
	}
	for t.question.kind == Method && to < p.to && to-from <= maxFollowing && follows(t.textOf(to)) {
		to++
	}
	return chunk.Span{Start: t.sentences[from].Start, End: t.sentences[to-1].End}
}

// list returns the sentences of the list around or behind sentence i.
func (t *Trace) list(i int, p *passage) (from, to int) {
	from, to = i, i+1
	size := len(t.textOf(i))
	take := func(j int) bool {
		size += len(t.textOf(j))
		return size <= maxRunBytes && to-from < maxSteps
	}
	item := func(j int) bool { return listItem(p.chunk.Text, t.sentences[j].Span) }
	if item(i) {
		for from > p.from && item(from-1) && take(from-1) {
			from--
		}
		if from > p.from && introduces(t.textOf(from-1)) && take(from-1) {
			from--
		}
	} else if !introduces(t.textOf(i)) && (to >= p.to || !item(to)) {
		return from, to
	}
	for to < p.to && item(to) && take(to) {
		to++
	}
	return from, to
}

func (t *Trace) textOf(i int) string {
	s := &t.sentences[i]
	return t.passages[s.passage].chunk.Text[s.Start:s.End]
}

// concludes reports a sentence that gives what follows from the one before it.
func concludes(s string) bool {
	for _, w := range [...]string{"因此", "所以", "于是", "於是", "因而", "为此", "為此", "因故", "故此", "Therefore", "So ", "Thus", "Hence"} {
		if strings.HasPrefix(s, w) {
			return true
		}
	}
	return false
}

// introduces reports a sentence that announces what follows it.
func introduces(s string) bool {
	return strings.HasSuffix(s, "：") || strings.HasSuffix(s, ":") || strings.HasSuffix(s, "如下。") || strings.HasSuffix(s, "如下")
}

// listItem reports whether a sentence is, or goes on, an item of a list: its
// line begins with a bullet, a number or a word like 首先.
func listItem(text string, s chunk.Span) bool {
	line := text[strings.LastIndexByte(text[:s.Start], '\n')+1:]
	line = strings.TrimLeft(line, " \t　")
	r, n := utf8.DecodeRuneInString(line)
	switch r {
	case '-', '*', '•', '·', '●', '○', '▪', '–', '+', '①', '②', '③', '④', '⑤', '⑥', '⑦', '⑧', '⑨', '⑩':
		return true
	case '(', '（':
		line = line[n:]
	}
	if rest := strings.TrimLeft(line, "0123456789一二三四五六七八九十"); len(rest) < len(line) && len(line)-len(rest) <= 6 {
		r, _ := utf8.DecodeRuneInString(rest)
		return strings.ContainsRune(".、)）．:：", r) && rest != ""
	}
	return follows(text[s.Start:s.End])
}

// follows reports a sentence that goes on with what the one before it began.
func follows(s string) bool {
	for _, w := range [...]string{
		"首先", "其次", "然后", "接着", "接下来", "随后", "之后", "最后", "再", "第一", "第二", "第三", "第四", "步骤",
		"完成后", "同时", "另外", "然後", "接著", "隨後", "之後", "最後", "完成後", "步驟",
	} {
		if strings.HasPrefix(s, w) {
			return true
		}
	}
	word, _, _ := strings.Cut(s, " ")
	switch strings.ToLower(strings.TrimRight(word, ",:.0123456789")) {
	case "step", "first", "firstly", "second", "third", "then", "next", "finally", "afterwards", "after", "lastly", "once":
		return true
	}
	return false
}
