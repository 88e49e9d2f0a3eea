package parse

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// maxNameBytes is the length of one file name on ext4, XFS, APFS and NTFS
// (NAME_MAX); a whole relative path is held to it as well.
const maxNameBytes = 255

// CleanName checks the name of an uploaded document and returns it in its
// shortest form. A relative path such as "guide/zh/a.mdx" is kept, because the
// folders tell documents apart; "./a//b.md" becomes "a/b.md". Absolute paths,
// drive letters, backslashes, "..", control and invisible formatting
// characters, invalid UTF-8, trailing slashes, and more than 255 bytes are
// kb.Invalid.
func CleanName(name string) (string, error) {
	bad := func(why string) (string, error) {
		return "", kb.E(kb.Invalid, nil, "name: %s; use a file name or a relative path such as guide/a.md", why).With("field", "name")
	}
	name = strings.TrimSpace(name)
	switch {
	case name == "":
		return bad("is empty")
	case len(name) > maxNameBytes:
		return bad("is longer than 255 bytes")
	case !utf8.ValidString(name):
		return bad("is not valid UTF-8")
	case strings.Contains(name, `\`):
		return bad(`contains a backslash`)
	case name[0] == '/':
		return bad("is an absolute path")
	case name[len(name)-1] == '/':
		return bad("names a folder")
	}
	for _, r := range name {
		// Cf holds the bidirectional overrides that make "fdp.exe" look like
		// "exe.pdf", and the zero-width characters.
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return bad("contains a control character")
		}
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch part = strings.TrimSpace(part); part {
		case "", ".":
		case "..":
			return bad(`contains ".."`)
		default:
			parts = append(parts, part)
		}
	}
	name = strings.Join(parts, "/")
	switch {
	case name == "":
		return bad("names a folder")
	case len(name) > 1 && name[1] == ':' && isASCIILetter(name[0]):
		return bad("starts with a drive letter")
	}
	return name, nil
}

// baseTitle is the title of a document that has none of its own: the last
// part of its name, without extension and anything that may not be in a title.
func baseTitle(name string) string {
	name = strings.ToValidUTF8(name, "")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	if ext := path.Ext(name); ext != "" && ext != name {
		name = strings.TrimSuffix(name, ext)
	}
	return oneLine(name)
}

func isASCIILetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
