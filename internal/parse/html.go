package parse

import (
	"context"
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// readHTML reads a page: its title, and headings, paragraphs, lists, tables
// and preformatted text of its main part. Scripts, navigation, forms, and
// what is hidden are left out. html.Parse refuses more than 512 nested
// elements, which bounds the recursion here.
func readHTML(ctx context.Context, s string, b *builder) error {
	root, err := html.ParseWithOptions(strings.NewReader(s), html.ParseOptionEnableScripting(false))
	if err != nil {
		return kb.E(kb.Unprocessable, err, "file: HTML that is nested too deeply or broken; save it as text or Markdown")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &htmlWalker{b: b}
	if t := find(root, func(n *html.Node) bool { return n.DataAtom == atom.Title && n.Namespace == "" }); t != nil {
		b.title = textOf(t)
	}
	top := find(root, func(n *html.Node) bool { return n.DataAtom == atom.Main || attr(n, "role") == "main" })
	if top == nil || len(strings.TrimSpace(textOf(top))) == 0 {
		top = root
	}
	w.node(top)
	w.flush()
	// A page's heading is a better title than what a browser's tab shows,
	// which usually ends in the name of the site.
	for _, blk := range b.blocks {
		if h := string(b.body[blk.Start:blk.End]); blk.Kind == kb.Heading && blk.Level == 1 && strings.HasPrefix(b.title, h) {
			b.title = h
			break
		}
	}
	return b.tooLarge()
}

type htmlWalker struct {
	b     *builder
	sb    strings.Builder // text of the block that is open
	group int             // of the list, 0 outside
	depth int
	mark  string // of the item, until its first text is written
}

// flush writes the open block.
func (w *htmlWalker) flush() {
	s := w.sb.String()
	w.sb.Reset()
	if tidy(s) == "" {
		return
	}
	if w.group > 0 {
		w.b.item(w.group, w.depth, w.mark, s)
		w.mark = ""
		return
	}
	w.b.paragraph(s)
}

func (w *htmlWalker) children(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.node(c)
	}
}

func (w *htmlWalker) node(n *html.Node) {
	switch n.Type {
	case html.TextNode:
		w.sb.WriteString(n.Data)
		return
	case html.ElementNode:
	case html.DocumentNode:
		w.children(n)
		return
	default:
		return
	}
	if skipped(n) {
		return
	}
	switch n.DataAtom {
	case atom.Br:
		w.sb.WriteRune(lineBreak)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.flush()
		w.b.heading(int(n.Data[1]-'0'), textOf(n))
	case atom.Ul, atom.Ol, atom.Menu:
		w.list(n)
	case atom.Table:
		w.table(n)
	case atom.Pre:
		w.flush()
		w.b.code(w.group, preText(n))
	case atom.Li, atom.Dt, atom.Dd: // an item outside its list
		w.flush()
		w.children(n)
		w.flush()
	case atom.Img:
		// As in Markdown: a picture inside a text stands for a word.
		if alt := attr(n, "alt"); alt != "" && strings.TrimSpace(w.sb.String()) != "" {
			w.sb.WriteString(alt)
		}
	default:
		if !isBlock(n.DataAtom) {
			w.children(n)
			return
		}
		w.flush()
		w.children(n)
		w.flush()
	}
}

func (w *htmlWalker) list(n *html.Node) {
	w.flush()
	group, depth, mark := w.group, w.depth, w.mark
	if w.group == 0 {
		w.group = w.b.group()
	} else {
		w.depth++
	}
	number := 1
	if s, err := strconv.Atoi(attr(n, "start")); err == nil {
		number = s
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if c.DataAtom != atom.Li {
			w.node(c)
			continue
		}
		w.mark = "-"
		if n.DataAtom == atom.Ol {
			w.mark = strconv.Itoa(number) + "."
			number++
		}
		w.children(c)
		w.flush()
	}
	w.flush()
	w.group, w.depth, w.mark = group, depth, mark
}

// skipped reports elements whose text is not part of what a reader reads.
func skipped(n *html.Node) bool {
	switch n.DataAtom {
	case atom.Script, atom.Style, atom.Nav, atom.Noscript, atom.Template, atom.Svg, atom.Math, atom.Iframe, atom.Object,
		atom.Video, atom.Audio, atom.Canvas, atom.Select, atom.Button, atom.Input, atom.Textarea, atom.Head, atom.Del, atom.S,
		atom.Strike, atom.Dialog, atom.Datalist:
		return true
	case atom.Footer: // of the page, not of an article
		return n.Parent != nil && n.Parent.DataAtom == atom.Body
	}
	if n.DataAtom == 0 && n.Data == "svg" {
		return true
	}
	for _, a := range n.Attr {
		switch a.Key {
		case "hidden":
			return !strings.EqualFold(a.Val, "until-found")
		case "aria-hidden":
			if a.Val == "true" {
				return true
			}
		case "role":
			if a.Val == "navigation" {
				return true
			}
		case "style":
			if style := strings.ReplaceAll(strings.ToLower(a.Val), " ", ""); strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") {
				return true
			}
		}
	}
	return false
}

func isBlock(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Div, atom.Section, atom.Article, atom.Aside, atom.Header, atom.Footer, atom.Main, atom.Body, atom.Html,
		atom.Blockquote, atom.Dl, atom.Dt, atom.Dd, atom.Figure, atom.Figcaption, atom.Details, atom.Summary, atom.Address,
		atom.Fieldset, atom.Form, atom.Hr, atom.Center, atom.Hgroup, atom.Li, atom.Tr, atom.Td, atom.Th, atom.Tbody, atom.Thead,
		atom.Caption, atom.Legend, atom.Search, atom.Ul, atom.Ol, atom.Menu, atom.Table, atom.Pre,
		atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		return true
	}
	return false
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func find(n *html.Node, ok func(*html.Node) bool) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && ok(d) {
			return d
		}
	}
	return nil
}

// textOf returns the text below n on one line; blocks in it are set apart.
func textOf(n *html.Node) string {
	var sb strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		switch {
		case n.Type == html.TextNode:
			sb.WriteString(n.Data)
		case n.DataAtom == atom.Br:
			sb.WriteByte(' ')
		case n.Type == html.ElementNode && skipped(n):
		default:
			block := isBlock(n.DataAtom)
			if block {
				sb.WriteByte(' ')
			}
			for c := n.FirstChild; c != nil; c = c.NextSibling {
				walk(c)
			}
			if block {
				sb.WriteByte(' ')
			}
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		walk(c)
	}
	return oneLine(sb.String())
}

// preText returns preformatted text with its lines.
func preText(n *html.Node) string {
	var sb strings.Builder
	for d := range n.Descendants() {
		switch {
		case d.Type == html.TextNode:
			sb.WriteString(d.Data)
		case d.DataAtom == atom.Br:
			sb.WriteByte('\n')
		}
	}
	return sb.String()
}
