package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/superfly/ltx"
)

// testFile encodes a whole database (min 1) or a later commit of n pages.
func testFile(t testing.TB, id ltx.TXID, n int) *File {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(id), uint64(n)))
	h := ltx.Header{Version: ltx.Version, PageSize: PageSize, Commit: uint32(n), MinTXID: id, MaxTXID: id, Timestamp: 1000, NodeID: 7}
	sum := ltx.ChecksumFlag
	if id > 1 {
		h.PreApplyChecksum = ltx.ChecksumFlag | 42
	}
	var pages []Page
	for i := range n {
		data := make([]byte, PageSize)
		for j := range 200 * (i % 21) {
			data[j] = byte(r.Uint32())
		}
		p := Page{uint32(i + 1), data}
		pages, sum = append(pages, p), XorChecksum(sum, p)
	}
	f, err := Encode(h, pages, sum)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAFileDecodesToWhatWasEncoded(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 40, 2000} {
		for _, id := range []ltx.TXID{1, 9} {
			want := testFile(t, id, n)
			got, err := Decode(want.Raw)
			if err != nil {
				t.Fatalf("decode %d pages: %v", n, err)
			}
			if got.Header != want.Header || got.Post != want.Post || !slices.Equal(got.Frames, want.Frames) || !samePages(pagesOf(t, got), pagesOf(t, want)) {
				t.Errorf("%d pages of commit %d come back as others", n, id)
			}
			tail, need, err := ParseTail(want.Raw[max(0, len(want.Raw)-30):], int64(len(want.Raw)))
			if need > 0 {
				tail, need, err = ParseTail(want.Raw[len(want.Raw)-int(need):], int64(len(want.Raw)))
			}
			if err != nil || need != 0 || !slices.Equal(tail.Frames, want.Frames) || tail.Post != want.Post {
				t.Errorf("tail of %d pages: %d frames, need %d, %v", n, len(tail.Frames), need, err)
			}
		}
	}
}

// pagesOf decodes the pages of a file.
func pagesOf(t testing.TB, f *File) (pages []Page) {
	t.Helper()
	for _, fr := range f.Frames {
		data := make([]byte, PageSize)
		pgno, err := DecodeFrame(f.Raw[fr.Off:fr.Off+fr.Size], data)
		if err != nil || pgno != fr.Pgno {
			t.Fatalf("frame of page %d: page %d, %v", fr.Pgno, pgno, err)
		}
		pages = append(pages, Page{pgno, data})
	}
	return pages
}

func samePages(a, b []Page) bool {
	return slices.EqualFunc(a, b, func(a, b Page) bool { return a.Pgno == b.Pgno && bytes.Equal(a.Data, b.Data) })
}

// interrupted fails every other read.
type interrupted struct {
	r io.Reader
	n int
}

var errOnce = errors.New("once")

func (i *interrupted) Read(b []byte) (int, error) {
	if i.n++; i.n%2 == 0 {
		return 0, errOnce
	}
	return i.r.Read(b[:min(len(b), 700)])
}

func TestAReaderGoesOnAfterAnInterruption(t *testing.T) {
	t.Parallel()
	want := testFile(t, 1, 60)
	in := &interrupted{r: bytes.NewReader(want.Raw)}
	var d *Reader
	var err error
	for d == nil {
		if d, err = NewReader(in, 0); err != nil {
			in = &interrupted{r: bytes.NewReader(want.Raw), n: 2} // its header needs one good run
		}
	}
	data, pages := make([]byte, PageSize), pagesOf(t, want)
	for n := 0; ; {
		fr, err := d.Next(data)
		if errors.Is(err, errOnce) {
			continue
		}
		if errors.Is(err, io.EOF) {
			if n != 60 {
				t.Errorf("%d pages, want 60", n)
			}
			return
		}
		if err != nil {
			t.Fatalf("after %d pages: %v", n, err)
		}
		if fr != want.Frames[n] || !bytes.Equal(data, pages[n].Data) {
			t.Fatalf("page %d differs", n)
		}
		n++
	}
}

func TestASealCarriesItsSuccessor(t *testing.T) {
	t.Parallel()
	for _, want := range []Seal{{Successor: Lineage(strings.Repeat("0f", 16))}, {Successor: Lineage(strings.Repeat("a1", 16)), Deleted: true}} {
		h, err := want.header(ltx.Header{Version: ltx.Version, PageSize: PageSize, Commit: 3, MinTXID: 8, MaxTXID: 8, PreApplyChecksum: ltx.ChecksumFlag | 1})
		if err != nil {
			t.Fatal(err)
		}
		f, err := Encode(h, nil, ltx.ChecksumFlag|1)
		if err != nil {
			t.Fatal(err)
		}
		if err := ltx.NewDecoder(bytes.NewReader(f.Raw)).Verify(); err != nil {
			t.Errorf("the library refuses a seal: %v", err)
		}
		f, err = Decode(f.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := sealOf(f.Header); !ok || got != want {
			t.Errorf("seal = %v %t, want %v", got, ok, want)
		}
	}
	if _, ok := sealOf(testFile(t, 4, 2).Header); ok {
		t.Error("an ordinary commit looks like a seal")
	}
}

// seeds are valid files and files with one thing wrong.
func seeds(t testing.TB) [][]byte {
	var all [][]byte
	for _, n := range []int{1, 3, 30} {
		for _, id := range []ltx.TXID{1, 5} {
			raw := testFile(t, id, n).Raw
			all = append(all, raw, raw[:len(raw)/2], append(bytes.Clone(raw), 0))
			for _, at := range []int{5, 13, 40, 90, 104, 108, 120, len(raw) - 20, len(raw) - 12, len(raw) - 3} {
				m := bytes.Clone(raw)
				m[at] ^= 0x11
				all = append(all, m)
			}
			huge := bytes.Clone(raw)
			binary.BigEndian.PutUint32(huge[106:], 1<<31)
			all = append(all, huge)
		}
	}
	return all
}

func TestEveryChangedBitIsNoticed(t *testing.T) {
	t.Parallel()
	raw := testFile(t, 1, 3).Raw
	for i := range raw {
		m := bytes.Clone(raw)
		m[i] ^= 1 << (i % 8)
		f, err := Decode(m)
		if err == nil {
			// LZ4 has more than one way to write the same page.
			if want, _ := Decode(raw); samePages(pagesOf(t, want), pagesOf(t, f)) && want.Header == f.Header && want.Post == f.Post {
				continue
			}
			t.Errorf("byte %d of %d: change not noticed", i, len(raw))
		} else if !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d: %v, want ErrCorrupt", i, err)
		}
	}
}

// FuzzDecode holds our reader against the library's: what we accept, it
// accepts, with the same pages.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Decode(raw)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v, want ErrCorrupt", err)
			}
			return
		}
		dec := ltx.NewDecoder(bytes.NewReader(raw))
		if err := dec.DecodeHeader(); err != nil {
			t.Fatalf("library: %v", err)
		}
		var h ltx.PageHeader
		data := make([]byte, PageSize)
		for _, p := range pagesOf(t, got) {
			if err := dec.DecodePage(&h, data); err != nil || h.Pgno != p.Pgno || !bytes.Equal(data, p.Data) {
				t.Fatalf("library: page %d is page %d, %v", p.Pgno, h.Pgno, err)
			}
		}
		if err := dec.DecodePage(&h, data); !errors.Is(err, io.EOF) {
			t.Fatalf("library: %v after the last page", err)
		}
		if err := dec.Close(); err != nil || dec.Trailer().PostApplyChecksum != got.Post {
			t.Fatalf("library: %v", err)
		}
	})
}

func FuzzParseTail(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s, int64(len(s)))
		f.Add(s[len(s)/2:], int64(len(s)))
	}
	f.Fuzz(func(t *testing.T, tail []byte, size int64) {
		got, need, err := ParseTail(tail, size)
		if err != nil || need > 0 {
			if err == nil && need > size {
				t.Errorf("needs %d of %d bytes", need, size)
			}
			return
		}
		end := int64(ltx.HeaderSize)
		for _, fr := range got.Frames {
			if fr.Off < end || fr.Size <= 0 || fr.Off+fr.Size > size {
				t.Fatalf("frame %+v of a file of %d bytes", fr, size)
			}
			end = fr.Off + fr.Size
		}
	})
}

func FuzzDecodeFrame(f *testing.F) {
	file := testFile(f, 1, 22)
	for _, fr := range file.Frames {
		f.Add(file.Raw[fr.Off : fr.Off+fr.Size])
	}
	f.Add([]byte{0, 0, 0, 1, 0, 1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := DecodeFrame(b, make([]byte, PageSize)); err == nil && n == 0 {
			t.Error("page 0")
		}
	})
}

func FuzzHead(f *testing.F) {
	f.Add([]byte(`{"lineage":"00112233445566778899aabbccddeeff"}`))
	f.Add([]byte(`{"lineage":"../../x","deleted":true}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, b := newLog(t, Config{})
		if err := l.create(t.Context(), l.headKey(1), body); err != nil {
			t.Fatal(err)
		}
		h, err := l.Head(t.Context())
		if err == nil && (len(h.Lineage) != 32 || strings.ContainsAny(string(h.Lineage), "/.")) {
			t.Errorf("lineage %q", h.Lineage)
		}
		_ = b
	})
}

func TestAFileTakesTheMemoryThatItCounts(t *testing.T) {
	t.Parallel()
	r := rand.NewChaCha8([32]byte{1})
	counted, taken := 0, 0
	for n := uint32(1); n <= 40; n++ {
		pages := make([]Page, n)
		for i := range pages {
			pages[i] = Page{Pgno: uint32(i) + 1, Data: make([]byte, PageSize)}
			_, _ = r.Read(pages[i].Data)
		}
		h := ltx.Header{Version: ltx.Version, PageSize: PageSize, Commit: n, MinTXID: 2, MaxTXID: 2, PreApplyChecksum: ltx.ChecksumFlag}
		f, err := Encode(h, pages, ltx.ChecksumFlag)
		if err != nil {
			t.Fatal(err)
		}
		counted, taken = counted+len(f.Raw), taken+cap(f.Raw)
	}
	if taken > counted+counted/8 { // what the allocator rounds up to, at most
		t.Errorf("files of %d bytes take %d", counted, taken)
	}
}
