package parse

import (
	"context"
	"errors"
	"math"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/parse/pdf"
)

// Work for one PDF. A page of dense text takes about 3,000 operators and
// 50 KB; these are 3,000 such pages.
const (
	maxPDFOps     = 10_000_000
	maxPDFDecoded = 160 << 20
)

// readPDF reads the text of a PDF: lines are rejoined to paragraphs, larger or
// numbered lines become headings, running heads, page numbers and lines of a
// table of contents are left out.
func (l Limits) readPDF(ctx context.Context, data []byte, b *builder) error {
	t, err := pdf.Read(ctx, data, pdf.Limits{Pages: l.Pages, Decoded: maxPDFDecoded, Ops: maxPDFOps})
	switch {
	case errors.Is(err, pdf.ErrEncrypted):
		return kb.E(kb.Unprocessable, err, "file: the PDF is protected by a password; remove it and upload the file again")
	case errors.Is(err, pdf.ErrTooLarge):
		return kb.E(kb.TooLarge, err, "file: the PDF has more than %d pages or is too complex; split it", l.Pages)
	case errors.Is(err, pdf.ErrNoText):
		return kb.E(kb.Unprocessable, err, "file: the PDF holds only images, no text; run text recognition (OCR) on it first")
	case errors.Is(err, pdf.ErrNoMap):
		return kb.E(kb.Unprocessable, err, "file: the PDF's fonts do not say which characters they show; export it again or run text recognition (OCR) on it")
	case errors.Is(err, pdf.ErrBroken):
		return kb.E(kb.Unprocessable, err, "file: the PDF is broken or cut off; save or download it again")
	case err != nil:
		return err
	}
	if !pdf.LooksGenerated(t.Title) {
		b.title = t.Title
	}
	dropMargins(t.Pages)
	s := newSetting(t.Pages)
	for _, lines := range t.Pages {
		s.page(lines, b)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	s.flush(b)
	return b.tooLarge()
}

var (
	pageNumber = lazily(`^(?:[-–—·\s]*\d{1,4}[-–—·\s]*|[ivxlc]{1,6}|第?\s*\d+\s*页?\s*[,，/]?\s*(?:共|/|of)\s*\d+\s*页?|第\s*\d+\s*页|[Pp]age\s+\d+(?:\s+of\s+\d+)?|\d+\s*/\s*\d+)$`)
	// leaders are the dots between a title and its page in a table of contents.
	leaders = lazily(`(?:\.\s?){5,}\s*\d*$|…{2,}\s*\d*$|·{4,}\s*\d*$|:{5,}\s*\d*$|．{3,}\s*\d*$`)
	// numberedEdge begins or ends in a number, as running heads do.
	numberedEdge = lazily(`^\d{1,4}\s|\s\d{1,4}$`)

	digits = lazily(`\d+`)
)

// marginLines is how many lines at the top and bottom of a page may be running
// heads and feet.
const marginLines = 2

// dropMargins removes running heads, feet and page numbers: lines at the edge
// of pages that repeat but for their digits, and lone page numbers.
func dropMargins(pages [][]pdf.Line) {
	if len(pages) < 2 {
		return
	}
	type edge struct {
		text   string // digits are alike: page numbers count up
		height int
	}
	at := func(l pdf.Line) edge {
		return edge{digits.ReplaceAllString(l.Text, "#"), int(math.Round(l.Y / 4))}
	}
	count := map[edge]int{}
	edges := make([][]int, len(pages))
	for i, lines := range pages {
		edges[i] = edgeLines(lines)
		for _, k := range edges[i] {
			count[at(lines[k])]++
		}
	}
	for i, lines := range pages {
		var drop []int
		for _, k := range edges[i] {
			n := count[at(lines[k])]
			// Left and right pages, and chapters, have heads of their own:
			// three times the same words at the same height is no accident,
			// nor is twice in two pages or with a page number.
			if n >= 3 || n == 2 && (len(pages) <= 3 || numberedEdge.MatchString(lines[k].Text)) || pageNumber.MatchString(lines[k].Text) {
				drop = append(drop, k)
			}
		}
		slices.Sort(drop)
		for _, k := range slices.Backward(drop) {
			lines = slices.Delete(lines, k, k+1)
		}
		pages[i] = lines
	}
}

// edgeLines returns the indexes of the highest and lowest lines of a page.
func edgeLines(lines []pdf.Line) []int {
	byY := make([]int, len(lines))
	for i := range byY {
		byY[i] = i
	}
	sort.SliceStable(byY, func(i, j int) bool { return lines[byY[i]].Y > lines[byY[j]].Y })
	if len(byY) <= 2*marginLines {
		return byY
	}
	return append(byY[:marginLines:marginLines], byY[len(byY)-marginLines:]...)
}

// setting is how a document is set: what its body text looks like decides
// what a heading is.
type setting struct {
	body    float64   // size of most text
	larger  []float64 // sizes of headings, largest first
	leading float64   // distance of lines within a paragraph, in ems
	usual   float64   // where full lines of most pages end
	right   float64   // where those of the current page end

	para    strings.Builder
	last    pdf.Line // of para
	first   pdf.Line
	level   int // heading level of para, 0 for text
	lines   int
	newPage bool
}

// headingScale: type designers step from 11 to 12 points within text and
// mark headings by a sixth or more.
const headingScale = 1.15

func newSetting(pages [][]pdf.Line) *setting {
	bySize, byLeading := map[int]int{}, map[int]int{}
	for _, lines := range pages {
		for i, l := range lines {
			bySize[half(l.Size)] += len(l.Text)
			if i > 0 && lines[i-1].Size == l.Size && l.Size > 0 {
				if d := (lines[i-1].Y - l.Y) / l.Size; d > 0.8 && d < 3 {
					byLeading[int(math.Round(d*20))] += len(l.Text)
				}
			}
		}
	}
	s := &setting{body: float64(mostly(bySize)) / 2, leading: float64(mostly(byLeading)) / 20}
	if s.leading == 0 {
		s.leading = 1.5
	}
	var all []float64
	for _, lines := range pages {
		all = append(all, s.ends(lines)...)
	}
	s.usual = mostOf(all)
	for size := range bySize {
		if f := float64(size) / 2; f >= s.body*headingScale {
			s.larger = append(s.larger, f)
		}
	}
	slices.Sort(s.larger)
	slices.Reverse(s.larger)
	return s
}

func half(size float64) int { return int(math.Round(2 * size)) }

// mostly returns the key with the largest count; ties go to the smaller key.
func mostly(count map[int]int) int {
	best := 0
	for k, n := range count {
		if n > count[best] || n == count[best] && k < best {
			best = k
		}
	}
	return best
}

// ends returns where the lines of body text end.
func (s *setting) ends(lines []pdf.Line) []float64 {
	var out []float64
	for _, l := range lines {
		if half(l.Size) == half(s.body) {
			out = append(out, l.X1)
		}
	}
	return out
}

// mostOf returns what a tenth of the values exceeds: some lines hang over.
func mostOf(ends []float64) float64 {
	if len(ends) == 0 {
		return 0
	}
	slices.Sort(ends)
	return ends[len(ends)*9/10]
}

func (s *setting) page(lines []pdf.Line, b *builder) {
	// A page with a few lines does not show its width.
	const enough = 8
	ends := s.ends(lines)
	if s.right = mostOf(ends); len(ends) < enough {
		s.right = max(s.right, s.usual)
	}
	s.newPage = true
	for _, l := range lines {
		if leaders.MatchString(l.Text) {
			continue
		}
		s.line(l, b)
		s.newPage = false
	}
}

// line adds a line to the open paragraph or begins a new one.
func (s *setting) line(l pdf.Line, b *builder) {
	level := s.headingLevel(l)
	if s.lines > 0 && s.para.Len() < maxParagraphBytes && s.joins(l, level) {
		s.join(l.Text)
	} else {
		s.flush(b)
		s.first, s.level = l, level
		s.para.WriteString(l.Text)
	}
	s.last = l
	s.lines++
}

// headingLevel tells headings by size, by bold type with a number, or by the
// words that number chapters.
func (s *setting) headingLevel(l pdf.Line) int {
	if level := chapterLevel(oneLine(l.Text)); level > 0 {
		return level
	}
	if utf8.RuneCountInString(l.Text) > maxHeadingRunes*2 || strings.ContainsAny(l.Text[len(l.Text)-1:], ",;") ||
		strings.HasSuffix(l.Text, "。") || strings.HasSuffix(l.Text, "，") || strings.HasSuffix(l.Text, "；") || strings.IndexFunc(l.Text, unicode.IsLetter) < 0 {
		return 0
	}
	if l.Size >= s.body*headingScale {
		for i, size := range s.larger {
			if float64(half(l.Size))/2 >= size {
				return min(i+1, 4)
			}
		}
	}
	if m := numbered.FindString(l.Text); m != "" && l.Bold {
		return min(2+strings.Count(strings.Trim(m, ". "), "."), 5)
	}
	return 0
}

// numbered matches the numbers of sections: "3 Scope", "3.1.2 范围".
var numbered = lazily(`^\d{1,2}(?:\.\d{1,2}){0,3}\.?\s+\p{L}`)

// joins reports whether l goes on with the open paragraph.
func (s *setting) joins(l pdf.Line, level int) bool {
	em := s.last.Size
	switch {
	case level != s.level, math.Abs(l.Size-s.last.Size) > 0.12*s.last.Size, bullet.MatchString(l.Text):
		return false
	case level > 0: // a heading of two lines, not two headings
		d := s.last.Y - l.Y
		return chapterLevel(oneLine(l.Text)) == 0 && numbered.FindString(l.Text) == "" && !s.newPage && d > 0 && d < 1.6*em && s.last.Bold == l.Bold
	}
	// A line goes on if a word more did not fit, or if its sentence does and
	// it is at least nearly full, as in text with a ragged edge.
	full := s.last.X1 >= s.right-2.5*em
	open := !endsSentence(s.last.Text) && s.last.X1 >= s.right*0.8
	if s.newPage || l.Y > s.last.Y { // a new page or column
		return open && !indentedFirst(l, s)
	}
	indented := l.X0 > s.last.X0+0.8*em && s.lines > 1 || l.X0 > s.first.X0+0.8*em && !bullet.MatchString(s.para.String())
	d := (s.last.Y - l.Y) / em
	if d > 1.35*s.leading+0.1 || indented {
		return false
	}
	return full || open
}

// indentedFirst reports a line that begins right of where the paragraph's
// later lines begin.
func indentedFirst(l pdf.Line, s *setting) bool {
	return s.lines > 1 && l.X0 > s.last.X0+0.8*l.Size && math.Abs(l.X0-s.last.X0) < 6*l.Size
}

// join appends a line; a word that was divided is made whole.
func (s *setting) join(line string) {
	p := s.para.String()
	if t, ok := strings.CutSuffix(p, "\u00ad"); ok {
		s.para.Reset()
		s.para.WriteString(t)
	} else if t, ok := strings.CutSuffix(p, "-"); ok && endsInLower(t) && beginsLower(line) {
		s.para.Reset()
		s.para.WriteString(t)
	} else if last, _ := utf8.DecodeLastRuneInString(p); !wide(last) && !beginsWide(line) {
		s.para.WriteByte(' ')
	}
	s.para.WriteString(line)
}

// beginsWide reports a line whose first character needs no blank before it.
func beginsWide(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return wide(r)
}

func endsInLower(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsLower(r)
}

func beginsLower(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsLower(r)
}

// flush writes the open paragraph.
func (s *setting) flush(b *builder) {
	t := tidy(s.para.String())
	s.para.Reset()
	s.lines = 0
	switch {
	case t == "":
	case s.level > 0:
		b.heading(s.level, t)
	case bullet.MatchString(t):
		marker, rest := cutBullet(t)
		group := 0
		if n := len(b.blocks); n > 0 && b.blocks[n-1].Kind == kb.ListItem {
			group = b.blocks[n-1].Group
		} else {
			group = b.group()
		}
		b.item(group, 0, marker, rest)
	default:
		b.paragraph(t)
	}
}
