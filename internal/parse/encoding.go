package parse

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// decodeText returns data as valid UTF-8 with \n line ends and without byte
// order mark. It reads UTF-8, UTF-16 with a byte order mark, GB18030 (so GBK
// and GB2312) and Big5, and for HTML the encoding that the page declares.
// Other bytes are kb.Unprocessable with the offset of the first bad one.
func decodeText(data []byte, format string) (string, error) {
	var s string
	switch {
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		data = data[3:]
		if i := invalidUTF8(data); i >= 0 {
			return "", badByte(data[i], i+3, "is not valid UTF-8, which the byte order mark promises")
		}
		s = string(data)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}), bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		var err error
		if s, err = decodeUTF16(data); err != nil {
			return "", err
		}
	default:
		if i := bytes.IndexByte(data, 0); i >= 0 {
			return "", badByte(0, i, "does not occur in text; save the file as UTF-8")
		}
		i := invalidUTF8(data)
		if i < 0 {
			s = string(data)
			break
		}
		if damagedUTF8(data) {
			return "", badByte(data[i], i, "is not valid UTF-8, which the rest of the file is; save it again")
		}
		var ok bool
		if s, ok = decodeLegacy(data, format); !ok {
			return "", badByte(data[i], i, "is neither UTF-8, GB18030 nor Big5; save the file as UTF-8")
		}
	}
	if strings.Contains(s, "\r") {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	if strings.IndexByte(s, 0) >= 0 {
		return "", kb.E(kb.Unprocessable, nil, "file: contains NUL characters, which do not occur in text")
	}
	return s, nil
}

func badByte(c byte, offset int, why string) error {
	return kb.E(kb.Unprocessable, nil, "file: byte 0x%02x at offset %d %s", c, offset, why).With("offset", offset)
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or −1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func decodeUTF16(data []byte) (string, error) {
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 0xfe {
		order = binary.BigEndian
	}
	if len(data)%2 != 0 {
		return "", badByte(data[len(data)-1], len(data)-1, "is half a UTF-16 unit; the file is cut off")
	}
	var sb strings.Builder
	sb.Grow(len(data))
	for i := 2; i < len(data); i += 2 {
		r := rune(order.Uint16(data[i:]))
		if utf16.IsSurrogate(r) {
			pair := utf8.RuneError
			if i+3 < len(data) {
				pair = utf16.DecodeRune(r, rune(order.Uint16(data[i+2:])))
			}
			if pair == utf8.RuneError {
				return "", badByte(data[i], i, "starts half a UTF-16 surrogate pair")
			}
			r = pair
			i += 2
		}
		sb.WriteRune(r)
	}
	return sb.String(), nil
}

// declared finds a page's encoding in its first 1024 bytes (HTML standard
// §4.2.5.4).
var declared = lazily(`(?i)<meta[^>]{0,200}charset\s*=\s*["']?([\w:-]{2,40})`)

// decodeLegacy decodes bytes that are not UTF-8. An HTML page's own
// declaration comes first; then GB18030 and Big5 compete.
func decodeLegacy(data []byte, format string) (string, bool) {
	if format == MIMEHTML {
		if m := declared.FindSubmatch(data[:min(len(data), 1024)]); m != nil {
			if e, name := charset.Lookup(string(m[1])); e != nil && name != "utf-8" {
				if s, ok := strictDecode(e, data); ok {
					return s, true
				}
			}
		}
	}
	gb, gbOK := strictDecode(simplifiedchinese.GB18030, data)
	gbOK = gbOK && usual(data, func(lead, trail byte) bool {
		return trail >= 0xa1 && (lead >= 0xa1 && lead <= 0xa9 || lead >= 0xb0 && lead <= 0xd7)
	}) && chinese(gb)
	big, bigOK := strictDecode(traditionalchinese.Big5, data)
	bigOK = bigOK && usual(data, func(lead, _ byte) bool { return lead >= 0xa1 && lead <= 0xc6 }) && chinese(big)
	switch {
	case gbOK && bigOK:
		if plausible(big) > plausible(gb) {
			return big, true
		}
		return gb, true
	case gbOK:
		return gb, true
	}
	return big, bigOK
}

// damagedUTF8 tells UTF-8 with a few bad bytes, which reads as GB18030 too,
// from other encodings, in which hardly any sequence is UTF-8 by chance.
func damagedUTF8(data []byte) bool {
	good, bad := 0, 0
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			bad++
		case n >= 3: // two-byte sequences occur in GBK
			good++
		}
		i += n
	}
	return good > bad
}

// usual reports whether most double bytes are of an encoding's everyday part:
// level 1 and the symbols of GB 2312 and of Big5. Any bytes at all decode as
// something; German in Latin-1 reads as rare Chinese characters.
func usual(data []byte, ok func(lead, trail byte) bool) bool {
	hits, n := 0, 0
	for i := 0; i+1 < len(data); i++ {
		if data[i] < 0x80 {
			continue
		}
		n++
		if ok(data[i], data[i+1]) {
			hits++
		}
		i++
	}
	return hits*10 >= n*7
}

// chinese reports whether a long text has the characters that Chinese cannot
// do without; Korean in its own encoding reads as common, but other ones.
func chinese(s string) bool {
	const enough = 100 // characters to judge by
	n := 0
	for _, r := range s {
		if r >= 0x80 {
			n++
		}
	}
	return n < enough || plausible(s) >= 0.05
}

// strictDecode decodes data and reports whether every byte had a meaning.
func strictDecode(e encoding.Encoding, data []byte) (string, bool) {
	out, err := e.NewDecoder().Bytes(data)
	if err != nil || bytes.ContainsRune(out, utf8.RuneError) {
		return "", false
	}
	for _, r := range string(out) {
		if r >= 0xe000 && r <= 0xf8ff || r >= 0x80 && r < 0xa0 {
			return "", false // GB18030 maps its user-defined areas to private use
		}
	}
	return string(out), true
}

// common are characters that every Chinese page is full of, in both scripts:
// the head of the frequency lists of Da Jun (2004) and Tsai (1996), and the
// punctuation.
const common = "的一是不了在人有我他这這个個们們中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着著下自之年过過发發后後作里，。、：；「」《》（）？！"

// plausible scores how much s looks like Chinese text: the share of common
// characters among those outside ASCII, less the share of rare ones.
func plausible(s string) float64 {
	var hits, rare, n int
	for _, r := range s {
		switch {
		case r < 0x80:
			continue
		case strings.ContainsRune(common, r):
			hits++
		case r >= 0x3400 && r <= 0x4dbf || r >= 0x20000 || r >= 0x2500 && r <= 0x25ff || r >= 0x0370 && r <= 0x04ff || r >= 0x3040 && r <= 0x30ff:
			rare++
		}
		n++
		if n == 20_000 { // a sample is enough
			break
		}
	}
	if n == 0 {
		return 0
	}
	return float64(hits-rare) / float64(n)
}
