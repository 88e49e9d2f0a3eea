package parse

import (
	"context"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// readMarkdown reads CommonMark with GitHub's tables and task lists; mdx adds
// JSX, expressions, and imports. Tags are rewritten to Markdown or removed
// first (see rewriter), so the tree holds text only.
func readMarkdown(ctx context.Context, s string, mdx bool, b *builder) error {
	title, description, s := frontMatter(s)
	b.title = title
	if description != "" {
		s = description + "\n\n" + s
	}
	s = rewrite(s, mdx)
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := tame(s)
	if err != nil {
		return err
	}
	source := []byte(s)
	doc := newMarkdownParser(mdx).Parse(text.NewReader(source))
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &markdownWalker{source: source, b: b}
	w.blocks(doc, place{})
	return b.tooLarge()
}

// newMarkdownParser leaves out goldmark's HTML parsers: tags are gone, and
// what still looks like one is text. MDX has no indented code.
func newMarkdownParser(mdx bool) parser.Parser {
	block := []util.PrioritizedValue{
		util.Prioritized(parser.NewSetextHeadingParser(), 100),
		util.Prioritized(parser.NewThematicBreakParser(), 200),
		util.Prioritized(parser.NewListParser(), 300),
		util.Prioritized(parser.NewListItemParser(), 400),
		util.Prioritized(parser.NewATXHeadingParser(), 600),
		util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
		util.Prioritized(parser.NewBlockquoteParser(), 800),
	}
	paragraphs := parser.NewParagraphParser()
	if mdx {
		paragraphs = indentedParagraphs{paragraphs}
	} else {
		block = append(block, util.Prioritized(parser.NewCodeBlockParser(), 500))
	}
	block = append(block, util.Prioritized(paragraphs, 1000))
	return parser.NewParser(
		parser.WithBlockParsers(block...),
		parser.WithInlineParsers(
			util.Prioritized(extension.NewTaskCheckBoxParser(), 0),
			util.Prioritized(parser.NewCodeSpanParser(), 100),
			util.Prioritized(parser.NewLinkParser(), 200),
			util.Prioritized(parser.NewAutoLinkParser(), 300),
			util.Prioritized(emphasisParser{}, 500),
			util.Prioritized(struckParser{}, 500),
		),
		parser.WithParagraphTransformers(
			util.Prioritized(parser.LinkReferenceParagraphTransformer, 100),
			util.Prioritized(extension.NewTableParagraphTransformer(), 200),
		),
		parser.WithASTTransformers(util.Prioritized(extension.NewTableASTTransformer(), 0)),
		parser.WithAttribute(),
	)
}

// place is where a block stands.
type place struct {
	group int    // of the list, 0 outside
	depth int    // of the list item
	mark  string // the item's marker, for its first paragraph
}

type markdownWalker struct {
	source []byte
	b      *builder
}

func (w *markdownWalker) blocks(parent ast.Node, at place) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		w.block(n, at)
		at.mark = "" // only the first block of an item carries it
	}
}

func (w *markdownWalker) block(n ast.Node, at place) {
	switch n := n.(type) {
	case *ast.Heading:
		w.b.heading(n.Level, w.inline(n))
	case *ast.Paragraph, *ast.TextBlock:
		s := alert.ReplaceAllString(w.inline(n), "")
		if at.group > 0 {
			w.b.item(at.group, at.depth, at.mark, s)
		} else {
			w.b.paragraph(s)
		}
	case *ast.List:
		w.list(n, at)
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		w.b.code(at.group, w.lines(n))
	case *east.Table:
		w.table(n)
	case *ast.ThematicBreak:
	default: // quotes and whatever a later goldmark adds
		w.blocks(n, at)
	}
}

// alert is the first line of GitHub's coloured quotes.
var alert = lazily(`^\[!(?:NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]\s*`)

func (w *markdownWalker) list(n *ast.List, at place) {
	if at.group == 0 {
		at.group = w.b.group()
	} else {
		at.depth++
	}
	number := n.Start
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		at.mark = "-"
		if n.IsOrdered() {
			at.mark = strconv.Itoa(number) + string(n.Marker)
			number++
		}
		w.blocks(c, at)
	}
}

func (w *markdownWalker) lines(n ast.Node) string {
	var sb strings.Builder
	for i := range n.Lines().Len() {
		seg := n.Lines().At(i)
		sb.Write(seg.Value(w.source))
	}
	return sb.String()
}

func (w *markdownWalker) table(n *east.Table) {
	group, header := w.b.group(), ""
	for r := n.FirstChild(); r != nil; r = r.NextSibling() {
		var cells []string
		for c := r.FirstChild(); c != nil; c = c.NextSibling() {
			cells = append(cells, w.inline(c))
		}
		s := rowText(cells)
		if r.Kind() == east.KindTableHeader {
			header = s
		}
		w.b.row(group, header, s)
	}
}

// inline returns the text of a block's inline children. Deleted text is left
// out: a quote of a struck price would be a wrong answer.
func (w *markdownWalker) inline(n ast.Node) string {
	var t strings.Builder
	w.collect(n, &t, false)
	return t.String()
}

func (w *markdownWalker) collect(n ast.Node, t *strings.Builder, nested bool) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			t.WriteString(unescape(string(c.Segment.Value(w.source))))
			switch {
			case c.HardLineBreak():
				t.WriteString(string(lineBreak))
			case c.SoftLineBreak():
				t.WriteString("\n")
			}
		case *ast.String:
			t.WriteString(string(c.Value))
		case *ast.CodeSpan:
			t.WriteString(w.raw(c))
		case *ast.AutoLink:
			t.WriteString(string(c.Label(w.source)))
		case *ast.Image:
			// A picture between words stands for a word (a button's icon);
			// one that stands alone is a screenshot, whose text is not read.
			if nested || n.ChildCount() > 1 {
				w.collect(c, t, true)
			}
		case *east.TaskCheckBox:
			if c.IsChecked {
				t.WriteString("[x] ")
			} else {
				t.WriteString("[ ] ")
			}
		case *struck:
		default: // emphasis, links
			w.collect(c, t, true)
		}
	}
}

func (w *markdownWalker) raw(n ast.Node) string {
	var sb strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if s, ok := c.(*ast.Text); ok {
			sb.Write(s.Segment.Value(w.source))
		}
	}
	return sb.String()
}
