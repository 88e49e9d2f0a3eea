package parse

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

func (p *pattern) FindAllSubmatch(b []byte, n int) [][][]byte { return p.get().FindAllSubmatch(b, n) }

func (p *pattern) FindString(s string) string { return p.get().FindString(s) }

func (p *pattern) FindStringSubmatch(s string) []string { return p.get().FindStringSubmatch(s) }

func (p *pattern) FindSubmatch(b []byte) [][]byte { return p.get().FindSubmatch(b) }

func (p *pattern) MatchString(s string) bool { return p.get().MatchString(s) }

func (p *pattern) ReplaceAllString(s, to string) string { return p.get().ReplaceAllString(s, to) }
