package commitlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// origin is <lineage>/origin, the first object of every lineage: it may become
// the pointer after generation After, so it is dead once that pointer exists
// and names another. Orphans are told apart by it, without a clock.
type origin struct {
	After uint64 `json:"after"`
}

func (l *Log) originKey(lin Lineage) string { return l.Root(lin) + "/origin" }

// begin makes a new lineage that may follow pointer generation after.
func (l *Log) begin(ctx context.Context, lin Lineage, after uint64) error {
	body, err := json.Marshal(origin{After: after})
	if err != nil {
		return fmt.Errorf("encode origin: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.CommitTimeout)
	defer cancel()
	if _, err = l.claim(ctx, l.originKey(lin), body, nil); err != nil && !(errors.Is(err, ErrConflict) && !l.cfg.Has(GuardLineage)) {
		return fmt.Errorf("begin lineage: %w", err)
	}
	return nil
}

// emptyPage is page 1 of an empty database, as SQLite 3 would write it.
func emptyPage() []byte {
	p := make([]byte, PageSize)
	copy(p, "SQLite format 3\x00")
	binary.BigEndian.PutUint16(p[16:], PageSize)
	p[18], p[19] = 1, 1                   // rollback journal
	p[21], p[22], p[23] = 64, 32, 32      // payload fractions, fixed by the format
	binary.BigEndian.PutUint32(p[24:], 1) // change counter
	binary.BigEndian.PutUint32(p[28:], 1) // pages
	binary.BigEndian.PutUint32(p[44:], 4) // schema format
	binary.BigEndian.PutUint32(p[56:], 1) // UTF-8
	binary.BigEndian.PutUint32(p[92:], 1) // counter for which the page count is valid
	p[100] = 0x0d                         // empty table leaf: sqlite_schema
	binary.BigEndian.PutUint16(p[105:], PageSize)
	return p
}

// bootstrap writes the first commit of an empty database. Its bytes are the
// same everywhere and always; its time is 0, before every restore point.
func (l *Log) bootstrap(ctx context.Context, lin Lineage, after uint64) error {
	if err := l.begin(ctx, lin, after); err != nil {
		return err
	}
	p := Page{1, emptyPage()}
	f, err := Encode(ltx.Header{Version: ltx.Version, PageSize: PageSize, Commit: 1, MinTXID: 1, MaxTXID: 1},
		[]Page{p}, XorChecksum(ltx.ChecksumFlag, p))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.CommitTimeout)
	defer cancel()
	if _, err = l.claim(ctx, l.slotKey(lin, 1), f.Raw, nil); err != nil {
		return fmt.Errorf("write first commit: %w", err)
	}
	return nil
}

// Fork builds a new lineage, not live yet, whose first commit is from as of
// commit at. It may become the pointer after generation after: see Swap.
func (l *Log) Fork(ctx context.Context, after uint64, from Lineage, at ltx.TXID) (Lineage, error) {
	lin := l.newLineage()
	if err := l.begin(ctx, lin, after); err != nil {
		return "", err
	}
	b, err := l.Boundary(ctx, from)
	if err != nil {
		return "", err
	}
	p, err := l.plan(ctx, from, at, b)
	if err != nil {
		return "", err
	}
	m, err := l.openMerge(ctx, from, p.Files)
	if err != nil {
		return "", err
	}
	defer m.Close()
	body := &spool{dir: l.cfg.TempDir}
	defer body.Close()
	h := m.Header
	h.MinTXID, h.MaxTXID, h.PreApplyChecksum = 1, 1, 0
	h.Timestamp = max(h.Timestamp+1, l.storeMillis())
	if _, err := m.writeFile(ctx, h, body); err != nil {
		return "", fmt.Errorf("fork %s at %d: %w", l.Root(from), at, err)
	}
	if _, ok, err := l.confirm(ctx, p); err != nil || !ok {
		return "", fmt.Errorf("fork %s at %d: %w", l.Root(from), at, errors.Join(ErrStale, err))
	}
	return lin, l.putFirst(ctx, lin, body.reader())
}

// Import builds a new lineage, not live yet, from a plain SQLite file of size
// bytes with 4 KiB pages.
func (l *Log) Import(ctx context.Context, after uint64, db io.ReaderAt, size int64) (Lineage, error) {
	lin := l.newLineage()
	if err := l.begin(ctx, lin, after); err != nil {
		return "", err
	}
	body := &spool{dir: l.cfg.TempDir}
	defer body.Close()
	if err := l.encodeDatabase(ctx, db, size, body); err != nil {
		return "", fmt.Errorf("import: %w", err)
	}
	return lin, l.putFirst(ctx, lin, body.reader())
}

// ErrNotDatabase says that an imported file is not one we can read.
var ErrNotDatabase = errors.New("not a SQLite file with pages of 4096 bytes")

func (l *Log) encodeDatabase(ctx context.Context, db io.ReaderAt, size int64, w io.Writer) error {
	n := size / PageSize
	if size%PageSize != 0 || n == 0 || n > 1<<32-2 {
		return fmt.Errorf("file of %d bytes: %w", size, ErrNotDatabase)
	}
	enc, err := ltx.NewEncoder(w)
	if err != nil {
		return err
	}
	err = enc.EncodeHeader(ltx.Header{Version: ltx.Version, PageSize: PageSize, Commit: uint32(n), MinTXID: 1, MaxTXID: 1, Timestamp: l.storeMillis()})
	if err != nil {
		return err
	}
	sum, lock := ltx.ChecksumFlag, ltx.LockPgno(PageSize)
	p := Page{Data: make([]byte, PageSize)}
	for p.Pgno = 1; int64(p.Pgno) <= n; p.Pgno++ {
		if p.Pgno == lock {
			continue
		}
		if p.Pgno%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := db.ReadAt(p.Data, int64(p.Pgno-1)*PageSize); err != nil && err != io.EOF {
			return fmt.Errorf("read page %d: %w", p.Pgno, err)
		}
		if p.Pgno == 1 {
			if !bytes.HasPrefix(p.Data, []byte("SQLite format 3\x00")) || binary.BigEndian.Uint16(p.Data[16:]) != PageSize {
				return ErrNotDatabase
			}
			p.Data[18], p.Data[19] = 1, 1 // a WAL database, checkpointed by its owner, becomes ours
			binary.BigEndian.PutUint32(p.Data[28:], uint32(n))
			copy(p.Data[92:96], p.Data[24:28])
		}
		sum = XorChecksum(sum, p)
		if err := enc.EncodePage(ltx.PageHeader{Pgno: p.Pgno}, p.Data); err != nil {
			return err
		}
	}
	enc.SetPostApplyChecksum(sum)
	return enc.Close()
}

// putFirst writes the only commit of a lineage that nobody else knows yet, so
// any try that succeeded is ours.
func (l *Log) putFirst(ctx context.Context, lin Lineage, body io.ReadSeeker) error {
	err := l.retry(ctx, func() error {
		err := l.createStream(ctx, l.slotKey(lin, 1), body)
		if errors.Is(err, objstore.ErrExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write first commit: %w", err)
	}
	return nil
}

// Tip returns the state at the end of h's lineage without its pages. A sealed
// lineage is a *SealedError, and the state that of the seal.
func (l *Log) Tip(ctx context.Context, h Head) (State, error) {
	const noPages = 0
	ld, err := l.LoadAt(ctx, h, 0, noPages)
	if ld == nil {
		return State{}, err
	}
	return ld.State, err
}

// Swap ends the live lineage h with a seal and makes to, which Fork or Import
// built after h.Generation, the live one. Commits of h up to the seal stay in
// h. It may be repeated after any failure; ErrSealed means that another swap
// was faster, and nothing changed.
func (l *Log) Swap(ctx context.Context, h Head, to Lineage) (Head, error) {
	return l.seal(ctx, h, Seal{Successor: to})
}

// Delete ends the live lineage h with a seal that has no successor. The data
// stays until Retire.
func (l *Log) Delete(ctx context.Context, h Head) (Head, error) {
	return l.seal(ctx, h, Seal{Deleted: true, Successor: l.newLineage()}) // the id only makes the bytes unique
}

func (l *Log) seal(ctx context.Context, h Head, s Seal) (Head, error) {
	if h.Deleted {
		return Head{}, fmt.Errorf("%s: %w", l.prefix, ErrDeleted)
	}
	var at ltx.TXID
	var err error
	if l.cfg.Has(GuardSeal) {
		if at, err = l.putSeal(ctx, h, s); err != nil {
			return Head{}, err
		}
	}
	next, err := l.Follow(ctx, h.Generation, h.Lineage, at, s)
	if err == nil && next.Generation == h.Generation+1 && !s.Deleted && next.Lineage != s.Successor {
		return next, fmt.Errorf("pointer %d names %s: %w", next.Generation, next.Lineage, ErrSealed)
	}
	return next, err
}

// putSeal wins the next slot of h for s and returns its number. Who loses goes
// on from the winner, like any writer: reading the end anew takes several round
// trips, in which a busy tenant commits again.
func (l *Log) putSeal(ctx context.Context, h Head, s Seal) (ltx.TXID, error) {
	var st State
	var commit uint32
	for known := false; ; {
		var err error
		if !known {
			var sealed bool
			if st, commit, sealed, err = l.sealable(ctx, h, s); err != nil || sealed {
				return st.TXID, err
			}
		}
		hdr := l.header(st)
		hdr.Commit = commit
		if hdr, err = s.header(hdr); err != nil {
			return 0, err
		}
		f, err := Encode(hdr, nil, st.Checksum)
		if err != nil {
			return 0, err
		}
		next, err := l.appendFile(ctx, st, f)
		if err == nil {
			return next.TXID, nil
		}
		if !errors.Is(err, ErrConflict) {
			return 0, fmt.Errorf("seal %s: %w", l.Root(h.Lineage), err)
		}
		known = false
		if lost, ok := errors.AsType[*ConflictError](err); ok {
			// Not confirmed, which the next append makes up for.
			if files, now, cerr := l.Catchup(ctx, st, lost.Winners); cerr == nil && len(files) > 0 {
				st, commit, known = now, files[len(files)-1].Header.Commit, true
			}
		}
	}
}

// sealable returns the state at the end of h and the size of the database in
// pages. sealed means that s, of an earlier try, is that end.
func (l *Log) sealable(ctx context.Context, h Head, s Seal) (st State, commit uint32, sealed bool, err error) {
	st, err = l.Tip(ctx, h)
	var met *SealedError
	if errors.As(err, &met) && (met.Seal == s || s.Deleted && met.Seal.Deleted) {
		return st, 0, true, nil
	}
	if err != nil {
		return State{}, 0, false, err
	}
	// Pages of the commit before are not known here: its size is in the last file.
	commit, err = l.commitSize(ctx, h.Lineage, st)
	return st, commit, false, err
}

// commitSize reads how many pages the database has after st from its newest
// level-0 file, which is never deleted.
func (l *Log) commitSize(ctx context.Context, lin Lineage, st State) (uint32, error) {
	f := FileInfo{Level: LevelCommit, Min: st.TXID, Max: st.TXID}
	b, err := l.ReadRange(ctx, lin, f, 0, ltx.HeaderSize)
	if err != nil {
		return 0, err
	}
	h, err := ParseHeader(b)
	return h.Commit, err
}

// Undo brings back what was before pointer h: a new lineage from the commit
// before the seal, which then replaces the live one as any swap does.
func (l *Log) Undo(ctx context.Context, h Head) (Head, error) {
	if h.From == "" || h.Seal < 2 {
		return Head{}, fmt.Errorf("pointer %d of %s replaced nothing: %w", h.Generation, l.prefix, ErrNoPlan)
	}
	to, err := l.Fork(ctx, h.Generation, h.From, h.Seal-1)
	if err != nil {
		return Head{}, err
	}
	if !h.Deleted {
		return l.Swap(ctx, h, to)
	}
	next, err := l.putHead(ctx, h.Generation, Head{Lineage: to, From: h.From, Seal: h.Seal})
	if err == nil && next.Lineage != to {
		return next, fmt.Errorf("pointer %d: %w", next.Generation, ErrConflict)
	}
	return next, err
}
