package chat

import (
	"regexp"
	"sync"
)

// lazily is regexp.MustCompile at the first use: compiling all of them took
// milliseconds of every cold start of a function, also where none is needed. A
// test compiles each of them.
func lazily(expr string) *pattern {
	return &pattern{get: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })}
}

// pattern is a regular expression that is compiled when it is used.
type pattern struct{ get func() *regexp.Regexp }

func (p *pattern) FindString(s string) string { return p.get().FindString(s) }

func (p *pattern) FindAllString(s string, n int) []string { return p.get().FindAllString(s, n) }

func (p *pattern) FindAllStringIndex(s string, n int) [][]int {
	return p.get().FindAllStringIndex(s, n)
}

func (p *pattern) FindStringSubmatch(s string) []string { return p.get().FindStringSubmatch(s) }

func (p *pattern) MatchString(s string) bool { return p.get().MatchString(s) }

func (p *pattern) ReplaceAllString(s, to string) string { return p.get().ReplaceAllString(s, to) }
