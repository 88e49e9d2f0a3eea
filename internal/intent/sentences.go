package intent

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
)

// Sentences reads a folder of sentences, one file NAME.txt for each class. A
// line is a sentence; "(a|b|)" in it stands for one of a, b or nothing, and a
// line counts as many times as it has readings, at most most. Lines that begin
// with # say something to the reader. The same files give the same examples.
func Sentences(dir fs.FS, most int) ([]Example, error) {
	names, err := fs.Glob(dir, "*.txt")
	if err != nil {
		return nil, err
	}
	var out []Example
	group := 0
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		class, n := strings.TrimSuffix(name, ".txt"), 0
		for line := range strings.Lines(string(text)) {
			n++
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			parts, err := alternatives(line)
			if err != nil {
				return nil, fmt.Errorf("%s line %d: %w", name, n, err)
			}
			group++
			for _, s := range readings(parts, most, rand.New(rand.NewPCG(uint64(n), 0))) {
				out = append(out, Example{Class: class, Text: s, Group: group})
			}
		}
	}
	return out, nil
}

// alternatives cuts a line into what stands there and what may stand there.
func alternatives(line string) (parts [][]string, err error) {
	for line != "" {
		plain, rest, open := strings.Cut(line, "(")
		if plain != "" {
			parts = append(parts, []string{plain})
		}
		if !open {
			break
		}
		group, after, closed := strings.Cut(rest, ")")
		if !closed || strings.Contains(group, "(") {
			return nil, fmt.Errorf("a bracket is not closed: %s", line)
		}
		parts, line = append(parts, strings.Split(group, "|")), after
	}
	return parts, nil
}

// readings draws different readings of a line, as many as it has, at most most.
func readings(parts [][]string, most int, rng *rand.Rand) (out []string) {
	all := 1
	for _, p := range parts {
		all = min(all*len(p), 1<<20)
	}
	seen := map[string]bool{}
	for tries := 0; len(out) < min(most, all) && tries < 20*most; tries++ {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(p[rng.IntN(len(p))])
		}
		if s := strings.Join(strings.Fields(b.String()), " "); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
