package parse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// show writes a text as one line a block: kind, level or group, content.
func show(t kb.Text) []string {
	var out []string
	for _, b := range t.Blocks {
		s := string(b.Kind)
		if b.Level > 0 {
			s += fmt.Sprint(b.Level)
		}
		if b.Group > 0 {
			s += fmt.Sprintf("/%d", b.Group)
		}
		out = append(out, s+": "+strings.ReplaceAll(t.Body[b.Start:b.End], "\n", "⏎"))
	}
	return out
}

// check fails unless t is a canonical text.
func check(t *testing.T, x kb.Text) {
	t.Helper()
	if !utf8.ValidString(x.Body) || !utf8.ValidString(x.Title) {
		t.Fatalf("text is not UTF-8: %q, %q", x.Title, x.Body)
	}
	for i, r := range x.Body {
		if r != '\n' && (unicode.IsControl(r) || invisible(r)) {
			t.Fatalf("body has %U at %d", r, i)
		}
	}
	if strings.ContainsFunc(x.Title, unicode.IsControl) {
		t.Fatalf("title %q has control characters", x.Title)
	}
	if len(x.Blocks) == 0 {
		t.Fatal("no blocks and no error")
	}
	at := 0
	for i, b := range x.Blocks {
		if b.Start < at || b.End <= b.Start || b.End > len(x.Body) {
			t.Fatalf("block %d is %d to %d after %d of %d", i, b.Start, b.End, at, len(x.Body))
		}
		if s := x.Body[at:b.Start]; strings.TrimSpace(s) != "" {
			t.Fatalf("%q is in no block", s)
		}
		s := x.Body[b.Start:b.End]
		if strings.TrimSpace(s) == "" || strings.HasSuffix(s, " ") || strings.HasPrefix(s, " ") && b.Kind != kb.Code {
			t.Fatalf("block %d %q has blanks around it", i, s)
		}
		if !utf8.ValidString(s) {
			t.Fatalf("block %d cuts a character", i)
		}
		if (b.Kind == kb.TableRow || b.Kind == kb.ListItem || b.Kind == kb.Record) && b.Group == 0 {
			t.Fatalf("block %d of kind %s has no group", i, b.Kind)
		}
		if b.Kind == kb.Heading && (b.Level < 1 || b.Level > 6 || strings.Contains(s, "\n")) {
			t.Fatalf("heading %q has level %d", s, b.Level)
		}
		at = b.End
	}
	if at != len(x.Body) {
		t.Fatalf("%q is behind the last block", x.Body[at:])
	}
}

// mustParse parses data, checks the result and returns it.
func mustParse(t *testing.T, name string, data []byte) kb.Text {
	t.Helper()
	x, _, err := Parse(t.Context(), name, "", data)
	if err != nil {
		t.Fatalf("Parse(%s): %v", name, err)
	}
	check(t, x)
	return x
}

func diff(t *testing.T, got, want []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// fuzzed checks the result of Parse on arbitrary bytes: a canonical text or a
// classified error, within the time that tests have.
func fuzzed(t *testing.T, name, mime string, data []byte) {
	t.Helper()
	l := Limits{TextBytes: 1 << 20, ZipBytes: 4 << 20, Duration: 5 * time.Second}
	x, detected, err := l.Parse(t.Context(), name, mime, data)
	if err != nil {
		switch kb.KindOf(err) {
		case kb.Invalid, kb.Unprocessable, kb.Unsupported, kb.TooLarge:
		default:
			t.Fatalf("error %v has kind %d", err, kb.KindOf(err))
		}
		if e, ok := errors.AsType[*kb.Error](err); ok && e.Err != nil && strings.HasPrefix(e.Err.Error(), "panic: ") {
			t.Fatalf("%v", err)
		}
		return
	}
	if detected == "" {
		t.Fatal("no MIME type")
	}
	check(t, x)
}

func TestDetection(t *testing.T) {
	t.Parallel()
	zipped := func(names ...string) []byte {
		parts := map[string]string{}
		for _, n := range names {
			parts[n] = "<x/>"
		}
		return zipOf(t, parts)
	}
	for _, tt := range []struct {
		name, file, mime string
		data             []byte
		want             string
		kind             kb.Kind
		msg              string // part of the error's message
	}{
		{name: "extension decides between texts", file: "a.md", data: []byte("# a"), want: MIMEMarkdown},
		{name: "MDX is its own type", file: "guide/a.MDX", data: []byte("# a"), want: MIMEMDX},
		{name: "MIME decides without an extension", file: "a", mime: "text/markdown; charset=utf-8", data: []byte("# a"), want: MIMEMarkdown},
		{name: "extension outranks MIME", file: "a.csv", mime: "text/plain", data: []byte("a,b"), want: MIMECSV},
		{name: "text of an unknown extension is text", file: "a.xyz", data: []byte("hello"), want: MIMEText},
		{name: "HTML is recognised", file: "page", data: []byte("\n<!DOCTYPE html><p>x"), want: MIMEHTML},
		{name: "an .xls that is HTML is read as HTML", file: "report.xls", data: []byte("<html><table><tr><td>x</table>"), want: MIMEHTML},
		{name: "PDF content outranks the name", file: "a.txt", data: []byte("%PDF-1.4\n"), kind: kb.Unprocessable, msg: "broken"},
		{name: "a DOCX named .pdf is read as DOCX", file: "a.pdf", data: docxOf(t, `<w:p><w:r><w:t>x</w:t></w:r></w:p>`), want: MIMEDOCX},
		{name: "text named .pdf is refused", file: "a.pdf", data: []byte("hello"), kind: kb.Unprocessable, msg: ".pdf"},
		{name: "text declared as DOCX is refused", mime: MIMEDOCX, data: []byte("hello"), kind: kb.Unprocessable, msg: "broken download"},
		{name: "PowerPoint is not read", file: "a.pptx", data: zipped("ppt/presentation.xml"), kind: kb.Unsupported, msg: "PowerPoint"},
		{name: "archives are not read", file: "a.zip", data: zipped("a.txt"), kind: kb.Unsupported, msg: "ZIP"},
		{name: "a broken archive says so", file: "a.docx", data: []byte("PK\x03\x04broken"), kind: kb.Unprocessable, msg: "archive"},
		{name: "old Office files are not read", file: "a.doc", data: []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1...."), kind: kb.Unsupported, msg: ".docx"},
		{name: "an encrypted Office file needs its password removed", file: "a.docx", data: []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1..E\x00n\x00c\x00r\x00y\x00p\x00t\x00e\x00d\x00P\x00a\x00c\x00k\x00a\x00g\x00e\x00"), kind: kb.Unprocessable, msg: "password"},
		{name: "pictures are not read", file: "a.md", data: []byte("\x89PNG\r\n\x1a\n\x00\x00"), kind: kb.Unsupported, msg: "PNG"},
		{name: "RTF is not read", file: "a.doc", data: []byte(`{\rtf1 x}`), kind: kb.Unsupported, msg: "Rich Text"},
		{name: "an unknown binary lists what is read", file: "a.bin", data: []byte("\x01\x00\x02\x03"), kind: kb.Unsupported, msg: "Markdown (.md, .mdx)"},
		{name: "a NUL far into a text is refused with its offset", file: "a.txt", data: append([]byte(strings.Repeat("a", 2000)), 0), kind: kb.Unprocessable, msg: "offset 2000"},
		{name: "an empty file has no text", file: "a.md", kind: kb.Invalid, msg: "document has no text"},
		{name: "a blank file has no text", file: "a.md", data: []byte(" \n\u3000\n"), kind: kb.Invalid, msg: "document has no text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x, got, err := Parse(t.Context(), tt.file, tt.mime, tt.data)
			if tt.want != "" {
				if err != nil || got != tt.want {
					t.Fatalf("Parse = %q, %v, want %q", got, err, tt.want)
				}
				check(t, x)
				return
			}
			if err == nil || kb.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.msg) {
				t.Errorf("error = %v (kind %d), want kind %d and %q", err, kb.KindOf(err), tt.kind, tt.msg)
			}
		})
	}
}

func TestTitle(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, data, want string }{
		{"front matter comes first", "a.md", "---\ntitle: \"T: \\\"q\\\"\" \n---\n# H\n\nx", `T: "q"`},
		{"a plain scalar", "a.md", "---\nx: 1\ntitle: 变量 检查 # c\n---\nx", "变量 检查"},
		{"a single-quoted scalar", "a.md", "---\ntitle: 'It''s'\n---\nx", "It's"},
		{"a folded scalar", "a.md", "---\ntitle: >-\n  one\n  two\n---\nx", "one two"},
		{"TOML", "a.md", "+++\ntitle = \"T\"\n+++\nx", "T"},
		{"the first heading of level 1", "a.md", "## two\n\n# one\n\n# other", "one"},
		{"HTML's own heading", "a.html", "<title>H | Site</title><h1>H</h1><p>x", "H | Site"},
		{"HTML's title", "a.html", "<title>T</title><p>x", "T"},
		{"the file's name", "guide/zh/安装 指南.v2.txt", "x", "安装 指南.v2"},
		{"a hidden file's name", ".env", "x", ".env"},
		{"a rule is not front matter", "a.md", "---\nx\n", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := tt.want
			if tt.name == "HTML's own heading" {
				want = "H"
			}
			if got := mustParse(t, tt.file, []byte(tt.data)).Title; got != want {
				t.Errorf("title = %q, want %q", got, want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		data       string
		l          Limits
		kind       kb.Kind
	}{
		{"too many bytes", "a.txt", "hello", Limits{Bytes: 4}, kb.TooLarge},
		{"too much text", "a.txt", "hello world", Limits{TextBytes: 4}, kb.TooLarge},
		{"too much text in pieces", "a.txt", "hello\n\nworld", Limits{TextBytes: 8}, kb.TooLarge},
		{"too many rows", "a.csv", "a,b\nx,y\nx,y\nx,y\n", Limits{Rows: 3}, kb.TooLarge},
		{"too slow", "a.txt", strings.Repeat("x\n", 9000), Limits{Duration: time.Nanosecond}, kb.Unprocessable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := tt.l.Parse(t.Context(), tt.file, "", []byte(tt.data)); kb.KindOf(err) != tt.kind {
				t.Errorf("error = %v, want kind %d", err, tt.kind)
			}
		})
	}
	t.Run("a canceled context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, f := range []string{"a.txt", "a.md", "a.html", "a.csv"} {
			if _, _, err := Parse(ctx, f, "", []byte("x")); kb.KindOf(err) != kb.Canceled {
				t.Errorf("%s: error = %v, want Canceled", f, err)
			}
		}
	})
}

func TestCleanName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a.md": "a.md", "guide/zh/a.mdx": "guide/zh/a.mdx", "./a//b/./c.md": "a/b/c.md", " 员工手册.pdf ": "员工手册.pdf", "a..b/c...md": "a..b/c...md", ".env": ".env",
		strings.Repeat("a", 255): strings.Repeat("a", 255),
	} {
		if got, err := CleanName(in); err != nil || got != want {
			t.Errorf("CleanName(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", " ", ".", "./", "..", "../a", "a/../../b", "a/..", "a/ .. /b", "/etc/passwd", `C:\x`, "c:x", `a\b`, "a\x00b", "a\nb", "a\u202eb", "a\u200b", "a/", "\xff", strings.Repeat("a", 256),
	} {
		got, err := CleanName(in)
		if kb.KindOf(err) != kb.Invalid {
			t.Errorf("CleanName(%q) = %q, %v, want Invalid", in, got, err)
		}
		if e, ok := errors.AsType[*kb.Error](err); ok && e.Details["field"] != "name" {
			t.Errorf("CleanName(%q) names field %v", in, e.Details["field"])
		}
	}
}

func FuzzCleanName(f *testing.F) {
	for _, s := range []string{"a/b.md", "../x", `C:\x`, "a\x00", "./../a", "a/./..", "。。/a", " /a", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := CleanName(s)
		if err != nil {
			return
		}
		if got == "" || len(got) > 255 || got[0] == '/' || strings.ContainsAny(got, "\\\x00\n") || !utf8.ValidString(got) {
			t.Fatalf("CleanName(%q) = %q", s, got)
		}
		for part := range strings.SplitSeq(got, "/") {
			if part == "" || part == "." || part == ".." {
				t.Fatalf("CleanName(%q) = %q", s, got)
			}
		}
		if again, err := CleanName(got); err != nil || again != got {
			t.Fatalf("CleanName(%q) = %q, but then %q, %v", s, got, again, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"# a", "%PDF-1.4", "PK\x03\x04", "<html>", "\xff\xfea\x00", "a,b\n1,2", "\xb0\xa1", ""} {
		f.Add("a.md", "text/html", []byte(s))
		f.Add("a", "text/csv", []byte(s))
	}
	f.Fuzz(fuzzed)
}
