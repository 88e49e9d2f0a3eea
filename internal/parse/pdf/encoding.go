package pdf

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// encodingTable returns the characters of a simple encoding (annex D); 0 is none.
func encodingTable(n name) *[256]rune {
	var t [256]rune
	switch n {
	case "WinAnsiEncoding":
		fill(&t, charmap.Windows1252)
		// Annex D.2, note 3 and 6: unused codes are bullets, 0xAD is a hyphen.
		for _, c := range []int{0x81, 0x8d, 0x8f, 0x90, 0x9d} {
			t[c] = '•'
		}
		t[0xad] = '-'
	case "MacRomanEncoding":
		fill(&t, charmap.Macintosh)
	case "Symbol":
		for c := range 128 {
			t[c] = rune(c)
		}
		for i, r := range []rune("ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ") {
			t['A'+i] = r
		}
		for i, r := range []rune("αβχδεφγηιϕκλμνοπθρστυϖωξψζ") {
			t['a'+i] = r
		}
		t[0xa3], t[0xb0], t[0xb1], t[0xb3], t[0xb4], t[0xb7], t[0xb8], t[0xb9] = '≤', '°', '±', '≥', '×', '•', '÷', '≠'
		t[0xae], t[0xac], t[0xa5] = '→', '←', '∞'
	case "Dingbats":
		t[' '] = ' '
		for c := 33; c < 256; c++ {
			t[c] = '•' // used for the marks of lists; which mark does not matter
		}
	default:
		for c := 32; c < 127; c++ {
			t[c] = rune(c)
		}
		t['\''], t['`'] = '’', '‘'
		for i, r := range []rune("¡¢£⁄¥ƒ§¤'“«‹›ﬁﬂ\x00–†‡·\x00¶•‚„”»…‰\x00¿\x00`´ˆ˜¯˘˙¨\x00˚¸\x00˝˛ˇ—") {
			t[0xa1+i] = r
		}
		for c, r := range map[int]rune{0xe1: 'Æ', 0xe3: 'ª', 0xe8: 'Ł', 0xe9: 'Ø', 0xea: 'Œ', 0xeb: 'º', 0xf1: 'æ', 0xf5: 'ı', 0xf8: 'ł', 0xf9: 'ø', 0xfa: 'œ', 0xfb: 'ß'} {
			t[c] = r
		}
	}
	return &t
}

func fill(t *[256]rune, m *charmap.Charmap) {
	for c := 32; c < 256; c++ {
		if r := m.DecodeByte(byte(c)); r != utf8.RuneError {
			t[c] = r
		}
	}
}

// glyphText returns the text of a glyph's name (Adobe Glyph List
// Specification §2): known names, uniXXXX, uXXXXXX, parts joined by "_".
func glyphText(n string) string {
	if i := strings.IndexByte(n, '.'); i > 0 {
		n = n[:i] // a variant
	}
	if n == "" || n[0] == '.' || len(n) > 64 {
		return ""
	}
	var sb strings.Builder
	for part := range strings.SplitSeq(n, "_") {
		sb.WriteString(glyphPart(part))
	}
	return sb.String()
}

func glyphPart(n string) string {
	if len(n) == 1 {
		return n
	}
	if s := glyphNames(n); s != "" {
		return s
	}
	if hex, ok := strings.CutPrefix(n, "uni"); ok && len(hex) >= 4 && len(hex)%4 == 0 {
		var u []uint16
		for i := 0; i+4 <= len(hex); i += 4 {
			v, err := strconv.ParseUint(hex[i:i+4], 16, 16)
			if err != nil {
				return ""
			}
			u = append(u, uint16(v))
		}
		return string(utf16.Decode(u))
	}
	if hex, ok := strings.CutPrefix(n, "u"); ok && len(hex) >= 4 && len(hex) <= 6 {
		if v, err := strconv.ParseUint(hex, 16, 32); err == nil && v <= utf8.MaxRune {
			return string(rune(v))
		}
	}
	// A letter with an accent, such as "eacute".
	if mark := accent(n[1:]); mark != 0 && (n[0]|0x20 >= 'a' && n[0]|0x20 <= 'z') {
		return norm.NFC.String(n[:1] + string(mark))
	}
	return ""
}

func accent(s string) rune {
	switch s {
	case "grave":
		return 0x300
	case "acute":
		return 0x301
	case "circumflex":
		return 0x302
	case "tilde":
		return 0x303
	case "macron":
		return 0x304
	case "breve":
		return 0x306
	case "dotaccent":
		return 0x307
	case "dieresis":
		return 0x308
	case "ring":
		return 0x30a
	case "hungarumlaut":
		return 0x30b
	case "caron":
		return 0x30c
	case "commaaccent":
		return 0x326
	case "cedilla":
		return 0x327
	case "ogonek":
		return 0x328
	}
	return 0
}

// glyphList holds the names of the glyphs that Latin text fonts encode by
// Differences, "name character" each.
const glyphList = `space   exclam ! quotedbl " numbersign # dollar $ percent % ampersand & quotesingle ' parenleft ( parenright ) asterisk * plus + comma , hyphen - minus − period . slash / zero 0 one 1 two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9 colon : semicolon ; less < equal = greater > question ? at @ bracketleft [ backslash \ bracketright ] asciicircum ^ underscore _ grave ` + "`" + ` braceleft { bar | braceright } asciitilde ~ quoteleft ‘ quoteright ’ quotesinglbase ‚ quotedblleft “ quotedblright ” quotedblbase „ endash – emdash — bullet • ellipsis … periodcentered · middot · dagger † daggerdbl ‡ section § paragraph ¶ guilsinglleft ‹ guilsinglright › guillemotleft « guillemotright » exclamdown ¡ questiondown ¿ cent ¢ sterling £ yen ¥ Euro € currency ¤ florin ƒ copyright © registered ® trademark ™ degree ° plusminus ± multiply × divide ÷ logicalnot ¬ mu µ onesuperior ¹ twosuperior ² threesuperior ³ onehalf ½ onequarter ¼ threequarters ¾ fraction ⁄ perthousand ‰ ordfeminine ª ordmasculine º AE Æ ae æ OE Œ oe œ Oslash Ø oslash ø Lslash Ł lslash ł germandbls ß Eth Ð eth ð Thorn Þ thorn þ dotlessi ı Dcroat Đ dcroat đ ff ﬀ fi ﬁ fl ﬂ ffi ﬃ ffl ﬄ acute ´ dieresis ¨ circumflex ˆ tilde ˜ macron ¯ breve ˘ ring ˚ cedilla ¸ caron ˇ nbspace   nonbreakingspace   sfthyphen - softhyphen - Alpha Α Beta Β Gamma Γ Delta Δ Epsilon Ε Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Phi Φ Psi Ψ Omega Ω alpha α beta β gamma γ delta δ epsilon ε zeta ζ eta η theta θ iota ι kappa κ lambda λ nu ν xi ξ pi π rho ρ sigma σ tau τ phi φ chi χ psi ψ omega ω lessequal ≤ greaterequal ≥ notequal ≠ approxequal ≈ infinity ∞ summation ∑ product ∏ integral ∫ radical √ partialdiff ∂ element ∈ arrowright → arrowleft ← arrowup ↑ arrowdown ↓ checkmark ✓ filledbox ■ square □ H18533 ■ `

func glyphNames(n string) string {
	i := strings.Index(glyphList, " "+n+" ")
	switch {
	case strings.HasPrefix(glyphList, n+" "):
		i = len(n)
	case i < 0:
		return ""
	default:
		i += len(n) + 1
	}
	// glyphList[i] is the blank after the name; a name that is itself a
	// character of the list ("space" of one blank) is followed by two.
	_, size := utf8.DecodeRuneInString(glyphList[i+1:])
	return glyphList[i+1 : i+1+size]
}

// pdfString decodes a text string of the file's structure, such as its title:
// UTF-16, UTF-8 or PDFDocEncoding (§7.9.2.2), which is nearly Windows-1252.
func pdfString(s text) string {
	switch {
	case strings.HasPrefix(string(s), "\xfe\xff"):
		return string(utf16Text(string(s[2:])))
	case strings.HasPrefix(string(s), "\xff\xfe"):
		b := []byte(s[2:])
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
		return string(utf16Text(string(b)))
	case strings.HasPrefix(string(s), "\xef\xbb\xbf"):
		return strings.ToValidUTF8(string(s[3:]), "")
	}
	t := encodingTable("WinAnsiEncoding")
	var sb strings.Builder
	for i := range len(s) {
		if r := t[s[i]]; r != 0 {
			sb.WriteRune(r)
		}
	}
	return sb.String()
}
