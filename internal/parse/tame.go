package parse

import (
	"math"
	"strings"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// dedent removes the marks of rewrite and the indentation that components gave
// their content: what is inside <Step> begins where <Step> began, so that a
// list in it is a list. Marks become blank lines, which end paragraphs.
func dedent(s string) string {
	if !strings.Contains(s, openMark) && !strings.Contains(s, closeMark) {
		return s
	}
	lines := strings.Split(s, "\n")
	shift := shifts(lines)
	var sb strings.Builder
	sb.Grow(len(s))
	bare := false // the previous line is a list marker without text
	for i, l := range lines {
		if m := strings.Trim(l, " \t>"); m == openMark || m == closeMark {
			if !bare {
				sb.WriteString(strings.TrimRight(strings.Trim(l, openMark+closeMark), " \t"))
				sb.WriteByte('\n')
			}
			continue
		}
		l = strings.NewReplacer(openMark, "", closeMark, "").Replace(l)
		l = unindent(l, shift[i])
		bare = bareMarker.MatchString(l)
		sb.WriteString(l)
		if i < len(lines)-1 {
			sb.WriteByte('\n')
		}
	}
	return sb.String()
}

var bareMarker = lazily(`^[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]*$`)

// shifts returns for each line by how many columns its components indent it.
func shifts(lines []string) []int {
	type region struct{ line, indent, least, parent int }
	regions := []region{{line: -1, least: math.MaxInt}}
	owner := make([]int, len(lines)) // of each line, an index in regions
	cur, fence := 0, ""
	for i, l := range lines {
		owner[i] = cur
		t := strings.TrimLeft(l, " \t")
		indent := width(l[:len(l)-len(t)])
		switch m := strings.TrimRight(t, " \t"); {
		case fence != "":
			if closesFence(l, fence) {
				fence = ""
			}
		case m == openMark:
			regions = append(regions, region{i, indent, math.MaxInt, cur})
			regions[cur].least = min(regions[cur].least, indent)
			cur = len(regions) - 1
		case m == closeMark:
			if cur != 0 {
				cur = regions[cur].parent
				owner[i] = cur
			}
		case m == "":
		default:
			if f := fenceOpen.FindStringSubmatch(l); f != nil && !(f[1][0] == '`' && strings.Contains(f[2], "`")) {
				fence = f[1]
			}
			regions[cur].least = min(regions[cur].least, indent)
		}
	}
	total := make([]int, len(regions))
	for i, r := range regions[1:] { // a parent comes before its children
		total[i+1] = total[r.parent]
		if r.least != math.MaxInt {
			total[i+1] += max(r.least-r.indent, 0)
		}
	}
	out := make([]int, len(lines))
	for i, o := range owner {
		out[i] = total[o]
	}
	return out
}

// unindent removes up to n columns of leading blanks.
func unindent(l string, n int) string {
	i := 0
	for i < len(l) && n > 0 && (l[i] == ' ' || l[i] == '\t') {
		w := width(l[i : i+1])
		if w > n {
			return strings.Repeat(" ", w-n) + l[i+1:]
		}
		n -= w
		i++
	}
	return l[i:]
}

// What goldmark 1.8.7 handles in quadratic time or memory, measured: 12 s for
// 50,000 of "[a](" in one paragraph, 11 s for 100,000 link definitions in a
// row, 6 s for a table of 10,000 columns and 1000 empty rows, 74 ms for 10,000
// nested quotes. The bounds are far above what people write.
const (
	maxMarkers        = 100      // of containers in front of one line
	maxParagraphBytes = 64 << 10 // before a paragraph is broken
	maxBrackets       = 1000     // in one paragraph
	maxPadding        = 100_000  // table cells that no byte of the source stands for
)

// tame rewrites s so that parsing it takes linear time, and refuses tables
// that are bombs.
func tame(s string) (string, error) {
	var sb strings.Builder
	sb.Grow(len(s) + len(s)/16)
	var t tamer
	for line := range strings.Lines(s) {
		if err := t.line(&sb, line); err != nil {
			return "", err
		}
	}
	return sb.String(), nil
}

type tamer struct {
	fence    string
	size     int // of the paragraph so far
	brackets int
	columns  int // of the table the line may belong to
	padding  int
	pipes    int // in the previous line
}

var (
	definition = lazily(`^[ \t>]*\[[^\]]{1,999}\]:`)
	delimiter  = lazily(`^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-*:?[ \t]*)*$`)
)

func (t *tamer) line(sb *strings.Builder, line string) error {
	if t.fence != "" {
		if closesFence(line, t.fence) {
			t.fence = ""
		}
		sb.WriteString(line)
		return nil
	}
	if f := fenceOpen.FindStringSubmatch(line); f != nil && !(f[1][0] == '`' && strings.Contains(f[2], "`")) {
		t.fence = f[1]
	}
	if strings.TrimSpace(line) == "" {
		*t = tamer{padding: t.padding}
		sb.WriteString(line)
		return nil
	}
	line = fewerMarkers(line)
	pipes := strings.Count(line, "|")
	if pipes+t.pipes > 0 && delimiter.MatchString(strings.TrimRight(line, "\n")) {
		t.columns = pipes + 1
	} else if t.columns > 0 {
		t.padding += max(0, t.columns-pipes-1)
	}
	t.pipes = pipes
	if t.padding > maxPadding {
		return kb.E(kb.Unprocessable, nil, "file: a table has far more columns than its rows have cells; shorten its header")
	}
	if definition.MatchString(line) && t.columns == 0 {
		sb.WriteByte('\n') // each definition its own paragraph
	}
	t.paragraph(sb, line)
	return nil
}

// paragraph writes the line, breaks a paragraph that is too long and makes
// brackets beyond the bound plain characters.
func (t *tamer) paragraph(sb *strings.Builder, line string) {
	if t.columns == 0 && t.size > 0 && t.size+len(line) > maxParagraphBytes {
		sb.WriteByte('\n')
		t.size, t.brackets = 0, 0
	}
	for len(line) > 0 {
		n := min(len(line), maxParagraphBytes)
		for n < len(line) && line[n]&0xc0 == 0x80 {
			n++
		}
		part := line[:n]
		line = line[n:]
		t.size += n
		if c := strings.Count(part, "["); t.brackets+c > maxBrackets {
			part = strings.ReplaceAll(strings.ReplaceAll(part, `\[`, "["), "[", `\[`)
		} else {
			t.brackets += c
		}
		sb.WriteString(part)
		if len(line) > 0 {
			sb.WriteString("\n\n")
			t.size, t.brackets = 0, 0
		}
	}
}

// fewerMarkers drops quote and list markers beyond the bound.
func fewerMarkers(line string) string {
	if strings.Trim(line, "-* \t\n") == "" {
		return line // a rule
	}
	n := 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == ' ' || c == '\t' || c >= '0' && c <= '9' || c == '.' || c == ')':
		case c == '>' || c == '-' || c == '*' || c == '+':
			if n++; n > maxMarkers {
				return line[:i] + strings.TrimLeft(line[i:], ">-*+0123456789.) \t")
			}
		default:
			return line
		}
	}
	return line
}
