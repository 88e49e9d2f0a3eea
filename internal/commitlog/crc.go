package commitlog

import "encoding/binary"

// crc is CRC-64/ISO as LTX uses it, four times as fast as hash/crc64 with its
// tables: every page of an open is checked. The polynomial is
// x^64 + x^4 + x^3 + x + 1, so sparse that eight bytes are reduced by shifts.
// Bits are reflected: bit 63 is x^0, and multiplying by x shifts to the right.
type crc uint64

// add takes p into the checksum. The zero value is that of no bytes.
func (c *crc) add(p []byte) { *c = crc(^advance(^uint64(*c), p)) }

// addPage is add of PageSize bytes whose advance from 0 is known: several
// checksums take in a page that is read once.
func (c *crc) addPage(page uint64) { *c = crc(^(aheadPage(^uint64(*c)) ^ page)) }

// advance takes p into the remainder sum.
func advance(sum uint64, p []byte) uint64 {
	if len(p) >= 2*lanes*8 {
		// Lanes do not wait for each other: each takes every fourth word and
		// is moved 256 bits ahead.
		a, b, d, e := sum, uint64(0), uint64(0), uint64(0)
		for ; len(p) >= 2*lanes*8; p = p[lanes*8:] {
			q := p[: lanes*8 : lanes*8]
			a = ahead256(a ^ binary.LittleEndian.Uint64(q))
			b = ahead256(b ^ binary.LittleEndian.Uint64(q[8:]))
			d = ahead256(d ^ binary.LittleEndian.Uint64(q[16:]))
			e = ahead256(e ^ binary.LittleEndian.Uint64(q[24:]))
		}
		sum = ahead64(a ^ binary.LittleEndian.Uint64(p))
		sum = ahead64(sum ^ b ^ binary.LittleEndian.Uint64(p[8:]))
		sum = ahead64(sum ^ d ^ binary.LittleEndian.Uint64(p[16:]))
		sum = ahead64(sum ^ e ^ binary.LittleEndian.Uint64(p[24:]))
		p = p[lanes*8:]
	}
	for ; len(p) >= 8; p = p[8:] {
		sum = ahead64(sum ^ binary.LittleEndian.Uint64(p))
	}
	for _, v := range p {
		sum = sum>>8 ^ ahead64((sum^uint64(v))<<56)
	}
	return sum
}

const lanes = 4

// ahead64 is s times x^64, which is 1 + x + x^3 + x^4. What leaves the word is
// below x^4 and taken in again.
func ahead64(s uint64) uint64 {
	s ^= s<<63 ^ s<<61 ^ s<<60
	return s ^ s>>1 ^ s>>3 ^ s>>4
}

// ahead256 is s times x^256, which is (1 + x + x^3 + x^4)^4 = 1 + x^4 + x^12 +
// x^16; what leaves the word is below x^16, times x^64.
func ahead256(s uint64) uint64 {
	o := s<<60 ^ s<<52 ^ s<<48
	return s ^ s>>4 ^ s>>12 ^ s>>16 ^ o ^ o>>1 ^ o>>3 ^ o>>4
}

// ahead512 is s times x^512, which is 1 + x^8 + x^24 + x^32.
func ahead512(s uint64) uint64 {
	o := s<<56 ^ s<<40 ^ s<<32
	return s ^ s>>8 ^ s>>24 ^ s>>32 ^ o ^ o>>1 ^ o>>3 ^ o>>4
}

// aheadPage is s times x^32768, a page of bits, which is (1 + x + x^3 +
// x^4)^512 = 1 + x^512 + x^1536 + x^2048.
func aheadPage(s uint64) uint64 {
	a := ahead512(s)
	b := ahead512(ahead512(a))
	return s ^ a ^ b ^ ahead512(b)
}
