package commitlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Plan is a chain of files that makes a database: the first is whole, each
// next one continues the one before.
type Plan struct {
	Lineage Lineage
	Files   []FileInfo
	past    bool     // it leads to a chosen commit, not to the newest
	known   Boundary // before the levels were listed
	listed  uint64   // the newest boundary generation in the listing
}

// End is the commit that the plan leads to.
func (p *Plan) End() ltx.TXID { return p.Files[len(p.Files)-1].Max }

// Bytes is the size of all files.
func (p *Plan) Bytes() (n int64) {
	for _, f := range p.Files {
		n += f.Size
	}
	return n
}

// ErrNoPlan means that no chain of files leads to the wanted commit.
var ErrNoPlan = errors.New("commit cannot be restored")

// plan lists every level and chains the files up to commit to, or to the
// newest if to is 0. Commits up to floor are taken from higher levels only.
func (l *Log) plan(ctx context.Context, lin Lineage, to ltx.TXID, floor Boundary) (*Plan, error) {
	levels := [...]int{LevelSnapshot, 3, 2, 1, LevelCommit}
	var lists [len(levels)][]FileInfo
	var more [len(levels)]bool
	var gen uint64
	g, gctx := l.group(ctx, 2)
	g.Go(func() error {
		infos, _, err := l.list(gctx, l.gcPrefix(lin), l.gcKey(lin, floor.Generation), 0)
		gen = lastGeneration(infos)
		return err
	})
	list := func(i int, after string) {
		g.Go(func() error {
			infos, m, err := l.list(gctx, l.levelPrefix(lin, levels[i]), after, 1)
			lists[i], more[i] = parseFiles(levels[i], infos), m
			return err
		})
	}
	// next is where the listing of a level begins that goes on from those above.
	next := func(i int, above ...[]FileInfo) string {
		p, _ := chain(slices.Concat(above...), to, floor.TXID)
		after := FileInfo{Level: levels[i], Min: 1}
		if n := len(p); n > 0 {
			w := l.levelWidth(levels[i])
			after.Min = p[n-1].Max/w*w + 1 // of the file that holds the next commit
		}
		after.Max = after.Min - 1 // sorts before that file
		return l.Key(lin, after)
	}
	list(0, "")
	from := func(int) string { return "" }
	if l.cfg.Layout == Folder { // it takes its time by the entry, and most are older than the snapshot
		if err := g.Wait(); err != nil {
			return nil, err
		}
		g, gctx = l.group(ctx, len(levels)-1)
		from = func(i int) string { return next(i, lists[0]) }
	}
	for i := 1; i < len(levels); i++ {
		list(i, from(i))
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	// A level with more than a page is listed again from where the levels
	// above it end; the first page was only a guess.
	for i, level := range levels {
		if !more[i] {
			continue
		}
		infos, _, err := l.list(ctx, l.levelPrefix(lin, level), next(i, lists[:i]...), 0)
		if err != nil {
			return nil, err
		}
		lists[i] = append(lists[i], parseFiles(level, infos)...)
	}
	files, end := chain(slices.Concat(lists[:]...), to, floor.TXID)
	if to == 0 && beyond(slices.Concat(lists[:]...), floor.TXID, end) {
		return nil, fmt.Errorf("%s: commit %d is missing: %w", l.Root(lin), end+1, errGap)
	}
	if len(files) == 0 || to != 0 && end != to {
		return nil, fmt.Errorf("%s: commits end at %d, want %d: %w", l.Root(lin), end, to, ErrNoPlan)
	}
	return &Plan{Lineage: lin, Files: files, past: to != 0, known: floor, listed: gen}, nil
}

// errGap means that there are commits behind one that is missing. Listings of
// several levels are not taken at one moment, so an expiry in between looks
// like that too; a second look tells.
var errGap = errors.New("gap in the log")

// beyond reports whether any usable file reaches past end.
func beyond(files []FileInfo, floor, end ltx.TXID) bool {
	return slices.ContainsFunc(files, func(f FileInfo) bool {
		return f.Max > end && (f.Level != LevelCommit || f.Max > floor)
	})
}

// chain picks from files the shortest chain to commit to (0 = the newest):
// the newest whole database, then always the file that reaches furthest.
// Single commits up to floor are ignored: a late write may stand there.
func chain(files []FileInfo, to, floor ltx.TXID) (picked []FileInfo, end ltx.TXID) {
	usable := func(f FileInfo) bool {
		return (to == 0 || f.Max <= to) && (f.Level != LevelCommit || f.Max > floor)
	}
	for {
		best := -1
		for i, f := range files {
			if !usable(f) || f.Min > end+1 || f.Max <= end || len(picked) == 0 && f.Min != 1 {
				continue
			}
			if best < 0 || f.Max > files[best].Max || f.Max == files[best].Max && f.Level > files[best].Level {
				best = i
			}
		}
		if best < 0 {
			return picked, end
		}
		picked, end = append(picked, files[best]), files[best].Max
	}
}

// confirm reads the boundaries that p did not know and says whether p may be
// used; if not, it returns the boundary to plan with.
func (l *Log) confirm(ctx context.Context, p *Plan) (Boundary, bool, error) {
	b := p.known
	b.Generation = max(b.Generation, p.listed)
	g, gctx := l.group(ctx, 2) // the listed one and its successor at once
	listed := p.known
	if p.listed > p.known.Generation {
		g.Go(func() (err error) {
			return l.retry(gctx, func() error {
				listed, err = l.readBoundary(gctx, p.Lineage, p.listed)
				return err
			})
		})
	}
	g.Go(func() (err error) { b, err = l.advance(gctx, p.Lineage, b); return err })
	if err := g.Wait(); err != nil {
		return b, false, err
	}
	if b.Generation == listed.Generation {
		b = listed
	}
	for _, f := range p.Files {
		if f.Level == LevelCommit && f.Max <= b.TXID {
			return b, false, nil
		}
	}
	return b, p.past || p.End() > b.TXID, nil
}

// Source is one file of a loaded plan: whole, or only its ends.
type Source struct {
	Info   FileInfo
	Header ltx.Header
	Post   ltx.Checksum
	Frames []Frame
	File   *File          // nil if only the ends were read; Header, Post and Frames are then unverified
	Sums   []ltx.Checksum // of the pages of a file that is not whole, parallel to Frames; nil if unknown
	Begin  []byte         // its first bytes
}

// Loaded is a database as of State: apply Sources in order.
type Loaded struct {
	Head    Head
	State   State
	Sources []*Source
}

// Load reads the newest state of the tenant. Databases whose files have up to
// whole bytes are read completely, of larger ones only the page indexes of the
// large files; and in a folder, where a range costs little, of every snapshot
// the checksums of whose pages are known. What is read is verified, except such
// pages: who decodes one compares. A deleted tenant is ErrDeleted. It follows
// seals.
func (l *Log) Load(ctx context.Context, whole int64) (*Loaded, error) {
	h, err := l.Head(ctx)
	for {
		if err != nil {
			return nil, err
		}
		if h.Deleted {
			return nil, fmt.Errorf("%s: %w", l.prefix, ErrDeleted)
		}
		ld, lerr := l.LoadAt(ctx, h, 0, whole)
		if sealed, ok := errors.AsType[*SealedError](lerr); ok {
			h, err = l.Follow(ctx, h.Generation, h.Lineage, ld.State.TXID, sealed.Seal)
			continue
		}
		// A lineage may be retired between reading the head and its files.
		if errors.Is(lerr, ErrStale) || errors.Is(lerr, ErrNoPlan) {
			if now, herr := l.HeadAfter(ctx, h.Generation); herr == nil && now.Generation > h.Generation {
				h = now
				continue
			}
		}
		return ld, lerr
	}
}

// LoadAt reads lineage h.Lineage as of commit to, or its newest if to is 0. If
// the newest is a seal, the error is a *SealedError and the state that of the seal.
func (l *Log) LoadAt(ctx context.Context, h Head, to ltx.TXID, whole int64) (*Loaded, error) {
	var floor Boundary
	const tries = 8 // each needs a boundary or an expiry in between, which come once in hours
	var err error
	for range tries {
		var p *Plan
		p, err = l.plan(ctx, h.Lineage, to, floor)
		if errors.Is(err, errGap) {
			if floor, err = l.Boundary(ctx, h.Lineage); err != nil {
				return nil, err
			}
			err = fmt.Errorf("%s: a commit is missing: %w", l.Root(h.Lineage), ErrCorrupt)
			continue
		}
		if err != nil {
			return nil, err
		}
		var srcs []*Source
		var ok bool
		var b Boundary
		g, gctx := l.group(ctx, 2)
		var rerr error
		g.Go(func() error { srcs, rerr = l.readPlan(gctx, p, whole); return nil })
		g.Go(func() (err error) { b, ok, err = l.confirm(gctx, p); return err })
		if err = g.Wait(); err != nil {
			return nil, err
		}
		if b.Retired() {
			return nil, fmt.Errorf("%s is retired: %w", l.Root(h.Lineage), ErrStale)
		}
		if !ok || errors.Is(rerr, objstore.ErrNotExist) {
			floor, err = b, fmt.Errorf("files of %s: %w", l.Root(h.Lineage), errors.Join(ErrStale, rerr))
			continue
		}
		if rerr != nil {
			return nil, rerr
		}
		return l.loaded(h, to, b, srcs)
	}
	if errors.Is(err, ErrCorrupt) {
		err = l.alarm(err)
	}
	return nil, err
}

// loaded checks that the sources continue each other.
func (l *Log) loaded(h Head, to ltx.TXID, b Boundary, srcs []*Source) (*Loaded, error) {
	for i := 1; i < len(srcs); i++ {
		prev, s := srcs[i-1], srcs[i]
		if s.Header.MinTXID == prev.Header.MaxTXID+1 && s.Header.PreApplyChecksum != prev.Post && l.cfg.Has(GuardChain) {
			return nil, l.alarm(fmt.Errorf("%s after %s of %s: %w", s.Info, prev.Info, l.Root(h.Lineage), ErrFork))
		}
	}
	last := srcs[len(srcs)-1]
	ld := &Loaded{Head: h, Sources: srcs, State: State{
		Generation: h.Generation, Lineage: h.Lineage, Boundary: b,
		TXID: last.Header.MaxTXID, Checksum: last.Post, Millis: last.Header.Timestamp,
	}}
	if s, ok := sealOf(last.Header); ok && to == 0 && l.cfg.Has(GuardSeal) {
		return ld, &SealedError{Seal: s}
	}
	return ld, nil
}

// readPlan reads the files of p at once.
func (l *Log) readPlan(ctx context.Context, p *Plan, whole int64) ([]*Source, error) {
	const small = 1 << 20 // files of a lazy database up to here are read whole: one read instead of many
	all := p.Bytes() <= whole
	srcs := make([]*Source, len(p.Files))
	g, gctx := l.group(ctx, len(p.Files))
	for i, f := range p.Files {
		g.Go(func() (err error) {
			// A commit may expire and its slot be taken by a late write: its
			// pages are known by their content. The first is never late.
			switch {
			case f.Size <= small || f.Level == LevelCommit && f.Max > 1:
			case !all:
				srcs[i], err = l.readEnds(gctx, p.Lineage, f)
				return err
			case l.Near() && f.Level == LevelSnapshot:
				if srcs[i], err = l.readEnds(gctx, p.Lineage, f); err != nil || srcs[i].Sums != nil {
					return err
				}
			}
			srcs[i], err = l.readWhole(gctx, p.Lineage, f)
			return err
		})
	}
	return srcs, g.Wait()
}

// ReadFile reads and verifies one whole file.
func (l *Log) ReadFile(ctx context.Context, lin Lineage, f FileInfo) (*File, error) {
	raw, err := l.readRaw(ctx, lin, f)
	if err != nil {
		return nil, err
	}
	return l.decode(lin, f, raw)
}

func (l *Log) decode(lin Lineage, f FileInfo, raw []byte) (*File, error) {
	file, err := Decode(raw)
	if err == nil {
		err = f.matches(file.Header)
	}
	if err != nil {
		return nil, l.alarm(fmt.Errorf("%s of %s: %w", f, l.Root(lin), err))
	}
	return file, nil
}

func (l *Log) readRaw(ctx context.Context, lin Lineage, f FileInfo) (raw []byte, err error) {
	err = l.retry(ctx, func() (err error) {
		if f.Size < 32<<20 { // half of what Bucket.Get promises
			raw, _, err = l.get(ctx, l.Key(lin, f))
			return err
		}
		r, info, err := l.bucket.Open(ctx, l.Key(lin, f), 0)
		if err != nil {
			return fmt.Errorf("open %s: %w", f, err)
		}
		defer r.Close()
		raw = make([]byte, info.Size)
		_, err = io.ReadFull(r, raw)
		return err
	})
	return raw, err
}

func (f FileInfo) matches(h ltx.Header) error {
	if h.MinTXID != f.Min || h.MaxTXID != f.Max {
		return corrupt("holds commits %d to %d", h.MinTXID, h.MaxTXID)
	}
	return nil
}

// readWhole reads a whole file. The pages of one whose checksums are known are
// left to who needs them.
func (l *Log) readWhole(ctx context.Context, lin Lineage, f FileInfo) (*Source, error) {
	var raw, sums []byte
	g, gctx := l.group(ctx, 2)
	if f.Level == LevelSnapshot {
		g.Go(func() error { sums = l.sumsOf(gctx, lin, f); return nil })
	}
	g.Go(func() (err error) { raw, err = l.readRaw(gctx, lin, f); return err })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var file *File
	var err error
	if sums != nil {
		if file, err = withSums(raw, sums); err == nil {
			err = f.matches(file.Header)
		}
		if err != nil { // whose fault it is shows below
			file, _ = nil, l.alarm(fmt.Errorf("checksums beside %s of %s: %w", f, l.Root(lin), err))
		}
	}
	if file == nil {
		if file, err = l.decode(lin, f, raw); err != nil {
			return nil, err
		}
	}
	return &Source{Info: f, Header: file.Header, Post: file.Post, Frames: file.Frames, File: file}, nil
}

// readEnds reads the beginning and the page index of a large file.
func (l *Log) readEnds(ctx context.Context, lin Lineage, f FileInfo) (*Source, error) {
	begin, guess := int64(64<<10), int64(64<<10) // page 1 and the schema behind it, most likely
	if l.Near() {
		begin, guess = ltx.HeaderSize, 4<<10
	}
	s := &Source{Info: f}
	g, gctx := l.group(ctx, 3)
	g.Go(func() (err error) {
		s.Begin, err = l.ReadRange(gctx, lin, f, 0, begin)
		return err
	})
	var t Tail
	g.Go(func() error {
		// An entry has about 9 bytes: a 256th part holds the index where
		// pages compress to half; otherwise the first read says how much.
		need := f.Size/256 + guess
		for need > 0 {
			tail, err := l.ReadRange(gctx, lin, f, -min(need, f.Size), min(need, f.Size))
			if err != nil {
				return err
			}
			if t, need, err = ParseTail(tail, f.Size); err != nil {
				return l.alarm(fmt.Errorf("%s of %s: %w", f, l.Root(lin), err))
			}
		}
		return nil
	})
	var sums []byte
	if f.Level == LevelSnapshot {
		g.Go(func() error { sums = l.sumsOf(gctx, lin, f); return nil })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var err error
	if s.Header, err = ParseHeader(s.Begin); err == nil {
		err = f.matches(s.Header)
	}
	if err != nil {
		return nil, l.alarm(fmt.Errorf("%s of %s: %w", f, l.Root(lin), err))
	}
	s.Post, s.Frames = t.Post, t.Frames
	if sums != nil {
		if s.Sums, err = decodeSums(sums, s.Begin[:ltx.HeaderSize], len(t.Frames), t.Post); err != nil {
			_ = l.alarm(fmt.Errorf("checksums beside %s of %s: %w", f, l.Root(lin), err))
		}
	}
	return s, nil
}

// ReadRange reads n bytes of f from off; a negative off counts from the end.
func (l *Log) ReadRange(ctx context.Context, lin Lineage, f FileInfo, off, n int64) (b []byte, err error) {
	err = l.retry(ctx, func() error {
		b, _, err = l.getRange(ctx, l.Key(lin, f), off, n)
		return err
	})
	return b, err
}

// OpenFile opens f for reading from its beginning. Of a store that is near the
// reader is an io.ReaderAt as well, unless the store encrypts.
func (l *Log) OpenFile(ctx context.Context, lin Lineage, f FileInfo) (io.ReadCloser, error) {
	r, _, err := l.bucket.Open(ctx, l.Key(lin, f), 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f, err)
	}
	return r, nil
}
