//go:build !noasm

#include "textflag.h"

// EIGHT adds what two terms with the frequencies X and Y, a byte each in the low
// half, are worth in eight chunks; at is where those stand.
#define EIGHT(X, XX, Y, YY, at) \
	VPMOVZXBD X, XX           \
	VPMOVZXBD Y, YY           \
	VMOVUPS   at(DX), Y8      \
	VCVTDQ2PS XX, XX          \
	VCVTDQ2PS YY, YY          \
	VADDPS    Y8, XX, Y9      \
	VADDPS    Y8, YY, Y8      \
	VMULPS    Y0, XX, XX      \
	VMULPS    Y1, YY, YY      \
	VMULPS    Y8, XX, XX      \
	VMULPS    Y9, YY, YY      \
	VADDPS    YY, XX, XX      \
	VMULPS    Y8, Y9, Y9      \
	VDIVPS    Y9, XX, XX      \
	VADDPS    at(DI), XX, XX  \
	VMOVUPS   XX, at(DI)

// func addSixteens(acc, norm *float32, a, b *byte, wa, wb float32, n int)
TEXT ·addSixteens(SB), NOSPLIT, $0-48
	MOVQ         acc+0(FP), DI
	MOVQ         norm+8(FP), DX
	MOVQ         a+16(FP), SI
	MOVQ         b+24(FP), BX
	VBROADCASTSS wa+32(FP), Y0
	VBROADCASTSS wb+36(FP), Y1
	MOVQ         n+40(FP), CX
	MOVL         $0x0F0F0F0F, AX
	VMOVD        AX, X2
	VPBROADCASTD X2, X2

sixteen:
	VMOVQ      (SI), X3
	VMOVQ      (BX), X5
	VPSRLW     $4, X3, X4
	VPSRLW     $4, X5, X6
	VPAND      X2, X3, X3
	VPAND      X2, X4, X4
	VPAND      X2, X5, X5
	VPAND      X2, X6, X6
	VPUNPCKLBW X4, X3, X3             // frequencies in the order of the chunks
	VPUNPCKLBW X6, X5, X5
	VPSRLDQ    $8, X3, X4
	VPSRLDQ    $8, X5, X6
	EIGHT(X3, Y3, X5, Y5, 0)
	EIGHT(X4, Y4, X6, Y6, 32)
	ADDQ       $8, SI
	ADDQ       $8, BX
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
