package pdf

import (
	"bytes"
	"math"
)

// matrix is [a b c d e f] as in §8.3.3.
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// mul returns the transformation that does m first and then n.
func (m matrix) mul(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// state is the part of the graphics state that text depends on.
type state struct {
	ctm                     matrix
	font                    *font
	size, char, word, scale float64
	leading, rise           float64
}

// interpreter runs the content streams of one page.
type interpreter struct {
	d       *document
	out     *pageText
	s       state
	stack   []state
	tm, tlm matrix
	forms   int // nesting of form XObjects
	marks   []mark
}

// mark is a level of marked content.
type mark struct {
	hide   bool    // an artifact
	actual *string // what to read instead of what is drawn; nil for nothing
	used   bool
}

const (
	maxForms = 12  // form XObjects in each other
	maxSaves = 512 // q without Q; §C.2 says 28
	maxMarks = 512
)

// costs in operators, charged against Limits.Ops.
const (
	costFont = 500 // of looking a font up, which may mean parsing it
	costForm = 100
)

func (p *interpreter) spend(n int) bool {
	p.d.ops += n
	return p.d.ops <= p.d.lim.Ops && p.d.ctx.Err() == nil
}

// run interprets content with the given resources. It stops silently when
// the budget is used up; the caller looks at it.
func (p *interpreter) run(content []byte, res dict) {
	l := &lexer{b: content, content: true}
	var args []any
	base := len(p.stack)
	for {
		o := l.object()
		op, ok := o.(keyword)
		if !ok {
			if len(args) < 64 {
				args = append(args, o)
			}
			continue
		}
		if op == "" || !p.spend(1) {
			break
		}
		if op == "BI" {
			skipImage(l)
		} else {
			p.op(op, args, res, base)
		}
		args = args[:0]
	}
	if len(p.stack) > base { // a form that forgot to restore
		p.s = p.stack[base]
		p.stack = p.stack[:base]
	}
}

// skipImage moves behind the EI of an inline image.
func skipImage(l *lexer) {
	i := bytes.Index(l.b[l.i:], []byte("ID"))
	if i < 0 {
		l.i = len(l.b)
		return
	}
	l.i += i + 2
	for {
		i := bytes.Index(l.b[l.i:], []byte("EI"))
		if i < 0 {
			l.i = len(l.b)
			return
		}
		l.i += i + 2
		before, after := l.b[l.i-3], byte(' ')
		if l.i < len(l.b) {
			after = l.b[l.i]
		}
		if isSpace(before) && isSpace(after) {
			return
		}
	}
}

func num(args []any, i int) float64 {
	if i < 0 || i >= len(args) {
		return 0
	}
	var v float64
	switch n := args[i].(type) {
	case int64:
		v = float64(n)
	case float64:
		v = n
	}
	if math.IsNaN(v) || math.Abs(v) > 1e9 {
		return 0
	}
	return v
}

func matrixOf(args []any) (matrix, bool) {
	var m matrix
	if len(args) < 6 {
		return m, false
	}
	for i := range m {
		m[i] = num(args, len(args)-6+i)
	}
	return m, true
}

func (p *interpreter) op(op keyword, args []any, res dict, base int) {
	switch op {
	case "q":
		if len(p.stack) < maxSaves {
			p.stack = append(p.stack, p.s)
		}
	case "Q":
		if n := len(p.stack); n > base {
			p.s, p.stack = p.stack[n-1], p.stack[:n-1]
		}
	case "cm":
		if m, ok := matrixOf(args); ok {
			p.s.ctm = m.mul(p.s.ctm)
		}
	case "Do":
		p.form(args, res)
	case "BMC", "BDC":
		p.mark(op, args, res)
	case "EMC":
		if n := len(p.marks); n > 0 {
			p.marks = p.marks[:n-1]
		}
	case "gs":
		if len(args) > 0 {
			if n, ok := args[len(args)-1].(name); ok {
				gs := p.d.dict(p.d.dict(res["ExtGState"])[n])
				if f := p.d.array(gs["Font"]); len(f) == 2 && p.spend(costFont) {
					p.s.font = p.d.font(f[0])
					p.s.size, _ = p.d.number(f[1])
				}
			}
		}
	default:
		p.textOp(op, args, res)
	}
}

// textOp handles the operators of §9.3 and §9.4.
func (p *interpreter) textOp(op keyword, args []any, res dict) {
	last := len(args) - 1
	switch op {
	case "BT":
		p.tm, p.tlm = identity, identity
	case "Tc":
		p.s.char = num(args, last)
	case "Tw":
		p.s.word = num(args, last)
	case "Tz":
		p.s.scale = num(args, last) / 100
	case "TL":
		p.s.leading = num(args, last)
	case "Ts":
		p.s.rise = num(args, last)
	case "Tf":
		if last >= 1 && p.spend(costFont) {
			if n, ok := args[last-1].(name); ok {
				p.s.font = p.d.font(p.d.dict(res["Font"])[n])
				p.s.size = num(args, last)
			}
		}
	case "Td":
		p.move(num(args, last-1), num(args, last))
	case "TD":
		p.s.leading = -num(args, last)
		p.move(num(args, last-1), num(args, last))
	case "T*":
		p.move(0, -p.s.leading)
	case "Tm":
		if m, ok := matrixOf(args); ok {
			p.tm, p.tlm = m, m
		}
	case "'":
		p.move(0, -p.s.leading)
		p.show(args)
	case "\"":
		p.s.word, p.s.char = num(args, last-2), num(args, last-1)
		p.move(0, -p.s.leading)
		if last >= 0 {
			p.show(args[last:])
		}
	case "Tj":
		p.show(args)
	case "TJ":
		if last >= 0 {
			if a, ok := args[last].(array); ok {
				p.show(a)
			}
		}
	}
}

func (p *interpreter) move(x, y float64) {
	p.tlm = matrix{1, 0, 0, 1, x, y}.mul(p.tlm)
	p.tm = p.tlm
}

// show draws strings and the adjustments between them.
func (p *interpreter) show(parts []any) {
	f := p.s.font
	if f == nil {
		return
	}
	for _, o := range parts {
		switch o := o.(type) {
		case int64, float64:
			adjust := -num([]any{o}, 0) / 1000 * p.s.size
			if f.vertical {
				p.advance(0, adjust)
			} else {
				p.advance(adjust*p.s.scale, 0)
			}
		case text:
			if !p.spend(1 + len(o)/8) {
				return
			}
			f.glyphsOf(string(o), p.glyph)
		}
	}
}

// glyph draws one glyph and moves on.
func (p *interpreter) glyph(g glyph) {
	f := p.s.font
	if f.vertical {
		// The glyph hangs below the point, an em high (§9.7.4.3, DW2).
		p.place(g, 0)
		p.advance(0, -(p.s.size + p.s.char))
		return
	}
	w := g.width * p.s.size
	extra := p.s.char
	if g.blank {
		extra += p.s.word
	}
	p.place(g, (w+extra)*p.s.scale)
	p.advance((w+extra)*p.s.scale, 0)
}

func (p *interpreter) advance(x, y float64) {
	p.tm = matrix{1, 0, 0, 1, x, y}.mul(p.tm)
}

// place hands a glyph to the page; step is how far the pen moves in text space.
func (p *interpreter) place(g glyph, step float64) {
	for i := range p.marks {
		m := &p.marks[i]
		switch {
		case m.hide:
			return
		case m.actual == nil:
			continue
		case m.used:
			g.text, g.blank = "", true
		default:
			m.used = true
			g.text = *m.actual
		}
		break
	}
	at := matrix{1, 0, 0, 1, 0, p.s.rise}.mul(p.tm).mul(p.s.ctm)
	x, y := step, p.s.rise
	dx, dy := at[0], at[1]
	if p.s.font.vertical {
		x, y = 0, p.s.rise-(p.s.size+p.s.char)
		dx, dy = -at[2], -at[3]
	}
	end := matrix{1, 0, 0, 1, x, y}.mul(p.tm).mul(p.s.ctm)
	p.out.add(inked{
		glyph: g, x: at[4], y: at[5], endX: end[4], endY: end[5], dx: dx, dy: dy,
		size: math.Hypot(at[2], at[3]) * math.Abs(p.s.size), bold: p.s.font.bold,
	})
}

// mark begins marked content. Artifacts (page numbers, running heads) are not
// text; ActualText replaces what is drawn (§14.8.2.2, §14.9.4).
func (p *interpreter) mark(op keyword, args []any, res dict) {
	if len(p.marks) >= maxMarks || len(args) == 0 {
		return
	}
	tag, _ := args[0].(name)
	m := mark{hide: tag == "Artifact"}
	if op == "BDC" && len(args) > 1 {
		props := p.d.dict(args[1])
		if n, ok := args[1].(name); ok {
			props = p.d.dict(p.d.dict(res["Properties"])[n])
		}
		if s, ok := p.d.resolve(props["ActualText"]).(text); ok && len(s) < 4096 {
			t := pdfString(s)
			m.actual = &t
		}
	}
	p.marks = append(p.marks, m)
}

// form runs a form XObject.
func (p *interpreter) form(args []any, res dict) {
	if len(args) == 0 || p.forms >= maxForms || !p.spend(costForm) {
		return
	}
	n, _ := args[len(args)-1].(name)
	s, ok := p.d.resolve(p.d.dict(res["XObject"])[n]).(*stream)
	if !ok {
		return
	}
	switch p.d.name(s.dict["Subtype"]) {
	case "Image":
		p.out.images++
		return
	case "Form":
	default:
		return
	}
	content, err := p.d.decode(s)
	if err != nil {
		return
	}
	saved, tm, tlm, marks := p.s, p.tm, p.tlm, len(p.marks)
	if m, ok := matrixOf(p.d.array(s.dict["Matrix"])); ok {
		p.s.ctm = m.mul(p.s.ctm)
	}
	inner := p.d.dict(s.dict["Resources"])
	if inner == nil {
		inner = res
	}
	p.forms++
	p.run(content, inner)
	p.forms--
	p.s, p.tm, p.tlm = saved, tm, tlm
	p.marks = p.marks[:min(marks, len(p.marks))]
}
