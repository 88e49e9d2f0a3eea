package pdf

import (
	"sort"
	"unicode/utf16"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// cmap maps character codes to text (ToUnicode) or to CIDs (§9.7.5, §9.10.3).
type cmap struct {
	spaces []codespace
	chars  map[uint32]string
	ranges []cmapRange // sorted by lo
	cids   []cidRange  // sorted by lo
}

type codespace struct {
	lo, hi uint32
	bytes  int
}

type cmapRange struct {
	lo, hi uint32
	text   []rune // of lo; the last rune counts up
}

type cidRange struct {
	lo, hi uint32
	cid    uint32
}

// maxCmap bounds the entries of a CMap; Unicode has 150,000 characters.
const maxCmap = 200_000

// parseCmap reads a CMap program; it takes what it understands.
func parseCmap(data []byte) *cmap {
	m := &cmap{chars: map[uint32]string{}}
	l := &lexer{b: data, content: true}
	var stack []any
	for {
		o := l.object()
		k, ok := o.(keyword)
		if !ok {
			if len(stack) < maxCmap {
				stack = append(stack, o)
			}
			continue
		}
		switch k {
		case "":
			sort.Slice(m.ranges, func(i, j int) bool { return m.ranges[i].lo < m.ranges[j].lo })
			sort.Slice(m.cids, func(i, j int) bool { return m.cids[i].lo < m.cids[j].lo })
			return m
		case "endcodespacerange":
			for ; len(stack) >= 2; stack = stack[2:] {
				lo, n, ok1 := code(stack[0])
				hi, _, ok2 := code(stack[1])
				if ok1 && ok2 && n <= 4 && len(m.spaces) < 256 {
					m.spaces = append(m.spaces, codespace{lo, hi, n})
				}
			}
		case "endbfchar":
			for ; len(stack) >= 2; stack = stack[2:] {
				if c, _, ok := code(stack[0]); ok && len(m.chars) < maxCmap {
					if s, ok := stack[1].(text); ok {
						m.chars[c] = string(utf16Text(string(s)))
					}
				}
			}
		case "endbfrange":
			m.bfRanges(stack)
		case "endcidrange":
			for ; len(stack) >= 3; stack = stack[3:] {
				lo, _, ok1 := code(stack[0])
				hi, _, ok2 := code(stack[1])
				cid, ok3 := stack[2].(int64)
				if ok1 && ok2 && ok3 && cid >= 0 && len(m.cids) < maxCmap {
					m.cids = append(m.cids, cidRange{lo, hi, uint32(cid)})
				}
			}
		case "endcidchar":
			for ; len(stack) >= 2; stack = stack[2:] {
				c, _, ok1 := code(stack[0])
				cid, ok2 := stack[1].(int64)
				if ok1 && ok2 && cid >= 0 && len(m.cids) < maxCmap {
					m.cids = append(m.cids, cidRange{c, c, uint32(cid)})
				}
			}
		}
		stack = stack[:0]
	}
}

func (m *cmap) bfRanges(stack []any) {
	for ; len(stack) >= 3; stack = stack[3:] {
		lo, _, ok1 := code(stack[0])
		hi, _, ok2 := code(stack[1])
		if !ok1 || !ok2 || hi < lo || len(m.ranges)+len(m.chars) >= maxCmap {
			continue
		}
		switch dst := stack[2].(type) {
		case text:
			if r := utf16Text(string(dst)); len(r) > 0 {
				m.ranges = append(m.ranges, cmapRange{lo, hi, r})
			}
		case array:
			for i, o := range dst {
				if s, ok := o.(text); ok && lo+uint32(i) <= hi && len(m.chars) < maxCmap {
					m.chars[lo+uint32(i)] = string(utf16Text(string(s)))
				}
			}
		}
	}
}

// code reads a character code, a string of one to four bytes.
func code(o any) (v uint32, n int, ok bool) {
	s, ok := o.(text)
	if !ok || len(s) == 0 || len(s) > 4 {
		return 0, 0, false
	}
	for i := range len(s) {
		v = v<<8 | uint32(s[i])
	}
	return v, len(s), true
}

func utf16Text(s string) []rune {
	if len(s) == 1 {
		return []rune{rune(s[0])}
	}
	u := make([]uint16, 0, len(s)/2)
	for i := 0; i+1 < len(s); i += 2 {
		u = append(u, uint16(s[i])<<8|uint16(s[i+1]))
	}
	return utf16.Decode(u)
}

// text returns the text of a code.
func (m *cmap) text(c uint32) (string, bool) {
	if s, ok := m.chars[c]; ok {
		return s, true
	}
	// Ranges may overlap by mistake; the one that begins last wins.
	i := sort.Search(len(m.ranges), func(i int) bool { return m.ranges[i].lo > c }) - 1
	if i < 0 || c > m.ranges[i].hi {
		return "", false
	}
	r := m.ranges[i]
	if len(r.text) == 1 {
		return string(r.text[0] + rune(c-r.lo)), true
	}
	out := append([]rune(nil), r.text...)
	out[len(out)-1] += rune(c - r.lo)
	return string(out), true
}

func (m *cmap) cid(c uint32) (uint32, bool) {
	i := sort.Search(len(m.cids), func(i int) bool { return m.cids[i].lo > c }) - 1
	if i < 0 || c > m.cids[i].hi {
		return 0, false
	}
	return m.cids[i].cid + c - m.cids[i].lo, true
}

// next splits the first code off s; unknown codes take the shortest length of
// the code spaces.
func (m *cmap) next(s string) (c uint32, n int) {
	shortest := 4
	for size := 1; size <= 4 && size <= len(s); size++ {
		c = c<<8 | uint32(s[size-1])
		for _, sp := range m.spaces {
			shortest = min(shortest, sp.bytes)
			if sp.bytes == size && inSpace(c, sp, size) {
				return c, size
			}
		}
	}
	if len(m.spaces) == 0 {
		shortest = 2
	}
	n = min(shortest, len(s))
	c = 0
	for i := range n {
		c = c<<8 | uint32(s[i])
	}
	return c, n
}

// inSpace compares byte by byte, as §9.7.6.2 asks.
func inSpace(c uint32, sp codespace, n int) bool {
	for i := range n {
		shift := 8 * i
		if b := c >> shift & 0xff; b < sp.lo>>shift&0xff || b > sp.hi>>shift&0xff {
			return false
		}
	}
	return true
}

// charset is a predefined CMap whose codes are text in a known encoding, so
// that no table of Adobe's is needed (§9.7.5.2). unicode16 is UTF-16.
type charset struct {
	enc       encoding.Encoding
	unicode16 bool
}

// predefined returns the charset of a predefined CMap's name.
func predefined(n name) *charset {
	switch n {
	case "UniGB-UCS2-H", "UniGB-UCS2-V", "UniGB-UTF16-H", "UniGB-UTF16-V", "UniCNS-UCS2-H", "UniCNS-UCS2-V", "UniCNS-UTF16-H",
		"UniCNS-UTF16-V", "UniJIS-UCS2-H", "UniJIS-UCS2-V", "UniJIS-UCS2-HW-H", "UniJIS-UCS2-HW-V", "UniJIS-UTF16-H",
		"UniJIS-UTF16-V", "UniKS-UCS2-H", "UniKS-UCS2-V", "UniKS-UTF16-H", "UniKS-UTF16-V":
		return &charset{unicode16: true}
	case "GB-EUC-H", "GB-EUC-V", "GBpc-EUC-H", "GBpc-EUC-V", "GBK-EUC-H", "GBK-EUC-V", "GBKp-EUC-H", "GBKp-EUC-V", "GBK2K-H", "GBK2K-V":
		return &charset{enc: simplifiedchinese.GB18030}
	case "B5pc-H", "B5pc-V", "HKscs-B5-H", "HKscs-B5-V", "ETen-B5-H", "ETen-B5-V", "ETenms-B5-H", "ETenms-B5-V":
		return &charset{enc: traditionalchinese.Big5}
	case "83pv-RKSJ-H", "90ms-RKSJ-H", "90ms-RKSJ-V", "90msp-RKSJ-H", "90msp-RKSJ-V", "90pv-RKSJ-H", "Add-RKSJ-H", "Add-RKSJ-V":
		return &charset{enc: japanese.ShiftJIS}
	case "EUC-H", "EUC-V":
		return &charset{enc: japanese.EUCJP}
	case "KSC-EUC-H", "KSC-EUC-V", "KSCms-UHC-H", "KSCms-UHC-V", "KSCms-UHC-HW-H", "KSCms-UHC-HW-V", "KSCpc-EUC-H":
		return &charset{enc: korean.EUCKR}
	}
	return nil
}

// next splits the first character off s.
func (c *charset) next(s string) (out string, n int) {
	if c.unicode16 {
		n = min(2, len(s))
		if len(s) >= 4 && s[0] >= 0xd8 && s[0] <= 0xdb {
			n = 4
		}
		return string(utf16Text(s[:n])), n
	}
	n = 1
	if s[0] >= 0x81 && len(s) > 1 {
		n = 2
		if s[1] >= 0x30 && s[1] <= 0x39 && len(s) >= 4 && c.enc == simplifiedchinese.GB18030 {
			n = 4
		}
	}
	b, err := c.enc.NewDecoder().Bytes([]byte(s[:n]))
	if err != nil {
		return "", n
	}
	return string(b), n
}
