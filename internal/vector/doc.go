// Package vector keeps embeddings small and searches them in memory: a codec
// of immutable blocks, and Matrix, which finds the nearest of all vectors by
// reading one byte a coordinate. It does no I/O.
//
// # What is stored
//
// Only the direction of a vector counts, so each is scaled until its largest
// coordinate is ±32512 and rounded to integers. Such a code c is kept as two
// signed bytes, c = 256·hi + lo, with hi rounded to nearest: hi alone (−127 to
// 127) is the best int8 code of the vector, hi and lo together are its 16-bit
// code. A cosine of two codes is a sum of four integer products of bytes, so it
// is the same number on every processor. For embeddings as models make them it
// is within 1e-5 of the cosine in float64; in the worst case, one coordinate
// dwarfing all others of a vector of d coordinates, within √d/32512.
//
// # A block
//
// A block holds n vectors of d coordinates, d at most MaxDims, all integers
// little-endian:
//
//	offset       bytes   content
//	0            1       format, 1
//	1            2       d
//	3            2       n, at least 1
//	5            4·n     float32 scales: scale · code has length 1
//	5+4n         n·d     hi of the first vector, of the second, …
//	5+4n+n·d     n·d     lo of the first vector, of the second, …
//
// The scale is 1 / |code|, so a reader can check it: Decode recomputes every
// length and refuses a block with a damaged byte in its scales and, but for
// damage that leaves a length as it was, in its codes.
//
// # The search
//
// Matrix copies the hi planes of all blocks behind one another, so that a scan
// reads memory in order; it costs about what reading those bytes costs. The
// scan's best few times k are scored again from hi and lo. The inner product is
// written in assembly for AVX-512 VNNI, AVX2 and NEON (with and without SDOT),
// chosen when the program runs; build with the tag noasm to leave it out. All
// kernels give exactly what the portable one gives.
package vector
