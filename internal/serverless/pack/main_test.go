package main

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheSameBinaryMakesTheSameZip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := bytes.Repeat([]byte("binary"), 1000)
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	for i, p := range []string{one, two} {
		if err := os.WriteFile(p, want, os.FileMode(0o600+i*0o100)); err != nil {
			t.Fatal(err)
		}
		when := time.Unix(int64(i)*1e9, 0)
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	var zips [][]byte
	for _, p := range []string{one, two} {
		out := filepath.Join(dir, "dist", filepath.Base(p)+".zip")
		if err := pack(out, p); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		zips = append(zips, b)
	}
	if !bytes.Equal(zips[0], zips[1]) {
		t.Error("two zips of one binary differ")
	}
	r, err := zip.NewReader(bytes.NewReader(zips[0]), int64(len(zips[0])))
	if err != nil || len(r.File) != 1 || r.File[0].Name != "bootstrap" || r.File[0].Mode() != 0o755 {
		t.Fatalf("archive: %v, %+v", err, r)
	}
	f, err := r.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, want) {
		t.Errorf("bootstrap: %d bytes, %v", len(got), err)
	}
	if err := pack(filepath.Join(dir, "x.zip"), filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing binary is no error")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "dist", ".pack-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
