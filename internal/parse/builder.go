package parse

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// builder collects a document's blocks in reading order and writes the
// canonical body: blocks are separated by a blank line, items and rows of one
// group by a line end, and nested items are indented before their range.
type builder struct {
	body   []byte
	blocks []kb.Block
	title  string // set by the format when the document has one
	limit  int64
	groups int
	over   bool
}

func newBuilder(limit int64) *builder { return &builder{limit: limit} }

// group returns a new group number.
func (b *builder) group() int {
	b.groups++
	return b.groups
}

func (b *builder) heading(level int, s string) {
	b.add(kb.Block{Kind: kb.Heading, Level: min(max(level, 1), 6)}, 0, oneLine(s))
}

func (b *builder) paragraph(s string) { b.add(kb.Block{Kind: kb.Paragraph}, 0, tidy(s)) }

// item adds a list item or, when marker is empty, a further paragraph of one.
func (b *builder) item(group, depth int, marker, s string) {
	if s = tidy(s); s == "" {
		return
	}
	if marker != "" {
		s = marker + " " + s
	}
	b.add(kb.Block{Kind: kb.ListItem, Group: group}, depth, s)
}

// code adds a code block; group is the list it stands in or 0.
func (b *builder) code(group int, s string) {
	b.add(kb.Block{Kind: kb.Code, Group: group}, 0, tidyCode(s))
}

// row adds a table row. header is the text of the table's header row, which
// the caller also adds as the first row; see rowText.
func (b *builder) row(group int, header, s string) {
	header = cutBytes(header, maxHeaderBytes)
	b.add(kb.Block{Kind: kb.TableRow, Group: group, Header: header}, 0, s)
}

func (b *builder) record(group int, s string) {
	b.add(kb.Block{Kind: kb.Record, Group: group}, 0, oneLine(s))
}

// drop removes the blocks from n on, the last ones added.
func (b *builder) drop(n int) {
	end := 0
	if n > 0 {
		end = b.blocks[n-1].End
	}
	b.blocks, b.body = b.blocks[:n], b.body[:end]
}

// maxIndent bounds the blanks in front of a nested item, so that nesting cannot
// multiply the size of a document.
const maxIndent = 16

func (b *builder) add(blk kb.Block, depth int, s string) {
	if s == "" || b.over {
		return
	}
	if n := len(b.blocks); n > 0 {
		b.body = append(b.body, '\n')
		if g := b.blocks[n-1].Group; g == 0 || g != blk.Group {
			b.body = append(b.body, '\n')
		}
	}
	for range min(2*depth, maxIndent) {
		b.body = append(b.body, ' ')
	}
	if int64(len(b.body)+len(s)) > b.limit {
		b.over = true
		return
	}
	blk.Start = len(b.body)
	b.body = append(b.body, s...)
	blk.End = len(b.body)
	b.blocks = append(b.blocks, blk)
}

// tooLarge is non-nil once the text has passed the limit: what is added later
// is dropped, so a reader may look at any time.
func (b *builder) tooLarge() error {
	if !b.over {
		return nil
	}
	return kb.E(kb.TooLarge, nil, "file: holds more than %d bytes of text; split the document", b.limit)
}

// text returns the finished document. Its title is the format's own, else the
// first heading of level 1, else fallback.
func (b *builder) text(fallback string) (kb.Text, error) {
	if err := b.tooLarge(); err != nil {
		return kb.Text{}, err
	}
	if len(b.blocks) == 0 {
		return kb.Text{}, kb.E(kb.Invalid, nil, "document has no text")
	}
	t := kb.Text{Title: oneLine(b.title), Body: string(b.body), Blocks: b.blocks}
	if t.Title == "" {
		for _, blk := range b.blocks {
			if blk.Kind == kb.Heading && blk.Level == 1 {
				t.Title = t.Body[blk.Start:blk.End]
				break
			}
		}
	}
	if t.Title == "" {
		t.Title = fallback
	}
	t.Title = cutBytes(t.Title, maxTitleBytes)
	return t, nil
}

// maxTitleBytes keeps a title that is really a paragraph from being repeated
// with each chunk; 300 bytes are 100 Chinese characters.
const maxTitleBytes = 300

func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimSpace(s[:n])
}

// maxHeaderBytes bounds what each row of a table repeats; the header row itself
// is in the body uncut.
const maxHeaderBytes = 1000

// cellSeparator stands between the cells of a row.
const cellSeparator = " | "

// rowText joins the cells of a row as a reader sees them side by side. Empty
// cells keep their place, so columns stay countable; a row of empty cells is "".
func rowText(cells []string) string {
	var sb strings.Builder
	blank := true
	for i, c := range cells {
		if i > 0 {
			sb.WriteString(cellSeparator)
		}
		c = oneLine(c)
		blank = blank && c == ""
		sb.WriteString(c)
	}
	if blank {
		return ""
	}
	return strings.TrimSpace(sb.String())
}

// lineBreak is how the readers mark a line end that the author set; any other
// white space is a mere blank.
const lineBreak = '\u2028'

// tidy makes the text of one block canonical: no control or invisible
// characters, white space folded to one blank, lineBreak to \n.
func tidy(s string) string { return fold(s, '\n') }

// oneLine is tidy for text that must not break: titles, headings, cells.
func oneLine(s string) string { return fold(s, ' ') }

func fold(s string, br rune) string {
	var sb strings.Builder
	sb.Grow(len(s))
	gap, last := rune(0), rune(0) // white space seen and not written yet
	for _, r := range s {
		switch {
		case r == lineBreak || r == '\u2029':
			gap = br
		case unicode.IsSpace(r):
			if gap == 0 {
				gap = ' '
				if r == '\n' || r == '\r' {
					gap = softBreak
				}
			} else if gap == ' ' && r == '\n' {
				gap = softBreak
			}
			continue
		case invisible(r):
			continue
		default:
			if gap == softBreak {
				gap = ' '
				if wide(last) && wide(r) {
					gap = 0
				}
			}
			if gap != 0 && last != 0 {
				sb.WriteRune(gap)
			}
			gap = 0
			sb.WriteRune(r)
			last = r
		}
	}
	return sb.String()
}

// softBreak is a line end of the source that is not one of the text: a blank,
// but nothing between two Chinese characters.
const softBreak = -1

// tidyCode keeps the lines and indentation of code; a tab becomes four blanks.
func tidyCode(s string) string {
	var sb strings.Builder
	sb.Grow(len(s))
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		switch {
		case r == '\n' || r == '\r' || r == lineBreak || r == '\u2029':
			sb.WriteByte('\n')
		case r == '\t':
			sb.WriteString("    ")
		case invisible(r):
		case unicode.IsSpace(r):
			sb.WriteByte(' ')
		default:
			sb.WriteRune(r)
		}
	}
	lines := strings.Split(sb.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// invisible reports characters that a reader does not see and a quote must not
// carry: controls, byte order marks, zero-width blanks, soft hyphens,
// bidirectional overrides (CVE-2021-42574), and what is no character at all.
// The joiners stay, emoji and Indic scripts need them.
func invisible(r rune) bool {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return false
	case unicode.IsControl(r), r == utf8.RuneError, r == '\ufeff', r == '\u200b', r == '\u00ad', r == '\u2060':
		return true
	case r >= '\u200e' && r <= '\u200f', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
		return true
	case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe:
		return true
	case r >= 0xfff9 && r <= 0xfffc: // interlinear annotation, object replacement
		return true
	}
	return false
}

// wide reports characters of scripts written without blanks, and their
// punctuation (Unicode 16 blocks; fullwidth digits and letters count too).
func wide(r rune) bool {
	switch {
	case r < 0x2e80:
		// Dashes, ellipses and curly quotes are as wide as their neighbours,
		// so they do not decide.
		return false
	case r <= 0x303f, r >= 0x3040 && r <= 0x30ff, r >= 0x3100 && r <= 0x312f, r >= 0x31a0 && r <= 0x4dbf:
		return r != 0x3000
	case r >= 0x4e00 && r <= 0x9fff, r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe4f, r >= 0xff00 && r <= 0xffef:
		return true
	}
	return r >= 0x20000 && r <= 0x3ffff
}
