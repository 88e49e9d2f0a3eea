package logvfs

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/eino-qa/eino-qa/internal/objstore/mem"
	"github.com/eino-qa/eino-qa/internal/objstore/objstoretest"
)

func TestABlockIsReadFromTheStoreOnce(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	importFile(t, b, remote, bigDatabase(t, 8))
	folder := t.TempDir()
	sum := func(budget int64) (string, objstoretest.Usage) {
		disk, err := NewDisk(folder, budget) // as a process that starts again
		if err != nil {
			t.Fatal(err)
		}
		m := objstoretest.NewMeter(b, 0)
		db := openDB(t, m, Config{Log: remote, WholeBytes: -1, Cache: NewCache(1 << 20), Disk: disk})
		defer db.Close()
		m.Reset()
		got := read(t, db, "SELECT count(*) || ' ' || sum(length(body)) FROM doc")
		if disk.Bytes() > budget {
			t.Errorf("%d bytes on disk, want at most %d", disk.Bytes(), budget)
		}
		return got, m.Usage()
	}
	want, first := sum(64 << 20)
	if first.Out < 7<<20 {
		t.Errorf("first reading: %s", first)
	}
	if got, again := sum(64 << 20); got != want || again.Total() > 0 {
		t.Errorf("second reading: %s by %s, want %s by nothing", got, again, want)
	}
	// Damaged blocks, torn ones and those of others are read again.
	files, err := filepath.Glob(filepath.Join(folder, "*.block"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%d blocks, %v", len(files), err)
	}
	for i, name := range files[:6] {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			raw[i*1000] ^= 1
		} else {
			raw = raw[:len(raw)/2]
		}
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, again := sum(64 << 20); got != want || again.Total() == 0 || again.Out > 3<<20 {
		t.Errorf("after damage: %s by %s, want %s by a few reads", got, again, want)
	}
	if got, small := sum(2 << 20); got != want || small.Out < 5<<20 {
		t.Errorf("with a small budget: %s by %s, want %s", got, small, want)
	}
}

func TestAFullDiskIsDoneWithout(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	importFile(t, b, remote, bigDatabase(t, 2))
	folder := filepath.Join(t.TempDir(), "cache")
	disk, err := NewDisk(folder, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	db := openDB(t, b, Config{Log: remote, WholeBytes: -1, Cache: NewCache(1 << 20), Disk: disk})
	if err := os.RemoveAll(folder); err != nil { // every write fails from now on
		t.Fatal(err)
	}
	if got := read(t, db, "SELECT count(*) FROM doc"); got != "2048" {
		t.Errorf("%s rows, want 2048", got)
	}
	if done, err := db.Hydrate(context.Background()); !done || err != nil {
		t.Errorf("hydrate: %t %v", done, err)
	}
}
