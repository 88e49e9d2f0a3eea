package pdf

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"fmt"
	"io"
)

// maxFilters bounds a chain of filters; two is usual, five unheard of.
const maxFilters = 8

// maxStream bounds one decoded stream, so that one bomb cannot take all of
// Limits.Decoded at once; the text of the longest books' pages is below 1 MiB.
const maxStream = 32 << 20

// decode returns a stream's data with its filters undone. Data that breaks off
// is returned up to there, as viewers do; an unknown filter (images) is an
// error. The result counts against Limits.Decoded.
func (d *document) decode(s *stream) ([]byte, error) {
	data := s.raw
	if d.crypt != nil && !s.open && s.dict["Type"] != name("XRef") {
		data = d.crypt.stream(data, s)
	}
	filters := d.list(s.dict["Filter"])
	params := d.list(s.dict["DecodeParms"])
	if len(filters) > maxFilters {
		return nil, fmt.Errorf("%w: %d filters", ErrBroken, len(filters))
	}
	for i, f := range filters {
		var p dict
		if i < len(params) {
			p = d.dict(params[i])
		}
		var err error
		if data, err = d.filter(d.name(f), p, data); err != nil {
			return nil, err
		}
	}
	d.left -= int64(len(data))
	if d.left < 0 {
		return nil, ErrTooLarge
	}
	return data, nil
}

// list returns an array, or the one value that stands for an array of one.
func (d *document) list(o any) array {
	switch o := d.resolve(o).(type) {
	case nil:
		return nil
	case array:
		return o
	default:
		return array{o}
	}
}

func (d *document) filter(f name, p dict, data []byte) ([]byte, error) {
	var out []byte
	limit := min(d.left, maxStream)
	switch f {
	case "FlateDecode", "Fl":
		out = inflate(data, limit)
	case "LZWDecode", "LZW":
		early := true
		if v, ok := d.number(p["EarlyChange"]); ok && v == 0 {
			early = false
		}
		out = unLZW(data, early, limit)
	case "ASCII85Decode", "A85":
		return unASCII85(data), nil
	case "ASCIIHexDecode", "AHx":
		l := &lexer{b: data, i: -1}
		s, _ := l.hex().(text)
		return []byte(s), nil
	case "RunLengthDecode", "RL":
		return unRunLength(data, limit), nil
	case "Crypt":
		return data, nil
	default:
		return nil, fmt.Errorf("%w: filter %q", ErrBroken, f)
	}
	return d.predict(p, out)
}

// inflate unpacks zlib data, or bare deflate data without its frame, up to
// limit bytes.
func inflate(data []byte, limit int64) []byte {
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	var out bytes.Buffer
	// A wrong checksum or a missing end is no reason to lose the text.
	_, _ = io.Copy(&out, io.LimitReader(r, limit+1))
	return out.Bytes()
}

// unASCII85 decodes base 85 (§7.4.3); what follows a bad byte is lost.
func unASCII85(data []byte) []byte {
	data = bytes.TrimPrefix(bytes.TrimSpace(data), []byte("<~"))
	if i := bytes.IndexByte(data, '~'); i >= 0 {
		data = data[:i]
	}
	out := make([]byte, 4*len(data)+4) // a "z" is four zeros
	n, _, err := ascii85.Decode(out, data, true)
	if err != nil {
		n, _, _ = ascii85.Decode(out, data[:max(0, len(data)-len(data)%5)], false)
	}
	return out[:n]
}

// unRunLength decodes runs (§7.4.5).
func unRunLength(data []byte, limit int64) []byte {
	var out []byte
	for i := 0; i < len(data) && int64(len(out)) <= limit; {
		n := int(data[i])
		i++
		switch {
		case n < 128:
			end := min(i+n+1, len(data))
			out = append(out, data[i:end]...)
			i = end
		case n > 128 && i < len(data):
			out = append(out, bytes.Repeat(data[i:i+1], 257-n)...)
			i++
		default:
			return out
		}
	}
	return out
}

// unLZW decodes the LZW of PDF and TIFF (§7.4.4), which is not the one of GIF:
// codes are packed from the high bit and, with early, grow one code sooner.
func unLZW(data []byte, early bool, limit int64) []byte {
	const clear, end = 256, 257
	type node struct {
		prefix int
		last   byte
		length int
	}
	table := make([]node, end+1, 4096)
	for i := range 256 {
		table[i] = node{-1, byte(i), 1}
	}
	var out []byte
	width, prev := 9, -1
	var acc uint32
	bits := 0
	grow := 0
	if early {
		grow = 1
	}
	for _, c := range data {
		acc = acc<<8 | uint32(c)
		bits += 8
		if bits < width {
			continue
		}
		code := int(acc>>(bits-width)) & (1<<width - 1)
		bits -= width
		switch {
		case code == end:
			return out
		case code == clear:
			table, width, prev = table[:end+1], 9, -1
			continue
		case code > len(table) || code == len(table) && prev < 0 || int64(len(out)) > limit:
			return out
		}
		start := len(out)
		src := code
		if code == len(table) { // the code that is being defined
			src = prev
		}
		n := table[src].length
		out = append(out, make([]byte, n)...)
		for i, k := start+n-1, src; k >= 0; i, k = i-1, table[k].prefix {
			out[i] = table[k].last
		}
		first := out[start]
		if code == len(table) {
			out = append(out, first)
		}
		if prev >= 0 && len(table) < 4096 {
			table = append(table, node{prev, first, table[prev].length + 1})
		}
		prev = code
		if len(table)+grow >= 1<<width && width < 12 {
			width++
		}
	}
	return out
}

// predict undoes the PNG and TIFF predictors (§7.4.4.4).
func (d *document) predict(p dict, data []byte) ([]byte, error) {
	get := func(key name, def int) int {
		if v, ok := d.number(p[key]); ok && v >= 1 && v <= 1<<20 {
			return int(v)
		}
		return def
	}
	predictor := get("Predictor", 1)
	if predictor < 2 {
		return data, nil
	}
	colors, depth, columns := get("Colors", 1), get("BitsPerComponent", 8), get("Columns", 1)
	row := (colors*depth*columns + 7) / 8
	pixel := max(1, colors*depth/8)
	if row <= 0 || row > len(data)+1 {
		row = max(1, len(data))
	}
	if predictor == 2 {
		if depth != 8 {
			return nil, fmt.Errorf("%w: TIFF predictor of %d bits", ErrBroken, depth)
		}
		for r := 0; r+row <= len(data); r += row {
			for i := r + pixel; i < r+row; i++ {
				data[i] += data[i-pixel]
			}
		}
		return data, nil
	}
	out := make([]byte, 0, len(data))
	prev := make([]byte, row)
	for len(data) > 1 {
		kind := data[0]
		cur := make([]byte, row)
		n := copy(cur, data[1:])
		data = data[1+n:]
		unfilterPNG(kind, cur, prev, pixel)
		out = append(out, cur[:n]...)
		prev = cur
	}
	return out, nil
}

// unfilterPNG undoes one row's filter (PNG specification §9.2).
func unfilterPNG(kind byte, cur, prev []byte, pixel int) {
	for i := range cur {
		var a, c byte
		if i >= pixel {
			a, c = cur[i-pixel], prev[i-pixel]
		}
		b := prev[i]
		switch kind {
		case 1:
			cur[i] += a
		case 2:
			cur[i] += b
		case 3:
			cur[i] += byte((int(a) + int(b)) / 2)
		case 4:
			cur[i] += paeth(a, b, c)
		}
	}
}

func paeth(a, b, c byte) byte {
	p := int(a) + int(b) - int(c)
	pa, pb, pc := abs(p-int(a)), abs(p-int(b)), abs(p-int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
