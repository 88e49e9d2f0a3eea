package retrieve

import (
	"strings"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// surrounding fills the features about what the sentence lacks and what stands
// around it.
func (q *question) surrounding(s *sentence, p *passage, all []sentence, i int, g weigher, us []unit) {
	x := &s.x
	x[fLack], x[fLackRun] = lack(us, s.terms|p.title, s.related)
	x[fLackRun] = min(1, x[fLackRun]/maxRun)
	x[fLackPrev] = x[fLack]
	if i > p.from {
		x[fLackPrev], _ = lack(us, s.terms|p.title|all[i-1].terms, s.related)
	}
	var earlier, later uint64
	for j := p.from; j < p.to; j++ {
		if j < i {
			earlier |= all[j].terms
		} else if j > i {
			later |= all[j].terms
		}
	}
	rest := s.terms | p.title
	x[fEarlier] = share(sum(g.w, earlier&^rest), g.total)
	x[fLater] = share(sum(g.w, later&^rest), g.total)
	if i > p.from {
		x[fOpening] = share(sum(g.w, all[p.from].terms&^rest), g.total)
	}
}

// relative fills the features that compare a sentence with the best one.
func relative(all []sentence) {
	for _, f := range [...][2]int{{fCover, fCoverTop}, {fLocal, fLocalTop}, {fNear, fNearTop}, {fBeside, fBesideTop}} {
		var top float32
		for i := range all {
			top = max(top, all[i].x[f[0]])
		}
		for i := range all {
			all[i].x[f[1]] = share(all[i].x[f[0]], top)
		}
	}
	for i := range all {
		all[i].x[fPlace1] = flag(all[i].x[fLocalTop] == 1)
	}
}

// names reports whether the question names a title, without what stands in
// brackets behind it.
func (q *question) names(title string) bool {
	title = lexical.Fold(title)
	if i := strings.IndexAny(title, "(（"); i > 0 {
		title = title[:i]
	}
	title = strings.TrimSpace(title)
	return len(title) >= 4 && strings.Contains(q.Text, title)
}
