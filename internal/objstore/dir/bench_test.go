package dir_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/eino-qa/eino-qa/internal/objstore/dir"
)

func benchBucket(b *testing.B) *dir.Bucket {
	bucket, err := dir.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { bucket.Close() })
	return bucket
}

// BenchmarkCreate is one commit of a chat turn: 8 KB, durable.
func BenchmarkCreate(b *testing.B) {
	bucket := benchBucket(b)
	data := bytes.Repeat([]byte("x"), 8<<10)
	i := 0
	for b.Loop() {
		i++
		if _, err := bucket.Create(b.Context(), fmt.Sprintf("t/acme/l1/ltx/0/%016d.ltx", i), bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGetYoung reads what was written within a minute, which may have to
// be made durable first.
func BenchmarkGetYoung(b *testing.B) {
	bucket := benchBucket(b)
	if _, err := bucket.Create(b.Context(), "t/acme/l1/ltx/0/1.ltx", bytes.NewReader(make([]byte, 8<<10))); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := bucket.Get(b.Context(), "t/acme/l1/ltx/0/1.ltx"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGetAbsent is what a warm turn asks: is there a newer commit?
func BenchmarkGetAbsent(b *testing.B) {
	bucket := benchBucket(b)
	for b.Loop() {
		if _, _, err := bucket.Get(b.Context(), "t/acme/l1/ltx/0/2.ltx"); err == nil {
			b.Fatal("there")
		}
	}
}

// BenchmarkListAfter lists what came after the newest of 2,000 commits.
func BenchmarkListAfter(b *testing.B) {
	bucket := benchBucket(b)
	for i := range 2000 {
		if _, err := bucket.Put(b.Context(), fmt.Sprintf("t/acme/l1/ltx/0/%016d.ltx", i), bytes.NewReader(nil)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, _, err := bucket.List(b.Context(), "t/acme/l1/ltx/0/", "t/acme/l1/ltx/0/0000000000001990.ltx", 100); err != nil {
			b.Fatal(err)
		}
	}
}
