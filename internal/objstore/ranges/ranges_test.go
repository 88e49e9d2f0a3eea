package ranges

import (
	"testing"
)

func TestHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		off, n int64
		want   string
	}{
		{0, 1, "bytes=0-0"},
		{5, 10, "bytes=5-14"},
		{-5, 2, "bytes=-5"},
		{7, 1<<63 - 1, "bytes=7-"},
		{-1 << 63, 1, "bytes=-9223372036854775807"},
		{1<<63 - 1, 1, "bytes=9223372036854775807-"},
	} {
		if got := Header(c.off, c.n); got != c.want {
			t.Errorf("Header(%d, %d) = %q, want %q", c.off, c.n, got, c.want)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/10", "bytes 3-3/10", "bytes */10", "bytes 9-3/10", "bytes 0-10/10", "", "bytes -1-2/3", "0-0/1", "bytes 0-0/99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start, size, err := parseContentRange(s)
		if err == nil && (start < 0 || size <= start) {
			t.Errorf("parseContentRange(%q) = %d of %d", s, start, size)
		}
	})
}
