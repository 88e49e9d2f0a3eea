package logvfs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/objstore"
)

// image is what this process knows of one lineage: the newest confirmed view
// and where to read its pages. A lineage that ends, or a position that fell
// behind the boundary, gets a new image; the old one is then dead.
type image struct {
	log   *commitlog.Log
	cache *Cache
	disk  *Disk // may be nil
	head  commitlog.Head
	lazy  bool // of some pages the checksum was not known at the open; see verified
	near  near

	mu       sync.Mutex
	cur      *view
	boundary commitlog.Boundary // cur is confirmed against it
	checked  time.Time          // when that was, by the wall clock: the other one stops with a frozen instance
	flights  map[flight]chan struct{}
	hyd      hydration
}

// flight is one read of a file's window that others wait for.
type flight struct {
	file *source
	win  int64
}

// newImage makes an image from what Load read.
func newImage(log *commitlog.Log, cache *Cache, disk *Disk, ld *commitlog.Loaded) (*image, error) {
	im := &image{log: log, cache: cache, disk: disk, head: ld.Head, boundary: ld.State.Boundary, flights: map[flight]chan struct{}{}, hyd: hydration{turn: make(chan struct{}, 1)}}
	v := &view{}
	var files []*source
	var begun []*page
	for _, s := range ld.Sources {
		f := s.File
		if f == nil {
			im.lazy = im.lazy || s.Sums == nil
			f = &commitlog.File{Header: s.Header, Frames: s.Frames, Sums: s.Sums}
		}
		next, src, pages := v.apply(f, commitlog.State{}, s.Info)
		v = next
		switch {
		case s.File != nil:
			files = append(files, src)
		default:
			begun = append(begun, decodeBegin(pages, s.Begin)...)
		}
	}
	v.state = ld.State
	im.cur, im.checked = v, time.Now().Round(0)
	if !im.lazy {
		if err := v.verify(); err != nil {
			return nil, err
		}
	}
	// What a later file replaced is of no use.
	live := map[*source]bool{}
	var last *source // most pages come from the file that their neighbour comes from
	v.pages.all(func(p *page) {
		if f := p.loc.Load().file; f != last {
			live[f], last = true, f
		}
	})
	for _, f := range files {
		if live[f] {
			cache.add(f)
		}
	}
	for _, p := range begun {
		if v.pages.get(p.pgno) == p {
			cache.add(p)
		}
	}
	return im, nil
}

// decodeBegin decodes the pages that begin, the first bytes of their file, has
// whole, and returns them.
func decodeBegin(pages []page, begin []byte) (decoded []*page) {
	for i := range pages {
		p := &pages[i]
		l := p.loc.Load()
		if l.off+l.size > int64(len(begin)) {
			break
		}
		// A broken frame is met again, and reported, when it is needed.
		if b, err := p.decode(begin[l.off : l.off+l.size]); err == nil {
			p.buf.Store(b)
			decoded = append(decoded, p)
		}
	}
	return decoded
}

// verify computes the database checksum of a view whose pages are all in memory.
func (v *view) verify() error {
	sum, lock := ltx.ChecksumFlag, ltx.LockPgno(commitlog.PageSize)
	for n := uint32(1); n <= v.commit; n++ {
		if n == lock {
			continue
		}
		p := v.pages.get(n)
		if p == nil {
			return fmt.Errorf("page %d is in no file: %w", n, commitlog.ErrCorrupt)
		}
		sum = ltx.ChecksumFlag | (sum ^ ltx.Checksum(p.sum.Load()))
	}
	if sum != v.state.Checksum {
		return fmt.Errorf("database checksum %s after commit %d, want %s: %w", sum, v.state.TXID, v.state.Checksum, commitlog.ErrCorrupt)
	}
	return nil
}

// current returns the newest confirmed view.
func (im *image) current() *view {
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.cur
}

// stateOf returns v's state with the newest boundary that holds for it.
func (im *image) stateOf(v *view) commitlog.State {
	im.mu.Lock()
	defer im.mu.Unlock()
	st := v.state
	if im.boundary.Generation > st.Boundary.Generation && im.boundary.TXID <= st.TXID {
		st.Boundary = im.boundary
	}
	return st
}

// publish makes v current unless something newer is, and remembers the
// boundary it was confirmed against.
func (im *image) publish(v *view, b commitlog.Boundary) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if v.state.TXID > im.cur.state.TXID {
		im.cur = v
	}
	if b.Generation > im.boundary.Generation {
		im.boundary = b
	}
	im.checked = time.Now().Round(0)
}

// age is how long ago the image was last known to be up to date.
func (im *image) age() time.Duration {
	im.mu.Lock()
	defer im.mu.Unlock()
	return time.Now().Round(0).Sub(im.checked)
}

// advance applies commits to v. They enter the cache at once; their pages are
// visible to nobody before the view is published.
func (im *image) advance(v *view, files []*commitlog.File) *view {
	for _, f := range files {
		st := im.stateOf(v)
		st.TXID, st.Checksum, st.Millis = f.Header.MaxTXID, f.Post, f.Header.Timestamp
		next, src := v.applyCommit(f, st)
		im.cache.add(src)
		v = next
	}
	return v
}

// read returns the content of page n of v; nil is a page of zeros.
func (im *image) read(ctx context.Context, v *view, n uint32) (*buffer, error) {
	p := v.pages.get(n)
	if p == nil {
		return nil, nil
	}
	if b := p.buf.Load(); b != nil {
		p.use()
		return b, nil
	}
	return im.fetch(ctx, p)
}

// readOnce reads page n of v into data, without keeping it, if nobody asked for
// the page yet: SQLite has it then, and most are never asked for again. Its
// file is in memory, or ranges of it cost little. Whatever is not as usual is
// left to read.
func (im *image) readOnce(ctx context.Context, v *view, n uint32, data []byte) bool {
	p := v.pages.get(n)
	if p == nil || p.buf.Load() != nil || p.used.Swap(true) {
		return false
	}
	loc := p.loc.Load()
	if raw := loc.file.raw.Load(); raw != nil {
		loc.file.use()
		return p.decodeInto(data, (*raw)[loc.off:loc.off+loc.size]) == nil
	}
	if p.sum.Load() == 0 {
		return false
	}
	done, err := im.readNear(ctx, p, loc, data)
	return done && err == nil
}

// window is how much of a file one read brings: neighbours are likely wanted
// next, and a round trip costs as much as 64 KiB (facts/storage.md §4.5:
// read-ahead of 64 pages).
const window = 64 << 10

// fetch reads p from its file: from memory, or from the store with its neighbours.
func (im *image) fetch(ctx context.Context, p *page) (*buffer, error) {
	for tries := 0; ; {
		loc := p.loc.Load()
		if raw := loc.file.raw.Load(); raw != nil {
			loc.file.use()
			b, err := p.decode((*raw)[loc.off : loc.off+loc.size])
			if err == nil {
				p.buf.Store(b)
				im.cache.add(p)
			}
			return b, err
		}
		fl := flight{loc.file, loc.off / window}
		im.mu.Lock()
		wait, busy := im.flights[fl]
		if !busy {
			wait = make(chan struct{})
			im.flights[fl] = wait
		}
		im.mu.Unlock()
		if busy {
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if b := p.buf.Load(); b != nil {
				return b, nil
			}
			continue // it failed there, or was evicted at once
		}
		b, err := im.fetchPart(ctx, p, loc)
		im.mu.Lock()
		delete(im.flights, fl)
		im.mu.Unlock()
		close(wait)
		missing, damaged := errors.Is(err, objstore.ErrNotExist), errors.Is(err, commitlog.ErrCorrupt)
		if !missing && !damaged {
			return b, err
		}
		// Its file expired, and maybe a late write took its name: a newer
		// file has the same version.
		bound, rerr := im.rebase(ctx)
		if rerr != nil {
			return nil, rerr
		}
		if tries++; p.loc.Load() == loc || tries > 3 {
			// This view is older than the newest whole database.
			late := loc.file.info.Level == commitlog.LevelCommit && loc.file.info.Max <= bound.TXID
			if missing || late {
				err = fmt.Errorf("page %d: %w: %w", p.pgno, commitlog.ErrStale, err)
			}
			return nil, err
		}
	}
}

// readRange reads part of a file, by way of the disk if it may be kept there:
// single commits may not, their slots can be filled twice.
func (im *image) readRange(ctx context.Context, f commitlog.FileInfo, off, n int64) ([]byte, error) {
	fetch := func(ctx context.Context, off, n int64) ([]byte, error) {
		return im.log.ReadRange(ctx, im.head.Lineage, f, off, n)
	}
	if im.disk == nil || f.Level == commitlog.LevelCommit && f.Max > 1 {
		return fetch(ctx, off, n)
	}
	return im.disk.read(ctx, im.log.Key(im.head.Lineage, f), f.Size, off, n, fetch)
}

// fetchPart reads p, and its neighbours where that costs a round trip.
func (im *image) fetchPart(ctx context.Context, p *page, loc *location) (*buffer, error) {
	b := new(buffer)
	done, err := im.readNear(ctx, p, loc, b[:])
	if !done {
		return im.fetchWindow(ctx, p, loc)
	}
	if err == nil {
		err = p.keep(b)
	}
	if err != nil {
		return nil, err
	}
	im.cache.add(p)
	return b, nil
}

// fetchWindow reads from p's frame to the end of a window and keeps every
// page of the current view that it finds there.
func (im *image) fetchWindow(ctx context.Context, p *page, loc *location) (*buffer, error) {
	n := min(max(window, loc.size), loc.file.info.Size-loc.off)
	raw, err := im.readRange(ctx, loc.file.info, loc.off, n)
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) < loc.size {
		return nil, fmt.Errorf("page %d of %s: file ends early: %w", p.pgno, loc.file.info, commitlog.ErrCorrupt)
	}
	b, err := p.decode(raw[:loc.size])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", loc.file.info, err)
	}
	if err := p.keep(b); err != nil {
		return nil, fmt.Errorf("%s: %w", loc.file.info, err)
	}
	got := []cached{p}
	cur := im.current()
	for pgno, at := p.pgno, loc.size; ; {
		q := cur.pages.get(pgno + 1)
		if q == nil {
			break
		}
		l := q.loc.Load()
		if l.file != loc.file || l.off != loc.off+at || at+l.size > int64(len(raw)) {
			break
		}
		if q.buf.Load() == nil {
			qb, err := q.decode(raw[at : at+l.size])
			if err == nil {
				err = q.keep(qb)
			}
			if err != nil {
				break // reported when it is needed
			}
			got = append(got, q)
		}
		pgno, at = q.pgno, at+l.size
	}
	im.cache.add(got...)
	return b, nil
}

// decode reads p from its frame.
func (p *page) decode(frame []byte) (*buffer, error) {
	b := new(buffer)
	if err := p.decodeInto(b[:], frame); err != nil {
		return nil, err
	}
	return b, nil
}

// decodeInto reads p from its frame into data and checks that it is p.
func (p *page) decodeInto(data, frame []byte) error {
	pgno, err := commitlog.DecodeFrame(frame, data)
	if err != nil {
		return fmt.Errorf("page %d: %w", p.pgno, err)
	}
	if sum := ltx.Checksum(p.sum.Load()); pgno != p.pgno || sum != 0 && sum != commitlog.ChecksumPage(commitlog.Page{Pgno: pgno, Data: data}) {
		return fmt.Errorf("page %d: is page %d or another version: %w", p.pgno, pgno, commitlog.ErrCorrupt)
	}
	return nil
}

// rebase finds the pages of the current view in files that exist now. A page
// written at or before the end of a newer file that reaches no further than
// this view is in that file unchanged. It returns the boundary that the plan
// was made with.
func (im *image) rebase(ctx context.Context) (b commitlog.Boundary, err error) {
	const pagesOnly = 0
	v := im.current()
	ld, err := im.log.LoadAt(ctx, im.head, 0, pagesOnly)
	var sealed *commitlog.SealedError
	if err != nil && !errors.As(err, &sealed) {
		return b, err
	}
	for _, s := range ld.Sources {
		if s.Info.Max > v.state.TXID {
			break
		}
		src := &source{info: s.Info}
		locs := make([]location, len(s.Frames))
		for i, fr := range s.Frames {
			if p := v.pages.get(fr.Pgno); p != nil && p.ver <= s.Info.Max {
				locs[i] = location{src, fr.Off, fr.Size}
				p.loc.Store(&locs[i])
			}
		}
	}
	return ld.State.Boundary, nil
}

// close gives the image's memory back.
func (im *image) close() {
	im.cache.forget(im.current().pages)
	im.near.close()
}
