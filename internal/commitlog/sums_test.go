package commitlog

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// snapshot takes a snapshot of a small database with checksums beside it.
func snapshot(t *testing.T, l *Log) (State, FileInfo) {
	t.Helper()
	st := grow(t, l, 20)
	f, err := l.Snapshot(t.Context(), st.Lineage)
	if err != nil {
		t.Fatal(err)
	}
	return st, f
}

func change(t *testing.T, b objstore.Bucket, key string, how func([]byte) []byte) {
	t.Helper()
	raw, _, err := b.Get(t.Context(), key)
	if err == nil {
		_, err = b.Put(t.Context(), key, bytes.NewReader(how(slices.Clone(raw))))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestChecksumsOfASnapshotAreThoseOfItsPages(t *testing.T) {
	t.Parallel()
	l, _ := newLog(t, Config{})
	st, f := snapshot(t, l)
	want, err := l.ReadFile(t.Context(), st.Lineage, f)
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := l.get(t.Context(), l.Key(st.Lineage, f))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := l.getSums(t.Context(), st.Lineage, f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := withSums(raw, sums)
	if err != nil || !slices.Equal(got.Sums, want.Sums) || !slices.Equal(got.Frames, want.Frames) || got.Post != want.Post || got.Header != want.Header {
		t.Errorf("with checksums: %+v %v\nwhole: %+v", got, err, want)
	}
}

// TestLoadTrustsChecksumsOnlyIfTheyAreOfTheFile: whatever happened to them, the
// file is verified, by them or whole.
func TestLoadTrustsChecksumsOnlyIfTheyAreOfTheFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		sums   func(b, header []byte) []byte // nil: deleted
		alarms int
	}{
		{"as they are", func(b, _ []byte) []byte { return b }, 0},
		{"gone", nil, 0},
		{"empty", func(_, _ []byte) []byte { return nil }, 1},
		{"one page short", func(b, _ []byte) []byte { return b[8:] }, 1},
		{"a bit is wrong", func(b, _ []byte) []byte { b[9] ^= 4; return b }, 1},
		{"of other pages", func(_, header []byte) []byte {
			return encodeSums(header, []ltx.Checksum{ltx.ChecksumFlag | 1, ltx.ChecksumFlag | 2})
		}, 1},
		{"unknown, which nobody would compare", func(b, header []byte) []byte {
			s, _ := decodeSums(b, header, 2, sumOfAll(b))
			return encodeSums(header, []ltx.Checksum{0, ltx.ChecksumFlag | s[0] ^ s[1]})
		}, 1},
	} {
		for _, whole := range []int64{0, 1 << 30} { // read by its ends, and whole
			var alarms []error
			l, b := newLog(t, Config{OnAlarm: func(err error) { alarms = append(alarms, err) }})
			st, f := snapshot(t, l)
			key := l.sumsKey(st.Lineage, f.Max)
			if tt.sums == nil {
				if err := b.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
			} else {
				raw, _, err := b.Get(t.Context(), l.Key(st.Lineage, f))
				if err != nil {
					t.Fatal(err)
				}
				change(t, b, key, func(sums []byte) []byte { return tt.sums(sums, raw[:ltx.HeaderSize]) })
			}
			ld, err := l.Load(t.Context(), whole)
			if err != nil || ld.State.TXID != st.TXID || ld.State.Checksum != st.Checksum || len(alarms) != tt.alarms {
				t.Errorf("checksums %s: load %+v %v, alarms %v", tt.name, ld, err, alarms)
			}
			// A file of which a page is damaged is never taken for a good one.
			change(t, b, l.Key(st.Lineage, f), func(b []byte) []byte { b[ltx.HeaderSize+40] ^= 1; return b })
			ld, err = l.Load(t.Context(), whole)
			switch file := ld.file(); {
			case errors.Is(err, ErrCorrupt):
			case err != nil:
				t.Errorf("checksums %s, damaged file: %v", tt.name, err)
			case len(file.Sums) != len(file.Frames) || intact(t, file):
				t.Errorf("checksums %s: a damaged file is good", tt.name)
			}
		}
	}
}

func (ld *Loaded) file() *File {
	if ld == nil {
		return nil
	}
	return ld.Sources[0].File
}

// sumOfAll is what the checksums in b make together.
func sumOfAll(b []byte) ltx.Checksum {
	all := ltx.ChecksumFlag
	for b = b[:len(b)-8]; len(b) > 0; b = b[8:] {
		var s ltx.Checksum
		for _, c := range b[:8] {
			s = s<<8 | ltx.Checksum(c)
		}
		all = ltx.ChecksumFlag | (all ^ s)
	}
	return all
}

// intact reports whether every page decodes to its checksum.
func intact(t *testing.T, f *File) bool {
	t.Helper()
	data := make([]byte, PageSize)
	for i, fr := range f.Frames {
		n, err := DecodeFrame(f.Raw[fr.Off:fr.Off+fr.Size], data)
		if err != nil || n != fr.Pgno || ChecksumPage(Page{Pgno: n, Data: data}) != f.Sums[i] {
			return false
		}
	}
	return true
}

func TestASnapshotWithoutChecksumsGetsThem(t *testing.T) {
	t.Parallel()
	l, b := newLog(t, Config{})
	st, f := snapshot(t, l)
	key := l.sumsKey(st.Lineage, f.Max)
	want, _, err := b.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if again, err := l.Snapshot(t.Context(), st.Lineage); err != nil || again.Max != f.Max {
		t.Fatalf("snapshot %v, %v", again, err)
	}
	if got, _, err := b.Get(t.Context(), key); err != nil || !bytes.Equal(got, want) {
		t.Errorf("checksums % x %v, want % x", got, err, want)
	}
}

func TestChecksumsExpireWithTheirSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, b := newLog(t, Config{})
		st, old := snapshot(t, l)
		time.Sleep(time.Second) // else the old snapshot would be as young as now
		st = set(t, l, st, 99)
		f, err := l.Snapshot(t.Context(), st.Lineage)
		if err == nil {
			err = l.VerifySnapshot(t.Context(), st.Lineage, f)
		}
		if err == nil {
			_, err = l.Expire(t.Context(), st.Lineage, f, Retention{})
		}
		if err != nil {
			t.Fatal(err)
		}
		infos, _, err := b.List(t.Context(), l.Root(st.Lineage)+"/sums/", "", 0)
		if err != nil || len(infos) != 1 || infos[0].Key != l.sumsKey(st.Lineage, f.Max) {
			t.Errorf("checksums %v %v, want those of %s alone; %s is gone", infos, err, f, old)
		}
	})
}

func FuzzDecodeSums(f *testing.F) {
	good := encodeSums(nil, []ltx.Checksum{ltx.ChecksumFlag | 3, ltx.ChecksumFlag | 5})
	f.Add(good, 2)
	f.Add(good[:8], 0)
	f.Add([]byte(strings.Repeat("x", 24)), -1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		sums, err := decodeSums(b, nil, n, ltx.ChecksumFlag|6)
		if err == nil && (len(sums) != n || !bytes.Equal(encodeSums(nil, sums), b)) {
			t.Errorf("% x of %d pages became %v", b, n, sums)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("error %v, want ErrCorrupt", err)
		}
	})
}

// TestAKilledExpiryLeavesNoChecksumsBehind: what deletes one object after the
// other may be killed between two, and finds the second only by the first.
func TestAKilledExpiryLeavesNoChecksumsBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _ := newLog(t, Config{})
		st, old := snapshot(t, l)
		time.Sleep(time.Second)
		st = set(t, l, st, 99)
		f, err := l.Snapshot(t.Context(), st.Lineage)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := l.oldFiles(t.Context(), st.Lineage, f, Retention{})
		if err != nil || slices.Index(keys, l.sumsKey(st.Lineage, old.Max)) > slices.Index(keys, l.Key(st.Lineage, old)) {
			t.Errorf("deletes %v %v, want the checksums before their snapshot", keys, err)
		}
	})
}

// TestTheHeaderOfASnapshotWithChecksumsIsVerified: its time is what the next
// commit's comes after.
func TestTheHeaderOfASnapshotWithChecksumsIsVerified(t *testing.T) {
	t.Parallel()
	for _, whole := range []int64{0, 1 << 30} {
		for at := range ltx.HeaderSize {
			l, b := newLog(t, Config{})
			st, f := snapshot(t, l)
			change(t, b, l.Key(st.Lineage, f), func(raw []byte) []byte { raw[at] ^= 4; return raw })
			if ld, err := l.Load(t.Context(), whole); err == nil {
				t.Errorf("whole %d, byte %d: loaded as of %d, want %d", whole, at, ld.State.Millis, st.Millis)
			}
		}
	}
}
