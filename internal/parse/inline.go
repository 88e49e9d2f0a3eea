package parse

import (
	"html"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// emphasisParser is CommonMark's emphasis with one change: punctuation of
// Chinese type is no punctuation to it, and next to Chinese characters all is.
// By the letter of CommonMark §6.2 the second run of **注意：**请 closes nothing,
// because it follows a mark and precedes a letter; Chinese has no blanks there.
type emphasisParser struct{}

func (emphasisParser) Trigger() []byte { return []byte{'*', '_'} }

func (emphasisParser) Parse(_ ast.Node, block text.Reader, pc parser.Context) ast.Node {
	before := block.PrecendingCharacter()
	line, segment := block.PeekLine()
	n := 1
	for n < len(line) && line[n] == line[0] {
		n++
	}
	after := '\n'
	if n < len(line) {
		after, _ = utf8.DecodeRune(line[n:])
	}
	mark := func(r rune) bool { return (unicode.IsPunct(r) || unicode.IsSymbol(r)) && !wide(r) }
	left := !unicode.IsSpace(after) && (!mark(after) || unicode.IsSpace(before) || mark(before) || wide(before))
	right := !unicode.IsSpace(before) && (!mark(before) || unicode.IsSpace(after) || mark(after) || wide(after))
	canOpen, canClose := left, right
	if line[0] == '_' {
		canOpen = left && (!right || mark(before))
		canClose = right && (!left || mark(after))
	}
	node := parser.NewDelimiter(canOpen, canClose, n, line[0], emphasisParser{})
	node.Segment = segment.WithStop(segment.Start + n)
	block.Advance(n)
	pc.PushDelimiter(node)
	return node
}

func (emphasisParser) IsDelimiter(b byte) bool { return b == '*' || b == '_' }

func (emphasisParser) CanOpenCloser(opener, closer *parser.Delimiter) bool {
	return opener.Char == closer.Char
}

func (emphasisParser) OnMatch(consumed int) ast.Node { return ast.NewEmphasis(consumed) }

// indentedParagraphs lets a paragraph begin at any indentation, as in MDX,
// where indentation is no code; goldmark would drop the line.
type indentedParagraphs struct{ parser.BlockParser }

func (indentedParagraphs) CanAcceptIndentedLine() bool { return true }

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
