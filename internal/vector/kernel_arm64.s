//go:build !noasm

#include "textflag.h"

// Go's assembler has no name for these; n, m and d are numbers of registers.
// Encodings: Arm Architecture Reference Manual for A-profile, C7.2.
#define SDOT(m, n, d)   WORD $(0x4E809400 | m<<16 | n<<5 | d) // d.4S += n.16B · m.16B by fours
#define SMULL(m, n, d)  WORD $(0x0E20C000 | m<<16 | n<<5 | d) // d.8H = low n.8B × m.8B
#define SMULL2(m, n, d) WORD $(0x4E20C000 | m<<16 | n<<5 | d) // d.8H = high n.8B × m.8B
#define SADALP(n, d)    WORD $(0x4E606800 | n<<5 | d)         // d.4S += pairs of n.8H

// WIDE is SDOT where there is none. A product of two bytes fits 16 bits, the
// sum of two may not: each is added in 32.
#define WIDE(m, n, d) \
	SMULL(m, n, 24)  \
	SMULL2(m, n, 25) \
	SADALP(24, d)    \
	SADALP(25, d)

// BODY is the whole kernel; DOT multiplies 16 bytes and adds up.
#define BODY(DOT) \
	MOVD out+0(FP), R0    \
	MOVD rows+8(FP), R1   \
	MOVD query+16(FP), R2 \
	MOVD n+24(FP), R3     \
	MOVD dims+32(FP), R4  \
	LSR  $6, R4, R5       \ // steps of 64 bytes
	UBFX $4, R4, $2, R6   \ // then of 16
	AND  $15, R4, R7      \ // then bytes
row: \
	VEOR V0.B16, V0.B16, V0.B16 \
	VEOR V1.B16, V1.B16, V1.B16 \
	VEOR V2.B16, V2.B16, V2.B16 \
	VEOR V3.B16, V3.B16, V3.B16 \
	MOVD R2, R8           \
	MOVD R5, R9           \
	CBZ  R9, sixteens     \
loop64: \
	VLD1.P 64(R1), [V4.B16, V5.B16, V6.B16, V7.B16]     \
	VLD1.P 64(R8), [V16.B16, V17.B16, V18.B16, V19.B16] \
	DOT(16, 4, 0)         \
	DOT(17, 5, 1)         \
	DOT(18, 6, 2)         \
	DOT(19, 7, 3)         \
	SUB  $1, R9           \
	CBNZ R9, loop64       \
sixteens: \
	MOVD R6, R9           \
	CBZ  R9, sum          \
loop16: \
	VLD1.P 16(R1), [V4.B16]  \
	VLD1.P 16(R8), [V16.B16] \
	DOT(16, 4, 0)         \
	SUB  $1, R9           \
	CBNZ R9, loop16       \
sum: \
	VADD  V1.S4, V0.S4, V0.S4 \
	VADD  V3.S4, V2.S4, V2.S4 \
	VADD  V2.S4, V0.S4, V0.S4 \
	VADDV V0.S4, V0       \
	VMOV  V0.S[0], R10    \
	MOVD  R7, R9          \
	CBZ   R9, store       \
bytes: \
	MOVB.P 1(R1), R11     \
	MOVB.P 1(R8), R12     \
	MADD R11, R10, R12, R10 \
	SUB  $1, R9           \
	CBNZ R9, bytes        \
store: \
	MOVW.P R10, 4(R0)     \
	SUB  $1, R3           \
	CBNZ R3, row          \
	RET

// func dotsSDOT(out *int32, rows, query *byte, n, dims int)
TEXT ·dotsSDOT(SB), NOSPLIT, $0-40
	BODY(SDOT)

// func dotsNEON(out *int32, rows, query *byte, n, dims int)
TEXT ·dotsNEON(SB), NOSPLIT, $0-40
	BODY(WIDE)
