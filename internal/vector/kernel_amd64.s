//go:build !noasm

#include "textflag.h"

// VPDPBUSD multiplies unsigned by signed bytes. A row's byte r is made unsigned
// by flipping its top bit, which adds 128, so every accumulator begins at
// −128 · (sum of the query's bytes in its lanes). Nothing saturates.

// func dotsVNNI(out *int32, rows, query *byte, n, dims int)
TEXT ·dotsVNNI(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ query+16(FP), DX
	MOVQ n+24(FP), R8
	MOVQ dims+32(FP), R9

	MOVL         $0x80808080, AX
	VPBROADCASTD AX, Z31              // the flip, and 128 of each byte

	MOVQ  R9, R10
	SHRQ  $6, R10                     // whole registers in a row
	MOVQ  R9, R11
	ANDQ  $63, R11                    // bytes after them
	MOVQ  R11, CX
	MOVQ  $1, AX
	SHLQ  CX, AX
	DECQ  AX
	KMOVQ AX, K1                      // those bytes of a register

	VPXORD Z30, Z30, Z30
	VPXORD Z29, Z29, Z29
	MOVQ   DX, BX
	MOVQ   R10, CX
	TESTQ  CX, CX
	JZ     biastail

bias:
	VPDPBUSD (BX), Z31, Z30
	ADDQ     $64, BX
	DECQ     CX
	JNZ      bias

biastail:
	TESTQ      R11, R11
	JZ         negate
	VMOVDQU8.Z (BX), K1, Z29          // the query's last bytes, zeros behind
	VPDPBUSD   Z29, Z31, Z30

negate:
	VPXORD Z28, Z28, Z28
	VPSUBD Z30, Z28, Z30

row:
	VMOVDQA32 Z30, Z0
	VPXORD    Z1, Z1, Z1
	VPXORD    Z2, Z2, Z2
	VPXORD    Z3, Z3, Z3
	MOVQ      DX, BX
	MOVQ      R10, CX
	SUBQ      $4, CX
	JL        four

loop4:
	VPXORD   (SI), Z31, Z4
	VPXORD   64(SI), Z31, Z5
	VPXORD   128(SI), Z31, Z6
	VPXORD   192(SI), Z31, Z7
	VPDPBUSD (BX), Z4, Z0
	VPDPBUSD 64(BX), Z5, Z1
	VPDPBUSD 128(BX), Z6, Z2
	VPDPBUSD 192(BX), Z7, Z3
	ADDQ     $256, SI
	ADDQ     $256, BX
	SUBQ     $4, CX
	JGE      loop4

four:
	ADDQ $4, CX
	JZ   tail

loop1:
	VPXORD   (SI), Z31, Z4
	VPDPBUSD (BX), Z4, Z0
	ADDQ     $64, SI
	ADDQ     $64, BX
	DECQ     CX
	JNZ      loop1

tail:
	TESTQ      R11, R11
	JZ         reduce
	VMOVDQU8.Z (SI), K1, Z4
	VPXORD     Z31, Z4, Z4
	VPDPBUSD   Z29, Z4, Z1            // behind the tail it is 128 · 0
	ADDQ       R11, SI

reduce:
	VPADDD        Z1, Z0, Z0
	VPADDD        Z3, Z2, Z2
	VPADDD        Z2, Z0, Z0
	VEXTRACTI64X4 $1, Z0, Y1
	VPADDD        Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPADDD        X1, X0, X0
	VPSHUFD       $0x4E, X0, X1
	VPADDD        X1, X0, X0
	VPSHUFD       $0xB1, X0, X1
	VPADDD        X1, X0, X0
	VMOVD         X0, (DI)
	ADDQ          $4, DI
	DECQ          R8
	JNZ           row

	VZEROUPPER
	RET

// STEP adds 16 products of a row's bytes at AT and the query's in Y8 to ACC.
// The bytes are widened first: VPMADDUBSW, which would not need it, saturates.
#define STEP(AT, ACC, TMP) \
	VPMOVSXBW AT, TMP       \
	VPMADDWD  Y8, TMP, TMP  \
	VPADDD    TMP, ACC, ACC

// SUM adds up the lanes of Y into R, which is 32 bits.
#define SUM(Y, X, R) \
	VEXTRACTI128 $1, Y, X15  \
	VPADDD       X15, X, X   \
	VPSHUFD      $0x4E, X, X15 \
	VPADDD       X15, X, X   \
	VPSHUFD      $0xB1, X, X15 \
	VPADDD       X15, X, X   \
	VMOVD        X, R

// func dotsAVX2(out *int32, rows, query *byte, n, dims int)
TEXT ·dotsAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ query+16(FP), DX
	MOVQ n+24(FP), R8
	MOVQ dims+32(FP), R9
	MOVQ R9, R10
	ANDQ $~15, R10                    // bytes of a row in whole steps

	SUBQ $2, R8
	JL   last

	// Two rows at a time, so that the query is widened once for both.
rows2:
	LEAQ  (SI)(R9*1), R12
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	XORQ  CX, CX
	MOVQ  R10, BX
	ANDQ  $~31, BX
	JZ    half2

loop2:
	VPMOVSXBW (DX)(CX*1), Y8
	STEP((SI)(CX*1), Y0, Y4)
	STEP((R12)(CX*1), Y1, Y5)
	VPMOVSXBW 16(DX)(CX*1), Y8
	STEP(16(SI)(CX*1), Y2, Y6)
	STEP(16(R12)(CX*1), Y3, Y7)
	ADDQ      $32, CX
	CMPQ      CX, BX
	JLT       loop2

half2:
	CMPQ      CX, R10
	JGE       sum2
	VPMOVSXBW (DX)(CX*1), Y8
	STEP((SI)(CX*1), Y0, Y4)
	STEP((R12)(CX*1), Y1, Y5)
	ADDQ      $16, CX

sum2:
	VPADDD Y2, Y0, Y0
	VPADDD Y3, Y1, Y1
	SUM(Y0, X0, R11)
	SUM(Y1, X1, R13)

tail2:
	CMPQ    CX, R9
	JGE     store2
	MOVBLSX (DX)(CX*1), AX
	MOVBLSX (SI)(CX*1), BX
	IMULL   AX, BX
	ADDL    BX, R11
	MOVBLSX (R12)(CX*1), BX
	IMULL   AX, BX
	ADDL    BX, R13
	INCQ    CX
	JMP     tail2

store2:
	MOVL R11, (DI)
	MOVL R13, 4(DI)
	ADDQ $8, DI
	LEAQ (R12)(R9*1), SI
	SUBQ $2, R8
	JGE  rows2

last:
	ADDQ  $2, R8
	JZ    done
	VPXOR Y0, Y0, Y0
	XORQ  CX, CX

loop1:
	CMPQ      CX, R10
	JGE       sum1
	VPMOVSXBW (DX)(CX*1), Y8
	STEP((SI)(CX*1), Y0, Y4)
	ADDQ      $16, CX
	JMP       loop1

sum1:
	SUM(Y0, X0, R13)

tail1:
	CMPQ    CX, R9
	JGE     store1
	MOVBLSX (DX)(CX*1), AX
	MOVBLSX (SI)(CX*1), BX
	IMULL   AX, BX
	ADDL    BX, R13
	INCQ    CX
	JMP     tail1

store1:
	MOVL R13, (DI)

done:
	VZEROUPPER
	RET
