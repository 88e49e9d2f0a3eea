package parse

import (
	"context"
	"strings"
	"unicode/utf8"
)

// readPlain reads text without markup. Blank lines separate paragraphs; lines
// that were wrapped at a fixed width are rejoined; numbered chapter lines of
// Chinese rules and contracts become headings, bulleted lines list items.
func readPlain(ctx context.Context, s string, b *builder) error {
	var para []string
	group := 0 // of the list that the previous line belongs to
	flush := func() {
		if len(para) > 0 {
			b.paragraph(strings.Join(rejoin(para), string(lineBreak)))
			para = nil
		}
	}
	s = strings.NewReplacer("\u2028", "\n", "\u2029", "\n\n", "\f", "\n\n", "\v", "\n", "\u0085", "\n").Replace(s)
	n := 0
	for line := range strings.SplitSeq(s, "\n") {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		text := tidy(line)
		switch level := chapterLevel(text); {
		case text == "":
			flush()
			group = 0
		case level > 0:
			flush()
			group = 0
			b.heading(level, text)
		case bullet.MatchString(text):
			flush()
			if group == 0 {
				group = b.group()
			}
			marker, rest := cutBullet(text)
			b.item(group, 0, marker, rest)
		case group != 0 && strings.TrimLeft(line, " \t") != line:
			b.item(group, 1, "", text) // an indented line goes on with its item
		default:
			group = 0
			para = append(para, text)
		}
	}
	flush()
	return b.tooLarge()
}

var (
	// chapter matches 第三章 总则, 第十二条 …, as GB/T 1.1 and Chinese statutes
	// number their parts; Arabic digits occur too.
	chapter = lazily(`^第\s?[〇零一二三四五六七八九十百千两\d]{1,7}\s?([编编編篇部章节節])(?:[\s:：、.]|$)`)
	// bullet matches the markers of list lines. A lone number needs a bracket,
	// or a dot and a blank: "3.5" and "2024 was" are no items.
	bullet = lazily(`^(?:[-*•·●○■□◆▪‣–] |[•●■◆▪] ?|\d{1,3}[.)] |\d{1,3}[、）]|[(（](?:\d{1,3}|[一二三四五六七八九十]{1,3})[)）])\s*\S`)
)

// maxHeadingRunes: a longer line is a sentence that starts with a number.
const maxHeadingRunes = 40

// chapterLevel returns the heading level of a chapter line or 0.
func chapterLevel(line string) int {
	m := chapter.FindStringSubmatch(line)
	if m == nil || utf8.RuneCountInString(line) > maxHeadingRunes || strings.ContainsAny(line, "。；;，") {
		return 0
	}
	switch m[1] {
	case "节", "節":
		return 3
	case "章":
		return 2
	}
	return 1
}

// cutBullet separates a list line's marker; symbols all become "-".
func cutBullet(line string) (marker, rest string) {
	r, n := utf8.DecodeRuneInString(line)
	if strings.ContainsRune("-*•·●○■□◆▪‣–", r) {
		return "-", strings.TrimSpace(line[n:])
	}
	end := strings.IndexAny(line[1:], ".)、）") + 1
	_, n = utf8.DecodeRuneInString(line[end:])
	return line[:end+n], strings.TrimSpace(line[end+n:])
}

// rejoin undoes hard wrapping: when all lines but the last have nearly the
// same width and it is a usual one, the line ends were the editor's.
func rejoin(lines []string) []string {
	if len(lines) < 2 {
		return lines
	}
	lo, hi, ended := 1<<30, 0, 0
	for _, l := range lines[:len(lines)-1] {
		w := displayWidth(l)
		lo, hi = min(lo, w), max(hi, w)
		if endsSentence(l) {
			ended++
		}
	}
	last := displayWidth(lines[len(lines)-1])
	// 60 to 130 columns are what editors and mail programs wrap at; the next
	// word, up to 14 columns, decides how ragged the edge is.
	wrapped := hi >= 60 && hi <= 130 && hi-lo <= 14 && last <= hi+1 && ended*2 <= len(lines)
	if !wrapped {
		return lines
	}
	return []string{strings.Join(lines, "\n")} // a soft break for tidy
}

func displayWidth(s string) int {
	n := 0
	for _, r := range s {
		n++
		if wide(r) {
			n++
		}
	}
	return n
}

func endsSentence(s string) bool {
	r, _ := utf8.DecodeLastRuneInString(s)
	return strings.ContainsRune("。！？；.!?;:：", r)
}
