// Package largepages asks the system for memory in large pages. A program that
// starts touches thousands of small ones for the first time, and each is a trip
// into the kernel: 2.6 µs where this was measured, in a virtual machine, a
// third of a cold start. A large page is one trip for 512 of them. It is a
// hint: where the system knows no large pages, or none is free, nothing changes.
package largepages

// Size is a large page's of amd64, and of arm64 with small pages of 4 KiB.
const Size = 2 << 20
