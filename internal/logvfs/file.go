package logvfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/commitlog"
)

const pageSize = commitlog.PageSize

// file is the database as one connection sees it. A connection belongs to one
// goroutine at a time, and so does its file. SQLite's callbacks carry no
// context, so the owner of a transaction puts one here while it lasts.
type file struct {
	im     *image
	writer bool

	onClose func(*sqlite3.Conn) // Config.OnClose

	ctx    context.Context // of the running transaction
	pinned *view           // what the next transaction works on
	armed  bool            // the owner is executing COMMIT
	tried  bool            // that asked for durability: whatever follows is a rollback

	lock   vfs.LockLevel
	view   *view // while a lock is held
	cached *view // whose pages SQLite's own cache holds
	stale  bool  // the next probe must tell SQLite that its cache is of another view
	nonce  uint64

	dirty map[uint32]*buffer // written in this transaction
	size  uint32             // pages, with what was written and cut

	committed *view         // the transaction's commit, once it counts
	brought   *source       // its file
	took      time.Duration // of the append
	err       error         // why the last call failed; SQLite keeps only a code
}

var (
	_ vfs.FileSync   = (*file)(nil)
	_ vfs.FilePragma = (*file)(nil)
)

// begin prepares a transaction on v.
func (f *file) begin(ctx context.Context, v *view) {
	f.ctx, f.pinned = ctx, v
	f.armed, f.tried, f.committed, f.brought, f.err = false, false, nil, nil, nil
}

// Lock pins the view. Readers never wait for a writer nor it for them: every
// view is immutable. One writer at a time is ensured by the DB.
func (f *file) Lock(l vfs.LockLevel) error {
	if f.lock == vfs.LOCK_NONE {
		f.view = f.pinned
		f.size = f.view.commit
		if f.cached != f.view {
			// SQLite compares 16 bytes of page 1 with what its cache holds.
			// They are no proof: two different commits may have the same
			// (facts/storage.md §4.3), so the probe is answered with garbage.
			f.stale = f.im.log.Config().Has(commitlog.GuardProbe)
			f.cached = f.view
		}
	}
	if l > vfs.LOCK_SHARED && !f.writer {
		return sqlite3.READONLY
	}
	f.lock = l
	return nil
}

// Unlock drops what was written and not committed.
func (f *file) Unlock(l vfs.LockLevel) error {
	if l < vfs.LOCK_RESERVED {
		f.dirty = nil
		if f.view != nil {
			f.size = f.view.commit
		}
	}
	if l == vfs.LOCK_NONE {
		f.view = nil
	}
	f.lock = l
	return nil
}

// CheckReservedLock says no: there is no hot journal to care for.
func (f *file) CheckReservedLock() (bool, error) { return false, nil }

// at is the view to read from; SQLite reads the header once before any lock.
func (f *file) at() *view {
	if f.view != nil {
		return f.view
	}
	return f.pinned
}

// page returns page n as the transaction sees it, nil for zeros.
func (f *file) page(n uint32) (*buffer, error) {
	if b := f.dirty[n]; b != nil {
		return b, nil
	}
	v := f.at()
	if n > v.commit {
		return nil, nil
	}
	b, err := f.im.read(f.ctx, v, n)
	if err != nil {
		f.fail(err)
		return nil, vfs.SystemError(err, sqlite3.IOERR_READ)
	}
	return b, nil
}

// probe is what SQLite reads at each SHARED lock: change counter, size and
// freelist of page 1.
const (
	probeOffset = 24
	probeBytes  = 16
)

// ReadAt reads pages or parts of them.
func (f *file) ReadAt(b []byte, off int64) (n int, err error) {
	if off == probeOffset && len(b) == probeBytes && f.stale {
		f.stale = false
		f.nonce++
		binary.BigEndian.PutUint64(b, 0xa5a5a5a5a5a5a5a5) // an absurd change counter and size
		binary.BigEndian.PutUint64(b[8:], f.nonce)
		return len(b), nil
	}
	size := int64(f.at().commit)
	if f.view != nil {
		size = int64(f.size)
	}
	size *= pageSize
	for n < len(b) {
		at := off + int64(n)
		if at >= size {
			return n, io.EOF
		}
		pgno, in := uint32(at/pageSize)+1, int(at%pageSize)
		c := min(len(b)-n, pageSize-in)
		if c == pageSize && f.dirty[pgno] == nil && f.im.readOnce(f.ctx, f.at(), pgno, b[n:n+c]) {
			n += c
			continue
		}
		p, err := f.page(pgno)
		if err != nil {
			return n, err
		}
		if p == nil {
			clear(b[n : n+c])
		} else {
			copy(b[n:n+c], p[in:])
		}
		n += c
	}
	return n, nil
}

// maxDirty bounds what one transaction may write, in pages: a file within
// commitlog.MaxCommitBytes cannot hold more that compress to a quarter.
const maxDirty = 4 * commitlog.MaxCommitBytes / pageSize

// WriteAt keeps what is written until the transaction commits.
func (f *file) WriteAt(b []byte, off int64) (n int, err error) {
	if f.lock < vfs.LOCK_RESERVED {
		return 0, sqlite3.READONLY
	}
	for n < len(b) {
		at := off + int64(n)
		pgno, in := uint32(at/pageSize)+1, int(at%pageSize)
		c := min(len(b)-n, pageSize-in)
		p := new(buffer)
		if c < pageSize { // SQLite writes whole pages; nothing says it must
			old, err := f.page(pgno)
			if err != nil {
				return n, err
			}
			if old != nil {
				*p = *old
			}
		}
		copy(p[in:], b[n:n+c])
		if f.dirty == nil {
			f.dirty = map[uint32]*buffer{}
		}
		f.dirty[pgno] = p
		f.size = max(f.size, pgno)
		n += c
	}
	if len(f.dirty) > maxDirty {
		err := fmt.Errorf("transaction of %d pages: %w", len(f.dirty), commitlog.ErrTooLarge)
		f.fail(err)
		return n, vfs.SystemError(err, sqlite3.FULL)
	}
	return n, nil
}

// Truncate cuts the database within the transaction. After a commit that
// shrank it SQLite cuts again, to the size it already has.
func (f *file) Truncate(size int64) error {
	n := uint32(size / pageSize)
	for p := range f.dirty {
		if p > n {
			delete(f.dirty, p)
		}
	}
	f.size = n
	return nil
}

// Size returns the bytes of the database.
func (f *file) Size() (int64, error) {
	if f.view != nil {
		return int64(f.size) * pageSize, nil
	}
	return int64(f.at().commit) * pageSize, nil
}

// Sync does nothing: the commit is made in SyncSuper, before it.
func (f *file) Sync(vfs.SyncFlag) error { return nil }

// SectorSize is one page: smaller ones would gain nothing, larger ones write more.
func (f *file) SectorSize() int { return pageSize }

// DeviceCharacteristics leaves batch-atomic writes out on purpose: with them
// this build of SQLite does not count changes (facts/storage.md §4.3).
func (f *file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE
}

// Close ends the connection.
func (f *file) Close() error { return nil }

// Pragma refuses by name what would break the rules of this VFS; everything
// else is SQLite's or the authorizer's business.
func (f *file) Pragma(name, value string) (string, error) {
	if value != "" {
		switch strings.ToLower(name) {
		case "journal_mode", "locking_mode", "page_size":
			return "", errors.New(name + " cannot be changed: the database is a log in object storage")
		}
	}
	return "", sqlite3.NOTFOUND
}

var (
	errAttached = errors.New("a transaction over several databases cannot be committed")
	errUnarmed  = errors.New("the closure committed by itself")
)

// SyncSuper is the commit: SQLite has written every page and asks for
// durability. It is also called on rollback, with the old pages written back.
// Whatever fails is answered with BUSY_SNAPSHOT, which makes SQLite roll back
// cleanly; the reason is in f.err. An I/O error instead would make it write
// the transaction a second time (facts/storage.md §4.2).
func (f *file) SyncSuper(super string) error {
	if super != "" {
		return f.refuse(errAttached)
	}
	// After a failure SQLite syncs a rollback. Nothing may be concluded from
	// the pages then: the view may be gone, and why the commit failed counts.
	if f.tried || !f.changed() {
		return nil
	}
	if !f.armed {
		return f.refuse(errUnarmed)
	}
	f.armed, f.tried = false, true
	c, err := f.change()
	if err != nil {
		return f.refuse(err)
	}
	if cur := f.im.current(); cur.state.TXID > f.view.state.TXID {
		return f.refuse(commitlog.ErrConflict) // known without asking the store
	}
	start := time.Now()
	st, lf, err := f.im.log.Append(f.ctx, f.im.stateOf(f.view), c)
	f.took = time.Since(start)
	if err != nil {
		return f.refuse(err)
	}
	f.committed, f.brought = f.view.applyCommit(lf, st)
	f.view, f.cached, f.dirty = f.committed, f.committed, nil
	f.size = f.view.commit
	return nil
}

// fail notes why the transaction fails. Why a commit failed is not replaced by
// what goes wrong in the rollback after it.
func (f *file) fail(err error) {
	if !f.tried || f.err == nil {
		f.err = err
	}
}

func (f *file) refuse(err error) error {
	f.fail(err)
	if !f.im.log.Config().Has(commitlog.GuardBusy) {
		return vfs.SystemError(err, sqlite3.BUSY)
	}
	return vfs.SystemError(err, sqlite3.BUSY_SNAPSHOT)
}

// changed tells a commit from a rollback: a commit counts up the change
// counter of page 1, a rollback has written the old one back.
func (f *file) changed() bool {
	p := f.dirty[1]
	if p == nil {
		return false
	}
	old, err := f.im.read(f.ctx, f.view, 1)
	return err != nil || old == nil || *old != *p
}

// change collects what the transaction did to the view.
func (f *file) change() (c commitlog.Change, err error) {
	v, lock := f.view, ltx.LockPgno(pageSize)
	// A database that shrinks is cut only after this call, but its header
	// has the new size already (SQLite file format §1.3.8).
	c.Commit = binary.BigEndian.Uint32(f.dirty[1][28:])
	if c.Commit == 0 || c.Commit > f.size {
		return c, fmt.Errorf("page 1 counts %d pages of %d: %w", c.Commit, f.size, commitlog.ErrCorrupt)
	}
	c.Post = v.state.Checksum
	// take returns page n of the view and takes it out of the checksum.
	take := func(n uint32) (*buffer, ltx.Checksum, error) {
		if n > v.commit || n == lock {
			return nil, c.Post, nil
		}
		b, err := f.im.read(f.ctx, v, n)
		if err != nil || b == nil {
			return nil, c.Post, err
		}
		sum := ltx.Checksum(v.pages.get(n).sum.Load())
		if sum == 0 {
			sum = commitlog.ChecksumPage(commitlog.Page{Pgno: n, Data: b[:]})
		}
		return b, ltx.ChecksumFlag | (c.Post ^ sum), nil
	}
	numbers := make([]uint32, 0, len(f.dirty))
	for n := range f.dirty {
		if n <= c.Commit && n != lock {
			numbers = append(numbers, n)
		}
	}
	for n := v.commit + 1; n <= c.Commit; n++ {
		if f.dirty[n] == nil && n != lock {
			numbers = append(numbers, n) // grown but never written: zeros
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		was, rest, err := take(n)
		if err != nil {
			return c, err
		}
		now := f.dirty[n]
		if now == nil {
			now = new(buffer)
		}
		if was != nil && *was == *now {
			continue
		}
		p := commitlog.Page{Pgno: n, Data: now[:]}
		c.Pages, c.Post = append(c.Pages, p), commitlog.XorChecksum(rest, p)
	}
	for n := c.Commit + 1; n <= v.commit; n++ { // cut off
		if _, c.Post, err = take(n); err != nil {
			return c, err
		}
	}
	return c, nil
}
