package pdf

import (
	"strings"
	"unicode/utf8"
)

// font turns the bytes of a shown string into glyphs.
type font struct {
	composite bool
	toUnicode *cmap
	codes     *cmap             // of an embedded encoding CMap: codes to CIDs
	charset   *charset          // of a predefined one
	glyphs    map[uint32]string // glyph or CID to text, from an embedded font program
	simple    [256]string
	widths    map[uint32]float64 // by code or CID, in thousandths of an em
	width     float64            // of what is not in widths
	vertical  bool
	bold      bool
}

// glyph is one shown character.
type glyph struct {
	text  string  // "" if it cannot be mapped
	width float64 // in ems
	blank bool    // the one-byte code 32, which word spacing applies to
}

// glyphsOf decodes a string and calls f for each glyph.
func (f *font) glyphsOf(s string, yield func(glyph)) {
	if !f.composite {
		for i := range len(s) {
			c := uint32(s[i])
			g := glyph{text: f.simple[c], width: f.widthOf(c), blank: c == 32}
			if f.toUnicode != nil {
				if t, ok := f.toUnicode.text(c); ok {
					g.text = t
				}
			}
			yield(g)
		}
		return
	}
	for len(s) > 0 {
		g, n := f.nextComposite(s)
		g.blank = n == 1 && s[0] == 32
		s = s[n:]
		yield(g)
	}
}

func (f *font) nextComposite(s string) (g glyph, n int) {
	var c, cid uint32
	switch {
	case f.charset != nil:
		g.text, n = f.charset.next(s)
		for i := range n {
			c = c<<8 | uint32(s[i])
		}
		// CIDs are unknown without Adobe's tables; East Asian fonts set
		// ASCII at half an em and all else at one.
		g.width = 1
		if n == 1 || len(g.text) == 1 {
			g.width = 0.5
		}
	case f.codes != nil:
		c, n = f.codes.next(s)
		cid, _ = f.codes.cid(c)
		g.width = f.widthOf(cid)
	default: // Identity
		n = min(2, len(s))
		for i := range n {
			c = c<<8 | uint32(s[i])
		}
		cid = c
		g.width = f.widthOf(cid)
	}
	if f.toUnicode != nil {
		if t, ok := f.toUnicode.text(c); ok {
			g.text = t
			return g, n
		}
	}
	if g.text == "" {
		g.text = f.glyphs[cid]
	}
	return g, n
}

func (f *font) widthOf(c uint32) float64 {
	if w, ok := f.widths[c]; ok {
		return w / 1000
	}
	return f.width / 1000
}

// font returns the font behind a resource, parsed once.
func (d *document) font(o any) *font {
	r, isRef := o.(ref)
	if isRef {
		if f, ok := d.fonts[r]; ok {
			return f
		}
	}
	f := d.parseFont(d.dict(o))
	if isRef {
		d.fonts[r] = f
	}
	return f
}

func (d *document) parseFont(x dict) *font {
	f := &font{widths: map[uint32]float64{}}
	base := string(d.name(x["BaseFont"]))
	low := strings.ToLower(base)
	f.bold = strings.Contains(low, "bold") || strings.Contains(low, "heavy") || strings.Contains(low, "black")
	if s, ok := d.resolve(x["ToUnicode"]).(*stream); ok {
		if data, err := d.decode(s); err == nil {
			f.toUnicode = parseCmap(data)
		}
	}
	if d.name(x["Subtype"]) == "Type0" {
		d.compositeFont(f, x)
		return f
	}
	d.simpleFont(f, x, base)
	return f
}

func (d *document) compositeFont(f *font, x dict) {
	f.composite = true
	switch e := d.resolve(x["Encoding"]).(type) {
	case name:
		f.vertical = strings.HasSuffix(string(e), "-V")
		f.charset = predefined(e)
	case *stream:
		if data, err := d.decode(e); err == nil {
			f.codes = parseCmap(data)
		}
		if v, ok := d.number(e.dict["WMode"]); ok && v == 1 {
			f.vertical = true
		}
	}
	var desc dict
	if list := d.array(x["DescendantFonts"]); len(list) > 0 {
		desc = d.dict(list[0])
	}
	f.width = 1000
	if w, ok := d.number(desc["DW"]); ok {
		f.width = w
	}
	d.cidWidths(f, d.array(desc["W"]))
	if f.toUnicode == nil && f.charset == nil {
		d.programGlyphs(f, d.dict(desc["FontDescriptor"]), desc)
	}
}

// cidWidths reads the W array (§9.7.4.3): c [w …] and first last w.
func (d *document) cidWidths(f *font, w array) {
	left := maxCmap // ranges may overlap, but not without end
	for i := 0; i+1 < len(w) && left > 0; {
		first, ok := d.number(w[i])
		if !ok || first < 0 || first > 0xffff {
			i++
			continue
		}
		if list, ok := d.resolve(w[i+1]).(array); ok {
			for k, o := range list {
				if v, ok := d.number(o); ok && k <= 0xffff {
					left--
					f.widths[uint32(first)+uint32(k)] = v
				}
			}
			i += 2
			continue
		}
		last, ok := d.number(w[i+1])
		if !ok || i+2 >= len(w) {
			return
		}
		v, _ := d.number(w[i+2])
		for c := first; c <= min(last, 0xffff) && left > 0; c++ {
			left--
			f.widths[uint32(c)] = v
		}
		i += 3
	}
}

func (d *document) simpleFont(f *font, x dict, base string) {
	desc := d.dict(x["FontDescriptor"])
	table := encodingTable(d.baseEncoding(x, desc, base))
	for c := range 256 {
		if r := table[c]; r != 0 {
			f.simple[c] = string(r)
		}
	}
	if e := d.dict(x["Encoding"]); e != nil {
		d.differences(f, d.array(e["Differences"]))
	}
	first, _ := d.number(x["FirstChar"])
	widths := d.array(x["Widths"])
	for i, o := range widths {
		if v, ok := d.number(o); ok && i < 256 {
			f.widths[uint32(int(first)+i)] = v
		}
	}
	f.width, _ = d.number(desc["MissingWidth"])
	if len(widths) == 0 { // one of the standard 14 fonts
		for c := range 256 {
			f.widths[uint32(c)] = standardWidth(f.simple[c], base)
		}
	}
	if d.name(x["Subtype"]) == "Type3" {
		// Widths are in glyph space; the matrix says what an em is.
		if m := d.array(x["FontMatrix"]); len(m) == 6 {
			if a, ok := d.number(m[0]); ok && a > 0 {
				for c := range f.widths {
					f.widths[c] *= a * 1000
				}
			}
		}
	}
}

// baseEncoding returns the name of the encoding that a simple font starts from.
func (d *document) baseEncoding(x, desc dict, base string) name {
	switch e := d.resolve(x["Encoding"]).(type) {
	case name:
		return e
	case dict:
		if b := d.name(e["BaseEncoding"]); b != "" {
			return b
		}
	}
	switch {
	case strings.Contains(base, "Symbol"):
		return "Symbol"
	case strings.Contains(base, "Dingbats"), strings.Contains(base, "Wingdings"):
		return "Dingbats"
	}
	if flags, ok := d.number(desc["Flags"]); ok && int(flags)&4 != 0 && d.name(x["Subtype"]) == "TrueType" {
		return "WinAnsiEncoding" // symbolic fonts of Latin text are Windows fonts
	}
	return "StandardEncoding"
}

func (d *document) differences(f *font, diff array) {
	c := 0
	for _, o := range diff {
		switch o := d.resolve(o).(type) {
		case int64:
			c = int(min(max(o, 0), 256))
		case name:
			if c < 256 {
				f.simple[c] = glyphText(string(o))
			}
			c++
		}
	}
}

// standardWidth returns the width of a character in the standard 14 fonts,
// which every reader has and files need not describe. Characters outside ASCII
// are as wide as most letters; bold type is about a twentieth wider.
func standardWidth(s, base string) float64 {
	if strings.HasPrefix(base, "Courier") {
		return 600
	}
	table := helvetica()
	if strings.HasPrefix(base, "Times") {
		table = times()
	}
	w := 540.0
	if r, _ := utf8.DecodeRuneInString(s); r >= ' ' && r <= '~' {
		w = float64(table[r-' '])
	}
	if strings.Contains(base, "Bold") {
		w *= 1.05
	}
	return w
}

// helvetica and times are the widths of the characters from blank to tilde
// (Adobe Font Metrics of the core 14 fonts).
func helvetica() [95]uint16 {
	return [95]uint16{
		278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
		556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
		1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
		667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
		333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
		556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
	}
}

func times() [95]uint16 {
	return [95]uint16{
		250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278,
		500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 278, 278, 564, 564, 564, 444,
		921, 722, 667, 667, 722, 611, 556, 722, 722, 333, 389, 722, 611, 889, 722, 722,
		556, 722, 667, 556, 611, 722, 722, 944, 722, 722, 611, 333, 278, 333, 469, 500,
		333, 444, 500, 444, 500, 444, 333, 500, 500, 278, 278, 500, 278, 778, 500, 500,
		500, 500, 333, 389, 278, 500, 500, 722, 500, 500, 444, 480, 200, 480, 541,
	}
}
