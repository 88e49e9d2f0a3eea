package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/superfly/ltx"
)

// cursor walks one file of a merge.
type cursor struct {
	r     *Reader
	page  Page
	done  bool
	close func() error
}

func (c *cursor) next() error {
	fr, err := c.r.Next(c.page.Data)
	if errors.Is(err, io.EOF) {
		c.done = true
		return nil
	}
	c.page.Pgno = fr.Pgno
	return err
}

// merge streams the pages of files, oldest file first, as one file would have
// them: by number, the newest of each, none beyond the last file's size. It
// verifies every file and that they continue each other.
type merge struct {
	cursors []*cursor
	Header  ltx.Header   // of the merged file; node and WAL fields are zero
	Post    ltx.Checksum // valid after run
}

// openMerge opens the files; small ones are read at once and in parallel.
func (l *Log) openMerge(ctx context.Context, lin Lineage, files []FileInfo) (*merge, error) {
	const small = 1 << 20
	m := &merge{cursors: make([]*cursor, len(files))}
	g, gctx := l.group(ctx, len(files))
	for i, f := range files {
		g.Go(func() error {
			c := &cursor{page: Page{Data: make([]byte, PageSize)}, close: func() error { return nil }}
			var err error
			if f.Size <= small {
				var raw []byte
				err = l.retry(gctx, func() error {
					raw, _, err = l.get(gctx, l.Key(lin, f))
					return err
				})
				if err == nil {
					c.r, err = NewReader(bytes.NewReader(raw), len(raw))
				}
			} else {
				var rc io.ReadCloser
				if rc, _, err = l.bucket.Open(ctx, l.Key(lin, f), 0); err == nil { // ctx: it outlives the group
					c.close = rc.Close
					c.r, err = NewReader(rc, 0)
				}
			}
			m.cursors[i] = c
			if err == nil {
				err = f.matches(c.r.Header)
			}
			if err != nil {
				return fmt.Errorf("open %s: %w", f, err)
			}
			return nil
		})
	}
	err := g.Wait()
	if err == nil {
		err = m.check(l.cfg.Has(GuardSeal))
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *merge) check(seals bool) error {
	for _, c := range m.cursors {
		// A seal's mark would be lost in a merged file, and with it the
		// end of the lineage.
		if s, ok := sealOf(c.r.Header); ok && seals {
			return &SealedError{Seal: s}
		}
	}
	first, last := m.cursors[0].r.Header, m.cursors[len(m.cursors)-1].r.Header
	m.Header = ltx.Header{
		Version: ltx.Version, PageSize: PageSize, Commit: last.Commit,
		MinTXID: first.MinTXID, MaxTXID: last.MaxTXID,
		Timestamp: last.Timestamp, PreApplyChecksum: first.PreApplyChecksum,
	}
	return nil
}

// Close releases what is still open.
func (m *merge) Close() {
	for _, c := range m.cursors {
		if c != nil {
			_ = c.close() // it was opened for reading
		}
	}
}

// run calls emit for every page, of a whole database with the page's checksum.
// The page's data is reused after emit returns.
func (m *merge) run(ctx context.Context, emit func(Page, ltx.Checksum) error) error {
	for _, c := range m.cursors {
		if err := c.next(); err != nil {
			return err
		}
	}
	sum := ltx.ChecksumFlag
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		pick := m.lowest()
		if pick == nil {
			break
		}
		if pick.page.Pgno <= m.Header.Commit {
			var own ltx.Checksum
			if m.Header.IsSnapshot() {
				own = ChecksumPage(pick.page)
				sum = ltx.ChecksumFlag | (sum ^ own)
			}
			if err := emit(pick.page, own); err != nil {
				return err
			}
		}
		pgno := pick.page.Pgno
		for _, c := range m.cursors {
			if !c.done && c.page.Pgno == pgno {
				if err := c.next(); err != nil {
					return err
				}
			}
		}
	}
	return m.verify(sum)
}

// lowest returns the newest file's cursor at the lowest page, nil at the end.
func (m *merge) lowest() *cursor {
	var pick *cursor
	for _, c := range m.cursors {
		if !c.done && (pick == nil || c.page.Pgno <= pick.page.Pgno) {
			pick = c
		}
	}
	return pick
}

func (m *merge) verify(sum ltx.Checksum) error {
	for i := 1; i < len(m.cursors); i++ {
		p, c := m.cursors[i-1].r, m.cursors[i].r
		if c.Header.MinTXID == p.Header.MaxTXID+1 && c.Header.PreApplyChecksum != p.Post {
			return fmt.Errorf("commit %d: %w", c.Header.MinTXID, ErrFork)
		}
	}
	m.Post = m.cursors[len(m.cursors)-1].r.Post
	if m.Header.IsSnapshot() && sum != m.Post {
		return corrupt("database checksum %s after commit %d, want %s", sum, m.Header.MaxTXID, m.Post)
	}
	return nil
}

// writeFile merges into w as one log file. It returns the checksums of the
// pages of a whole database.
func (m *merge) writeFile(ctx context.Context, h ltx.Header, w io.Writer) (sums []ltx.Checksum, err error) {
	enc, err := ltx.NewEncoder(w)
	if err != nil {
		return nil, err
	}
	if err := enc.EncodeHeader(h); err != nil {
		return nil, err
	}
	err = m.run(ctx, func(p Page, sum ltx.Checksum) error {
		sums = append(sums, sum)
		return enc.EncodePage(ltx.PageHeader{Pgno: p.Pgno}, p.Data)
	})
	if err != nil {
		return nil, err
	}
	enc.SetPostApplyChecksum(m.Post)
	return sums, enc.Close()
}

// writeDatabase merges into w as a plain SQLite file.
func (m *merge) writeDatabase(ctx context.Context, w io.Writer) error {
	if !m.Header.IsSnapshot() {
		return errors.New("not a whole database")
	}
	lock := ltx.LockPgno(PageSize)
	zero := make([]byte, PageSize)
	last := uint32(0)
	err := m.run(ctx, func(p Page, _ ltx.Checksum) error {
		if p.Pgno == lock+1 {
			if _, err := w.Write(zero); err != nil { // no file holds the lock page
				return err
			}
		}
		_, err := w.Write(p.Data)
		last = p.Pgno
		return err
	})
	if err == nil && last < m.Header.Commit {
		_, err = w.Write(zero)
	}
	return err
}

// spool holds a body that is written once and read as often as a store tries:
// in memory up to a limit, then in a temporary file.
type spool struct {
	dir  string
	mem  []byte
	file *os.File
	size int64
}

const spoolMemory = 16 << 20 // as much as one commit may take

func (s *spool) Write(b []byte) (int, error) {
	s.size += int64(len(b))
	if s.file == nil && len(s.mem)+len(b) <= spoolMemory {
		s.mem = append(s.mem, b...)
		return len(b), nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "commitlog-*.ltx")
		if err != nil {
			return 0, fmt.Errorf("spool: %w", err)
		}
		s.file = f
		if _, err := f.Write(s.mem); err != nil {
			return 0, fmt.Errorf("spool: %w", err)
		}
		s.mem = nil
	}
	return s.file.Write(b)
}

// reader returns the body from its start.
func (s *spool) reader() io.ReadSeeker {
	if s.file != nil {
		return io.NewSectionReader(s.file, 0, s.size)
	}
	return bytes.NewReader(s.mem)
}

// Close removes the temporary file.
func (s *spool) Close() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.file.Name()))
}
