package config

import (
	"slices"
	"strings"
)

// nearest returns the word that word was probably meant to be, or "".
func nearest(word string, words []string) string {
	best, least := "", 1+len(word)/3 // a third of the letters may be wrong: "modde" → "mode", not "xy" → "db"
	for _, w := range words {
		if d := distance(word, w, least); d <= least && (best == "" || d < least) {
			best, least = w, d
		}
	}
	return best
}

// guess returns the setting or section an unknown path was probably meant to
// be, or "": the same name in another section, or a near miss.
func (s *schema) guess(path string) string {
	path = strings.ReplaceAll(strings.ToLower(path), "-", "_")
	if s.byPath[path] != nil || s.sections[path] {
		return path
	}
	var paths, sameName []string
	last := path[strings.LastIndexByte(path, '.')+1:]
	for _, one := range s.settings {
		paths = append(paths, one.path)
		if strings.HasSuffix(one.path, "."+last) {
			sameName = append(sameName, one.path)
		}
	}
	if len(sameName) == 1 {
		return sameName[0]
	}
	for section := range s.sections {
		if section != "" {
			paths = append(paths, section)
		}
	}
	slices.Sort(paths) // the map's order must not decide between two equally near words
	parent := path[:len(path)-len(last)]
	var siblings []string
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, parent); ok && !strings.Contains(rest, ".") {
			siblings = append(siblings, rest)
		}
	}
	if best := nearest(last, siblings); best != "" {
		return parent + best
	}
	const slip = 2 // letters in a whole path; more is another setting
	for _, p := range paths {
		if distance(path, p, slip) <= slip {
			return p
		}
	}
	return ""
}

// distance is the number of letters to insert, delete, replace or swap with
// their neighbour to make b of a; it gives up above most and returns most+1.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	older, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, prev[j]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], older[j-2]+1)
			}
		}
		older, prev, row = prev, row, older
	}
	return prev[len(b)]
}
