package retrieve

import (
	"math/bits"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/chunk"
	"github.com/eino-qa/eino-qa/internal/lexical"
)

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

// commonSubstring returns the length of the longest run of runes in both, and
// a sum over the runes of a that lie in a common run: n−1 of n for a run of n.
func commonSubstring(a, b []rune) (longest int, runs float32) {
	const most = 200
	a = a[:min(len(a), most)]
	var onStack [2][most + 1]int16
	row := onStack[0][:len(a)+1]
	ends := onStack[1][:len(a)+1] // by place in a: the longest common run that ends there
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
