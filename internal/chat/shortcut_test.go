package chat

import (
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
)

// TestEveryMatchHasOneOfTheWordsThatAreLookedForFirst: else a message would
// not be matched any more.
func TestEveryMatchHasOneOfTheWordsThatAreLookedForFirst(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, words string
		re          *pattern
	}{
		{"whereabouts", whereaboutsHas, whereabouts},
		{"look-up", lookUpHas, lookUp},
		{"refusal", refusesHumanZhHas, refusesHumanZh},
		{"refusal in English", refusesHumanEnHas, refusesHumanEn},
		{"wants a human", wantsHumanZhHas, wantsHumanZh},
		{"wants a human, in English", wantsHumanEnHas, wantsHumanEn},
	} {
		re, err := syntax.Parse(tt.re.get().String(), syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if !alwaysHas(re, tt.words) {
			t.Errorf("%s: something matches without any of %s", tt.name, tt.words)
		}
		first, rest, _ := strings.Cut(tt.words, "|")
		if alwaysHas(re, rest) {
			t.Errorf("%s: %q is not needed, or this test sees nothing", tt.name, first)
		}
	}
}

// alwaysHas reports whether every match of re has one of words; false if it
// cannot tell.
func alwaysHas(re *syntax.Regexp, words string) bool {
	if all, ok := spelled(re); ok {
		for _, s := range all {
			if !hasAny(s, words) {
				return false
			}
		}
		return true
	}
	switch re.Op {
	case syntax.OpCapture, syntax.OpPlus:
		return alwaysHas(re.Sub[0], words)
	case syntax.OpAlternate:
		for _, s := range re.Sub {
			if !alwaysHas(s, words) {
				return false
			}
		}
		return true
	case syntax.OpConcat:
		return concatHas(re.Sub, words)
	}
	return false
}

// concatHas looks at what can be spelled out together, and at each part.
func concatHas(subs []*syntax.Regexp, words string) bool {
	for i, s := range subs {
		if alwaysHas(s, words) {
			return true
		}
		for j := i + 2; j <= len(subs); j++ {
			run := &syntax.Regexp{Op: syntax.OpConcat, Sub: subs[i:j]}
			if _, ok := spelled(run); !ok {
				break
			}
			if alwaysHas(run, words) {
				return true
			}
		}
		if s.Op == syntax.OpAlternate || s.Op == syntax.OpCapture { // what was factored out: p(ackage|arcel)
			if splitHas(subs, i, words) {
				return true
			}
		}
	}
	return false
}

// splitHas takes the alternatives of one part for themselves.
func splitHas(subs []*syntax.Regexp, i int, words string) bool {
	alt := subs[i]
	for alt.Op == syntax.OpCapture {
		alt = alt.Sub[0]
	}
	if alt.Op != syntax.OpAlternate {
		return false
	}
	for _, a := range alt.Sub {
		parts := append(append(append([]*syntax.Regexp{}, subs[:i]...), flat(a)...), subs[i+1:]...)
		if !concatHas(parts, words) {
			return false
		}
	}
	return true
}

func flat(re *syntax.Regexp) []*syntax.Regexp {
	if re.Op == syntax.OpConcat {
		return re.Sub
	}
	return []*syntax.Regexp{re}
}

// spelled returns all strings that re matches, if they are few.
func spelled(re *syntax.Regexp) ([]string, bool) {
	const most = 200
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, re.Flags&syntax.FoldCase == 0
	case syntax.OpEmptyMatch, syntax.OpWordBoundary, syntax.OpBeginText, syntax.OpEndText:
		return []string{""}, true
	case syntax.OpCapture:
		return spelled(re.Sub[0])
	case syntax.OpQuest:
		all, ok := spelled(re.Sub[0])
		return append([]string{""}, all...), ok
	case syntax.OpCharClass:
		var all []string
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if all = append(all, string(r)); len(all) > most {
					return nil, false
				}
			}
		}
		return all, true
	case syntax.OpAlternate:
		var all []string
		for _, s := range re.Sub {
			some, ok := spelled(s)
			if all = append(all, some...); !ok || len(all) > most {
				return nil, false
			}
		}
		return all, true
	case syntax.OpConcat:
		all := []string{""}
		for _, s := range re.Sub {
			some, ok := spelled(s)
			if !ok || len(all)*len(some) > most {
				return nil, false
			}
			var next []string
			for _, a := range all {
				for _, b := range some {
					next = append(next, a+b)
				}
			}
			all = next
		}
		return all, true
	}
	return nil, false
}

func TestAPhraseMatchesAsTheRegularExpressionOfItsWords(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for name, p := range map[string]phrase{"greets": greets, "thanks": thanks, "byes": byes, "whos": whos, "cancels": cancels, "given": given} {
		if regexp.QuoteMeta(p.heads+p.tails) != strings.ReplaceAll(p.heads+p.tails, "|", `\|`) {
			t.Errorf("%s has more than words", name)
		}
		re := regexp.MustCompile(`^(?:` + p.heads + `)(?:` + p.heads + `|` + p.tails + `)*$`)
		words := strings.Split(p.heads+"|"+p.tails, "|")
		matched := 0
		for range 2000 {
			var b strings.Builder
			for range r.IntN(4) {
				w := words[r.IntN(len(words))]
				if r.IntN(8) == 0 {
					w = strings.ToValidUTF8(w[:r.IntN(len(w))], "")
				}
				b.WriteString(w)
			}
			s := b.String()
			want := re.MatchString(s)
			if want {
				matched++
			}
			if got := p.MatchString(s); got != want {
				t.Fatalf("%s: %q matches: %t, want %t", name, s, got, want)
			}
		}
		if matched < 100 || matched > 1900 {
			t.Errorf("%s: %d of 2000 messages match", name, matched)
		}
	}
}
