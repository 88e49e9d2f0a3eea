package parse

import (
	"strconv"
	"strings"
)

// frontMatter splits a YAML (---) or TOML (+++) header off s and returns the
// title and description it holds. Only these two scalars are read, so no YAML
// parser with anchors and types is let near foreign input.
func frontMatter(s string) (title, description, rest string) {
	first, after, _ := strings.Cut(s, "\n")
	fence := strings.TrimRight(first, " \t")
	if fence != "---" && fence != "+++" {
		return "", "", s
	}
	sep := ":"
	if fence == "+++" {
		sep = "="
	}
	lines := strings.SplitAfterN(after, "\n", maxFrontMatterLines)
	size := 0
	for i, line := range lines {
		size += len(line)
		if t := strings.TrimRight(line, " \t\n"); t == fence || fence == "---" && t == "..." {
			return title, description, after[size:]
		}
		key, value, ok := strings.Cut(line, sep)
		if !ok || key != strings.TrimLeft(key, " \t") {
			continue // nested or continued
		}
		switch strings.TrimSpace(key) {
		case "title":
			title = scalar(value, lines[i+1:])
		case "description":
			description = scalar(value, lines[i+1:])
		}
	}
	return "", "", s // never closed: the line was a rule
}

// maxFrontMatterLines: a header that is longer is not one.
const maxFrontMatterLines = 500

// scalar reads a YAML or TOML string: plain, quoted, or a block (| or >) whose
// indented lines follow. next are the lines after it.
func scalar(v string, next []string) string {
	v = strings.TrimSpace(v)
	switch {
	case v == "" || v[0] == '|' || v[0] == '>':
		return indented(next)
	case v[0] == '"':
		if end := closingQuote(v); end > 0 {
			if s, err := strconv.Unquote(v[:end+1]); err == nil {
				return s
			}
			return v[1:end]
		}
		return strings.Trim(v+" "+indented(next), `" `)
	case v[0] == '\'':
		if end := strings.LastIndexByte(v, '\''); end > 0 {
			return strings.ReplaceAll(v[1:end], "''", "'")
		}
		return strings.Trim(v+" "+indented(next), `' `)
	}
	if i := strings.Index(v, " #"); i >= 0 {
		v = strings.TrimSpace(v[:i])
	}
	if more := indented(next); more != "" {
		v += " " + more
	}
	return v
}

// indented joins the lines that are indented, up to the first that is not.
func indented(lines []string) string {
	var out []string
	for _, l := range lines {
		if t := strings.TrimSpace(l); t != "" && (l[0] == ' ' || l[0] == '\t') {
			out = append(out, t)
			continue
		}
		break
	}
	return strings.Join(out, " ")
}

// closingQuote returns the index of the quote that ends the one at v[0], or 0.
func closingQuote(v string) int {
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case v[0]:
			return i
		}
	}
	return 0
}
