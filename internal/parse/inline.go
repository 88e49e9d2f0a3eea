package parse

import (
	"html"
	"strings"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// inlineText collects the text of one block and remembers which parts are
// code, where an asterisk is an asterisk.
type inlineText struct {
	sb    strings.Builder
	stars []int // offsets of "**" that goldmark left in prose
}

func (t *inlineText) code(s string) { t.sb.WriteString(s) }

func (t *inlineText) text(s string) {
	for i := 0; ; {
		j := strings.Index(s[i:], "**")
		if j < 0 {
			break
		}
		t.stars = append(t.stars, t.sb.Len()+i+j)
		i += j + 2
	}
	t.sb.WriteString(s)
}

// String removes the "**" pairs that CommonMark's rule of flanking leaves in
// Chinese: in **注意：**请 the closing run follows a punctuation mark and is
// followed by a letter, so it closes nothing. A pair goes only when one of its
// neighbours is not ASCII, which spares 2**10 and **kwargs.
func (t *inlineText) String() string {
	s := t.sb.String()
	if len(t.stars) < 2 {
		return s
	}
	var out strings.Builder
	last := 0
	for i := 0; i+1 < len(t.stars); i += 2 {
		a, b := t.stars[i], t.stars[i+1]
		if !foreign(s, a) && !foreign(s, b) {
			continue
		}
		out.WriteString(s[last:a])
		out.WriteString(s[a+2 : b])
		last = b + 2
	}
	out.WriteString(s[last:])
	return out.String()
}

// foreign reports whether a neighbour of the two bytes at i is not ASCII.
func foreign(s string, i int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	after, _ := utf8.DecodeRuneInString(s[i+2:])
	return before >= utf8.RuneSelf && before != utf8.RuneError || after >= utf8.RuneSelf && after != utf8.RuneError
}

// unescape resolves backslash escapes and character references in one pass, as
// CommonMark §2.4 and §2.5 ask: "\&amp;" stays "&amp;".
func unescape(s string) string {
	if !strings.ContainsAny(s, `\&`) {
		return s
	}
	var sb strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && isPunct(s[i+1]):
			i++
			sb.WriteByte(s[i])
		case c == '&':
			// The longest entity name, CounterClockwiseContourIntegral, has 31 letters.
			end := strings.IndexByte(s[i:min(i+40, len(s))], ';')
			if end < 0 {
				sb.WriteByte(c)
				continue
			}
			sb.WriteString(html.UnescapeString(s[i : i+end+1]))
			i += end
		default:
			sb.WriteByte(c)
		}
	}
	return sb.String()
}

func isPunct(c byte) bool {
	return c >= '!' && c <= '/' || c >= ':' && c <= '@' || c >= '[' && c <= '`' || c >= '{' && c <= '~'
}

// struck is ~~deleted~~ text. goldmark's own extension also takes single
// tildes, and would delete text from 1~2天，3~5元.
type struck struct{ ast.BaseInline }

var kindStruck = ast.NewNodeKind("Struck")

func (*struck) Kind() ast.NodeKind { return kindStruck }

func (n *struck) Dump(source []byte, level int) { ast.DumpHelper(n, source, level, nil, nil) }

type struckParser struct{}

func (struckParser) Trigger() []byte { return []byte{'~'} }

func (struckParser) Parse(_ ast.Node, block text.Reader, pc parser.Context) ast.Node {
	before := block.PrecendingCharacter()
	line, segment := block.PeekLine()
	node := parser.ScanDelimiter(line, before, 2, struckParser{})
	if node == nil || node.OriginalLength > 2 {
		return nil
	}
	node.Segment = segment.WithStop(segment.Start + node.OriginalLength)
	block.Advance(node.OriginalLength)
	pc.PushDelimiter(node)
	return node
}

func (struckParser) IsDelimiter(b byte) bool { return b == '~' }

func (struckParser) CanOpenCloser(opener, closer *parser.Delimiter) bool {
	return opener.Char == closer.Char
}

func (struckParser) OnMatch(int) ast.Node { return new(struck) }
