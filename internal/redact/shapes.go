package redact

import "strings"

// starts are the bytes a token that is known by its beginning begins with.
var starts = func() (t [256]bool) {
	for _, c := range []byte("bBsALSe-") {
		t[c] = true
	}
	return t
}()

// token hides what is secret by its shape, where a word begins.
func token(s string, i int) (from, to int) {
	rest := s[i:]
	switch s[i] {
	case 'b', 'B': // Bearer x, Basic x
		if len(rest) > 7 && (strings.EqualFold(rest[:7], "bearer ") || strings.EqualFold(rest[:6], "basic ")) {
			from = i + strings.IndexByte(rest, ' ') + 1
			if to = over(s, from, credential); to-from >= 8 { // shorter ones are words: "basic search"
				return from, to
			}
		}
	case 's': // sk-…: DashScope, OpenAI and their kin
		return long(s, i, "sk-", 16, credential)
	case 'A': // access keys of AWS
		if f, t := long(s, i, "AKIA", 16, upper); t > 0 {
			return f, t
		}
		return long(s, i, "ASIA", 16, upper)
	case 'L': // access keys of Alibaba Cloud
		return long(s, i, "LTAI", 12, credential)
	case 'S': // their temporary form
		return long(s, i, "STS.", 10, credential)
	case 'e': // JSON Web Tokens
		return long(s, i, "eyJ", 20, credential)
	case '-':
		return privateKey(s, i)
	}
	return 0, 0
}

// long hides a token with that beginning and at least n more bytes of a class.
func long(s string, i int, prefix string, n int, class func(byte) bool) (from, to int) {
	if !strings.HasPrefix(s[i:], prefix) {
		return 0, 0
	}
	if to = over(s, i+len(prefix), class); to-i-len(prefix) < n {
		return 0, 0
	}
	return i, to
}

// over returns the end of the bytes of a class from i on.
func over(s string, i int, class func(byte) bool) int {
	for i < len(s) && class(s[i]) {
		i++
	}
	return i
}

func credential(c byte) bool {
	return isWord(c) || c == '-' || c == '.' || c == '~' || c == '+' || c == '/' || c == '='
}

func upper(c byte) bool { return c >= 'A' && c <= 'Z' || isDigit(c) }

// privateKey hides a key in PEM, to its end or to the end of the text.
func privateKey(s string, i int) (from, to int) {
	const begin, finish = "-----BEGIN ", "-----END "
	if !strings.HasPrefix(s[i:], begin) {
		return 0, 0
	}
	const label = 64 // bytes; "ENCRYPTED PRIVATE KEY-----" has 26
	line := end(s[:min(len(s), i+len(begin)+label)], i+len(begin), "\r\n\\")
	if !strings.Contains(s[i:line], "PRIVATE KEY") {
		return 0, 0
	}
	if n := strings.Index(s[line:], finish); n >= 0 {
		return line, line + n
	}
	return line, len(s)
}

// email hides the address around the '@' at s[i]; what stands before last is
// written already.
func email(s string, i, last int) (from, to int) {
	const most = 64 // bytes before the '@' (RFC 5321 §4.5.3.1.1)
	from = i
	for from > last && i-from < most && (isWord(s[from-1]) || strings.IndexByte(".%+-", s[from-1]) >= 0) {
		from--
	}
	to = over(s, i+1, func(c byte) bool { return isWord(c) && c != '_' || c == '.' || c == '-' })
	for to > i && (s[to-1] == '.' || s[to-1] == '-') {
		to--
	}
	dot := strings.LastIndexByte(s[i:to], '.')
	if from == i || dot < 2 || to-i-dot < 3 {
		return 0, 0
	}
	return from, to
}

// number looks at the digits that begin at s[i] and hides them if they are a
// telephone number or an identity card; otherwise it skips them.
func number(s string, i int) (from, to int) {
	if s[i] == '+' {
		return international(s, i)
	}
	n := over(s, i, isDigit) - i
	stop := i + n
	switch {
	case n == 17 && stop < len(s) && (s[stop] == 'X' || s[stop] == 'x') && idCard(s[i:stop]):
		stop++
	case n == 18 && idCard(s[i:stop]), n == 15 && idCard15(s[i:stop]):
	case n == 11 && mobile(s[i:stop]), n == 13 && s[i:i+2] == "86" && mobile(s[i+2:stop]), n == 15 && s[i:i+4] == "0086" && mobile(s[i+4:stop]):
	case n == 3 && mobile(s[i:stop]):
		stop = groups(s, stop, 4, 4)
	case (n == 3 || n == 4) && s[i] == '0':
		if stop = groups(s, stop, 8); stop == 0 {
			stop = groups(s, i+n, 7)
		}
	case n == 2 && s[i:stop] == "86":
		if stop = groups(s, stop, 11); stop == 0 {
			stop = groups(s, i+n, 3, 4, 4)
		}
		if stop > 0 && !mobile(s[i+3:stop]) {
			stop = 0
		}
	default:
		return stop, stop
	}
	if stop == 0 || stop < len(s) && isWord(s[stop]) {
		return i + n, i + n
	}
	return i, stop
}

// mobile reports whether 11 digits can be a mobile number of mainland China,
// which begin with 13 to 19 (numbering plan of the country code 86).
func mobile(d string) bool { return d[0] == '1' && d[1] >= '3' }

// groups reads groups of digits of the given lengths, each after one '-' or
// space, and returns their end, or 0.
func groups(s string, i int, lengths ...int) int {
	for _, n := range lengths {
		if i >= len(s) || s[i] != '-' && s[i] != ' ' {
			return 0
		}
		if over(s, i+1, isDigit) != i+1+n {
			return 0
		}
		i += 1 + n
	}
	return i
}

// international hides +CC and 8 to 15 digits in groups (E.164).
func international(s string, i int) (from, to int) {
	digits, j := 0, i+1
	for j < len(s) && digits <= 15 {
		switch {
		case isDigit(s[j]):
			digits++
			j++
			to = j
		case (s[j] == ' ' || s[j] == '-') && digits > 0 && j+1 < len(s) && isDigit(s[j+1]):
			j++
		default:
			j = len(s)
		}
	}
	if digits < 8 || digits > 15 {
		return 0, 0
	}
	return i, to
}

// idCard reports whether 17 digits are the beginning of an identity number of
// mainland China: region, date of birth, sequence (GB 11643-1999). The check
// digit is not checked: a slip in one digit must not print the rest.
func idCard(d string) bool {
	return d[0] >= '1' && d[0] <= '9' && (d[6:8] == "19" || d[6:8] == "20") && isDate(d[10:14])
}

// idCard15 is the form before 1999, with a year of two digits.
func idCard15(d string) bool { return d[0] >= '1' && d[0] <= '8' && isDate(d[8:12]) }

// isDate reports whether four digits can be month and day.
func isDate(d string) bool {
	month, day := int(d[0]-'0')*10+int(d[1]-'0'), int(d[2]-'0')*10+int(d[3]-'0')
	return month >= 1 && month <= 12 && day >= 1 && day <= 31
}
