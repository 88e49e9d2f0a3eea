package pdf

import (
	"math"
	"regexp"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Line is a line of text as it is set on a page. Lengths are in points (1/72
// inch); Y grows upwards. Text that is turned by a multiple of 90 degrees is
// measured as if it were not.
type Line struct {
	Text   string
	X0, X1 float64 // left and right end
	Y      float64 // of the baseline
	Size   float64 // height of an em
	Bold   bool
	turned int // quarter turns
}

// inked is one glyph with its place on the page.
type inked struct {
	glyph
	x, y, endX, endY float64
	dx, dy           float64 // direction of writing
	size             float64
	bold             bool
}

// pageText collects the lines of a page in the order they are drawn, which is
// the reading order of nearly all programs.
type pageText struct {
	lines    []Line
	sb       strings.Builder
	cur      Line
	pen      float64 // where the next glyph of cur is expected
	lastX    float64
	last     string
	blank    bool // white space was drawn since
	bolds    int
	inLine   int
	mapped   int
	unmapped int
	images   int
}

// maxTilt is how far text may be off the axes, in the tangent of the angle;
// beyond it is a watermark.
const maxTilt = 0.09 // 5 degrees

// add appends a glyph to the current line or begins a new one.
func (t *pageText) add(g inked) {
	if g.text == "" {
		if !g.blank {
			t.unmapped++
		}
	} else {
		t.mapped++
	}
	turned, ok := turns(g.dx, g.dy)
	if !ok || g.size <= 0 || math.IsNaN(g.size+g.x+g.y+g.endX+g.endY) || math.IsInf(g.size+g.x+g.y+g.endX+g.endY, 0) {
		return
	}
	x, y := turn(g.x, g.y, turned)
	end, _ := turn(g.endX, g.endY, turned)
	if g.text == "" && !g.blank && (t.sb.Len() == 0 || math.Abs(y-t.cur.Y) > 0.6*g.size) {
		g.text = "•" // what has no character and begins a line marks an item
	}
	if strings.TrimSpace(g.text) == "" {
		t.blank = t.blank || g.text != ""
		if t.sb.Len() > 0 && turned == t.cur.turned && math.Abs(y-t.cur.Y) < g.size/2 {
			t.pen = max(t.pen, end)
		}
		return
	}
	if t.sb.Len() > 0 && g.text == t.last && math.Abs(x-t.lastX) < g.size/5 && math.Abs(y-t.cur.Y) < g.size/5 && turned == t.cur.turned {
		return // drawn twice, to look bold
	}
	if !t.continues(x, y, g.size, turned) {
		t.flush()
		t.cur = Line{X0: x, Y: y, Size: g.size, turned: turned}
	} else if t.blank || t.gap(x-t.pen, g) {
		t.sb.WriteByte(' ')
	}
	t.blank = false
	if g.size > t.cur.Size {
		t.cur.Size, t.cur.Y = g.size, y // the line began with something raised
	}
	t.sb.WriteString(readable(g.text))
	t.inLine++
	if g.bold {
		t.bolds++
	}
	t.pen, t.lastX, t.last = end, x, g.text
	t.cur.X1 = max(t.cur.X1, end)
}

// continues reports whether a glyph belongs to the current line.
func (t *pageText) continues(x, y, size float64, turned int) bool {
	if t.sb.Len() == 0 || turned != t.cur.turned {
		return false
	}
	// Superscripts stand up to half an em above the line. Kerning moves back
	// by a fraction of an em; more is a new line or column.
	return math.Abs(y-t.cur.Y) < 0.5*max(size, t.cur.Size) && x > t.pen-0.7*size
}

// gap reports whether a distance between two glyphs is a blank. Words are a
// quarter of an em apart and kerning stays below a tenth; Chinese needs no
// blanks, but columns of a table are set apart.
func (t *pageText) gap(d float64, g inked) bool {
	prev, _ := utf8.DecodeLastRuneInString(t.last)
	next, _ := utf8.DecodeRuneInString(g.text)
	switch a, b := wide(prev), wide(next); {
	case a && b:
		return d > 0.3*g.size // justified lines stay far below
	case a || b:
		return d > 0.4*g.size // programs set a quarter between the scripts
	}
	return d > 0.18*g.size
}

func (t *pageText) flush() {
	if s := strings.TrimSpace(t.sb.String()); s != "" && len(t.lines) < maxLines {
		t.cur.Text = s
		t.cur.Bold = 2*t.bolds > t.inLine
		// The same line drawn again, a shadow or a fake bold.
		if n := len(t.lines); n == 0 || t.lines[n-1].Text != s || math.Abs(t.lines[n-1].Y-t.cur.Y) > t.cur.Size/2 || math.Abs(t.lines[n-1].X0-t.cur.X0) > t.cur.Size/2 {
			t.lines = append(t.lines, t.cur)
		}
	}
	t.sb.Reset()
	t.bolds, t.inLine, t.blank, t.last = 0, 0, false, ""
}

// maxLines bounds one page; a poster of fine print has a few thousand.
const maxLines = 50_000

// turns returns the direction of writing in quarter turns; false if it is
// slanted.
func turns(dx, dy float64) (int, bool) {
	switch {
	case math.Abs(dy) <= maxTilt*math.Abs(dx) && dx != 0:
		if dx > 0 {
			return 0, true
		}
		return 2, true
	case math.Abs(dx) <= maxTilt*math.Abs(dy) && dy != 0:
		if dy > 0 {
			return 1, true
		}
		return 3, true
	}
	return 0, false
}

func turn(x, y float64, turned int) (float64, float64) {
	switch turned {
	case 1:
		return y, -x
	case 2:
		return -x, -y
	case 3:
		return -y, x
	}
	return x, y
}

// readable replaces presentation forms that fonts draw for ordinary
// characters: Kangxi radicals for Chinese characters, Latin ligatures.
func readable(s string) string {
	for _, r := range s {
		if r >= 0x2e80 && r <= 0x2fdf || r >= 0xfb00 && r <= 0xfb06 {
			return norm.NFKC.String(s)
		}
	}
	return s
}

// wide reports characters of scripts that are set without blanks.
func wide(r rune) bool {
	return r >= 0x2e80 && r <= 0x9fff && !unicode.Is(unicode.Hangul, r) || r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe4f || r >= 0xff00 && r <= 0xffef || r >= 0x20000 && r <= 0x3ffff
}

// ordered returns the lines in reading order. Programs that draw in another
// order are told by lines that often go up within the same columns; their
// pages are sorted from top to bottom.
func ordered(lines []Line) []Line {
	lines = attachMarks(lines)
	up, down := 0, 0
	for i := 1; i < len(lines); i++ {
		a, b := lines[i-1], lines[i]
		if a.turned != b.turned || a.X0 > b.X1 || b.X0 > a.X1 {
			continue
		}
		if b.Y > a.Y+a.Size/2 {
			up++
		} else {
			down++
		}
	}
	if up < 4 || up*3 < down {
		return lines
	}
	sort.SliceStable(lines, func(i, j int) bool {
		a, b := lines[i], lines[j]
		if a.turned != b.turned {
			return a.turned < b.turned
		}
		if math.Abs(a.Y-b.Y) > min(a.Size, b.Size)/2 {
			return a.Y > b.Y
		}
		return a.X0 < b.X0
	})
	return lines
}

var loneMark = regexp.MustCompile(`^(?:\d{1,3}[.)、]|[(（]\d{1,3}[)）]|[•●○■□◆▪–-])$`)

// attachMarks puts the marks of list items, which some programs draw apart,
// in front of the lines they belong to.
func attachMarks(lines []Line) []Line {
	byY := map[int][]int{}
	for i, l := range lines {
		byY[int(l.Y)] = append(byY[int(l.Y)], i)
	}
	drop := map[int]bool{}
	for i, l := range lines {
		if !loneMark.MatchString(l.Text) {
			continue
		}
		best := -1
		for y := int(l.Y) - 2; y <= int(l.Y)+2; y++ {
			for _, k := range byY[y][:min(len(byY[y]), 64)] {
				m := lines[k]
				if k != i && !drop[k] && m.turned == l.turned && m.X0 >= l.X1 && m.X0 < l.X1+4*l.Size && (best < 0 || m.X0 < lines[best].X0) {
					best = k
				}
			}
		}
		if best >= 0 && !loneMark.MatchString(lines[best].Text) {
			lines[best].Text = l.Text + " " + lines[best].Text
			lines[best].X0 = l.X0
			drop[i] = true
		}
	}
	if len(drop) == 0 {
		return lines
	}
	var out []Line
	for i, l := range lines {
		if !drop[i] {
			out = append(out, l)
		}
	}
	return out
}
