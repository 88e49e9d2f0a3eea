package largepages

import (
	"syscall"
	"unsafe"
)

// Ask asks for large pages in the blocks of the given size, which is a power of
// two, that b lies in.
func Ask(b []byte, block uintptr) {
	const hugepage = 14 // MADV_HUGEPAGE, asm-generic/mman-common.h
	from := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	to := (from + uintptr(len(b)) + block - 1) &^ (block - 1)
	from &^= block - 1
	_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, from, to-from, hugepage) // a hint
}
