package parse

import (
	"html"
	"strconv"
	"strings"
)

// angle rewrites what begins with '<': a comment, an autolink, a tag, or text.
func (r *rewriter) angle() {
	rest := r.s[r.i:]
	switch {
	case strings.HasPrefix(rest, "<!--") && !r.noComment:
		if end := strings.Index(rest, "-->"); end >= 0 {
			r.i += end + 3
			return
		}
		r.noComment = true // none of the later ones is closed either
	case strings.HasPrefix(rest, "<!"), strings.HasPrefix(rest, "<?"):
		if end := strings.IndexAny(rest[:min(len(rest), lineWindow)], ">\n"); end >= 0 && rest[end] == '>' {
			r.i += end + 1
			return
		}
	default:
		if n := len(autolink.FindString(rest[:min(len(rest), 2048)])); n > 0 {
			r.write(rest[:n])
			r.i += n
			return
		}
		if r.budget > 0 {
			t, looked, ok := parseTag(r.s, r.i)
			if ok && r.isTag(&t) {
				r.i = t.end
				r.tag(&t)
				return
			}
			r.cost(looked)
		}
	}
	r.write(`\<`)
	r.i++
}

var autolink = lazily(`^<(?:[a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^\s<>]*|[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+)>`)

// class says how an element is rewritten.
type class int

const (
	classText  class = iota // no element: <your-api-key> is meant to be read
	classDrop               // the tag goes, its content stays
	classBlock              // the content is a block of its own
	classSkip               // the tag goes with its content
	classBreak
	classHeading
	classTable
	classPre
	classList
	classItem
)

// classify sorts the elements of the HTML standard; capitalised names are
// components, which classOf tells apart by where they stand.
func classOf(name string) class {
	switch strings.ToLower(name) {
	case "script", "style", "svg", "iframe", "video", "audio", "object", "noscript", "template", "canvas", "select", "del", "s", "strike":
		return classSkip
	case "br":
		return classBreak
	case "h1", "h2", "h3", "h4", "h5", "h6":
		return classHeading
	case "table":
		return classTable
	case "pre":
		return classPre
	case "ul", "ol", "menu":
		return classList
	case "li":
		return classItem
	case "p", "div", "section", "article", "aside", "header", "footer", "main", "nav", "center", "details", "summary",
		"figure", "figcaption", "blockquote", "dl", "dt", "dd", "form", "fieldset", "hr", "address", "hgroup", "caption",
		"thead", "tbody", "tfoot", "tr", "td", "th", "colgroup":
		return classBlock
	case "", "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "dfn", "em", "embed", "font",
		"i", "img", "input", "ins", "kbd", "label", "link", "map", "area", "mark", "meta", "meter", "output", "picture",
		"progress", "q", "rp", "rt", "ruby", "samp", "small", "source", "span", "strong", "sub", "sup", "tt", "textarea", "time",
		"track", "u", "var", "wbr", "col", "legend", "option", "optgroup", "param", "html", "body", "head", "title", "base":
		return classDrop
	}
	if c := name[0]; c >= 'A' && c <= 'Z' {
		return classBlock
	}
	return classText
}

// isTag tells tags from placeholders: an unknown lower-case name such as
// <your-key>, and shouted words without attributes such as <HOST>, are text.
func (r *rewriter) isTag(t *tag) bool {
	switch classOf(t.name) {
	case classText:
		return strings.Contains(t.name, ".") && t.name[0] != '.' // <motion.div>
	case classBlock:
		if len(t.name) > 1 && strings.ToUpper(t.name) == t.name && len(t.attrs) == 0 && !t.self && classOf(strings.ToLower(t.name)) == classText {
			return false
		}
	}
	return true
}

// tag rewrites the tag that ends at r.i.
func (r *rewriter) tag(t *tag) {
	c := classOf(t.name)
	if c == classText {
		c = classDrop
	}
	component := t.name != "" && t.name[0] >= 'A' && t.name[0] <= 'Z'
	switch {
	case c == classBreak:
		if !t.closing {
			r.write(string(lineBreak))
		}
	case c == classSkip:
		if !t.closing && !t.self {
			r.skipTo(t.name)
		}
	case t.closing:
		r.closeTag(c, t)
	case c == classDrop || r.flat || r.pipeRow():
		if title := visible(t); component && title != "" {
			r.write(escapeMarkdown(title) + " ")
		} else if c != classDrop {
			r.write(" ")
		}
	case component && !r.atLineStart() && !t.self && r.closesOnLine(t.name) && visible(t) == "":
		// <Badge>new</Badge> inside a sentence
	case c == classHeading:
		r.heading(t)
	case c == classTable:
		r.table()
	case c == classPre:
		r.pre()
	case c == classList:
		r.lists = append(r.lists, map[bool]int{true: 0, false: -1}[strings.EqualFold(t.name, "ol")])
		r.mark(openMark)
	case c == classItem:
		r.listItem()
	default:
		r.block(t)
	}
}

// block opens a block element or component. Its title becomes a paragraph in
// marks of its own, because the title's indentation is that of the tag and says
// nothing about the content's.
func (r *rewriter) block(t *tag) {
	title := visible(t)
	if t.name == "Steps" {
		r.steps = append(r.steps, 0)
	}
	if title != "" {
		prefix := r.prefix()
		r.mark(openMark)
		if !r.atLineStart() {
			r.write("\n" + prefix)
		}
		if n := len(r.steps); t.name == "Step" && n > 0 {
			r.steps[n-1]++
			r.write(stepNumber(r.steps[n-1]))
		}
		r.write(escapeMarkdown(title) + "\n" + prefix)
		r.mark(closeMark)
	}
	if !t.self {
		r.mark(openMark)
	}
}

func (r *rewriter) closeTag(c class, t *tag) {
	if t.name == "Steps" && len(r.steps) > 0 {
		r.steps = r.steps[:len(r.steps)-1]
	}
	switch {
	case c == classDrop:
	case r.flat || r.pipeRow():
		r.write(" ") // what stood on lines of its own stays apart
	case c == classHeading || c == classItem:
	case c == classList:
		if len(r.lists) > 0 {
			r.lists = r.lists[:len(r.lists)-1]
		}
		r.mark(closeMark)
	case t.name[0] >= 'A' && t.name[0] <= 'Z' && !r.atLineStart() && r.opensOnLine(t.name):
		// the end of the <Badge> above
	default:
		r.mark(closeMark)
	}
}

// mark ends the current line and writes a line that holds m only.
func (r *rewriter) mark(m string) {
	prefix := r.prefix()
	if !r.atLineStart() {
		r.write("\n" + prefix)
	}
	r.write(m)
	for r.i < len(r.s) && (r.s[r.i] == ' ' || r.s[r.i] == '\t') {
		r.i++
	}
	if r.i < len(r.s) && r.s[r.i] != '\n' {
		r.write("\n" + prefix) // the rest of the source line stays where it was
	}
}

// atLineStart reports whether the line holds blanks and quote marks only.
func (r *rewriter) atLineStart() bool {
	cur := r.current()
	return len(cur) < lineWindow && strings.Trim(cur, " \t>") == ""
}

func (r *rewriter) pipeRow() bool {
	return strings.HasPrefix(strings.TrimLeft(r.current(), " \t>"), "|")
}

// lineWindow is how much of a line is looked at around a tag, so that a
// document of one long line does not cost a scan of it per tag.
const lineWindow = 1024

// current is the beginning of the line that is being written.
func (r *rewriter) current() string {
	cur := r.out.String()[r.line:]
	return cur[:min(len(cur), lineWindow)]
}

var containerPrefix = lazily(`^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*`)

// prefix is what a line must begin with to stay in the containers of the
// current one: its indentation and quote marks, blanks for list markers.
func (r *rewriter) prefix() string {
	cur := r.current()
	p := []byte(containerPrefix.FindString(cur[:min(len(cur), maxPrefixBytes)]))
	for i, c := range p {
		if c != '>' && c != '\t' {
			p[i] = ' '
		}
	}
	return string(p)
}

// maxPrefixBytes bounds what is repeated on each line that is added.
const maxPrefixBytes = 64

func (r *rewriter) closesOnLine(name string) bool {
	line, _, _ := strings.Cut(r.s[r.i:min(len(r.s), r.i+lineWindow)], "\n")
	return strings.Contains(line, "</"+name)
}

func (r *rewriter) opensOnLine(name string) bool {
	line := r.s[max(0, r.i-lineWindow):r.i]
	line = line[strings.LastIndexByte(line, '\n')+1:]
	open := strings.Index(line, "<"+name)
	return open >= 0 && strings.Trim(line[:open], " \t>") != ""
}

// inner returns the source up to the tag that closes name, counting nested
// ones, and moves behind it; false if nothing closes it within the budget.
func (r *rewriter) inner(name string) (string, bool) {
	depth := 1
	for j := r.i; j < len(r.s); {
		k := strings.IndexByte(r.s[j:], '<')
		if k < 0 || !r.cost(k+1) {
			return "", false
		}
		j += k
		switch {
		case hasTagName(r.s[j+1:], "/"+name):
			end := strings.IndexByte(r.s[j:], '>')
			if end < 0 {
				return "", false
			}
			if depth--; depth == 0 {
				s := r.s[r.i:j]
				r.i = j + end + 1
				return s, true
			}
		case hasTagName(r.s[j+1:], name):
			depth++
		}
		j++
	}
	return "", false
}

// hasTagName reports whether s begins with name, in any case, and ends there.
func hasTagName(s, name string) bool {
	return len(s) > len(name) && strings.EqualFold(s[:len(name)], name) && !isNameByte(s[len(name)])
}

func (r *rewriter) skipTo(name string) { _, _ = r.inner(name) }

// flatten rewrites a part of the source to text that fits on one line.
func (r *rewriter) flatten(s string) string {
	if r.depth >= maxRewriters {
		return ""
	}
	sub := &rewriter{s: s, mdx: r.mdx, flat: true, budget: r.budget, depth: r.depth + 1}
	sub.run()
	r.budget = sub.budget
	out := strings.ReplaceAll(sub.out.String(), string(lineBreak), " ")
	return strings.TrimSpace(strings.ReplaceAll(out, "\n", " "))
}

// maxRewriters bounds tables in tables.
const maxRewriters = 8

func (r *rewriter) heading(t *tag) {
	s, ok := r.inner(t.name)
	if !ok {
		return
	}
	prefix := r.prefix()
	if !r.atLineStart() {
		r.write("\n" + prefix)
	}
	if s = r.flatten(s); s != "" {
		level := int(t.name[1] - '0')
		r.write("\n" + prefix + strings.Repeat("#", level) + " " + s + "\n" + prefix + "\n" + prefix)
	}
}

func (r *rewriter) listItem() {
	depth := max(len(r.lists), 1)
	marker := "- "
	if n := len(r.lists); n > 0 && r.lists[n-1] >= 0 {
		r.lists[n-1]++
		marker = strconv.Itoa(r.lists[n-1]) + ". "
	}
	prefix := strings.TrimRight(r.prefix(), " ")
	r.write("\n" + prefix + strings.Repeat("   ", min(depth, maxIndent)-1) + marker)
	for r.i < len(r.s) && (r.s[r.i] == ' ' || r.s[r.i] == '\t' || r.s[r.i] == '\n') {
		r.i++
	}
}

// pre writes preformatted HTML as fenced code.
func (r *rewriter) pre() {
	s, ok := r.inner("pre")
	if !ok {
		return
	}
	s = html.UnescapeString(anyTag.ReplaceAllString(s, ""))
	fence := "```"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	prefix := r.prefix()
	r.write("\n" + prefix + fence)
	for line := range strings.SplitSeq(strings.Trim(s, "\n"), "\n") {
		r.write("\n" + prefix + line)
	}
	r.write("\n" + prefix + fence + "\n" + prefix)
}

var anyTag = lazily(`</?[a-zA-Z][^<>]*>`)
