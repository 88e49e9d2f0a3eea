package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// variable is one line of a .env file.
type variable struct {
	name, value string
	line        int
}

// parseDotEnv reads NAME=value lines. It knows comments, blank lines, an
// export prefix, 'single quotes' (as they stand), "double quotes" (with \n,
// \r, \t, \", \\, \$ and line breaks) and comments after a value. A $ is a $:
// nothing is expanded, so any password can be written down. Problems name
// their line and never show a value.
func parseDotEnv(data []byte) ([]variable, []problemAt) {
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return nil, []problemAt{{line: 1, msg: "is not a text file in UTF-8"}}
	}
	p := dotEnv{text: strings.TrimPrefix(string(data), "\ufeff"), line: 1}
	p.text = strings.ReplaceAll(p.text, "\r\n", "\n")
	for p.text != "" {
		p.entry()
	}
	return p.vars, p.problems
}

// problemAt is something wrong on a line of a file.
type problemAt struct {
	line int
	msg  string
}

type dotEnv struct {
	text     string // what is left
	line     int    // where it begins
	vars     []variable
	problems []problemAt
}

// entry reads one line, or more where quotes span them.
func (p *dotEnv) entry() {
	line, start := p.peekLine(), p.line
	trimmed := strings.TrimLeft(line, " \t")
	if trimmed == "" || trimmed[0] == '#' {
		p.skipLine()
		return
	}
	name, _, found := strings.Cut(trimmed, "=")
	name = strings.TrimRight(name, " \t")
	if rest, ok := strings.CutPrefix(name, "export"); ok && rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
		name = strings.TrimLeft(rest, " \t")
	}
	switch {
	case !found:
		p.bad(start, "has no '='; write NAME=value")
		p.skipLine()
		return
	case !isName(name):
		p.bad(start, "does not begin with a name of letters, digits and _; write NAME=value")
		p.skipLine()
		return
	}
	p.text = p.text[strings.IndexByte(p.text, '=')+1:]
	value, msg := p.value()
	if msg != "" {
		p.bad(start, "%s %s", name, msg)
		return
	}
	p.vars = append(p.vars, variable{name, value, start})
}

// value reads what follows the '=', up to and with the end of the line. A
// quote that is never closed swallows the rest of the file.
func (p *dotEnv) value() (value, problem string) {
	rest := strings.TrimLeft(p.text, " \t")
	if rest == "" || (rest[0] != '"' && rest[0] != '\'') {
		return p.plain(), ""
	}
	value, tail, ok := unquote(rest)
	if !ok {
		p.text = ""
		return "", "has a quote that is never closed"
	}
	after, _, _ := strings.Cut(tail, "\n")
	after = strings.TrimLeft(after, " \t")
	lines := strings.Count(rest[:len(rest)-len(tail)], "\n")
	p.line += lines
	p.text = tail
	last := p.line
	p.skipLine()
	switch {
	case after == "" || after[0] == '#':
		return value, ""
	case lines > 0:
		return "", fmt.Sprintf("has text after the quote that closes it in line %d; is a quote missing here?", last)
	}
	return "", "has text after the closing quote"
}

// plain reads a value without quotes: to a comment or the end of the line.
func (p *dotEnv) plain() string {
	line := p.peekLine()
	p.skipLine()
	for i := 0; i < len(line); i++ {
		if line[i] == '#' && i > 0 && (line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	return strings.TrimSpace(line)
}

// unquote reads a quoted string at the beginning of s.
func unquote(s string) (value, tail string, ok bool) {
	quote := s[0]
	var out strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == quote:
			return out.String(), s[i+1:], true
		case c == '\\' && quote == '"' && i+1 < len(s):
			i++
			out.WriteString(escape(s[i]))
		default:
			out.WriteByte(c)
		}
	}
	return "", "", false
}

func escape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '$':
		return string(rune(c))
	}
	return `\` + string([]byte{c}) // unknown: as it stands
}

func (p *dotEnv) peekLine() string {
	line, _, _ := strings.Cut(p.text, "\n")
	return line
}

func (p *dotEnv) skipLine() {
	_, rest, found := strings.Cut(p.text, "\n")
	p.text = rest
	if found {
		p.line++
	}
}

func (p *dotEnv) bad(line int, format string, args ...any) {
	p.problems = append(p.problems, problemAt{line, fmt.Sprintf(format, args...)})
}
