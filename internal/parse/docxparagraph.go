package parse

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// skippedWord names the elements whose content is not part of the text.
func skippedWord(local string) bool {
	switch local {
	case "del", "moveFrom", "Fallback", "sectPr", "instrText", "delText", "rt", "sdtPr", "sdtEndPr", "tblPr", "tblGrid",
		"rubyPr", "background", "proofErr", "chart", "blip", "OLEObject", "binData":
		return true
	}
	return false
}

// paragraph reads to the end of the w:p that has just begun.
func (x *docx) paragraph() (*paragraph, error) {
	p := &paragraph{}
	if x.depth++; x.depth > maxDocxDepth {
		x.depth--
		return p, x.skip()
	}
	defer func() { x.depth-- }()
	for {
		tok, err := x.next()
		if err != nil {
			return nil, eof(err)
		}
		switch t := tok.(type) {
		case xml.EndElement:
			if t.Name.Local == "p" {
				return p, nil
			}
		case xml.StartElement:
			switch t.Name.Local {
			case "pPr":
				if err := x.properties(p, &t); err != nil {
					return nil, err
				}
			case "r":
				if err := x.run(p); err != nil {
					return nil, err
				}
			case "t": // of a formula
				if err := x.chars(&p.text); err != nil {
					return nil, err
				}
			case "txbxContent":
				if err := x.box(p); err != nil {
					return nil, err
				}
			default:
				if skippedWord(t.Name.Local) {
					if err := x.skip(); err != nil {
						return nil, err
					}
				}
			}
		}
	}
}

func (x *docx) skip() error {
	if err := x.d.Skip(); err != nil {
		return broken(err)
	}
	return nil
}

// eof makes the end of the file inside an element an error.
func eof(err error) error {
	if errors.Is(err, io.EOF) {
		return broken(io.ErrUnexpectedEOF)
	}
	return err
}

// val is an element whose content is its w:val attribute.
type val struct {
	Val string `xml:"val,attr"`
}

// on is a toggle property: present and not switched off.
func (v *val) on() bool {
	return v != nil && v.Val != "0" && v.Val != "false" && v.Val != "none"
}

type numberProperties struct {
	ID    val  `xml:"numId"`
	Level *val `xml:"ilvl"`
}

type paragraphProperties struct {
	Style   val               `xml:"pStyle"`
	Number  *numberProperties `xml:"numPr"`
	Outline *val              `xml:"outlineLvl"`
}

func (x *docx) properties(p *paragraph, start *xml.StartElement) error {
	var pp paragraphProperties
	if err := x.d.DecodeElement(&pp, start); err != nil {
		return broken(err)
	}
	p.style = pp.Style.Val
	s := x.styles.resolve(p.style)
	p.outline, p.numID, p.level = s.outline, s.numID, s.level
	if pp.Outline != nil {
		p.outline = outlineLevel(pp.Outline.Val)
	}
	if n := pp.Number; n != nil {
		if n.ID.Val != "" {
			p.numID = n.ID.Val
		}
		if n.Level != nil {
			p.level, _ = strconv.Atoi(n.Level.Val)
		}
	}
	return nil
}

// run reads a w:r: the text between two changes of formatting.
func (x *docx) run(p *paragraph) error {
	hidden := false
	depth := 1
	for depth > 0 {
		tok, err := x.next()
		if err != nil {
			return eof(err)
		}
		switch t := tok.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			depth++
			switch t.Name.Local {
			case "rPr":
				if hidden, err = x.hiddenRun(&t); err != nil {
					return err
				}
				depth--
			case "t":
				var sink strings.Builder
				if err := x.chars(&sink); err != nil {
					return err
				}
				if !hidden {
					p.text.WriteString(sink.String())
				}
				depth--
			case "tab", "ptab":
				p.text.WriteByte(' ')
			case "br", "cr":
				p.text.WriteRune(lineBreak)
			case "noBreakHyphen":
				p.text.WriteByte('-')
			case "footnoteReference", "endnoteReference":
				if n := x.note(t); n > 0 {
					fmt.Fprintf(&p.text, "[%d]", n)
				}
			case "txbxContent":
				if err := x.box(p); err != nil {
					return err
				}
				depth--
			default:
				if skippedWord(t.Name.Local) {
					if err := x.skip(); err != nil {
						return err
					}
					depth--
				}
			}
		}
	}
	return nil
}

// hiddenRun reads a w:rPr and reports whether its run is hidden or struck out.
func (x *docx) hiddenRun(start *xml.StartElement) (bool, error) {
	var rp struct {
		Vanish    *val `xml:"vanish"`
		WebHidden *val `xml:"webHidden"`
		Strike    *val `xml:"strike"`
		Dstrike   *val `xml:"dstrike"`
	}
	if err := x.d.DecodeElement(&rp, start); err != nil {
		return false, broken(err)
	}
	return rp.Vanish.on() || rp.WebHidden.on() || rp.Strike.on() || rp.Dstrike.on(), nil
}

// chars appends the characters up to the end of the element.
func (x *docx) chars(sb *strings.Builder) error {
	for {
		tok, err := x.next()
		if err != nil {
			return eof(err)
		}
		switch t := tok.(type) {
		case xml.CharData:
			// A line end inside w:t is a blank of the file, not of the text.
			sb.WriteString(strings.ReplaceAll(string(t), "\n", " "))
		case xml.StartElement:
			if err := x.skip(); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// box reads the paragraphs of a text box; they follow the one it hangs on.
func (x *docx) box(p *paragraph) error {
	var box []*paragraph
	depth := 1
	for depth > 0 {
		tok, err := x.next()
		if err != nil {
			return eof(err)
		}
		switch t := tok.(type) {
		case xml.EndElement:
			depth--
		case xml.StartElement:
			switch {
			case t.Name.Local == "p":
				q, err := x.paragraph()
				if err != nil {
					return err
				}
				box = append(box, q)
			case skippedWord(t.Name.Local):
				if err := x.skip(); err != nil {
					return err
				}
			default:
				depth++
			}
		}
	}
	p.boxes = append(p.boxes, box)
	return nil
}
