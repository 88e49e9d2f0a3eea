//go:build !noasm

#include "textflag.h"

// Go's assembler has no name for these; m, n and d are numbers of registers.
// Encodings: Arm Architecture Reference Manual for A-profile, C7.2.
#define UCVTF(n, d)   WORD $(0x6E21D800 | n<<5 | d)         // d.4S = n.4S as floats
#define FADD(m, n, d) WORD $(0x4E20D400 | m<<16 | n<<5 | d) // d.4S = n.4S + m.4S
#define FMUL(m, n, d) WORD $(0x6E20DC00 | m<<16 | n<<5 | d) // d.4S = n.4S · m.4S
#define FDIV(m, n, d) WORD $(0x6E20FC00 | m<<16 | n<<5 | d) // d.4S = n.4S / m.4S
#define FCMGT(m, n, d) WORD $(0x6EA0E400 | m<<16 | n<<5 | d) // d.4S = n.4S > m.4S, all ones or zeros

// FOUR adds w·tf/(tf+norm) for the frequencies in V(f); norm is in V(k), the
// sums in V(a).
#define FOUR(f, k, a) \
	UCVTF(f, f)    \
	FADD(k, f, k)  \
	FMUL(0, f, f)  \
	FDIV(k, f, f)  \
	FADD(f, a, a)

// func addSixteens(acc, norm *float32, tfs *byte, w float32, n int)
TEXT ·addSixteens(SB), NOSPLIT, $0-40
	MOVD  acc+0(FP), R0
	MOVD  norm+8(FP), R1
	MOVD  tfs+16(FP), R2
	MOVWU w+24(FP), R3
	MOVD  n+32(FP), R4
	VDUP  R3, V0.S4
	VMOVI $15, V1.B8

sixteen:
	VLD1.P 8(R2), [V2.B8]
	VUSHR  $4, V2.B8, V3.B8
	VAND   V1.B8, V2.B8, V2.B8
	VZIP1  V3.B8, V2.B8, V4.B8 // frequencies in the order of the chunks
	VZIP2  V3.B8, V2.B8, V5.B8
	VUXTL  V4.B8, V4.H8
	VUXTL  V5.B8, V5.H8
	VUXTL2 V4.H8, V7.S4
	VUXTL  V4.H4, V6.S4
	VUXTL2 V5.H8, V9.S4
	VUXTL  V5.H4, V8.S4
	VLD1.P 64(R1), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1   (R0), [V20.S4, V21.S4, V22.S4, V23.S4]
	FOUR(6, 16, 20)
	FOUR(7, 17, 21)
	FOUR(8, 18, 22)
	FOUR(9, 19, 23)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SUBS   $16, R4
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
