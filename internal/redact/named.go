package redact

import "strings"

// named hides the value after a name that is hidden. i is the place of the
// '=' or ':' between them. It knows password=x, "password": "x" and that
// within another string (\"password\":\"x\"), and Authorization: Bearer x.
func (r *Redactor) named(s string, i int) (from, to int) {
	if strings.HasPrefix(s[i:], "://") {
		return userinfo(s, i+3)
	}
	name := nameBefore(s, i)
	if name == "" || !r.hides(name) {
		return 0, 0
	}
	from = i + 1
	for from < len(s) && s[from] == ' ' {
		from++
	}
	if from == len(s) {
		return 0, 0
	}
	if quote := openQuote(s[from:]); quote != "" {
		from += len(quote)
		return from, from + quoted(s[from:], quote)
	}
	if s[from] == '[' && !strings.HasPrefix(s[from:], Mark) { // Go's map[Authorization:[Bearer x]]
		from++
		return from, valueEnd(s, from, "]")
	}
	to = bare(s, from, name)
	if s[i] == ':' && from > i+1 && !looksSecret(name, s[from:to]) {
		return 0, 0
	}
	return from, to
}

// bare returns the end of a value without quotes.
func bare(s string, from int, name string) int {
	const stop = " \t\r\n&,;)}]\"'<>\\"
	if strings.HasSuffix(strings.ToLower(name), "cookie") {
		return valueEnd(s, from, "\r\n\"") // one header holds several
	}
	to := valueEnd(s, from, stop)
	if scheme(s[from:to]) && to < len(s) && s[to] == ' ' {
		return valueEnd(s, to+1, stop)
	}
	return to
}

// looksSecret tells "X-API-Key: 9f86d081" from an error such as "verify token:
// expired": after a colon and a space a value is hidden if it has a digit or is
// long. A password may be a word.
func looksSecret(name, value string) bool {
	const long = 16 // bytes; words are shorter
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "password") || strings.HasSuffix(name, "pwd") || len(value) >= long ||
		strings.ContainsAny(value, "0123456789@") || strings.Contains(value, " ")
}

// valueEnd returns the place of the first byte of stop, from from on, over
// what is hidden already.
func valueEnd(s string, from int, stop string) int {
	for {
		to := end(s, from, stop)
		mark := strings.Index(s[from:min(to+len(Mark), len(s))], Mark)
		if mark < 0 {
			return to
		}
		from += mark + len(Mark)
	}
}

// nameBefore returns the name that ends before s[i], over a closing quote.
func nameBefore(s string, i int) string {
	for i > 0 && (s[i-1] == '"' || s[i-1] == '\'' || s[i-1] == '\\' || s[i-1] == ' ') {
		i--
	}
	from := i
	for from > 0 && i-from < longestName && (isWord(s[from-1]) || s[from-1] == '-') {
		from--
	}
	return s[from:i]
}

// openQuote returns the quote s begins with: ", ', or a quote that is escaped
// once or more, as in JSON within JSON.
func openQuote(s string) string {
	n := 0
	for n < len(s) && s[n] == '\\' {
		n++
	}
	if n < len(s) && (s[n] == '"' || s[n] == '\'') {
		return s[:n+1]
	}
	return ""
}

// quoted returns the length of a value up to its closing quote. A quote with
// more backslashes before it than the opening one had is part of the value.
func quoted(s, quote string) int {
	slashes := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			slashes++
		case quote[len(quote)-1]:
			if slashes < len(quote) {
				return i - slashes
			}
			slashes = 0
		default:
			slashes = 0
		}
	}
	return len(s)
}

// end returns the place of the first byte of stop in s, from from on.
func end(s string, from int, stop string) int {
	if n := strings.IndexAny(s[from:], stop); n >= 0 {
		return from + n
	}
	return len(s)
}

// scheme reports whether a word introduces the credentials of a header.
func scheme(word string) bool {
	switch strings.ToLower(word) {
	case "bearer", "basic", "token", "digest", "aws4-hmac-sha256", "oss", "oss4-hmac-sha256":
		return true
	}
	return false
}

// userinfo hides the password in scheme://user:password@host; i is the place
// after the slashes.
func userinfo(s string, i int) (from, to int) {
	stop := end(s, i, "/?# \t\r\n\"'<>")
	at := strings.LastIndexByte(s[i:stop], '@')
	if at < 0 {
		return 0, 0
	}
	colon := strings.IndexByte(s[i:i+at], ':')
	if colon < 0 {
		return i, i + at // a user without a password is often a token
	}
	return i + colon + 1, i + at
}
