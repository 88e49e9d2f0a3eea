package parse

import (
	"strconv"
	"strings"
)

// style is what a paragraph style says about structure.
type style struct {
	name    string // lower case, as in the user interface in English
	based   string
	outline int // 1 to 9, 0 for none, −1 for body text
	numID   string
	level   int
}

// styles are the paragraph and numbering styles by id.
type styles map[string]style

func readStyles(a *archive, part string) (styles, error) {
	data, err := a.read(part)
	if err != nil || data == nil {
		return nil, err
	}
	var x struct {
		Styles []struct {
			ID         string              `xml:"styleId,attr"`
			Name       val                 `xml:"name"`
			Based      val                 `xml:"basedOn"`
			Properties paragraphProperties `xml:"pPr"`
		} `xml:"style"`
	}
	if err := decodeXML(data, &x); err != nil {
		return nil, err
	}
	out := make(styles, len(x.Styles))
	for _, s := range x.Styles {
		st := style{name: strings.ToLower(s.Name.Val), based: s.Based.Val}
		if rest, ok := strings.CutPrefix(st.name, "heading "); ok {
			if n, err := strconv.Atoi(rest); err == nil && n >= 1 && n <= 9 {
				st.outline = n
			}
		}
		if o := s.Properties.Outline; o != nil {
			st.outline = outlineLevel(o.Val)
			if st.outline == 0 {
				st.outline = -1
			}
		}
		if n := s.Properties.Number; n != nil {
			st.numID = n.ID.Val
			if n.Level != nil {
				st.level, _ = strconv.Atoi(n.Level.Val)
			}
		}
		out[s.ID] = st
	}
	return out, nil
}

// maxStyleChain bounds "based on"; Word itself stops at about a dozen, and a
// broken file may have a circle.
const maxStyleChain = 20

// resolve returns a style with what it inherits.
func (s styles) resolve(id string) style {
	out := s[id]
	for cur, n := out.based, 0; cur != "" && n < maxStyleChain; n++ {
		base := s[cur]
		if out.outline == 0 {
			out.outline = base.outline
		}
		if out.numID == "" && base.numID != "" {
			out.numID, out.level = base.numID, base.level
		}
		cur = base.based
	}
	out.outline = max(out.outline, 0)
	return out
}

// outlineLevel reads w:outlineLvl, where 0 is the first level and 9 is text.
func outlineLevel(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 8 {
		return 0
	}
	return n + 1
}

// numbering computes the numbers that Word shows but does not store
// (ECMA-376 part 1 §17.9).
type numbering struct {
	lists    map[string]*wordList // by w:numId
	counters map[string]*[levels]int
	used     map[string]bool // lists whose restart has been applied
}

const levels = 9 // ECMA-376 part 1 §17.9.3

type wordList struct {
	abstract string // lists of one definition count on together
	levels   [levels]wordLevel
	restart  [levels]int // start values of w:lvlOverride, −1 for none
}

type wordLevel struct {
	set    bool
	start  int
	format string
	text   string // such as "%1.%2"
	legal  bool   // all numbers in digits
}

type xmlLevel struct {
	Level  int  `xml:"ilvl,attr"`
	Start  *val `xml:"start"`
	Format val  `xml:"numFmt"`
	Text   val  `xml:"lvlText"`
	Legal  *val `xml:"isLgl"`
}

type xmlNumbering struct {
	Abstract []struct {
		ID     string     `xml:"abstractNumId,attr"`
		Link   val        `xml:"numStyleLink"`
		Levels []xmlLevel `xml:"lvl"`
	} `xml:"abstractNum"`
	Nums []struct {
		ID        string `xml:"numId,attr"`
		Abstract  val    `xml:"abstractNumId"`
		Overrides []struct {
			Level int       `xml:"ilvl,attr"`
			Start *val      `xml:"startOverride"`
			Def   *xmlLevel `xml:"lvl"`
		} `xml:"lvlOverride"`
	} `xml:"num"`
}

func readNumbering(a *archive, part string, st styles) (*numbering, error) {
	n := &numbering{lists: map[string]*wordList{}, counters: map[string]*[levels]int{}, used: map[string]bool{}}
	data, err := a.read(part)
	if err != nil || data == nil {
		return n, err
	}
	var x xmlNumbering
	if err := decodeXML(data, &x); err != nil {
		return nil, err
	}
	abstract, links := map[string][levels]wordLevel{}, map[string]string{}
	for _, d := range x.Abstract {
		var lv [levels]wordLevel
		for _, l := range d.Levels {
			l.put(&lv)
		}
		abstract[d.ID], links[d.ID] = lv, d.Link.Val
	}
	toAbstract := map[string]string{}
	for _, d := range x.Nums {
		toAbstract[d.ID] = d.Abstract.Val
	}
	for _, d := range x.Nums {
		id := d.Abstract.Val
		if link := links[id]; link != "" { // defined by a numbering style
			id = toAbstract[st[link].numID]
		}
		w := &wordList{abstract: id, levels: abstract[id]}
		for i := range w.restart {
			w.restart[i] = -1
		}
		for _, o := range d.Overrides {
			if o.Level < 0 || o.Level >= levels {
				continue
			}
			if o.Def != nil {
				o.Def.Level = o.Level
				o.Def.put(&w.levels)
			}
			if o.Start != nil {
				w.restart[o.Level] = number(o.Start)
			}
		}
		n.lists[d.ID] = w
	}
	return n, nil
}

func (l *xmlLevel) put(lv *[levels]wordLevel) {
	if l.Level < 0 || l.Level >= levels {
		return
	}
	start := 1
	if l.Start != nil {
		start = number(l.Start)
	}
	lv[l.Level] = wordLevel{set: true, start: start, format: l.Format.Val, text: l.Text.Val, legal: l.Legal.on()}
}

func number(v *val) int {
	n, err := strconv.Atoi(v.Val)
	if err != nil {
		return 1
	}
	return min(max(n, 0), 1_000_000)
}

// next returns the marker of the next paragraph of a list, "-" for bullets,
// and whether the paragraph is in a list at all.
func (n *numbering) next(numID string, level int) (marker string, listed bool) {
	w := n.lists[numID]
	if w == nil || numID == "0" || level < 0 || level >= levels || !w.levels[level].set {
		return "", false
	}
	c := n.counters[w.abstract]
	if c == nil {
		c = new([levels]int)
		for i := range c {
			c[i] = -1
		}
		n.counters[w.abstract] = c
	}
	if !n.used[numID] {
		n.used[numID] = true
		for i, start := range w.restart {
			if start >= 0 {
				c[i] = start - 1
			}
		}
	}
	for i := range level {
		if c[i] < 0 {
			c[i] = w.levels[i].start
		}
	}
	if c[level] < 0 {
		c[level] = w.levels[level].start
	} else {
		c[level]++
	}
	for i := level + 1; i < levels; i++ {
		c[i] = -1
	}
	lv := w.levels[level]
	switch lv.format {
	case "bullet":
		return "-", true
	case "none":
		return "", false
	}
	return strings.TrimSpace(w.expand(lv, c)), true
}

// expand fills the counters into a level's text.
func (w *wordList) expand(lv wordLevel, c *[levels]int) string {
	var sb strings.Builder
	for i := 0; i < len(lv.text); i++ {
		if lv.text[i] == '%' && i+1 < len(lv.text) && lv.text[i+1] >= '1' && lv.text[i+1] <= '9' {
			i++
			k := int(lv.text[i] - '1')
			format := w.levels[k].format
			if lv.legal {
				format = "decimal"
			}
			sb.WriteString(formatNumber(max(c[k], 0), format))
			continue
		}
		sb.WriteByte(lv.text[i])
	}
	return sb.String()
}
