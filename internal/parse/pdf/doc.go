// Package pdf extracts the text of PDF files (ISO 32000-1): lines of text with
// their place and size on each page, and the document's title. It reads what
// real programs write, mends what they break, and assumes nothing about its
// input: nesting, decoded bytes, operators and time are bounded, it allocates
// in proportion to the bytes that exist, and it never follows a reference
// twice into itself.
package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Errors that callers tell apart.
var (
	ErrEncrypted = errors.New("pdf: a password is needed")
	ErrBroken    = errors.New("pdf: broken")
	ErrTooLarge  = errors.New("pdf: too large")
	ErrNoText    = errors.New("pdf: no text, only images")
	ErrNoMap     = errors.New("pdf: fonts without character map")
)

// Limits bound the work for one file. All fields must be positive.
type Limits struct {
	Pages   int
	Decoded int64 // bytes that all streams together may unpack to
	Ops     int   // operators of all content streams
}

// document is an open file.
type document struct {
	ctx     context.Context
	data    []byte
	lim     Limits
	left    int64 // of Limits.Decoded; at 0 nothing more is loaded
	ops     int
	xref    map[int]entry
	trailer dict
	objects map[int]any         // resolved
	busy    map[int]bool        // being resolved
	packed  map[int]map[int]any // object streams, unpacked
	fonts   map[ref]*font
	crypt   *crypt
}

// entry says where an object is: at an offset, or in an object stream.
type entry struct {
	offset int64
	gen    int
	stream int // number of the object stream, 0 for none
}

// open reads the cross-reference table, or rebuilds it by searching the file.
func open(ctx context.Context, data []byte, lim Limits) (*document, error) {
	// Offsets count from the header, which some mail gateways push down.
	if i := bytes.Index(data[:min(len(data), 1024)], []byte("%PDF-")); i > 0 {
		data = data[i:]
	}
	d := &document{
		ctx: ctx, data: data, lim: lim, left: lim.Decoded,
		objects: map[int]any{}, busy: map[int]bool{}, packed: map[int]map[int]any{}, fonts: map[ref]*font{},
	}
	if !d.readXref() || d.pagesRoot() == nil {
		if err := d.rebuild(); err != nil {
			return nil, err
		}
	}
	if d.trailer["Encrypt"] != nil && d.crypt == nil {
		if err := d.initCrypt(); err != nil {
			return nil, err
		}
	}
	if d.pagesRoot() == nil {
		return nil, fmt.Errorf("%w: no page tree", ErrBroken)
	}
	return d, nil
}

func (d *document) pagesRoot() dict {
	root := d.dict(d.trailer["Root"])
	return d.dict(root["Pages"])
}

// resolve returns the object behind a reference, or o itself.
func (d *document) resolve(o any) any {
	for range 32 { // a reference to a reference is not allowed, but occurs
		r, ok := o.(ref)
		if !ok {
			return o
		}
		o = d.load(r)
	}
	return nil
}

func (d *document) load(r ref) any {
	if o, ok := d.objects[r.num]; ok {
		return o
	}
	e, ok := d.xref[r.num]
	// A stream's length may be a reference, and so on; a circle, or a chain
	// that no program writes, ends here.
	if !ok || d.busy[r.num] || len(d.busy) > maxDepth || d.left <= 0 {
		return nil
	}
	d.busy[r.num] = true
	defer delete(d.busy, r.num)
	var o any
	if e.stream > 0 {
		o = d.objectStream(e.stream)[r.num]
	} else {
		o = d.objectAt(e.offset, r.num)
	}
	d.objects[r.num] = o
	return o
}

// objectAt reads the object at an offset; want is its number, 0 for any.
func (d *document) objectAt(offset int64, want int) any {
	if offset < 0 || offset >= int64(len(d.data)) {
		return nil
	}
	l := &lexer{b: d.data, i: int(offset)}
	num, ok1 := l.object().(int64)
	gen, ok2 := l.object().(int64)
	k, ok3 := l.object().(keyword)
	if !ok1 || !ok2 || !ok3 || k != "obj" || want != 0 && num != int64(want) {
		return nil
	}
	id, ok := makeRef(num, gen).(ref)
	if !ok {
		return nil
	}
	o, _ := l.value()
	if h, ok := o.(dict); ok {
		if s := d.streamBody(l, h, id); s != nil {
			return s
		}
	}
	if d.crypt != nil && want != 0 {
		o = d.crypt.strings(o, id, 0)
	}
	return o
}

// streamAt reads the stream at an offset; cross-reference streams are never
// encrypted.
func (d *document) streamAt(offset int64) *stream {
	s, _ := d.objectAt(offset, 0).(*stream)
	if s != nil {
		s.open = true
	}
	return s
}

// streamBody finds the bytes of a stream whose dictionary has just been read.
func (d *document) streamBody(l *lexer, h dict, id ref) *stream {
	mark := l.i
	if k, ok := l.object().(keyword); !ok || k != "stream" {
		l.i = mark
		return nil
	}
	if l.i < len(l.b) && l.b[l.i] == '\r' {
		l.i++
	}
	if l.i < len(l.b) && l.b[l.i] == '\n' {
		l.i++
	}
	start := l.i
	if n, ok := d.resolve(h["Length"]).(int64); ok && n >= 0 && n <= int64(len(l.b)-start) {
		end := start + int(n)
		after := &lexer{b: l.b, i: end}
		if k, ok := after.object().(keyword); ok && k == "endstream" {
			return &stream{dict: h, raw: l.b[start:end], id: id}
		}
	}
	// The length is wrong: the stream goes up to the next end mark.
	n := bytes.Index(l.b[start:], []byte("endstream"))
	if n < 0 {
		n = len(l.b) - start
	}
	d.left -= int64(n) // or a file of many such streams takes quadratic time
	return &stream{dict: h, raw: bytes.TrimRight(l.b[start:start+n], "\r\n"), id: id}
}

// objectStream returns the objects packed in an object stream (§7.5.7).
func (d *document) objectStream(num int) map[int]any {
	if m, ok := d.packed[num]; ok {
		return m
	}
	d.packed[num] = nil // for a stream that is said to be packed in itself
	s, _ := d.load(ref{num: num}).(*stream)
	if s == nil {
		return nil
	}
	data, err := d.decode(s)
	if err != nil {
		return nil
	}
	n, _ := d.resolve(s.dict["N"]).(int64)
	first, _ := d.resolve(s.dict["First"]).(int64)
	if first < 0 || first > int64(len(data)) {
		return nil
	}
	m := map[int]any{}
	l := &lexer{b: data[:first]}
	for range n {
		num, ok1 := l.object().(int64)
		off, ok2 := l.object().(int64)
		if !ok1 || !ok2 {
			break
		}
		if off < 0 || first+off >= int64(len(data)) || num <= 0 || num > maxObject {
			continue
		}
		body := &lexer{b: data, i: int(first + off)}
		m[int(num)], _ = body.value()
	}
	d.packed[num] = m
	return m
}

func (d *document) dict(o any) dict {
	switch o := d.resolve(o).(type) {
	case dict:
		return o
	case *stream:
		return o.dict
	}
	return nil
}

func (d *document) array(o any) array {
	a, _ := d.resolve(o).(array)
	return a
}

func (d *document) name(o any) name {
	n, _ := d.resolve(o).(name)
	return n
}

func (d *document) number(o any) (float64, bool) {
	switch v := d.resolve(o).(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}
