package config

import (
	"errors"
	"fmt"
	"strings"
)

// expand replaces ${VAR}, ${VAR:-default} and $$ in one scalar of the file.
// It works on the parsed value, so what a variable holds can never become
// YAML. A '$' before anything else is a '$'. A default may hold further
// variables; what a variable holds is not expanded again.
//
// present is false where the scalar is nothing but variables without a value:
// then the setting counts as absent. A variable without a value inside other
// text is an error.
func expand(text string, lookup func(string) string) (value string, present bool, err error) {
	if !strings.Contains(text, "$") {
		return text, true, nil
	}
	e := expander{lookup: lookup}
	value, err = e.run(text, 0)
	if err != nil {
		return "", false, err
	}
	if len(e.missing) > 0 {
		if strings.TrimSpace(value) == "" {
			return "", false, nil
		}
		if name := e.missing[0]; clip(name) == name {
			return "", false, fmt.Errorf("%s is not set; set it or write ${%s:-default}", name, name)
		}
		return "", false, errors.New("holds a variable that is not set; write ${NAME:-default}, or $$ for a $")
	}
	return value, true, nil
}

type expander struct {
	lookup  func(string) string
	missing []string
}

const deepest = 8 // nested defaults; nobody needs two

func (e *expander) run(text string, depth int) (string, error) {
	if depth > deepest {
		return "", errors.New("has variables nested too deep")
	}
	var out strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 || i == len(text)-1 {
			out.WriteString(text)
			return out.String(), nil
		}
		out.WriteString(text[:i])
		switch text[i+1] {
		case '$':
			out.WriteByte('$')
			text = text[i+2:]
		case '{':
			body, rest, ok := closing(text[i+2:])
			if !ok {
				return "", errors.New("has a ${ without its }")
			}
			value, err := e.variable(body, depth)
			if err != nil {
				return "", err
			}
			out.WriteString(value)
			text = rest
		default:
			out.WriteByte('$')
			text = text[i+1:]
		}
	}
}

// variable expands what stands between ${ and }.
func (e *expander) variable(body string, depth int) (string, error) {
	name, fallback, hasFallback := strings.Cut(body, ":-")
	if !isName(name) {
		return "", fmt.Errorf("has ${%s}; only ${NAME}, ${NAME:-default} and $$ for a $ are known", clip(body))
	}
	if v := e.lookup(name); v != "" {
		return v, nil
	}
	if hasFallback {
		return e.run(fallback, depth+1)
	}
	e.missing = append(e.missing, name)
	return "", nil
}

// closing splits s at the } that belongs to the ${ before it.
func closing(s string) (body, rest string, ok bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$' && i+1 < len(s) && s[i+1] == '{':
			depth++
			i++
		case s[i] == '}' && depth == 0:
			return s[:i], s[i+1:], true
		case s[i] == '}':
			depth--
		}
	}
	return "", "", false
}

// isName reports whether s can be the name of a variable.
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// clip shortens a piece of the file for an error. It may be part of a password
// with a $ in it, so it shows no more than what looks like a variable of ours.
func clip(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') })
	if i >= 0 {
		return s[:i] + "…"
	}
	return s
}
