// Package redact is the second fence in front of the log: it takes secrets
// (API keys, bearer tokens, signatures of links, the temporary keys that
// platforms send in headers) and personal data (telephone numbers, identity
// cards, e-mail addresses, the fields an operator named) out of messages and
// attributes. The first fence is that nobody writes them. It works on one
// line at a time, by shape and by the names before '=' and ':'; it prefers to
// hide too much.
package redact

import (
	"slices"
	"strings"
)

// Mark stands where something was taken out.
const Mark = "[redacted]"

// Redactor takes secrets out of text. It is immutable and safe for concurrent
// use.
type Redactor struct {
	names   map[string]bool // folded names of fields whose values are hidden
	secrets []string        // literal values, longest first
}

// leastSecret is the shortest literal that is searched for: a shorter one
// occurs in ordinary words, and hiding those would spell it out.
const leastSecret = 6

// New returns a Redactor that hides, beyond what it knows by itself, the
// values of the named fields and the given secrets wherever they occur.
func New(fields, secrets []string) *Redactor {
	r := &Redactor{names: map[string]bool{}}
	for name := range strings.FieldsSeq(builtin) {
		r.names[name] = true
	}
	for _, name := range fields {
		if f := folded(name); f != "" {
			r.names[f] = true
		}
	}
	for _, s := range secrets {
		if len(s) >= leastSecret && !strings.Contains(Mark, s) {
			r.secrets = append(r.secrets, s)
		}
	}
	// The longest first: one secret may begin with another.
	slices.SortFunc(r.secrets, func(a, b string) int { return len(b) - len(a) })
	r.secrets = slices.Compact(r.secrets)
	return r
}

// builtin are the folded names that are always hidden. Names that end with one
// of ends are hidden too.
const builtin = `passwd pwd passphrase token apikey rootkey credential credentials sig otp accesskeyid
	idcard idnumber phone phonenumber mobile mobilenumber telephone email verifier`

// ends are the endings of hidden names: milvus_password, x-amz-security-token.
var ends = [...]string{"password", "secret", "token", "apikey", "accesskey", "accesskeyid", "privatekey", "signature", "credential", "authorization", "cookie"}

// folded makes api_key, apiKey and X-API-Key comparable: letters and digits in
// lower case.
func folded(name string) string {
	var buf [longestName]byte
	return string(fold(name, &buf))
}

const longestName = 64 // bytes; names of fields are shorter

func fold(name string, buf *[longestName]byte) []byte {
	n := 0
	for i := 0; i < len(name) && n < len(buf); i++ {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '_' || c == '-' || c == '.' || c == ' ':
			continue
		}
		buf[n] = c
		n++
	}
	return buf[:n]
}

// hides reports whether the value of a field of this name is hidden.
func (r *Redactor) hides(name string) bool {
	var buf [longestName]byte
	f := fold(name, &buf)
	if r.names[string(f)] { // does not allocate
		return true
	}
	for _, end := range ends {
		if len(f) >= len(end) && string(f[len(f)-len(end):]) == end {
			return true
		}
	}
	return false
}

// String returns s without secrets; s itself if it has none, which costs no
// allocation.
func (r *Redactor) String(s string) string {
	for _, secret := range r.secrets {
		if strings.Contains(s, secret) {
			s = strings.ReplaceAll(s, secret, Mark)
		}
	}
	return r.scan(s)
}

// scan goes over s once. At each byte that can begin or betray something it
// asks the rule for that; a rule answers with the range to hide.
func (r *Redactor) scan(s string) string {
	var out []byte
	last := 0 // s[:last] is in out
	for i := 0; i < len(s); {
		from, to := r.rule(s, i, last)
		if to == 0 {
			i++
			continue
		}
		if from < to && s[from:to] != Mark {
			out = append(append(out, s[last:from]...), Mark...)
			last = to
		}
		i = max(to, i+1)
	}
	if out == nil {
		return s
	}
	return string(append(out, s[last:]...))
}

// rule returns what to hide at s[i], or where to go on if nothing begins
// before it (from == to), or 0, 0. What stands before last is written already,
// and what was hidden up to i is no part of a word that goes on at i.
func (r *Redactor) rule(s string, i, last int) (from, to int) {
	switch c := s[i]; {
	case c == '=' || c == ':':
		return r.named(s, i)
	case c == '@':
		return email(s, i, last)
	case c >= '0' && c <= '9' || c == '+':
		if i > last && joins(s, i) {
			return 0, 0
		}
		return number(s, i)
	case starts[c] && (i == last || !isWord(s[i-1])):
		return token(s, i)
	}
	return 0, 0
}

// joins reports whether the digit at s[i] belongs to the word or the decimal
// number before it.
func joins(s string, i int) bool {
	p := s[i-1]
	return isWord(p) || p == '.' && i > 1 && isDigit(s[i-2])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWord reports whether c can stand inside a word. Bytes of other scripts
// cannot: a number directly after 手机 is still a number.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
