//go:build !noasm && (amd64 || arm64)

package vector

// assembled makes a kernel of an assembly function, which knows no slices.
func assembled(name string, dots func(out *int32, rows, query *byte, n, dims int)) kernel {
	return kernel{name, func(out []int32, rows, query []byte) {
		n, dims := len(out), len(query)
		if n == 0 || dims == 0 {
			clear(out)
			return
		}
		rows = rows[:n*dims] // panics here, not in assembly
		dots(&out[0], &rows[0], &query[0], n, dims)
	}}
}
