package parse

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// readDOCX reads the main text of a Word document: headings by style or
// outline level, lists with the numbers Word computes, tables, text boxes and
// notes. Deleted, moved-away and hidden text, fields' codes, tables of
// contents, page headers and comments are left out.
func (l Limits) readDOCX(ctx context.Context, data []byte, b *builder) error {
	a, err := openArchive(data, l)
	if err != nil {
		return err
	}
	root, err := a.relations("")
	if err != nil {
		return err
	}
	main := related(root, "officeDocument")
	if !a.has(main) {
		main = "word/document.xml"
	}
	rels, err := a.relations(main)
	if err != nil {
		return err
	}
	x := &docx{ctx: ctx, b: b}
	if x.styles, err = readStyles(a, related(rels, "styles")); err != nil {
		return err
	}
	if x.numbers, err = readNumbering(a, related(rels, "numbering"), x.styles); err != nil {
		return err
	}
	core, err := coreTitle(a, related(root, "core-properties"))
	if err != nil {
		return err
	}
	body, err := a.read(main)
	if err != nil {
		return err
	}
	if body == nil {
		return kb.E(kb.Unprocessable, nil, "file: has no main document; save it again as .docx")
	}
	if err := x.read(body); err != nil {
		return err
	}
	if err := x.writeNotes(a, related(rels, "footnotes"), related(rels, "endnotes")); err != nil {
		return err
	}
	if core != "" || b.title == "" {
		b.title = core
	}
	return b.tooLarge()
}

// coreTitle returns the title in the document's properties, unless a program
// put it there for want of a better one.
func coreTitle(a *archive, part string) (string, error) {
	data, err := a.read(part)
	if err != nil || data == nil {
		return "", err
	}
	var p struct {
		Title string `xml:"title"`
	}
	if err := decodeXML(data, &p); err != nil {
		return "", err
	}
	t := oneLine(p.Title)
	if low := strings.ToLower(t); strings.HasPrefix(low, "microsoft word") || strings.HasSuffix(low, ".doc") || strings.HasSuffix(low, ".docx") {
		return "", nil
	}
	return t, nil
}

type docx struct {
	ctx     context.Context
	b       *builder
	d       *xml.Decoder
	styles  styles
	numbers *numbering
	group   int // of the list that the previous paragraph belongs to
	notes   []noteRef
	depth   int
	tokens  int
}

// noteRef is a reference to a footnote or endnote, in the order of the text.
type noteRef struct {
	end bool
	id  string
}

// maxDocxDepth bounds tables in cells and boxes in paragraphs.
const maxDocxDepth = 40

// paragraph is what a w:p holds.
type paragraph struct {
	style   string
	numID   string
	level   int // of the numbering
	outline int // 1 to 9, 0 for none
	text    strings.Builder
	boxes   [][]*paragraph // text boxes that are anchored in it

	counted bool // marker and listed are set
	marker  string
	listed  bool
}

// number counts a paragraph in its list, once.
func (x *docx) number(p *paragraph) (marker string, listed bool) {
	if !p.counted {
		p.counted = true
		p.marker, p.listed = x.numbers.next(p.numID, p.level)
	}
	return p.marker, p.listed
}

func (x *docx) read(data []byte) error {
	x.d = newXML(data)
	for {
		tok, err := x.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "p":
			p, err := x.paragraph()
			if err != nil {
				return err
			}
			x.write(p)
		case "tbl":
			if err := x.table(); err != nil {
				return err
			}
		default:
			if skippedWord(start.Name.Local) {
				if err := x.d.Skip(); err != nil {
					return broken(err)
				}
			}
		}
		if err := x.b.tooLarge(); err != nil {
			return err
		}
	}
}

// next returns the next token and looks at the context now and then.
func (x *docx) next() (xml.Token, error) {
	if x.tokens++; x.tokens%4096 == 0 && x.ctx.Err() != nil {
		return nil, x.ctx.Err()
	}
	tok, err := x.d.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, broken(err)
	}
	return tok, err
}

func broken(err error) error {
	return kb.E(kb.Unprocessable, err, "file: contains broken XML; save it again")
}

// maxStyledHeading: people style whole paragraphs as headings to make them
// bold; a longer heading is one of those.
const maxStyledHeading = 120

// write adds a paragraph of the main text to the document.
func (x *docx) write(p *paragraph) {
	s := p.text.String()
	name := x.styles[p.style].name
	switch {
	case tidy(s) == "" || strings.HasPrefix(name, "toc ") || name == "toc heading":
	case name == "title":
		x.group = 0
		if x.b.title == "" {
			x.b.title = oneLine(s)
		}
		x.b.heading(1, s)
	case p.outline > 0 && utf8.RuneCountInString(s) <= maxStyledHeading:
		x.group = 0
		if marker, _ := x.number(p); marker != "" && marker != "-" {
			s = marker + " " + s
		}
		x.b.heading(p.outline, s)
	default:
		marker, listed := x.number(p)
		if !listed {
			x.group = 0
			x.b.paragraph(s)
			break
		}
		if x.group == 0 {
			x.group = x.b.group()
		}
		x.b.item(x.group, p.level, marker, s)
	}
	for _, box := range p.boxes {
		for _, q := range box {
			x.write(q)
		}
	}
}
