package chat

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/lexical"
)

// Words that turn a statement round, and those that may stand between one and
// what it turns round.
const hanNegations = "不没未无非别勿莫"

var (
	negations = lazily(`(?:\b(?:not|never|no|without|cannot|neither|nor)|n't)\b`)
	between   = map[string]bool{"be": true, "been": true, "a": true, "an": true, "the": true, "any": true, "to": true, "yet": true, "currently": true, "is": true, "are": true}
)

// contradicts reports whether claim denies what evidence says of the same
// thing, or the other way round: 不在保修范围内 where the passage has 在保修范围内.
// What the two do not share is not looked at.
func contradicts(claim, evidence string) bool {
	claim, evidence = squeezeHan(lexical.Fold(claim)), squeezeHan(lexical.Fold(evidence))
	return denies(claim, evidence) || denies(evidence, claim)
}

// denies reports whether a says not x where b says x, and never not x.
func denies(a, b string) bool {
	for _, x := range denied(a) {
		if strings.Contains(b, x.what) && !strings.Contains(b, x.not) && !containsAny(a, x) && !alsoDenied(b, x.what) {
			return true
		}
	}
	return false
}

// containsAny reports whether a says x elsewhere without the negation: then it
// says both, as in 是不是.
func containsAny(a string, x denial) bool {
	return strings.Contains(strings.ReplaceAll(a, x.not, ""), x.what)
}

// alsoDenied reports whether b denies what, with whatever word.
func alsoDenied(b, what string) bool {
	for _, y := range denied(b) {
		if y.what == what {
			return true
		}
	}
	return false
}

// denial is what a negation turns round, and both together as they stand.
type denial struct{ what, not string }

func denied(s string) (ds []denial) {
	rs := []rune(s)
	for i, r := range rs {
		if !strings.ContainsRune(hanNegations, r) || i+2 >= len(rs) {
			continue
		}
		what := rs[i+1 : i+3]
		if !unicode.Is(unicode.Han, what[0]) || !unicode.Is(unicode.Han, what[1]) || r == '非' && what[0] == '常' {
			continue
		}
		ds = append(ds, denial{string(what), string(rs[i : i+3])})
	}
	for _, at := range negations.FindAllStringIndex(s, -1) {
		rest := s[at[1]:]
		for {
			rest = strings.TrimLeft(rest, " ")
			end := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) })
			if end < 0 {
				end = len(rest)
			}
			word := rest[:end]
			if between[word] {
				rest = rest[end:]
				continue
			}
			if utf8.RuneCountInString(word) > 3 {
				ds = append(ds, denial{word, s[at[0] : len(s)-len(rest)+end]})
			}
			break
		}
	}
	return ds
}

// squeezeHan takes the blanks between Han characters out, and leaves those of
// words.
func squeezeHan(s string) string {
	var b strings.Builder
	var before rune
	for _, r := range s {
		if r == ' ' && unicode.Is(unicode.Han, before) {
			continue
		}
		b.WriteRune(r)
		before = r
	}
	return b.String()
}
