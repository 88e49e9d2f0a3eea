package lexical

// Match is one occurrence of a term in a text; Start and End count its bytes.
type Match struct {
	Term       int32 // place in the terms given to NewMatcher
	Start, End int32
}

// Matcher finds the terms of one query in texts, much faster than analysing
// them: a rune or a word that is in no term costs a look into a small set. It
// is not safe for concurrent use.
type Matcher struct {
	hans  [64]uint64 // set of the low 12 bits of the runes in pairs, and of what folds to them
	heads [64]uint64 // set of hashes of the first letters of words
	pairs pairTable
	words map[string]int32
	memo  map[string]int32 // words as they stand → term, −1 for none
	out   []Match
}

// NewMatcher returns a matcher of terms.
func NewMatcher(terms []TermStat) *Matcher {
	m := &Matcher{words: map[string]int32{}, memo: map[string]int32{}}
	for i, t := range terms {
		keyOf := collector{}
		scan(t.Key, &keyOf)
		if keyOf.pair == 0 {
			m.words[t.Key] = int32(i)
			h := headHash(t.Key)
			m.heads[h>>6] |= 1 << (h & 63)
			continue
		}
		m.pairs.term(keyOf.pair, func() uint32 { return uint32(i) })
		for _, r := range [2]rune{rune(keyOf.pair >> 32), rune(keyOf.pair & 0xFFFFFFFF)} {
			eachVariant(r, func(r rune) { m.hans[r>>6&63] |= 1 << (r & 63) })
		}
	}
	return m
}

// collector takes the longest pair of a key.
type collector struct{ pair uint64 }

func (c *collector) han(r, prev rune, _, _, _ int) {
	if c.pair = uint64(r) << 32; prev != 0 {
		c.pair = uint64(prev)<<32 | uint64(r)
	}
}
func (c *collector) word(string, int, int) {}

// Find appends the occurrences in text, in order of their ends, to out.
func (m *Matcher) Find(text string, out []Match) []Match {
	m.out = out
	var at place
	for i := 0; at.i < len(text); i = at.i { // as scan does, with next to nothing for most of Chinese
		if i+2 < len(text) {
			c0, c1, c2 := text[i], text[i+1], text[i+2]
			if c0 >= 0xE4 && c0 <= 0xE9 && (c1^0x80)|(c2^0x80) < 0x40 { // U+4000 to U+9FFF
				if m.hans[c1&63]>>(c2&63)&1 == 0 {
					at = place{i: i + 3}
					continue
				}
				if r := hanOf(c0, c1, c2); r != 0 {
					r = foldHan(r)
					m.han(r, at.prev, at.prevStart, i, i+3)
					at = place{i + 3, r, i}
					continue
				}
			}
		}
		at = at.step(text, m)
	}
	out, m.out = m.out, nil
	return out
}

func (m *Matcher) han(r, prev rune, prevStart, start, end int) {
	if m.hans[r>>6&63]&(1<<(r&63)) == 0 {
		return
	}
	if t, ok := m.pairs.get(uint64(r) << 32); ok {
		m.out = append(m.out, Match{int32(t), int32(start), int32(end)})
	}
	if prev != 0 && m.hans[prev>>6&63]&(1<<(prev&63)) != 0 {
		if t, ok := m.pairs.get(uint64(prev)<<32 | uint64(r)); ok {
			m.out = append(m.out, Match{int32(t), int32(prevStart), int32(end)})
		}
	}
}

func (m *Matcher) word(raw string, start, end int) {
	if h := headHash(raw); m.heads[h>>6]&(1<<(h&63)) == 0 {
		return
	}
	t, ok := m.memo[raw]
	if !ok {
		t = -1
		if i, found := m.words[normWord(raw)]; found {
			t = i
		}
		m.memo[raw] = t
	}
	if t >= 0 {
		m.out = append(m.out, Match{t, int32(start), int32(end)})
	}
}

// headHash hashes what stemming leaves of the beginning of a word: three
// letters without regard to case, y like i (skies → sky, dying → die).
func headHash(s string) uint32 {
	h := uint32(0)
	for i := range min(3, len(s)) {
		c := s[i]
		if isUpper(c) {
			c += 'a' - 'A'
		}
		if c == 'y' {
			c = 'i'
		}
		h = h*131 + uint32(c)
	}
	return h * 0x9E3779B1 >> 20
}

func (p *pairTable) get(key uint64) (uint32, bool) {
	if len(p.slots) == 0 {
		return 0, false
	}
	s := p.slot(key)
	return s.term, s.key == key
}
