package commitlog

import (
	"hash/crc64"
	"math/rand/v2"
	"testing"

	"github.com/superfly/ltx"
)

func TestCRCIsThatOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	table := crc64.MakeTable(crc64.ISO)
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 3 * lanes * 8 * 3 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		start := r.Uint64()
		c := crc(start)
		c.add(b)
		if want := crc64.Update(start, table, b); uint64(c) != want {
			t.Fatalf("%d bytes from %x: %x, want %x", n, start, uint64(c), want)
		}
		cut := r.IntN(n + 1)
		c = crc(start)
		c.add(b[:cut])
		c.add(b[cut:])
		if want := crc64.Update(start, table, b); uint64(c) != want {
			t.Fatalf("%d bytes cut at %d: %x, want %x", n, cut, uint64(c), want)
		}
	}
}

func TestAPageThatWasReadOnceEntersAnyChecksum(t *testing.T) {
	t.Parallel()
	table := crc64.MakeTable(crc64.ISO)
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, PageSize)
	for range 50 {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		start, page := r.Uint64(), advance(0, b)
		c := crc(start)
		c.addPage(page)
		if want := crc64.Update(start, table, b); uint64(c) != want {
			t.Fatalf("from %x: %x, want %x", start, uint64(c), want)
		}
		if got, want := ChecksumPage(Page{7, b}), ltx.ChecksumPage(7, b); got != want {
			t.Fatalf("page 7: %s, want %s", got, want)
		}
	}
}

func FuzzCRC(f *testing.F) {
	f.Add(uint64(0), []byte("123456789"))
	f.Add(^uint64(0), make([]byte, 4096))
	f.Fuzz(func(t *testing.T, start uint64, b []byte) {
		c := crc(start)
		c.add(b)
		if want := crc64.Update(start, crc64.MakeTable(crc64.ISO), b); uint64(c) != want {
			t.Errorf("%x, want %x", uint64(c), want)
		}
	})
}

func BenchmarkCRC(b *testing.B) {
	page := make([]byte, PageSize)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(PageSize)
		for b.Loop() {
			var c crc
			c.add(page)
		}
	})
	b.Run("standard library", func(b *testing.B) {
		table := crc64.MakeTable(crc64.ISO)
		b.SetBytes(PageSize)
		for b.Loop() {
			crc64.Update(0, table, page)
		}
	})
}
