package config

import (
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"A": "a", "B": "b: {c}\n- d", "D": "$x ${A} $$", "_u1": "u"}
	tests := []struct {
		in, want string
		absent   bool
		err      string
	}{
		{in: "plain", want: "plain"},
		{in: "${A}", want: "a"},
		{in: "x${A}y${_u1}", want: "xayu"},
		{in: "${B}", want: "b: {c}\n- d"},
		{in: "${D}", want: "$x ${A} $$"}, // what a variable holds is not expanded
		{in: "$", want: "$"},
		{in: "a$", want: "a$"},
		{in: "$A", want: "$A"},
		{in: "p$ss$1", want: "p$ss$1"},
		{in: "p$$ss", want: "p$ss"},
		{in: "$${A}", want: "${A}"},
		{in: "$$${A}", want: "$a"},
		{in: "${Z}", absent: true},
		{in: " ${Z} ", absent: true},
		{in: "${Z}${Y}", absent: true},
		{in: "${Z:-d}", want: "d"},
		{in: "${Z:-}", want: ""},
		{in: "${A:-d}", want: "a"},
		{in: "${Z:-${A}-${Y:-n}}", want: "a-n"},
		{in: "${Z:-${Y}}", absent: true},
		{in: "${Z:-{x\\}}", want: "{x\\}"},
		{in: "x${Z}", err: "Z is not set; set it or write ${Z:-default}"},
		{in: "${A", err: "has a ${ without its }"},
		{in: "${}", err: "has ${}; only ${NAME}, ${NAME:-default} and $$ for a $ are known"},
		{in: "${A:?e}", err: "has ${A…}; only ${NAME}, ${NAME:-default} and $$ for a $ are known"},
		{in: "x${lower}", err: "holds a variable that is not set; write ${NAME:-default}, or $$ for a $"},
		{in: "${1A}", err: "has ${1A}; only ${NAME}, ${NAME:-default} and $$ for a $ are known"},
		{in: strings.Repeat("${Z:-", 20) + strings.Repeat("}", 20), err: "has variables nested too deep"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			got, present, err := expand(tt.in, func(n string) string { return vars[n] })
			msg := ""
			if err != nil {
				msg = err.Error()
			}
			if got != tt.want || present != (!tt.absent && tt.err == "") || msg != tt.err {
				t.Errorf("expand(%q) = %q, %v, %v; want %q, %v, %s", tt.in, got, present, err, tt.want, !tt.absent, tt.err)
			}
		})
	}
}

// FuzzExpand: no input crashes it, text without a $ stays as it is, and what
// was escaped comes back.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "a", "$", "$$", "${", "${A}", "${A:-b}", "${A:-${B:-c}}", "x${Z}", "$}{", "${A:-$}", "${:-x}", strings.Repeat("${A:-", 50)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lookup := func(n string) string { return strings.Repeat("v", len(n)%3) }
		got, present, err := expand(s, lookup)
		if err != nil && (got != "" || present) {
			t.Errorf("expand(%q) = %q, %v with error %v", s, got, present, err)
		}
		if !strings.Contains(s, "$") && (got != s || !present || err != nil) {
			t.Errorf("expand(%q) = %q, %v, %v", s, got, present, err)
		}
		escaped := strings.ReplaceAll(s, "$", "$$")
		if got, present, err := expand(escaped, lookup); got != s || !present || err != nil {
			t.Errorf("expand(%q) = %q, %v, %v, want %q", escaped, got, present, err, s)
		}
	})
}
