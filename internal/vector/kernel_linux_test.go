package vector

import (
	"syscall"
	"testing"
)

// TestKernelsStayInTheirRows puts rows and query directly before memory that
// must not be touched: a kernel that reads on ends the process.
func TestKernelsStayInTheirRows(t *testing.T) {
	t.Parallel()
	size := syscall.Getpagesize()
	atEnd := func() []byte {
		m, err := syscall.Mmap(-1, 0, 2*size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Munmap(m); err != nil {
				t.Error(err)
			}
		})
		if err := syscall.Mprotect(m[size:], syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
		return m[:size:size]
	}
	rows, query := atEnd(), atEnd()
	fill(rows, 3)
	fill(query, 5)
	for _, k := range kernels() {
		for d := 1; d <= 300; d++ {
			for n := 1; n <= 3; n++ {
				out := make([]int32, n)
				k.dots(out, rows[size-n*d:], query[size-d:])
				for i, got := range out {
					if want := int32(15 * d); got != want {
						t.Fatalf("%s: row %d of %d = %d, want %d", k.name, i, d, got, want)
					}
				}
			}
		}
	}
}
