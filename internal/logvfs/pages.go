package logvfs

import (
	"sync/atomic"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
)

// buffer is the content of one page. It is written once, before anybody else
// sees it, and never changed: readers hold it without a lock.
type buffer = [commitlog.PageSize]byte

// page is one version of one page. Its content is fixed; whether it is in
// memory and which file can be asked for it may change.
type page struct {
	pgno uint32
	sum  atomic.Uint64 // an ltx.Checksum of number and content; 0 = not yet known, because only an index was read
	ver  ltx.TXID      // the last commit of the file that brought it: written at or before ver
	loc  atomic.Pointer[location]
	buf  atomic.Pointer[buffer]
	place
}

func (p *page) size() int64 { return pageBytes }
func (p *page) drop()       { p.buf.Store(nil) } // a reader that has the buffer keeps it

// location is where a page can be read again.
type location struct {
	file *source
	off  int64
	size int64
}

// source is one file of the log, as far as its pages are concerned. One that
// was read whole stays in memory as it is, verified and compressed, as long as
// the cache has room: most of its pages are never asked for.
type source struct {
	info commitlog.FileInfo
	raw  atomic.Pointer[[]byte] // nil: to be read again
	place
}

func (s *source) size() int64 { return s.info.Size + pageBytes - commitlog.PageSize }
func (s *source) drop()       { s.raw.Store(nil) }

// chunkPages is how many pages share a chunk of a table: a commit copies the
// chunks it touches, 2 KiB each.
const chunkPages = 256

// table maps page numbers to versions. It is immutable; with makes another one
// that shares what did not change.
type table struct {
	chunks []*[chunkPages]*page
}

// get returns the version of pgno, nil for a page that nobody wrote: the lock page.
func (t table) get(pgno uint32) *page {
	i := int(pgno-1) / chunkPages
	if i >= len(t.chunks) || t.chunks[i] == nil {
		return nil
	}
	return t.chunks[i][int(pgno-1)%chunkPages]
}

// with returns the table of a database of commit pages in which changed
// replace what was there.
func (t table) with(changed []*page, commit uint32) table {
	n := (int(commit) + chunkPages - 1) / chunkPages
	next := table{chunks: make([]*[chunkPages]*page, n)}
	copy(next.chunks, t.chunks)
	own := make(map[int]bool, len(changed))
	chunk := func(i int) *[chunkPages]*page {
		if !own[i] {
			c := new([chunkPages]*page)
			if next.chunks[i] != nil {
				*c = *next.chunks[i]
			}
			next.chunks[i], own[i] = c, true
		}
		return next.chunks[i]
	}
	for _, p := range changed {
		i := int(p.pgno - 1)
		chunk(i / chunkPages)[i%chunkPages] = p
	}
	// A later growth must not find what was cut off here.
	if rest := int(commit) % chunkPages; rest != 0 && n > 0 && next.chunks[n-1] != nil {
		tail := next.chunks[n-1][rest:]
		for i, p := range tail {
			if p != nil {
				chunk(n - 1)[rest+i] = nil
			}
		}
	}
	return next
}

// all calls f for every page.
func (t table) all(f func(*page)) {
	for _, c := range t.chunks {
		if c == nil {
			continue
		}
		for _, p := range c {
			if p != nil {
				f(p)
			}
		}
	}
}

// view is the database after one commit. It is immutable.
type view struct {
	state  commitlog.State
	commit uint32 // pages
	pages  table
}

// apply returns the view after f, where f's pages are, and the pages. Of f only
// header and frames may be known.
func (v *view) apply(f *commitlog.File, st commitlog.State, info commitlog.FileInfo) (*view, *source, []page) {
	src := &source{info: info}
	if f.Raw != nil {
		raw := f.Raw // alone: a pointer into f would keep all of it
		src.raw.Store(&raw)
		src.info.Size = int64(len(f.Raw))
	}
	pages := make([]page, len(f.Frames))
	locs := make([]location, len(f.Frames))
	changed := make([]*page, len(f.Frames))
	for i, fr := range f.Frames {
		locs[i] = location{src, fr.Off, fr.Size}
		pages[i].pgno, pages[i].ver = fr.Pgno, src.info.Max
		if f.Sums != nil {
			pages[i].sum.Store(uint64(f.Sums[i]))
		}
		pages[i].loc.Store(&locs[i])
		changed[i] = &pages[i]
	}
	return &view{state: st, commit: f.Header.Commit, pages: v.pages.with(changed, f.Header.Commit)}, src, pages
}

// applyCommit is apply for a single commit.
func (v *view) applyCommit(f *commitlog.File, st commitlog.State) (*view, *source) {
	next, src, _ := v.apply(f, st, commitlog.FileInfo{Level: commitlog.LevelCommit, Min: f.Header.MinTXID, Max: f.Header.MaxTXID})
	return next, src
}
