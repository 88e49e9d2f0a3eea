package pdf

import (
	"strconv"
)

// Objects of PDF (ISO 32000-1 §7.3). A parsed object is nil (null), bool,
// int64, float64, text, name, array, dict, *stream, ref or, between objects
// and in content streams, keyword.
type (
	name    string
	text    string // a string object: bytes, in no particular encoding
	keyword string
	array   []any
	dict    map[name]any
	ref     struct{ num, gen int }
	stream  struct {
		dict dict
		raw  []byte
		id   ref // decides the key of an encrypted stream
		open bool
	}
)

// maxDepth bounds arrays and dictionaries in each other; real files stay
// below ten.
const maxDepth = 64

// lexer reads objects from a byte slice. It never fails: what makes no sense
// is skipped, and the end of the input is keyword("").
type lexer struct {
	b     []byte
	i     int
	depth int
	// content is set for content streams and CMaps, where "1 0 R" is three
	// operands and not a reference.
	content bool
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isDelim(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

// space skips white space and comments.
func (l *lexer) space() {
	for l.i < len(l.b) {
		switch c := l.b[l.i]; {
		case isSpace(c):
			l.i++
		case c == '%':
			for l.i < len(l.b) && l.b[l.i] != '\n' && l.b[l.i] != '\r' {
				l.i++
			}
		default:
			return
		}
	}
}

// object reads the next object or keyword.
func (l *lexer) object() any {
	l.space()
	if l.i >= len(l.b) {
		return keyword("")
	}
	switch c := l.b[l.i]; {
	case c == '/':
		return l.name()
	case c == '(':
		return l.literal()
	case c == '<':
		if l.i+1 < len(l.b) && l.b[l.i+1] == '<' {
			l.i += 2
			return l.dict()
		}
		return l.hex()
	case c == '[':
		l.i++
		return l.array()
	case c == '+' || c == '-' || c == '.' || c >= '0' && c <= '9':
		return l.number()
	case isDelim(c): // ] > ) } out of place, or { of a function
		l.i++
		if c == '>' && l.i < len(l.b) && l.b[l.i] == '>' {
			l.i++
			return keyword(">>")
		}
		return keyword(string(c))
	}
	start := l.i
	for l.i < len(l.b) && !isSpace(l.b[l.i]) && !isDelim(l.b[l.i]) {
		l.i++
	}
	switch w := string(l.b[start:l.i]); w {
	case "true":
		return true
	case "false":
		return false
	case "null":
		return nil
	default:
		return keyword(w)
	}
}

func (l *lexer) name() any {
	l.i++
	var out []byte
	for l.i < len(l.b) && !isSpace(l.b[l.i]) && !isDelim(l.b[l.i]) {
		c := l.b[l.i]
		if c == '#' && l.i+2 < len(l.b) {
			if hi, lo := unhex(l.b[l.i+1]), unhex(l.b[l.i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				l.i += 2
			}
		}
		out = append(out, c)
		l.i++
	}
	return name(out)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// literal reads a (string) with nested parentheses and escapes.
func (l *lexer) literal() any {
	l.i++
	var out []byte
	depth := 1
	for l.i < len(l.b) {
		c := l.b[l.i]
		l.i++
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text(out)
			}
		case '\r':
			if l.i < len(l.b) && l.b[l.i] == '\n' {
				l.i++
			}
			c = '\n'
		case '\\':
			var ok bool
			if c, ok = l.escape(); !ok {
				continue
			}
		}
		out = append(out, c)
	}
	return text(out)
}

// escape reads what follows a backslash; false if it stands for nothing.
func (l *lexer) escape() (byte, bool) {
	if l.i >= len(l.b) {
		return 0, false
	}
	c := l.b[l.i]
	l.i++
	switch c {
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case '\r':
		if l.i < len(l.b) && l.b[l.i] == '\n' {
			l.i++
		}
		return 0, false
	case '\n':
		return 0, false
	}
	if c < '0' || c > '7' {
		return c, true
	}
	v := int(c - '0')
	for n := 0; n < 2 && l.i < len(l.b) && l.b[l.i] >= '0' && l.b[l.i] <= '7'; n++ {
		v = v<<3 | int(l.b[l.i]-'0')
		l.i++
	}
	return byte(v), true
}

func (l *lexer) hex() any {
	l.i++
	var out []byte
	high := -1
	for l.i < len(l.b) {
		c := l.b[l.i]
		l.i++
		if c == '>' {
			break
		}
		v := unhex(c)
		switch {
		case v < 0: // white space, or dirt
		case high < 0:
			high = v
		default:
			out = append(out, byte(high<<4|v))
			high = -1
		}
	}
	if high >= 0 {
		out = append(out, byte(high<<4))
	}
	return text(out)
}

func (l *lexer) array() any {
	var out array
	if l.depth++; l.depth > maxDepth {
		l.depth--
		return out
	}
	defer func() { l.depth-- }()
	for {
		switch o := l.object().(type) {
		case keyword:
			switch o {
			case "]", "":
				return out
			case "R":
				if n := len(out); n >= 2 && !l.content {
					num, ok1 := out[n-2].(int64)
					gen, ok2 := out[n-1].(int64)
					if ok1 && ok2 {
						out = append(out[:n-2], makeRef(num, gen))
					}
				}
			case "endobj", "obj", "endstream", ">>":
				return out // the bracket was never closed
			}
		default:
			out = append(out, o)
		}
	}
}

func (l *lexer) dict() any {
	d := dict{}
	if l.depth++; l.depth > maxDepth {
		l.depth--
		return d
	}
	defer func() { l.depth-- }()
	for {
		switch k := l.object().(type) {
		case name:
			v, end := l.value()
			if end {
				return d
			}
			if v != nil {
				d[k] = v
			}
		case keyword:
			switch k {
			case ">>", "":
				return d
			case "endobj", "endstream":
				return d
			}
		}
	}
}

// value reads a dictionary's value, which may be a reference; end reports that
// the dictionary ended instead.
func (l *lexer) value() (v any, end bool) {
	v = l.object()
	if k, ok := v.(keyword); ok {
		return nil, k == ">>" || k == "" || k == "endobj"
	}
	num, ok := v.(int64)
	if !ok || l.content {
		return v, false
	}
	mark := l.i
	if gen, ok := l.object().(int64); ok {
		if k, ok := l.object().(keyword); ok && k == "R" {
			return makeRef(num, gen), false
		}
	}
	l.i = mark
	return v, false
}

// maxObject is the largest object number that is believed; ISO 32000-1 annex C
// gives 8,388,607 indirect objects as the limit of readers.
const maxObject = 8_388_607

func makeRef(num, gen int64) any {
	if num <= 0 || num > maxObject || gen < 0 || gen > 65535 {
		return nil
	}
	return ref{int(num), int(gen)}
}

func (l *lexer) number() any {
	start := l.i
	realNumber := false
	for l.i < len(l.b) {
		c := l.b[l.i]
		if c == '.' {
			realNumber = true
		} else if (c < '0' || c > '9') && !(l.i == start && (c == '+' || c == '-')) {
			if c == '-' && l.i > start { // "12-34": some writers, read as 12
				for l.i < len(l.b) && !isSpace(l.b[l.i]) && !isDelim(l.b[l.i]) {
					l.i++
				}
			}
			break
		}
		l.i++
	}
	s := string(l.b[start:l.i])
	if i := indexMinus(s); i > 0 {
		s = s[:i]
	}
	if !realNumber {
		if v, err := strconv.ParseInt(s, 10, 64); err == nil {
			return v
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		v = 0
	}
	if l.i == start {
		l.i++ // a lone sign
	}
	return v
}

func indexMinus(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] == '-' {
			return i
		}
	}
	return -1
}
