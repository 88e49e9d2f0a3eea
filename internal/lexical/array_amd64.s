//go:build !noasm

#include "textflag.h"

// EIGHT adds w·tf/(tf+norm) for the eight frequencies, a byte each, in the low
// half of X; at is where they stand. Division, not a reciprocal: the sums are
// those of the portable code to the bit.
#define EIGHT(X, Y, at) \
	VPMOVZXBD X, Y            \
	VCVTDQ2PS Y, Y            \
	VADDPS    at(DX), Y, Y4   \
	VMULPS    Y0, Y, Y        \
	VDIVPS    Y4, Y, Y        \
	VADDPS    at(DI), Y, Y    \
	VMOVUPS   Y, at(DI)

// func addSixteens(acc, norm *float32, tfs *byte, w float32, n int)
TEXT ·addSixteens(SB), NOSPLIT, $0-40
	MOVQ         acc+0(FP), DI
	MOVQ         norm+8(FP), DX
	MOVQ         tfs+16(FP), SI
	VBROADCASTSS w+24(FP), Y0
	MOVQ         n+32(FP), CX
	MOVL         $0x0F0F0F0F, AX
	VMOVD        AX, X1
	VPBROADCASTD X1, X1

sixteen:
	VMOVQ      (SI), X2
	VPSRLW     $4, X2, X3
	VPAND      X1, X2, X2
	VPAND      X1, X3, X3
	VPUNPCKLBW X3, X2, X2             // frequencies in the order of the chunks
	VPSRLDQ    $8, X2, X3
	EIGHT(X2, Y2, 0)
	EIGHT(X3, Y3, 32)
	ADDQ       $8, SI
	ADDQ       $64, DI
	ADDQ       $64, DX
	SUBQ       $16, CX
	JNZ        sixteen

	VZEROUPPER
	RET

// func aboveSixteens(acc *float32, floor float32, n int) int
TEXT ·aboveSixteens(SB), NOSPLIT, $0-32
	MOVQ         acc+0(FP), SI
	VBROADCASTSS floor+8(FP), Y0
	MOVQ         n+16(FP), CX
	XORQ         AX, AX

sixteen:
	VMOVUPS   (SI)(AX*4), Y1
	VMOVUPS   32(SI)(AX*4), Y2
	VCMPPS    $0x1E, Y0, Y1, Y1        // greater, and no NaN
	VCMPPS    $0x1E, Y0, Y2, Y2
	VORPS     Y1, Y2, Y3
	VMOVMSKPS Y3, BX
	TESTL     BX, BX
	JNZ       found
	ADDQ      $16, AX
	CMPQ      AX, CX
	JLT       sixteen

	MOVQ CX, ret+24(FP)
	VZEROUPPER
	RET

found:
	MOVQ AX, ret+24(FP)
	VZEROUPPER
	RET
