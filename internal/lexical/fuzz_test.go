package lexical

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// reseal makes the checksums of a mutated segment right again, so that what is
// behind them is tested, too.
func reseal(blob []byte) {
	le := binary.LittleEndian
	if len(blob) < footerBytes+8 {
		return
	}
	foot := blob[len(blob)-footerBytes:]
	end := uint64(len(blob) - footerBytes)
	index, docs := le.Uint64(foot[32:]), le.Uint64(foot[40:])
	seal := func(from, to uint64) {
		if from <= to && to <= end && to-from >= 4 {
			le.PutUint32(blob[to-4:], crc32.Checksum(blob[from:to-4], castagnoli))
		}
	}
	seal(index, docs)
	seal(docs, end)
	le.PutUint32(foot[48:], crc32.Checksum(blob[:end], castagnoli))
	le.PutUint32(foot[footerBytes-4:], crc32.Checksum(foot[:footerBytes-4], castagnoli))
}

func FuzzOpen(f *testing.F) {
	good, err := Build(slices.Values(randomChunks(rand.New(rand.NewPCG(5, 6)), 40)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, uint32(0), byte(0))
	f.Add([]byte{}, uint32(0), byte(0))
	f.Add(good[:len(good)-1], uint32(9), byte(1))
	for i := range 200 { // flips that run as ordinary tests
		f.Add(good, uint32(i*len(good)/200), byte(0x80>>(i%8)))
	}
	f.Fuzz(func(t *testing.T, blob []byte, at uint32, flip byte) {
		blob = slices.Clone(blob)
		if len(blob) > 0 {
			blob[int(at)%len(blob)] ^= flip
		}
		q := Parse("退款 storage_url 登录 E1001 the timeout", nil)
		lazy, err := Open(t.Context(), int64(len(blob)), func(_ context.Context, off, n int64) ([]byte, error) {
			if off < 0 || n < 0 || off+n > int64(len(blob)) {
				t.Fatalf("read of %d bytes at %d of %d", n, off, len(blob))
			}
			return blob[off : off+n], nil
		})
		if err == nil {
			_, err = Index{Segments: []*Segment{lazy}}.Search(t.Context(), q, 5)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("lazy: %v, want ErrCorrupt", err)
		}
		reseal(blob)
		whole, err := OpenBytes(blob)
		if err == nil {
			_, err = Index{Segments: []*Segment{whole}}.Search(t.Context(), q, 5)
			if _, err2 := Merge(t.Context(), []*Segment{whole}, nil); err2 != nil && !errors.Is(err2, ErrCorrupt) {
				t.Fatalf("merge: %v, want ErrCorrupt", err2)
			}
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("whole: %v, want ErrCorrupt", err)
		}
	})
}

// TestFlippedBitsAreSeen flips every byte once: each is found when a segment
// is opened whole.
func TestFlippedBitsAreSeen(t *testing.T) {
	t.Parallel()
	good, err := Build(slices.Values(randomChunks(rand.New(rand.NewPCG(7, 8)), 30)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if _, err := OpenBytes(bad); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d flipped: OpenBytes = %v, want ErrCorrupt", i, err)
		}
	}
}

// TestTheVersionBeforeIsReadAndNoOther: segments of earlier servers.
func TestTheVersionBeforeIsReadAndNoOther(t *testing.T) {
	t.Parallel()
	good, err := Build(slices.Values(chunks("退款一般在七个工作日内到账。", "发票可以下载。"))) // short lists: as they were
	if err != nil {
		t.Fatal(err)
	}
	for version, want := range map[byte]error{0: ErrCorrupt, 1: nil, 2: nil, 3: ErrCorrupt} {
		old := slices.Clone(good)
		foot := old[len(old)-footerBytes:]
		foot[55] = version
		binary.LittleEndian.PutUint32(foot[footerBytes-4:], crc32.Checksum(foot[:footerBytes-4], castagnoli))
		s, err := OpenBytes(old)
		if !errors.Is(err, want) {
			t.Errorf("version %d: %v, want %v", version, err, want)
			continue
		}
		if err == nil {
			if r, err := (Index{Segments: []*Segment{s}}).Search(t.Context(), Parse("退款", nil), 1); err != nil || len(r.Hits) != 1 {
				t.Errorf("version %d: found %v, %v", version, r.Hits, err)
			}
		}
	}
}

// TestSectionsBeyondEverythingAreCorrupt: places whose sums overflow.
func TestSectionsBeyondEverythingAreCorrupt(t *testing.T) {
	t.Parallel()
	good, err := Build(slices.Values(randomChunks(rand.New(rand.NewPCG(1, 2)), 40)))
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []int{24, 32, 40} { // atBlocks, atIndex, atDocs
		for _, at := range []uint64{math.MaxUint64, math.MaxUint64 - 1, math.MaxUint64 - 3, 1 << 63} {
			bad := slices.Clone(good)
			binary.LittleEndian.PutUint64(bad[len(bad)-footerBytes+field:], at)
			foot := bad[len(bad)-footerBytes:]
			binary.LittleEndian.PutUint32(foot[footerBytes-4:], crc32.Checksum(foot[:footerBytes-4], castagnoli))
			if _, err := OpenBytes(bad); !errors.Is(err, ErrCorrupt) {
				t.Errorf("field %d = %x: OpenBytes = %v, want ErrCorrupt", field, at, err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"退款多久到账？", "What's the STORAGE_URL v1.2.3?", "\xff\xfe", "½ ① ㎡ ﬁ", "ｶﾞｷﾞ", "1,000,000", "a.b.c-d_e", "C++ C#", "\u0301\u0301", strings.Repeat("长", 5000), "' OR 1=1 --", "NEAR(a b)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := Parse(s, NewSynonyms([][]string{{"退款", "退钱"}}))
		terms := make([]TermStat, 0, len(q.Terms))
		for _, k := range q.Terms {
			if k.Key == "" || !utf8.ValidString(k.Key) || len(k.Key) > maxWordBytes {
				t.Errorf("term %q of %q", k.Key, s)
			}
			terms = append(terms, TermStat{Term: k})
		}
		last := int32(0)
		for _, m := range NewMatcher(terms).Find(s, nil) {
			if m.Start < 0 || m.End > int32(len(s)) || m.Start >= m.End || m.End < last {
				t.Errorf("match %+v in %d bytes", m, len(s))
			}
			last = m.End
		}
	})
}

// TestMatcherAgreesWithIndex: a term of the question is found in a text by
// both or by neither.
func TestMatcherAgreesWithIndex(t *testing.T) {
	t.Parallel()
	for _, c := range randomChunks(rand.New(rand.NewPCG(9, 10)), 100) {
		q := Parse("退款 发票 storage_url configure timeouts E1001 v1.2.3 臺灣 服務 skies dying", nil)
		stats := make([]TermStat, len(q.Terms))
		for i, k := range q.Terms {
			stats[i].Term = k
		}
		got := map[string]bool{}
		for _, m := range NewMatcher(stats).Find(c.Text, nil) {
			got[q.Terms[m.Term].Key] = true
		}
		want := counter{tf: map[string]int{}, weight: 1}
		scan(c.Text, &want)
		for _, k := range q.Terms {
			if got[k.Key] != (want.tf[k.Key] > 0) {
				t.Errorf("%q in %q: matcher %v, index %v", k.Key, c.Text, got[k.Key], want.tf[k.Key] > 0)
			}
		}
	}
}
