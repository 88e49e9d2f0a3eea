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

// Row by row: with two rows side by side, which would widen the query's bytes
// once for both, the processor fetches memory ahead so badly that a scan takes
// three times as long (measured on Zen 5). VPMADDUBSW, which would need no
// widening, saturates.

// func dotsAVX2(out *int32, rows, query *byte, n, dims int)
TEXT ·dotsAVX2(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ rows+8(FP), SI
	MOVQ query+16(FP), DX
	MOVQ n+24(FP), R8
	MOVQ dims+32(FP), R9
	MOVQ R9, R10
	ANDQ $~31, R10                    // bytes of a row in steps of 32
	MOVQ R9, R11
	ANDQ $~15, R11                    // and, maybe, one of 16

row:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	XORQ  CX, CX
	TESTQ R10, R10
	JZ    half

loop:
	VPMOVSXBW (DX)(CX*1), Y4
	VPMOVSXBW 16(DX)(CX*1), Y5
	VPMOVSXBW (SI)(CX*1), Y6
	VPMOVSXBW 16(SI)(CX*1), Y7
	VPMADDWD  Y4, Y6, Y6
	VPMADDWD  Y5, Y7, Y7
	VPADDD    Y6, Y0, Y0
	VPADDD    Y7, Y1, Y1
	ADDQ      $32, CX
	CMPQ      CX, R10
	JLT       loop

half:
	CMPQ      CX, R11
	JGE       sum
	VPMOVSXBW (DX)(CX*1), Y4
	VPMOVSXBW (SI)(CX*1), Y6
	VPMADDWD  Y4, Y6, Y6
	VPADDD    Y6, Y0, Y0
	ADDQ      $16, CX

sum:
	VPADDD       Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0x4E, X0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0xB1, X0, X1
	VPADDD       X1, X0, X0
	VMOVD        X0, R12

tail:
	CMPQ    CX, R9
	JGE     store
	MOVBLSX (DX)(CX*1), AX
	MOVBLSX (SI)(CX*1), BX
	IMULL   AX, BX
	ADDL    BX, R12
	INCQ    CX
	JMP     tail

store:
	MOVL R12, (DI)
	ADDQ $4, DI
	ADDQ R9, SI
	DECQ R8
	JNZ  row

	VZEROUPPER
	RET
