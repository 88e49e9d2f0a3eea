package parse

import (
	"strconv"
	"strings"
)

// rewrite turns Markdown with HTML or JSX in it into Markdown without: tags
// are removed, their visible attributes (the title of a card, tab or step)
// become paragraphs, HTML headings, lists, tables and preformatted text become
// Markdown's. With mdx, expressions, comments, imports and exports are removed
// as well. Code is not touched. It never fails and takes linear time.
func rewrite(s string, mdx bool) string {
	s = strings.NewReplacer(openMark, "", closeMark, "").Replace(s)
	r := &rewriter{s: s, mdx: mdx, budget: 4*len(s) + 1<<20}
	r.run()
	return dedent(r.out.String())
}

// openMark and closeMark stand alone on a line where a block element begins
// and ends, until dedent removes them. They are noncharacters, which never
// occur in interchanged text (Unicode 16 §23.7).
const (
	openMark  = "\ufdd0"
	closeMark = "\ufdd1"
)

type rewriter struct {
	s      string
	i      int
	mdx    bool
	flat   bool // inside a table cell or heading: nothing may break the line
	budget int  // bytes of lookahead that may still be spent
	out    strings.Builder
	line   int // offset in out where the current line begins
	depth  int // of rewriters within rewriters
	para   int // end of the paragraph that r.i is in, as far as known

	noComment bool // no comment is closed from here on
	steps     []int
	lists     []int // of open HTML lists: −1 for bullets, else the last number
	fence     string
	blank     bool // the previous source line was blank
	item      bool // a list may be open, so that indentation is not code
}

// cost takes n from the lookahead budget; when it is used up, characters are
// just characters.
func (r *rewriter) cost(n int) bool {
	r.budget -= n
	return r.budget > 0
}

func (r *rewriter) run() {
	r.blank = true
	for r.i < len(r.s) {
		end := r.lineEnd(r.i)
		line := r.s[r.i:end]
		switch {
		case r.fence != "":
			r.copyTo(end)
			if closesFence(line, r.fence) {
				r.fence = ""
			}
		case !r.flat && r.opensFence(line):
			r.copyTo(end)
		case r.mdx && !r.flat && r.module(line):
		case !r.mdx && !r.flat && r.indentedCode(line):
			r.copyTo(end)
		default:
			r.prose()
		}
	}
}

// lineEnd returns the offset behind the line end after i.
func (r *rewriter) lineEnd(i int) int {
	if n := strings.IndexByte(r.s[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(r.s)
}

func (r *rewriter) copyTo(end int) {
	r.write(r.s[r.i:end])
	r.i = end
	r.blank = false
}

func (r *rewriter) write(s string) {
	if n := strings.LastIndexByte(s, '\n'); n >= 0 {
		r.line = r.out.Len() + n + 1
	}
	r.out.WriteString(s)
}

var fenceOpen = lazily("^[ \t>]*(?:[-*+][ \t]+|\\d{1,9}[.)][ \t]+)*[ \t>]*(`{3,}|~{3,})(.*)")

func (r *rewriter) opensFence(line string) bool {
	if !strings.Contains(line, "```") && !strings.Contains(line, "~~~") {
		return false
	}
	m := fenceOpen.FindStringSubmatch(line)
	if m == nil || m[1][0] == '`' && strings.Contains(m[2], "`") {
		return false
	}
	r.fence = m[1]
	return true
}

func closesFence(line, fence string) bool {
	t := strings.Trim(line, " \t\n>")
	return len(t) >= len(fence) && strings.Trim(t, fence[:1]) == ""
}

// indentedCode reports a line of CommonMark's indented code, which may hold
// tags that are meant to be read.
func (r *rewriter) indentedCode(line string) bool {
	t := strings.TrimLeft(line, " \t")
	if t == "" || t == "\n" {
		return false
	}
	indent := width(line[:len(line)-len(t)])
	if indent < 4 {
		r.item = listMarker.MatchString(line) || r.item && !r.blank
		return false
	}
	return r.blank && !r.item && len(r.lists) == 0 && r.open() == 0
}

func (r *rewriter) open() int { return len(r.steps) }

var (
	listMarker = lazily(`^[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)`)
	moduleLine = lazily(`^(?:import\s+(?:['"{*]|[\w$]+\s*(?:,|\s+from\s))|export\s+(?:default|const|let|var|function|async|class|type|interface|\{|\*))`)
)

// module skips an import or export with all its lines.
func (r *rewriter) module(line string) bool {
	if line[0] != 'i' && line[0] != 'e' || !moduleLine.MatchString(line) {
		return false
	}
	end := r.lineEnd(r.i)
	// An export may hold a function of many lines, with blank ones in between.
	for n := 0; n < maxModuleBytes && end < len(r.s); {
		code := r.s[r.i:end]
		if !r.cost(len(code)) || closed(code) {
			break
		}
		next := r.lineEnd(end)
		n += next - end
		end = next
	}
	r.i = end
	r.blank = true
	return true
}

// maxModuleBytes bounds the code that one import or export may take with it.
const maxModuleBytes = 16 << 10

// closed reports whether all brackets of code are closed.
func closed(code string) bool {
	depth := 0
	for i := 0; i < len(code); i++ {
		switch code[i] {
		case '{', '(', '[':
			depth++
		case '}', ')', ']':
			depth--
		case '"', '\'', '`':
			if end := stringEnd(code, i); end > 0 {
				i = end
			} else if code[i] == '`' {
				return false
			}
		}
	}
	return depth <= 0
}

// prose rewrites from r.i to the end of the source line that the last tag or
// code span ends on.
func (r *rewriter) prose() {
	start := r.i
	for r.i < len(r.s) {
		switch c := r.s[r.i]; c {
		case '\n':
			r.blank = strings.TrimSpace(r.s[start:r.i]) == ""
			r.i++
			if r.flat {
				r.write(" ")
			} else {
				r.write("\n")
			}
			return
		case '\\':
			end := min(r.i+2, len(r.s))
			if end > r.i+1 && r.s[r.i+1] == '\n' {
				end--
			}
			r.write(r.s[r.i:end])
			r.i = end
		case '`':
			r.codeSpan()
		case '<':
			r.angle()
		case '{':
			r.brace()
		case '[':
			r.bracket()
		case ':':
			if !r.directive(start) {
				r.write(":")
				r.i++
			}
		default:
			end := r.i + 1
			for end < len(r.s) && !strings.ContainsRune("\n\\`<{[:", rune(r.s[end])) {
				end++
			}
			r.write(r.s[r.i:end])
			r.i = end
		}
	}
}

// codeSpan copies `code` untouched, or the run of backticks if nothing in the
// paragraph closes it.
func (r *rewriter) codeSpan() {
	if r.i >= r.para {
		r.para = len(r.s)
		if n := strings.Index(r.s[r.i:], "\n\n"); n >= 0 {
			r.para = r.i + n
		}
	}
	n := 1
	for r.i+n < len(r.s) && r.s[r.i+n] == '`' {
		n++
	}
	fence := r.s[r.i : r.i+n]
	for j := r.i + n; j < r.para && r.budget > 0; {
		k := strings.Index(r.s[j:r.para], fence)
		if k < 0 {
			r.cost(r.para - j)
			break
		}
		if !r.cost(k) {
			break
		}
		m := n
		for j+k+m < len(r.s) && r.s[j+k+m] == '`' {
			m++
		}
		if m == n {
			end := j + k + m
			span := r.s[r.i:end]
			if r.flat {
				span = strings.ReplaceAll(span, "\n", " ")
			}
			r.write(span)
			r.i = end
			return
		}
		j += k + m
	}
	r.write(fence)
	r.i += n
}

// brace removes an MDX expression; one that is a string leaves its text.
func (r *rewriter) brace() {
	// {{name}} is a template's placeholder, not an object in an object.
	if !r.mdx || r.budget <= 0 || strings.HasPrefix(r.s[r.i:], "{{") {
		n := 1
		if strings.HasPrefix(r.s[r.i:], "{{") {
			n = 2
		}
		r.write(r.s[r.i : r.i+n])
		r.i += n
		return
	}
	window := r.s[:min(len(r.s), r.i+maxTagBytes)]
	end := balanced(window, r.i)
	if end < 0 || !r.cost(end-r.i) {
		r.cost(len(window) - r.i)
		r.write("{")
		r.i++
		return
	}
	r.write(escapeMarkdown(literal(r.s[r.i+1 : end-1])))
	r.i = end
}

var footnote = lazily(`^\[\^([^\]\s]{1,64})\](:[ \t]*)?`)

// bracket rewrites footnotes: the mark [^1] to [1], and its text likewise, to
// a paragraph "[1] …". goldmark would take [^1]: word for a link definition.
func (r *rewriter) bracket() {
	m := footnote.FindStringSubmatch(r.s[r.i:min(len(r.s), r.i+80)])
	if m == nil {
		r.write("[")
		r.i++
		return
	}
	r.write(`\[` + escapeMarkdown(m[1]) + `\]`)
	if m[2] != "" {
		r.write(" ")
	}
	r.i += len(m[0])
}

var admonition = lazily(`^:{3,}[ \t]*[\w-]*[ \t]*(?:\[([^\]\n]*)\]|\{[^}\n]*\})?([^\n]*)`)

// directive removes the ::: lines of Docusaurus and VitePress and keeps the
// title they may carry. start is the offset of the line.
func (r *rewriter) directive(start int) bool {
	if r.flat || !strings.HasPrefix(r.s[r.i:], ":::") || strings.TrimSpace(r.s[start:r.i]) != "" {
		return false
	}
	m := admonition.FindStringSubmatch(r.s[r.i:r.lineEnd(r.i)])
	if m == nil {
		return false
	}
	if title := strings.TrimSpace(m[1] + m[2]); title != "" {
		r.write(escapeMarkdown(title) + "\n")
	}
	r.write("\n")
	r.i += len(m[0])
	return true
}

// escapeMarkdown makes Markdown that shows s as it is.
func escapeMarkdown(s string) string {
	var sb strings.Builder
	for i := 0; i < len(s); i++ {
		if isPunct(s[i]) {
			sb.WriteByte('\\')
		}
		if s[i] == '\n' {
			sb.WriteByte(' ')
			continue
		}
		sb.WriteByte(s[i])
	}
	return sb.String()
}

// width is the number of columns of an indentation; a tab is four.
func width(indent string) int {
	n := 0
	for i := 0; i < len(indent); i++ {
		if n++; indent[i] == '\t' {
			n += 3 - (n-1)%4
		}
	}
	return n
}

func stepNumber(n int) string { return strconv.Itoa(n) + `\. ` }
