package parse

import (
	"html"
	"strings"
)

// tag is one HTML or JSX tag.
type tag struct {
	name    string
	attrs   []tagAttr
	closing bool // </name>
	self    bool // <name/>
	end     int  // offset behind it
}

type tagAttr struct{ name, value string }

// attr returns the text of an attribute, "" if it is missing or computed.
func (t *tag) attr(name string) string {
	for _, a := range t.attrs {
		if a.name == name {
			return a.value
		}
	}
	return ""
}

func (t *tag) has(name string) bool {
	for _, a := range t.attrs {
		if a.name == name {
			return true
		}
	}
	return false
}

// maxTagBytes bounds one tag. Components with embedded JSX in attributes have
// a few hundred bytes; the limit keeps unclosed quotes from costing a scan of
// the whole document each.
const maxTagBytes = 8 << 10

// parseTag reads the tag at s[i], which is '<'. It returns false if there is
// none, as in "a < b" and "<5 ms", and in either case how many bytes it looked at.
func parseTag(s string, i int) (t tag, looked int, ok bool) {
	p := tagParser{s: s[:min(len(s), i+maxTagBytes)], i: i + 1}
	t, ok = p.parse()
	return t, max(p.i, p.far) - i, ok
}

type tagParser struct {
	s string
	i int
	t tag

	far int // offset up to which a search for a closing bracket or quote went
}

func (p *tagParser) parse() (tag, bool) {
	if p.peek() == '/' {
		p.t.closing = true
		p.i++
	}
	start := p.i
	for p.i < len(p.s) && isNameByte(p.s[p.i]) {
		p.i++
	}
	p.t.name = p.s[start:p.i]
	if p.t.name != "" && !isASCIILetter(p.t.name[0]) {
		return tag{}, false
	}
	for {
		blank := p.space()
		switch c := p.peek(); {
		case c == 0:
			return tag{}, false
		case c == '>':
			p.t.end = p.i + 1
			return p.t, true
		case c == '/' && p.at(p.i+1) == '>':
			p.t.self = true
			p.t.end = p.i + 2
			return p.t, true
		case p.t.name == "" || p.t.closing:
			return tag{}, false
		case c == '{': // a spread, or a comment
			end := balanced(p.s, p.i)
			if end < 0 {
				p.far = len(p.s)
				return tag{}, false
			}
			p.i = end
		case blank && (isASCIILetter(c) || c == '_' || c == ':' || c == '@' || c == '$'):
			if !p.attribute() {
				return tag{}, false
			}
			if p.t.end > 0 {
				return p.t, true
			}
		default:
			return tag{}, false
		}
	}
}

// attribute reads name, name=value, name="…" or name={…}.
func (p *tagParser) attribute() bool {
	start := p.i
	for p.i < len(p.s) && (isNameByte(p.s[p.i]) || p.s[p.i] == '@' || p.s[p.i] == '$') {
		p.i++
	}
	a := tagAttr{name: p.s[start:p.i]}
	mark := p.i
	p.space()
	if p.peek() != '=' {
		p.i = mark
		p.t.attrs = append(p.t.attrs, a)
		return true
	}
	p.i++
	p.space()
	switch c := p.peek(); c {
	case 0, '>':
		return false
	case '"', '\'':
		if !p.quoted(&a, c) {
			return false
		}
	case '{':
		end := balanced(p.s, p.i)
		if end < 0 {
			p.far = len(p.s)
			return false
		}
		a.value = literal(p.s[p.i+1 : end-1])
		p.i = end
	default:
		start := p.i
		for p.i < len(p.s) && !strings.ContainsRune(" \t\n>\"'`={}", rune(p.s[p.i])) {
			p.i++
		}
		if p.i == start {
			return false
		}
		a.value = html.UnescapeString(p.s[start:p.i])
	}
	p.t.attrs = append(p.t.attrs, a)
	return true
}

// quoted reads a quoted value. Authors forget closing quotes: a value whose
// line ends in '>' ends the tag there.
func (p *tagParser) quoted(a *tagAttr, quote byte) bool {
	rest := p.s[p.i+1:]
	end := strings.IndexByte(rest, quote)
	if nl := strings.IndexByte(rest, '\n'); nl >= 0 && (end < 0 || nl < end) {
		if line := strings.TrimRight(rest[:nl], " \t"); strings.HasSuffix(line, ">") {
			a.value = html.UnescapeString(strings.TrimRight(line, "/> \t"))
			p.t.self = strings.HasSuffix(line, "/>")
			p.t.end = p.i + 1 + len(line)
			return true
		}
	}
	if end < 0 {
		p.far = len(p.s)
		return false
	}
	a.value = html.UnescapeString(rest[:end])
	p.i += end + 2
	return true
}

func (p *tagParser) peek() byte { return p.at(p.i) }

func (p *tagParser) at(i int) byte {
	if i < len(p.s) {
		return p.s[i]
	}
	return 0
}

func (p *tagParser) space() bool {
	start := p.i
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == '\n') {
		p.i++
	}
	return p.i > start
}

func isNameByte(c byte) bool {
	return isASCIILetter(c) || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == ':'
}

// balanced returns the offset behind the bracket that closes the one at s[i],
// or −1. Strings, template literals and comments of JavaScript are skipped.
func balanced(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch c := s[i]; c {
		case '{', '(', '[':
			depth++
		case '}', ')', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"', '\'', '`':
			end := stringEnd(s, i)
			if end < 0 {
				// An apostrophe in embedded JSX text, not a string.
				continue
			}
			i = end
		case '/':
			if strings.HasPrefix(s[i:], "/*") {
				end := strings.Index(s[i+2:], "*/")
				if end < 0 {
					return -1
				}
				i += end + 3
			}
		}
	}
	return -1
}

// stringEnd returns the offset of the quote that closes the one at s[i], or
// −1. Only template literals may hold line ends.
func stringEnd(s string, i int) int {
	quote := s[i]
	for i++; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == quote:
			return i
		case c == '\n' && quote != '`':
			return -1
		}
	}
	return -1
}

// literal returns the text of a JavaScript expression that is one string, else "".
func literal(expr string) string {
	expr = strings.TrimSpace(expr)
	if len(expr) < 2 || !strings.ContainsRune("\"'`", rune(expr[0])) || stringEnd(expr, 0) != len(expr)-1 {
		return ""
	}
	s := expr[1 : len(expr)-1]
	if expr[0] == '`' && strings.Contains(s, "${") {
		return ""
	}
	return strings.NewReplacer(`\n`, " ", `\"`, `"`, `\'`, "'", "\\`", "`", `\\`, `\`).Replace(s)
}

// visible returns the text that a reader sees of a component's attributes.
func visible(t *tag) string {
	if t.name == "" || t.name[0] < 'A' || t.name[0] > 'Z' {
		return ""
	}
	if strings.HasSuffix(t.name, "Field") { // ParamField, ResponseField: name (type, required)
		for _, a := range []string{"path", "query", "body", "header", "name"} {
			if v := t.attr(a); v != "" {
				return v + fieldDetails(t)
			}
		}
	}
	var parts []string
	for _, a := range []string{"title", "label", "caption", "description"} {
		if v := strings.TrimSpace(t.attr(a)); v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " ")
}

func fieldDetails(t *tag) string {
	var d []string
	if v := t.attr("type"); v != "" {
		d = append(d, v)
	}
	if t.has("required") {
		d = append(d, "required")
	}
	if v := t.attr("default"); v != "" {
		d = append(d, "default "+v)
	}
	if d == nil {
		return ""
	}
	return " (" + strings.Join(d, ", ") + ")"
}
