package retrieve

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// cues counts what a sentence holds of the kinds of answers.
type cues struct {
	times, numbers, places, persons, reasons, methods, lists, names, people, foreign int
	asks, pronoun                                                                    bool
}

// look reads the cues of a folded clause, whose characters have these classes.
//
// Numbers that the question itself has do not answer it.
func look(runes []rune, classes []class, question string) cues {
	var c cues
	var prev class // of the character before
	foreign := 0   // characters so far of a name written by sound
	fresh := true  // the numeral we are in, or were in last, is not in the question
	for i, k := range classes {
		if k == 0 {
			prev, foreign = 0, 0
			continue
		}
		if k&timeUnit != 0 && fresh && prev&numeral != 0 || k&period != 0 {
			c.times++
		}
		c.places += has(k, placing)
		c.lists += has(k, listing)
		c.persons += has(k, personal) + 2*has(k, nameDot)
		c.names += has(k, naming)
		c.reasons += has(k, reasoning)
		c.methods += has(k, acting)
		c.asks = c.asks || k&wondering != 0
		if k&surname != 0 && isName(runes[i:]) && !strings.Contains(question, string(runes[i:i+2])) {
			c.people++
		}
		if k&sounding != 0 {
			if foreign++; foreign == 3 && !strings.Contains(question, string(runes[i-2:i+1])) {
				c.people++
				c.foreign++
			}
		} else {
			foreign = 0
		}
		if k&numeral != 0 && prev&numeral == 0 {
			end := i
			for end < len(classes) && classes[end]&numeral != 0 {
				end++
			}
			fresh = !strings.Contains(question, string(runes[i:end]))
			if fresh && runes[i] != '一' {
				c.numbers++
			}
			if fresh && year(runes[i:end]) {
				c.times++
			}
		}
		prev = k
	}
	c.pronoun = len(runes) > 1 && strings.ContainsRune("其他她它该此这那", runes[0])
	return c
}

// has is 1 if k is of a class.
func has(k, of class) int {
	if k&of != 0 {
		return 1
	}
	return 0
}

// add counts the cues of a further clause.
func (c *cues) add(o cues, first bool) {
	c.times += o.times
	c.numbers += o.numbers
	c.places += o.places
	c.persons += o.persons
	c.reasons += o.reasons
	c.methods += o.methods
	c.lists += o.lists
	c.names += o.names
	c.people += o.people
	c.foreign += o.foreign
	c.asks = c.asks || o.asks
	c.pronoun = c.pronoun || first && o.pronoun
}

// of returns how many cues there are of what a kind of question asks for,
// those that a clause can be told by.
func (c *cues) of(k Kind) int {
	switch k {
	case Time:
		return c.times
	case Quantity:
		return c.numbers
	case Place:
		return c.places
	case Person:
		return c.people
	case Reason:
		return c.reasons
	}
	return 0
}

// year reports a number of four digits between 1000 and 2199.
func year(r []rune) bool {
	if len(r) != 4 {
		return false
	}
	for _, d := range r {
		if d < '0' || d > '9' {
			return false
		}
	}
	return r[0] == '1' || r[0] == '2' && r[1] <= '1'
}

func isNumeral(r rune) bool { return classes().of(r)&numeral != 0 }

func hasLatin(runes []rune) bool {
	n := 0
	for _, r := range runes {
		if r >= 'a' && r <= 'z' {
			n++
		}
	}
	return 2*n > len(runes)
}

// english adds the cues of an English sentence.
func (c *cues) english(s string) {
	for w := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' }) {
		switch w {
		case "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
			"century", "day", "days", "week", "weeks", "month", "months", "year", "years", "hour", "hours", "minutes", "minute", "seconds", "today",
			"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "daily", "weekly", "monthly", "until", "before", "after", "during":
			c.times++
		case "because", "due", "since", "therefore", "cause", "causes", "caused", "reason", "reasons", "so":
			c.reasons++
		case "click", "run", "select", "set", "use", "open", "go", "choose", "enter", "add", "create", "install", "press", "then", "first", "next", "by", "using":
			c.methods++
		case "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "hundred", "thousand", "million", "billion", "percent", "half":
			c.numbers++
		case "in", "at", "near", "north", "south", "east", "west", "city", "country", "located":
			c.places++
		case "include", "includes", "including", "and", "or":
			c.lists++
		case "he", "she", "president", "founder", "ceo", "manager", "mr", "mrs", "dr", "team":
			c.persons++
		case "is", "are", "called", "named", "means":
			c.names++
		}
	}
	for _, p := range [...]string{"it ", "this ", "these ", "they ", "he ", "she ", "its "} {
		c.pronoun = c.pronoun || strings.HasPrefix(s, p)
	}
}

// newNoun reports whether a character of noun ends a word that the question
// does not have: asked 什么制度, the answer is 联邦制.
func newNoun(runes []rune, noun, question string) bool {
	var room [8]rune
	ends := room[:0]
	for _, r := range noun {
		if r >= 0x2E80 {
			ends = append(ends, r)
		}
	}
	for i := 1; i < len(runes); i++ {
		if slices.Contains(ends, runes[i]) && runes[i-1] >= 0x2E80 && !isPunct(runes[i-1]) && !strings.Contains(question, string(runes[i-1:i+1])) {
			return true
		}
	}
	return false
}

func isPunct(r rune) bool {
	switch r {
	case '的', '了', '是', '在', '和', '与', '为', '有':
		return true
	}
	return r >= 0x3000 && r <= 0x3020 || r >= 0xFF00
}

// unitAfterNumber reports a numeral directly before the first rune of unit.
func unitAfterNumber(runes []rune, unit string) bool {
	u, _ := utf8.DecodeRuneInString(unit)
	for i := 1; i < len(runes); i++ {
		if runes[i] == u && isNumeral(runes[i-1]) {
			return true
		}
	}
	return false
}
