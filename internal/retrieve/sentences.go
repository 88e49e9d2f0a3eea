package retrieve

import (
	"unicode/utf8"
)

// span is a sentence, in bytes of its text.
type span struct{ start, end int }

// sentences cuts a text at sentence ends and line ends, spaces trimmed.
func sentences(text string) []span {
	var out []span
	start := 0
	flush := func(end int) {
		s, e := start, end
		for s < e && (text[s] == ' ' || text[s] == '\n' || text[s] == '\t') {
			s++
		}
		for e > s && (text[e-1] == ' ' || text[e-1] == '\n' || text[e-1] == '\t') {
			e--
		}
		if e > s {
			out = append(out, span{s, e})
		}
		start = end
	}
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			i++
			switch c {
			case '\n', '!', '?':
				flush(i)
			case '.':
				if i >= len(text) || (text[i] == ' ' || text[i] == '\n') && !(i+1 < len(text) && isLetter(text[i+1])) {
					flush(i)
				}
			}
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		i += n
		switch r {
		case '。', '！', '？', '…':
			for i < len(text) {
				r, n := utf8.DecodeRuneInString(text[i:])
				if r != '”' && r != '」' && r != '』' && r != '’' && r != '）' && r != '。' && r != '！' && r != '？' && r != '…' && r != '》' {
					break
				}
				i += n
			}
			flush(i)
		}
	}
	flush(len(text))
	return out
}
