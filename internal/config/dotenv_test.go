package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDotEnv(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     []string // "line name=value", or "line message"
	}{
		{"an empty file is none", "", nil},
		{"comments and blank lines are skipped", "# a\n\n  # b\n\t\nA=1", []string{"5 A=1"}},
		{"a line without its end counts", "A=1", []string{"1 A=1"}},
		{"Windows line ends and a byte order mark", "\ufeffA=1\r\nB=2\r\n", []string{"1 A=1", "2 B=2"}},
		{"export may stand before a name", "export A=1\nexport\tB=2\nexporter=3", []string{"1 A=1", "2 B=2", "3 exporter=3"}},
		{"a variable called export", "export=1", []string{"1 export=1"}},
		{"space around the sign and the value", " A = 1 \n", []string{"1 A=1"}},
		{"a comment after a value", "A=1 # one\nB=1#2\nC=#3\nD= # none", []string{"1 A=1", "2 B=1#2", "3 C=#3", "4 D="}},
		{"an empty value", "A=\nB=''\nC=\"\"", []string{"1 A=", "2 B=", "3 C="}},
		{"a dollar is a dollar", "A=$B${C}\nD=\"$B${C}\"\nE='$B'", []string{"1 A=$B${C}", "2 D=$B${C}", "3 E=$B"}},
		{"an equals sign in a value", "A=b=c==", []string{"1 A=b=c=="}},
		{"a quote inside a value", "A=it's\nB=5\"", []string{"1 A=it's", "2 B=5\""}},
		{"single quotes keep everything", `A='a # \n "b" $c'  # d`, []string{`1 A=a # \n "b" $c`}},
		{"double quotes know escapes", `A="a\n\t\"\\\$\q"`, []string{"1 A=a\n\t\"\\$\\q"}},
		{"quotes over several lines", "A=\"one\ntwo\"\nB='x\n\ny'\nC=3", []string{"1 A=one\ntwo", "3 B=x\n\ny", "6 C=3"}},
		{"a key in PEM", "KEY=\"-----BEGIN-----\nMII=\n-----END-----\"\n", []string{"1 KEY=-----BEGIN-----\nMII=\n-----END-----"}},
		{"no sign", "A\nB=1", []string{"2 B=1", "1 has no '='; write NAME=value"}},
		{"YAML", "server:\n  port: 1", []string{"1 has no '='; write NAME=value", "2 has no '='; write NAME=value"}},
		{"a name with a dash", "A-B=1", []string{"1 does not begin with a name of letters, digits and _; write NAME=value"}},
		{"a name with a digit first", "1A=1\n=2", []string{"1 does not begin with a name of letters, digits and _; write NAME=value", "2 does not begin with a name of letters, digits and _; write NAME=value"}},
		{"a quote never closed", "A='x\nB=1\n", []string{"1 A has a quote that is never closed"}},
		{"text after the quote", `A="x" y`, []string{"1 A has text after the closing quote"}},
		{"a quote closed by another line's", "A=\"x\nB=\"y\"\nC=1", []string{"3 C=1", "1 A has text after the quote that closes it in line 2; is a quote missing here?"}},
		{"not text", "A=\x00", []string{"1 is not a text file in UTF-8"}},
		{"UTF-16", "\xff\xfeA\x00=\x001\x00", []string{"1 is not a text file in UTF-8"}},
		{"Chinese", "A=中文 # 注释", []string{"1 A=中文"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			vars, problems := parseDotEnv([]byte(tt.in))
			var got []string
			for _, v := range vars {
				got = append(got, fmt.Sprintf("%d %s=%s", v.line, v.name, v.value))
			}
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%d %s", p.line, p.msg))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzDotEnv: no file crashes the parser or makes it loop, lines are within
// the file, names are names, and any value written in double quotes is read
// back.
func FuzzDotEnv(f *testing.F) {
	for _, s := range []string{
		"", "A=1", "export A=\"b\\n\"\nC='d'", "A=\"x\nB=\"y\"", "A='", "A=\"\\", "=\n=", "\ufeff\r\n#", "A=#\nB= #", "export =1", "é=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		vars, problems := parseDotEnv([]byte(s))
		lines := strings.Count(s, "\n") + 1
		last := 0
		for _, v := range vars {
			if !isName(v.name) || v.line <= last || v.line > lines {
				t.Errorf("variable %+v of %q", v, s)
			}
			last = v.line
		}
		for _, p := range problems {
			if p.line < 1 || p.line > lines {
				t.Errorf("problem %+v of %q", p, s)
			}
		}
		if len(problems) == 1 && len(vars) == 0 && strings.Contains(problems[0].msg, "UTF-8") {
			return
		}
		written := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s)
		back, problems := parseDotEnv([]byte(`export A="` + written + `" # c`))
		if len(problems) > 0 || len(back) != 1 || back[0].value != s {
			t.Errorf("%q came back as %+v, %+v", s, back, problems)
		}
	})
}
