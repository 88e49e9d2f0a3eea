package vector

import "sync"

// kernel multiplies bytes.
type kernel struct {
	name string
	// dots sets out[i] to the product of query and row i of rows, which hold
	// len(out) rows of len(query) bytes; all bytes are int8. It is exact up to
	// 2¹⁷ − 1 coordinates (2³¹ / 128²).
	dots func(out []int32, rows, query []byte)
}

// best is the fastest kernel that this processor can run. Which one, is asked
// once, when it is first needed.
var best = sync.OnceValue(func() kernel { return kernels()[0] })

var portable = kernel{"portable", dotsPortable}

func dotsPortable(out []int32, rows, query []byte) {
	for i := range out {
		r := rows[i*len(query):][:len(query)]
		var sum int32
		for j, q := range query {
			sum += int32(int8(q)) * int32(int8(r[j]))
		}
		out[i] = sum
	}
}
