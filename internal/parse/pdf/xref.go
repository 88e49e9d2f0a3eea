package pdf

import (
	"bytes"
	"maps"
	"math"
	"strconv"
)

// readXref follows the chain of cross-reference sections, newest first.
func (d *document) readXref() bool {
	tail := d.data[max(0, len(d.data)-2048):]
	i := bytes.LastIndex(tail, []byte("startxref"))
	if i < 0 {
		return false
	}
	l := &lexer{b: tail, i: i + len("startxref")}
	offset, ok := l.object().(int64)
	if !ok {
		return false
	}
	d.xref = map[int]entry{}
	seen := map[int64]bool{}
	for next := []int64{offset}; len(next) > 0; {
		offset, next = next[0], next[1:]
		if offset <= 0 || offset >= int64(len(d.data)) || seen[offset] {
			continue
		}
		if len(seen) > 4096 || d.ctx.Err() != nil {
			return false
		}
		seen[offset] = true
		t, ok := d.section(offset)
		if !ok {
			return false
		}
		if d.trailer == nil {
			d.trailer = t
		}
		if v, ok := t["XRefStm"].(int64); ok {
			next = append(next, v)
		}
		if v, ok := t["Prev"].(int64); ok {
			next = append(next, v)
		}
	}
	return d.trailer != nil
}

// section reads one cross-reference table or stream and returns its trailer.
func (d *document) section(offset int64) (dict, bool) {
	l := &lexer{b: d.data, i: int(offset)}
	if k, ok := l.object().(keyword); !ok || k != "xref" {
		s := d.streamAt(offset)
		if s == nil {
			return nil, false
		}
		return s.dict, d.xrefStream(s)
	}
	for {
		switch o := l.object().(type) {
		case keyword:
			if o != "trailer" {
				return nil, false
			}
			t, ok := l.object().(dict)
			return t, ok
		case int64:
			n, ok := l.object().(int64)
			if !ok || n < 0 || o < 0 || o+n > maxObject {
				return nil, false
			}
			for i := range n {
				off, ok1 := l.object().(int64)
				gen, ok2 := l.object().(int64)
				kind, ok3 := l.object().(keyword)
				if !ok1 || !ok2 || !ok3 {
					return nil, false
				}
				if num := int(o + i); kind == "n" && off > 0 {
					if _, old := d.xref[num]; !old {
						d.xref[num] = entry{offset: off, gen: int(gen)}
					}
				}
			}
		default:
			return nil, false
		}
	}
}

// xrefStream reads a cross-reference stream (§7.5.8).
func (d *document) xrefStream(s *stream) bool {
	widths, _ := s.dict["W"].(array)
	if len(widths) < 3 {
		return false
	}
	var w [3]int
	total := 0
	for i := range w {
		v, ok := widths[i].(int64)
		if !ok || v < 0 || v > 8 {
			return false
		}
		w[i] = int(v)
		total += w[i]
	}
	if total == 0 {
		return false
	}
	data, err := d.decode(s)
	if err != nil {
		return false
	}
	index, _ := s.dict["Index"].(array)
	if index == nil {
		index = array{int64(0), s.dict["Size"]}
	}
	for ; len(index) >= 2; index = index[2:] {
		first, ok1 := index[0].(int64)
		n, ok2 := index[1].(int64)
		if !ok1 || !ok2 || first < 0 || n < 0 || first+n > maxObject {
			return false
		}
		for i := range n {
			if len(data) < total {
				return true
			}
			kind, a, b := int64(1), bigEndian(data[w[0]:w[0]+w[1]]), bigEndian(data[w[0]+w[1]:total])
			if w[0] > 0 {
				kind = bigEndian(data[:w[0]])
			}
			data = data[total:]
			num := int(first + i)
			if _, old := d.xref[num]; old {
				continue
			}
			switch {
			case kind == 1:
				d.xref[num] = entry{offset: a, gen: int(b & 0xffff)}
			case kind == 2 && a > 0 && a <= maxObject:
				d.xref[num] = entry{stream: int(a)}
			}
		}
	}
	return true
}

func bigEndian(b []byte) int64 {
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return int64(v & math.MaxInt64)
}

// rebuild finds the objects of a damaged file by their "n g obj" lines; later
// ones replace earlier ones, as in an update.
func (d *document) rebuild() error {
	d.xref, d.trailer = map[int]entry{}, dict{}
	clear(d.objects)
	clear(d.packed)
	var streams []int
	for i := 0; ; {
		k := bytes.Index(d.data[i:], []byte("obj"))
		if k < 0 {
			break
		}
		i += k + 3
		if d.ctx.Err() != nil {
			return d.ctx.Err()
		}
		num, gen, start, ok := objectHeader(d.data, i-3)
		if !ok {
			continue
		}
		d.xref[num] = entry{offset: int64(start), gen: gen}
		if head := d.data[i:min(len(d.data), i+512)]; bytes.Contains(head, []byte("/ObjStm")) {
			streams = append(streams, num)
		}
	}
	for i := 0; ; {
		k := bytes.Index(d.data[i:], []byte("trailer"))
		if k < 0 {
			break
		}
		i += k + len("trailer")
		l := &lexer{b: d.data, i: i}
		if t, ok := l.object().(dict); ok {
			maps.Copy(d.trailer, t)
		}
	}
	d.crypt = nil
	if d.trailer["Encrypt"] != nil {
		if err := d.initCrypt(); err != nil {
			return err
		}
	}
	for _, num := range streams {
		for inner := range d.objectStream(num) {
			if _, old := d.xref[inner]; !old {
				d.xref[inner] = entry{stream: num}
			}
		}
	}
	if d.dict(d.trailer["Root"]) == nil {
		return d.findRoot()
	}
	return nil
}

// findRoot looks for the catalogue, and for the trailer entries that are in a
// cross-reference stream's dictionary.
func (d *document) findRoot() error {
	for num := range d.xref {
		o := d.resolve(ref{num: num})
		if s, ok := o.(*stream); ok && s.dict["Type"] == name("XRef") {
			for key, v := range s.dict {
				if key == "Root" || key == "Encrypt" || key == "ID" || key == "Info" {
					d.trailer[key] = v
				}
			}
		}
		if c, ok := o.(dict); ok && c["Type"] == name("Catalog") && d.trailer["Root"] == nil {
			d.trailer["Root"] = ref{num: num}
		}
		if d.ctx.Err() != nil {
			return d.ctx.Err()
		}
	}
	return nil
}

// objectHeader reads "num gen " backwards from the "obj" at i.
func objectHeader(b []byte, i int) (num, gen, start int, ok bool) {
	back := func(i int) (v, at int, ok bool) {
		j := i
		for j > 0 && isSpace(b[j-1]) {
			j--
		}
		end := j
		for j > 0 && b[j-1] >= '0' && b[j-1] <= '9' && end-j < 10 {
			j--
		}
		v, err := strconv.Atoi(string(b[j:end]))
		return v, j, err == nil
	}
	gen, j, ok := back(i)
	if !ok || j == 0 || !isSpace(b[j-1]) {
		return 0, 0, 0, false
	}
	num, j, ok = back(j)
	return num, gen, j, ok && num > 0 && num <= maxObject && gen <= 65535
}
