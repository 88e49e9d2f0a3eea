package retrieve

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// line is a sentence as runes, with room that the next one uses again.
type line struct {
	left, right []rune // of the question, see sides
	runes       []rune
	classes     []class
	folded      string  // the same, once asked for
	offs        []int32 // rune → byte, and one more for the end
	opts        []found
}

func (l *line) read(text string) {
	l.runes, l.classes, l.offs = l.runes[:0], l.classes[:0], l.offs[:0]
	table := classes()
	for i, r := range text {
		r = lexical.FoldRune(r)
		l.runes = append(l.runes, r)
		l.classes = append(l.classes, table.of(r))
		l.offs = append(l.offs, int32(i))
	}
	l.offs = append(l.offs, int32(len(text)))
	l.folded = ""
}

// text is the sentence folded.
func (l *line) text() string {
	if l.folded == "" {
		l.folded = string(l.runes)
	}
	return l.folded
}

// answers fills the features about what in the sentence could be the answer.
func (q *question) answers(s *sentence, p *passage, g weigher, l *line) {
	x := &s.x
	own := within(p.matches, s.Span)
	x[fCloze], x[fSide] = cloze(l.left, l.right, l.runes)
	l.opts = q.options(l, l.opts[:0])
	for _, o := range l.opts {
		x[fOption] = max(x[fOption], o.weight)
	}
	x[fBeside] = beside(l.opts, l.offs, own, s.Start, g.w, g.total)
	x[fBesideNear] = beside(l.opts, l.offs, own, s.Start, g.near, g.nearby)
	x[fTitled] = flag(p.titled)
	x[fHeadCover] = headCover(own, l.offs, s.Start)
	if q.focus.ahead {
		x[fAttribute] = flag(states(l.runes, q.focus.noun))
	} else if r, _ := utf8.DecodeLastRuneInString(q.focus.noun); r >= 0x2E80 {
		x[fNounNew] = flag(newNoun(l.runes, string(r), q.Text))
	}
}

// headCover is the share of the first headRunes that the question has: a
// sentence about something else begins with that.
func headCover(own []lexical.Match, offs []int32, base int) float32 {
	end := offs[min(headRunes, len(offs)-1)]
	covered, at := int32(0), int32(0)
	for _, m := range own {
		s, e := max(at, m.Start-int32(base)), min(end, m.End-int32(base))
		if s < e {
			covered += e - s
			at = e
		}
	}
	return share(float32(covered), float32(end))
}

const headRunes = 8

// states reports whether noun, or its last two characters, stands before what
// gives its value: 是, 为, a colon, a number.
func states(runes []rune, noun string) bool {
	n := []rune(noun)
	n = n[max(0, len(n)-2):]
	for i := 0; len(n) > 0 && i+len(n) < len(runes); i++ {
		if slices.Equal(runes[i:i+len(n)], n) {
			if r := runes[i+len(n)]; strings.ContainsRune("是为即有达约:《「“", r) || isNumeral(r) {
				return true
			}
		}
	}
	return false
}

// side is how many characters beside the asking phrase are looked for beside
// the answer.
const side = 6

// sides cuts the question at its asking phrase.
func (q *question) sides() (left, right []rune) {
	if q.at < 0 {
		return nil, nil
	}
	left = []rune(strings.TrimRight(q.Text[:q.at], " "))
	end := q.Text[q.end:]
	if q.focus.noun != "" && !q.focus.ahead { // the noun is what the answer takes the place of
		if i := strings.Index(end, q.focus.noun); i >= 0 {
			end = end[i+len(q.focus.noun):]
		}
	}
	right = []rune(strings.TrimRight(strings.TrimLeft(end, "的 "), "?!. "))
	return left[max(0, len(left)-side):], right[:min(len(right), side)]
}

// gapRunes is the longest answer looked for between what stands on both sides.
const gapRunes = 24

// cloze reports how well a sentence reads like the question with its asking
// phrase replaced: the characters on both sides of the phrase that stand on
// both sides of something of at most gapRunes, and the same on the better side
// alone, each as a share of those there are.
func cloze(left, right, runes []rune) (both, one float32) {
	if len(left)+len(right) == 0 {
		return 0, 0
	}
	total := float32(len(left) + len(right))
	var last int // the best left match that ended within gapRunes
	lastAt := -1
	for i := 0; i <= len(runes); i++ {
		l := 0
		for l < len(left) && i-1-l >= 0 && runes[i-1-l] == left[len(left)-1-l] {
			l++
		}
		if i < len(runes) {
			r := 0
			for r < len(right) && i+r < len(runes) && runes[i+r] == right[r] {
				r++
			}
			if r > 0 {
				if lastAt >= 0 && i-lastAt <= gapRunes && i > lastAt {
					both = max(both, float32(r+last)/total)
				}
				if i > 1 {
					one = max(one, float32(r)/total)
				}
			}
		}
		if l > 0 {
			if i+1 < len(runes) {
				one = max(one, float32(l)/total)
			}
			if l >= last || i-lastAt > gapRunes {
				last, lastAt = l, i
			}
		}
	}
	return both, one
}

// found is where a sentence holds something that could be the answer.
type found struct {
	from, to int     // runes
	weight   float32 // how much it looks like one
}

// options lists what of the kind asked for a sentence holds that the question
// does not.
func (q *question) options(l *line, to []found) []found {
	runes := l.runes
	if q.kind == Time || q.kind == Quantity {
		return q.numbers(runes, to)
	}
	noun, _ := utf8.DecodeLastRuneInString(q.focus.noun)
	foreign := 0 // characters so far of a name written by sound
	for i, r := range runes {
		var prev rune
		if i > 0 {
			prev = runes[i-1]
		}
		k := l.classes[i]
		if k&sounding != 0 {
			foreign++
		} else {
			if foreign >= 3 && (q.kind == Person || q.kind == Place) && q.fresh(runes, i-foreign, i) {
				to = append(to, found{i - foreign, i, 0.8})
			}
			foreign = 0
		}
		switch {
		case q.kind == Person && k&surname != 0 && isName(runes[i:]) && q.fresh(runes, i, i+2):
			to = append(to, found{i, i + 3, 0.7})
		case q.kind == Place && endsPlace(r) && wordBefore(prev) && q.fresh(runes, i-1, i+1):
			to = append(to, found{max(0, i-2), i + 1, 1})
		case q.kind == Reason && (r == '因' || prev == '由' && r == '于' || prev == '为' && r == '了' || prev == '导' && r == '致'):
			to = append(to, found{max(0, i-1), i + 1, 1})
		}
		if r == noun && wordBefore(prev) && !q.focus.ahead && q.fresh(runes, i-1, i+1) {
			to = append(to, found{max(0, i-2), i + 1, 1})
		}
		if (q.kind == Thing || q.kind == List || q.kind == Other) && opensQuote(r) && q.fresh(runes, i+1, i+3) {
			to = append(to, found{i, i + 3, 0.6})
		}
	}
	return to
}

// wordBefore reports a character that may be the first of a word of two.
func wordBefore(prev rune) bool { return prev >= 0x4E00 && !isPunct(prev) }

func endsPlace(r rune) bool {
	switch r {
	case '省', '市', '县', '区', '镇', '村', '州', '国', '岛', '山', '路', '街', '港', '洲', '河', '湖', '湾', '城', '乡', '站':
		return true
	}
	return false
}

func opensQuote(r rune) bool {
	switch r {
	case '《', '「', '“', '『', '"':
		return true
	}
	return false
}

// numbers lists the numerals of a sentence that could be a time or a quantity,
// and the names of periods.
func (q *question) numbers(runes []rune, to []found) []found {
	unit, _ := utf8.DecodeRuneInString(q.after)
	for i := 0; i < len(runes); i++ {
		if !isNumeral(runes[i]) {
			if q.kind == Time && i > 0 && strings.ContainsRune("朝代期纪", runes[i]) && runes[i-1] >= 0x2E80 && q.fresh(runes, i-1, i+1) {
				to = append(to, found{max(0, i-2), i + 1, 0.7})
			}
			continue
		}
		from := i
		for i+1 < len(runes) && isNumeral(runes[i+1]) {
			i++
		}
		if !q.fresh(runes, from, i+1) {
			continue
		}
		next := ' '
		if i+1 < len(runes) {
			next = runes[i+1]
		}
		switch {
		case q.kind == Time && (strings.ContainsRune("年月日号时世点", next) || year(runes[from:i+1])),
			q.kind == Quantity && next == unit:
			to = append(to, found{from, i + 2, 1})
		case q.kind == Quantity && (i > from || runes[i] != '一'):
			to = append(to, found{from, i + 1, 0.5})
		}
	}
	return to
}

// fresh reports whether the runes from to end are not in the question.
func (q *question) fresh(runes []rune, from, end int) bool {
	return from >= 0 && end <= len(runes) && !strings.Contains(q.Text, string(runes[from:end]))
}

// isName reports runes behind a surname, which is the first of them, that go on
// like a name.
func isName(r []rune) bool {
	return len(r) > 2 && r[1] >= 0x4E00 && r[2] >= 0x4E00 && !strings.ContainsRune("的了是在和与为有人年", r[1])
}

// beside is how near the question's words come to what could be the answer: the
// share of them within a sentence, each by its distance from the best option.
func beside(opts []found, offs []int32, own []lexical.Match, base int, w []float32, total float32) float32 {
	var best float32
	for _, o := range opts {
		from, to := offs[o.from], offs[min(o.to, len(offs)-1)]
		var near [64]float32
		var sum float32
		for _, m := range own {
			s, e := m.Start-int32(base), m.End-int32(base)
			gap := max(0, s-to, from-e)
			if v := w[m.Term] / (1 + float32(gap)/18); v > near[m.Term] { // 18 bytes are six characters
				sum += v - near[m.Term]
				near[m.Term] = v
			}
		}
		best = max(best, o.weight*share(sum, total))
	}
	return best
}
