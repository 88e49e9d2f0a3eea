//go:build !noasm

#include "textflag.h"

// Go's assembler has no name for these; m, n and d are numbers of registers.
// Encodings: Arm Architecture Reference Manual for A-profile, C7.2.
#define UCVTF(n, d)   WORD $(0x6E21D800 | n<<5 | d)         // d.4S = n.4S as floats
#define FADD(m, n, d) WORD $(0x4E20D400 | m<<16 | n<<5 | d) // d.4S = n.4S + m.4S
#define FMUL(m, n, d) WORD $(0x6E20DC00 | m<<16 | n<<5 | d) // d.4S = n.4S · m.4S
#define FDIV(m, n, d) WORD $(0x6E20FC00 | m<<16 | n<<5 | d) // d.4S = n.4S / m.4S
#define FCMGT(m, n, d) WORD $(0x6EA0E400 | m<<16 | n<<5 | d) // d.4S = n.4S > m.4S, all ones or zeros

// FOUR adds what two terms with the frequencies f and g are worth in four
// chunks; norm is in k, the sums are in s.
#define FOUR(f, g, k, s) \
	UCVTF(f, f)     \
	UCVTF(g, g)     \
	FADD(k, f, 26)  \
	FADD(k, g, 27)  \
	FMUL(0, f, f)   \
	FMUL(1, g, g)   \
	FMUL(27, f, f)  \
	FMUL(26, g, g)  \
	FADD(g, f, f)   \
	FMUL(27, 26, 26) \
	FDIV(26, f, f)  \
	FADD(f, s, s)

// NIBBLES makes of the eight bytes in v the sixteen frequencies, in the order of
// the chunks, in p, q, r and s.
#define NIBBLES(v, p, q, r, s) \
	VUSHR  $4, v.B8, V28.B8        \
	VAND   V2.B8, v.B8, v.B8       \
	VZIP1  V28.B8, v.B8, V29.B8    \
	VZIP2  V28.B8, v.B8, V30.B8    \
	VUXTL  V29.B8, V29.H8          \
	VUXTL  V30.B8, V30.H8          \
	VUXTL  V29.H4, p.S4            \
	VUXTL2 V29.H8, q.S4            \
	VUXTL  V30.H4, r.S4            \
	VUXTL2 V30.H8, s.S4

// func addSixteens(acc, norm *float32, a, b *byte, wa, wb float32, n int)
TEXT ·addSixteens(SB), NOSPLIT, $0-48
	MOVD  acc+0(FP), R0
	MOVD  norm+8(FP), R1
	MOVD  a+16(FP), R2
	MOVD  b+24(FP), R3
	MOVWU wa+32(FP), R4
	MOVWU wb+36(FP), R5
	MOVD  n+40(FP), R6
	VDUP  R4, V0.S4
	VDUP  R5, V1.S4
	VMOVI $15, V2.B8

sixteen:
	VLD1.P 8(R2), [V3.B8]
	VLD1.P 8(R3), [V4.B8]
	NIBBLES(V3, V5, V6, V7, V8)
	NIBBLES(V4, V9, V10, V11, V12)
	VLD1.P 64(R1), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1   (R0), [V20.S4, V21.S4, V22.S4, V23.S4]
	FOUR(5, 9, 16, 20)
	FOUR(6, 10, 17, 21)
	FOUR(7, 11, 18, 22)
	FOUR(8, 12, 19, 23)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SUBS   $16, R6
	BNE    sixteen
	RET

// func aboveSixteens(acc *float32, floor float32, n int) int
TEXT ·aboveSixteens(SB), NOSPLIT, $0-32
	MOVD  acc+0(FP), R0
	MOVWU floor+8(FP), R3
	MOVD  n+16(FP), R4
	MOVD  ZR, R5
	VDUP  R3, V0.S4

sixteen:
	VLD1.P 64(R0), [V1.S4, V2.S4, V3.S4, V4.S4]
	FCMGT(0, 1, 1)
	FCMGT(0, 2, 2)
	FCMGT(0, 3, 3)
	FCMGT(0, 4, 4)
	VORR  V1.B16, V2.B16, V1.B16
	VORR  V3.B16, V4.B16, V3.B16
	VORR  V1.B16, V3.B16, V1.B16
	VMOV  V1.D[0], R6
	VMOV  V1.D[1], R7
	ORR   R6, R7
	CBNZ  R7, found
	ADD   $16, R5
	CMP   R4, R5
	BLT   sixteen

found:
	MOVD R5, ret+24(FP)
	RET
