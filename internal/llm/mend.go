package llm

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// mend returns the text of quoted, a JSON string or null as it stood in a
// chunk; false if it is anything else. Some servers cut their output between
// tokens and not between characters: the first bytes of a character then end
// one chunk and its last bytes start the next one. Those are joined again, by
// way of carry; so are the halves of an escaped surrogate pair. What is broken
// in itself becomes U+FFFD.
func (s *sse) mend(carry *[]byte, quoted json.RawMessage) (string, bool) {
	if !present(quoted) {
		return "", true
	}
	if quoted[0] != '"' {
		return "", false
	}
	inner := quoted[1 : len(quoted)-1]
	if escaped := bytes.IndexByte(inner, '\\') >= 0; len(*carry) > 0 || escaped || !utf8.Valid(inner) {
		inner = append(*carry, inner...)
		keep := len(inner) - brokenTail(inner)
		*carry = bytes.Clone(inner[keep:])
		inner = bytes.ToValidUTF8(inner[:keep], []byte("\uFFFD"))
	}
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var text string
	err := json.Unmarshal(slices.Concat([]byte{'"'}, inner, []byte{'"'}), &text)
	return text, err == nil
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

// backslashes counts those that b ends with: an odd number escapes what follows.
func backslashes(b []byte) int {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n
}
