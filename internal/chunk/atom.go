package chunk

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// atom is a piece of text that a chunk holds whole.
type atom struct {
	start, end int
	weight     int
	record     bool
	prefix     string  // for a chunk that begins here
	cut        float64 // what it costs to begin a chunk here; see plan
}

// Costs of cutting, in the measure of plan: a chunk of half or one and a half
// times the target costs 0.25 or 0.5.
const (
	cutBlock    = 0
	cutSentence = 0.15
	cutRow      = 0.2
	cutItem     = 0.2
	cutNested   = 0.5 // between an item and what is indented under it
	cutLine     = 0.3 // of code
	cutAnywhere = 1.0
	cutLeadIn   = 0.7 // behind "as follows:", or a title that is no heading
	cutHeader   = 100 // between a table's header and its first row
)

// atomise turns the blocks of a section into atoms that cover them.
func atomise(body string, blocks []kb.Block, o Options) []atom {
	z := &atomiser{body: body, o: o}
	for i := 0; i < len(blocks); {
		b := blocks[i]
		n := i + 1
		for b.Group > 0 && n < len(blocks) && blocks[n].Group == b.Group && (blocks[n].Kind == kb.TableRow) == (b.Kind == kb.TableRow) && b.Kind != kb.Record {
			n++
		}
		cut := float64(cutBlock)
		if i > 0 && leadsIn(body, blocks[i-1]) {
			cut = cutLeadIn
		}
		z.group(blocks[i:n], cut)
		i = n
	}
	return z.out
}

// leadsIn reports whether a block announces the next one: a short line that is
// no sentence, or any text that ends in a colon.
func leadsIn(body string, b kb.Block) bool {
	if b.Kind != kb.Paragraph {
		return false
	}
	s := body[b.Start:b.End]
	last, _ := utf8.DecodeLastRuneInString(s)
	if last == ':' || last == '：' {
		return true
	}
	return b.End-b.Start < 120 && wordRune(last) && weigh(s) <= 30
}

type atomiser struct {
	body string
	o    Options
	out  []atom
}

// group adds the atoms of a block, or of the blocks of one list or table.
func (z *atomiser) group(blocks []kb.Block, cut float64) {
	first, last := blocks[0], blocks[len(blocks)-1]
	switch {
	case first.Kind == kb.TableRow:
		z.table(blocks, cut)
	case first.Kind == kb.Record:
		z.piece(first.Start, first.End, atom{cut: cut, record: true}, z.o.Record)
	case first.Group > 0:
		if w := weigh(z.body[first.Start:last.End]); w <= z.o.Whole {
			z.out = append(z.out, atom{start: first.Start, end: last.End, weight: w, cut: cut})
			return
		}
		for i, b := range blocks {
			if i > 0 {
				cut = cutItem
				if indent(z.body, b.Start) > 0 || b.Kind != kb.ListItem {
					cut = cutNested
				}
			}
			z.block(b, cut)
		}
	default:
		z.block(first, cut)
	}
}

func (z *atomiser) block(b kb.Block, cut float64) {
	switch b.Kind {
	case kb.Code:
		z.code(b, cut)
	case kb.ListItem:
		z.piece(b.Start, b.End, atom{cut: cut}, z.o.Whole)
	default:
		z.sentences(b.Start, b.End, atom{cut: cut}, z.o.Whole)
	}
}

// indent returns how many blanks stand before i on its line.
func indent(s string, i int) int {
	n := 0
	for i > 0 && s[i-1] == ' ' {
		i--
		n++
	}
	return n
}

func (z *atomiser) table(rows []kb.Block, cut float64) {
	for i, r := range rows {
		a := atom{cut: cut}
		isHeader := r.Header != "" && i == 0 && strings.HasPrefix(z.body[r.Start:r.End], r.Header)
		if !isHeader {
			a.prefix = r.Header
		}
		z.piece(r.Start, r.End, a, z.o.Whole)
		cut = cutRow
		if isHeader {
			cut = cutHeader
		}
	}
}

// code keeps a block whole or cuts it between lines, best at blank ones.
func (z *atomiser) code(b kb.Block, cut float64) {
	if w := weigh(z.body[b.Start:b.End]); w <= z.o.Whole {
		z.out = append(z.out, atom{start: b.Start, end: b.End, weight: w, cut: cut})
		return
	}
	for at := b.Start; at < b.End; {
		end := b.End
		if n := strings.IndexByte(z.body[at:b.End], '\n'); n >= 0 {
			end = at + n + 1
		}
		if blankRange(z.body, at, end) {
			cut = cutSentence
		} else {
			// Not trimmed: the indentation of a line that begins a chunk is
			// part of the code.
			z.piece(at, end, atom{cut: cut}, z.o.Whole)
			cut = cutLine
		}
		at = end
	}
}

func blankRange(s string, start, end int) bool {
	start, end = trim(s, start, end)
	return start >= end
}

// piece adds a range as one atom like a, or as sentences if it is longer than
// whole.
func (z *atomiser) piece(start, end int, a atom, whole int) {
	start, end = trim(z.body, start, end)
	if start >= end {
		return
	}
	if a.weight = weigh(z.body[start:end]); a.weight <= whole {
		a.start, a.end = start, end
		z.out = append(z.out, a)
		return
	}
	z.sentences(start, end, a, whole)
}

// sentences adds the sentences of a range as atoms; later ones are like a but
// for their cost.
func (z *atomiser) sentences(start, end int, a atom, whole int) {
	s := z.body[start:end]
	from := 0
	for i := candidate(s, 0); i < len(s); i = candidate(s, i) {
		to, next := step(s, i)
		// Atoms cover everything, so stray punctuation stays with the
		// sentence before it.
		if to > 0 && !strayFollows(s[to:]) {
			if b, e := trim(z.body, start+from, start+to); b < e {
				z.sentence(b, e, a, whole)
				a.cut = cutSentence
			}
			from = to
		}
		i = next
	}
	if b, e := trim(z.body, start+from, end); b < e {
		z.sentence(b, e, a, whole)
	}
}

// strayFollows reports whether s begins with a sentence that has no letter or
// digit. It looks at a few bytes only.
func strayFollows(s string) bool {
	for i := 0; i < min(len(s), 32); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if wordRune(r) {
			return false
		}
		if boundary(s, i) > 0 {
			return true
		}
		i += n
	}
	return false
}

// sentence adds one sentence, in pieces if it is longer than a list may be.
func (z *atomiser) sentence(start, end int, a atom, whole int) {
	if a.weight = weigh(z.body[start:end]); a.weight <= whole {
		a.start, a.end = start, end
		z.out = append(z.out, a)
		return
	}
	for start < end {
		cut := start + breakAfter(z.body[start:end], z.o.Target)
		b, e := trim(z.body, start, cut)
		if b < e {
			a.start, a.end, a.weight = b, e, weigh(z.body[b:e])
			z.out = append(z.out, a)
			a.cut = cutAnywhere
		}
		start = cut
	}
}

// breakAfter returns where to cut s so that the first piece has about target
// units: behind a comma or blank in its second half, else between characters.
func breakAfter(s string, target int) int {
	best, w := 0, 0
	var prev rune
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if w >= target && i > 0 && !joined(prev, r) {
			if best > 0 {
				return best
			}
			return i
		}
		// Four letters to a unit: a word of eight letters has two.
		if wide(r) || i%4 == 0 {
			w++
		}
		i += n
		if w*2 >= target && (strings.ContainsRune("，、；：,;:|", r) || unicode.IsSpace(r)) {
			best = i
		}
		prev = r
	}
	return len(s)
}

// joined reports that no cut may fall between two runes, because they show as
// one character: combining marks, variation selectors, joiners, flags.
func joined(a, b rune) bool {
	return unicode.IsMark(b) || a == '\u200d' || b == '\u200d' || b >= 0x1f3fb && b <= 0x1f3ff || a >= 0x1f1e6 && a <= 0x1f1ff && b >= 0x1f1e6 && b <= 0x1f1ff
}
