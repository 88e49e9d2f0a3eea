package llm

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// plain reads a chunk of the usual shape: the fields that chat completions have,
// each once, without anything unusual in it. It reports false for all others,
// which encoding/json has to read; c is then not to be used. It exists because
// a chunk is a token, and encoding/json takes 4 µs for it: a tenth of what the
// server does for each.
func (c *chunk) plain(data []byte) bool {
	s := scan{rest: data}
	ok := s.object(func(key []byte) bool {
		switch string(key) {
		case "choices":
			if len(c.Choices) > 0 {
				return false
			}
			c.Choices = append(c.Choices, choice{})
			return s.take('[') && s.choice(&c.Choices[0]) && s.take(']')
		case "usage":
			return s.null()
		case "system_fingerprint", "service_tier":
			return s.null() || s.string() != nil
		case "id", "object", "model", "created":
			return s.number() || s.string() != nil
		}
		return false
	})
	s.blanks()
	return ok && len(s.rest) == 0 && len(c.Choices) == 1
}

func (s *scan) choice(ch *choice) bool {
	var finish, delta, index bool
	return s.object(func(key []byte) bool {
		switch string(key) {
		case "delta":
			again := delta
			delta = true
			return !again && s.delta(ch)
		case "index":
			again := index
			index = true
			return !again && s.small(&ch.Index)
		case "finish_reason":
			again := finish
			finish = true
			if again || s.null() {
				return !again
			}
			quoted := s.string()
			if quoted == nil || !utf8.Valid(quoted) {
				return false
			}
			reason := string(quoted[1 : len(quoted)-1])
			ch.Finish = &reason
			return true
		case "logprobs":
			return s.null()
		}
		return false
	})
}

func (s *scan) delta(ch *choice) bool {
	return s.object(func(key []byte) bool {
		switch string(key) {
		case "content":
			return ch.Delta.Content == nil && s.text((*[]byte)(&ch.Delta.Content))
		case "reasoning_content":
			return ch.Delta.Reasoning == nil && s.text((*[]byte)(&ch.Delta.Reasoning))
		case "role":
			return s.null() || s.string() != nil
		case "refusal", "tool_calls", "function_call":
			return s.null()
		}
		return false
	})
}

// scan reads JSON from left to right and stops at the first thing that it does
// not take.
type scan struct{ rest []byte }

func (s *scan) blanks() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\t' || s.rest[0] == '\n' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// take reads one sign.
func (s *scan) take(sign byte) bool {
	s.blanks()
	if len(s.rest) == 0 || s.rest[0] != sign {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// object reads an object; field reads the value of a key.
func (s *scan) object(field func(key []byte) bool) bool {
	if !s.take('{') {
		return false
	}
	if s.take('}') {
		return true
	}
	for {
		s.blanks()
		key := s.string()
		if key == nil || !s.take(':') {
			return false
		}
		s.blanks()
		if !field(key[1 : len(key)-1]) {
			return false
		}
		if !s.take(',') {
			return s.take('}')
		}
	}
}

// null reads null.
func (s *scan) null() bool {
	rest, is := bytes.CutPrefix(s.rest, []byte("null"))
	s.rest = rest
	return is
}

// text reads a string or null, with its quotes and escapes, into to.
func (s *scan) text(to *[]byte) bool {
	if s.null() {
		*to = []byte("null")
		return true
	}
	*to = s.quoted(true)
	return *to != nil
}

// string reads a string without escapes, with its quotes; nil if there is none.
func (s *scan) string() []byte { return s.quoted(false) }

func (s *scan) quoted(escapes bool) []byte {
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return nil
	}
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			q := s.rest[:i+1]
			s.rest = s.rest[i+1:]
			return q
		case c < ' ':
			return nil
		case c == '\\':
			// \u is left to encoding/json: what follows it has to be checked.
			if i++; !escapes || i == len(s.rest) || bytes.IndexByte([]byte(`"\/bfnrt`), s.rest[i]) < 0 {
				return nil
			}
		}
	}
	return nil
}

// digits reads a number without sign, fraction and exponent.
func (s *scan) digits() []byte {
	n := 0
	for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
		n++
	}
	const most = 18 // fits an int64
	if n == 0 || n > most || n > 1 && s.rest[0] == '0' {
		return nil
	}
	d := s.rest[:n]
	s.rest = s.rest[n:]
	return d
}

func (s *scan) number() bool { return s.digits() != nil }

func (s *scan) small(to *int) bool {
	n, err := strconv.Atoi(string(s.digits()))
	*to = n
	return err == nil
}
