package aws

import (
	"encoding/json"
	"strings"
)

// fields are multi-value headers or parameters. Most of a REST event is one
// such object, and reflection is slow at it (BenchmarkAdapter/apigw-request:
// 188 allocations with package json alone, 127 with this).
type fields map[string][]string

// UnmarshalJSON implements json.Unmarshaler. b is valid JSON: the decoder has
// checked it. Objects of plain strings are read here, any others by package
// json; FuzzFields holds the two against each other.
func (f *fields) UnmarshalJSON(b []byte) error {
	if m, ok := plainFields(string(b)); ok {
		*f = m
		return nil
	}
	m := map[string][]string{}
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*f = m
	return nil
}

// plainFields reads {"name":["value",…],…} without escapes in any string.
func plainFields(s string) (map[string][]string, bool) {
	if strings.IndexByte(s, '\\') >= 0 || !ascii(s) {
		return nil, false
	}
	s, ok := after(s, '{')
	if !ok {
		return nil, false
	}
	m := make(map[string][]string, 24) // about what a browser sends
	for first := true; ; first = false {
		if rest, done := after(s, '}'); done {
			return m, space(rest) == ""
		}
		if !first {
			if s, ok = after(s, ','); !ok {
				return nil, false
			}
		}
		var name string
		if name, s, ok = plainString(s); !ok {
			return nil, false
		}
		if s, ok = after(s, ':'); !ok {
			return nil, false
		}
		if s, ok = after(s, '['); !ok {
			return nil, false
		}
		var vs []string
		if vs, s, ok = plainList(s); !ok {
			return nil, false
		}
		m[name] = vs
	}
}

// plainList reads the rest of a list of strings.
func plainList(s string) ([]string, string, bool) {
	if rest, done := after(s, ']'); done {
		return []string{}, rest, true
	}
	vs := make([]string, 0, 1)
	for {
		v, rest, ok := plainString(s)
		if !ok {
			return nil, "", false
		}
		vs = append(vs, v)
		if s, ok = after(rest, ']'); ok {
			return vs, s, true
		}
		if s, ok = after(rest, ','); !ok {
			return nil, "", false
		}
	}
}

// plainString reads a string without escapes.
func plainString(s string) (string, string, bool) {
	s, ok := after(s, '"')
	if !ok {
		return "", "", false
	}
	return strings.Cut(s, `"`)
}

// after skips white space and then c.
func after(s string, c byte) (string, bool) {
	if t := space(s); t != "" && t[0] == c {
		return t[1:], true
	}
	return s, false
}

func space(s string) string { return strings.TrimLeft(s, " \t\r\n") }

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false // package json replaces what is not UTF-8
		}
	}
	return true
}
