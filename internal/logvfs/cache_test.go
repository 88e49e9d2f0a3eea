package logvfs

import (
	"testing"

	"github.com/eino-qa/eino-qa/internal/objstore/mem"
)

// kept counts the pages of db that are in memory as they are.
func kept(db *DB) (n int) {
	db.im.current().pages.all(func(p *page) {
		if p.buf.Load() != nil {
			n++
		}
	})
	return n
}

func TestAFileStaysCompressedAndPagesAreKeptWhenAskedForAgain(t *testing.T) {
	t.Parallel()
	b := new(mem.Bucket)
	commit(t, openDB(t, b, Config{}), "CREATE TABLE k(v); WITH n(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM n WHERE i<40) INSERT INTO k SELECT zeroblob(3000)||i FROM n")
	cache := NewCache(1 << 20)
	db := openDB(t, b, Config{Cache: cache})
	pages := int(db.im.current().commit)
	if n, bytes := kept(db), cache.Bytes(); n != 0 || bytes == 0 || bytes > int64(pages)*pageBytes/4 {
		t.Errorf("after opening %d pages and %d bytes are in memory, want no page and a compressed file", n, bytes)
	}
	const all = "SELECT count(*) || ' ' || sum(length(v)) FROM k"
	first := read(t, db, all)
	if n := kept(db); n > 1 { // page 1 is read by parts
		t.Errorf("after the first reading %d pages of %d are kept, want 1 at most", n, pages)
	}
	db.Rest() // its connection had them, too
	if again := read(t, db, all); again != first {
		t.Errorf("read %q, then %q", first, again)
	}
	if n := kept(db); n < 40 {
		t.Errorf("after the second reading %d pages of %d are kept, want those of the table", n, pages)
	}
	cache.forget(db.im.current().pages)
	db.Rest()
	if again := read(t, db, all); again != first || cache.Bytes() == 0 {
		t.Errorf("with nothing in memory read %q, want %q", again, first)
	}
	if err := db.Close(); err != nil || cache.Bytes() != 0 {
		t.Errorf("after closing %d bytes are in memory, %v", cache.Bytes(), err)
	}
}
