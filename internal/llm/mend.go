package llm

import (
	"bytes"
	"unicode/utf8"
)

// mend makes the bytes of one chunk valid UTF-8. Some servers cut their output
// between tokens and not between characters: the first bytes of a character
// then end one chunk's content and its last bytes start the next one's. Those
// are joined again; the same goes for the halves of an escaped surrogate pair.
// What is broken in itself becomes U+FFFD.
func (s *sse) mend(data []byte) []byte {
	if len(s.carry) == 0 && utf8.Valid(data) && !mayEndInSurrogate(data) {
		return data
	}
	from, to, ok := contentSpan(data)
	if !ok {
		return bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	inner := append(s.carry, data[from:to]...)
	keep := len(inner) - brokenTail(inner)
	s.carry = bytes.Clone(inner[keep:])
	out := make([]byte, 0, len(data)+keep)
	out = append(out, data[:from]...)
	out = append(out, inner[:keep]...)
	out = append(out, data[to:]...)
	return bytes.ToValidUTF8(out, []byte("\uFFFD"))
}

// contentSpan finds the first "content" key with a string value and returns
// where the string's inside is. Inside other strings the key's quotes would be
// escaped, so it cannot be mistaken.
func contentSpan(data []byte) (from, to int, ok bool) {
	key := []byte(`"content"`)
	for at := 0; ; {
		i := bytes.Index(data[at:], key)
		if i < 0 {
			return 0, 0, false
		}
		at += i + len(key)
		rest := bytes.TrimLeft(data[at:], " \t\r\n")
		if len(rest) == 0 || rest[0] != ':' {
			continue
		}
		rest = bytes.TrimLeft(rest[1:], " \t\r\n")
		if len(rest) == 0 || rest[0] != '"' {
			continue
		}
		from = len(data) - len(rest) + 1
		for to = from; to < len(data); to++ {
			switch data[to] {
			case '\\':
				to++
			case '"':
				return from, to, true
			}
		}
		return 0, 0, false
	}
}

// brokenTail is the length of the character that inner, the inside of a JSON
// string, ends in the middle of: 0 to 3 bytes of UTF-8, or an escaped high surrogate.
func brokenTail(inner []byte) int {
	for n := 1; n <= min(utf8.UTFMax-1, len(inner)); n++ {
		c := inner[len(inner)-n]
		if utf8.RuneStart(c) {
			if c >= 0xC0 && !utf8.FullRune(inner[len(inner)-n:]) {
				return n
			}
			break
		}
	}
	const escape = len(`\ud83d`)
	if n := len(inner); n >= escape && highSurrogate(inner[n-escape:]) && backslashes(inner[:n-escape])%2 == 0 {
		return escape
	}
	return 0
}

// highSurrogate reports whether b, of six bytes, is \ud800 to \udbff.
func highSurrogate(b []byte) bool {
	return b[0] == '\\' && b[1] == 'u' && b[2]|0x20 == 'd' && bytes.IndexByte([]byte("89abAB"), b[3]) >= 0
}

func mayEndInSurrogate(data []byte) bool {
	return bytes.Contains(data, []byte(`\ud`)) || bytes.Contains(data, []byte(`\uD`))
}

// backslashes counts those that b ends with: an odd number escapes what follows.
func backslashes(b []byte) int {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n
}
