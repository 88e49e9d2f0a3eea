package pdf

import "encoding/binary"

// programGlyphs maps glyphs to text by the character map of the embedded
// TrueType font, for files that omit ToUnicode.
func (d *document) programGlyphs(f *font, descriptor, desc dict) {
	s, ok := d.resolve(descriptor["FontFile2"]).(*stream)
	if !ok {
		if s, ok = d.resolve(descriptor["FontFile3"]).(*stream); !ok {
			return
		}
	}
	data, err := d.decode(s)
	if err != nil {
		return
	}
	glyphs := sfntGlyphs(data)
	if glyphs == nil {
		return
	}
	f.glyphs = glyphs
	// CIDs are glyphs unless a stream says otherwise (§9.7.4.2).
	if m, ok := d.resolve(desc["CIDToGIDMap"]).(*stream); ok {
		table, err := d.decode(m)
		if err != nil {
			return
		}
		f.glyphs = map[uint32]string{}
		for cid := 0; 2*cid+1 < len(table) && cid <= 0xffff; cid++ {
			if t, ok := glyphs[uint32(binary.BigEndian.Uint16(table[2*cid:]))]; ok {
				f.glyphs[uint32(cid)] = t
			}
		}
	}
}

// sfntGlyphs reads the Unicode character map of an OpenType font, formats 4
// and 12, backwards.
func sfntGlyphs(b []byte) map[uint32]string {
	table := sfntTable(b, "cmap")
	if len(table) < 4 {
		return nil
	}
	var out map[uint32]string
	for i := range int(binary.BigEndian.Uint16(table[2:])) {
		rec := 4 + 8*i
		if rec+8 > len(table) {
			break
		}
		platform, enc := binary.BigEndian.Uint16(table[rec:]), binary.BigEndian.Uint16(table[rec+2:])
		off := binary.BigEndian.Uint32(table[rec+4:])
		if uint64(off)+4 > uint64(len(table)) || platform != 0 && !(platform == 3 && (enc == 1 || enc == 10)) {
			continue
		}
		if m := subtable(table[off:]); len(m) > len(out) {
			out = m
		}
	}
	return out
}

func sfntTable(b []byte, tag string) []byte {
	if len(b) < 12 {
		return nil
	}
	for i := range int(binary.BigEndian.Uint16(b[4:])) {
		rec := 12 + 16*i
		if rec+16 > len(b) {
			return nil
		}
		if string(b[rec:rec+4]) != tag {
			continue
		}
		off, n := uint64(binary.BigEndian.Uint32(b[rec+8:])), uint64(binary.BigEndian.Uint32(b[rec+12:]))
		if off+n > uint64(len(b)) {
			return nil
		}
		return b[off : off+n]
	}
	return nil
}

func subtable(b []byte) map[uint32]string {
	switch binary.BigEndian.Uint16(b) {
	case 4:
		return format4(b)
	case 12:
		return format12(b)
	}
	return nil
}

func format12(b []byte) map[uint32]string {
	if len(b) < 16 {
		return nil
	}
	m := map[uint32]string{}
	for i := range binary.BigEndian.Uint32(b[12:]) {
		rec := 16 + 12*int(i)
		if rec+12 > len(b) || len(m) >= maxCmap {
			break
		}
		first, last, gid := binary.BigEndian.Uint32(b[rec:]), binary.BigEndian.Uint32(b[rec+4:]), binary.BigEndian.Uint32(b[rec+8:])
		for c := first; c <= last && c <= 0x10ffff && len(m) < maxCmap; c++ {
			put(m, gid+c-first, c)
		}
	}
	return m
}

func format4(b []byte) map[uint32]string {
	if len(b) < 16 {
		return nil
	}
	m := map[uint32]string{}
	n := int(binary.BigEndian.Uint16(b[6:])) / 2
	left := 1 << 17 // segments do not overlap, so 65,536 steps are enough
	at := func(i int) uint32 {
		if i+2 > len(b) {
			return 0
		}
		return uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for i := range n {
		last, first := at(14+2*i), at(16+2*n+2*i)
		delta, offset := at(16+4*n+2*i), at(16+6*n+2*i)
		for c := first; c <= last && c < 0xffff && left > 0; c++ {
			left--
			gid := c + delta
			if offset != 0 {
				if gid = at(16 + 6*n + 2*i + int(offset) + 2*int(c-first)); gid != 0 {
					gid += delta
				}
			}
			if gid &= 0xffff; gid != 0 {
				put(m, gid, c)
			}
		}
	}
	return m
}

// put keeps the first character of a glyph, but prefers any to a compatibility
// form: fonts draw U+2F00 (a radical) and U+4E00 with one glyph.
func put(m map[uint32]string, gid, c uint32) {
	if _, old := m[gid]; !old || c >= 0x4e00 && c < 0xa000 {
		m[gid] = string(rune(c))
	}
}
