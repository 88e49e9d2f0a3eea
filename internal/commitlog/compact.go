package commitlog

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Tidy compacts on the way: whoever commits a multiple of CompactEvery calls
// it. It writes the level-1 file that ends at st, and the one before if its
// committer did not get to it. Nothing depends on it but the length of plans.
func (l *Log) Tidy(ctx context.Context, st State) error {
	if st.TXID%l.cfg.CompactEvery != 0 {
		return nil
	}
	ends := []ltx.TXID{st.TXID}
	if prev := st.TXID - l.cfg.CompactEvery; prev > 0 {
		before := FileInfo{Level: 1, Min: prev - l.cfg.CompactEvery + 1, Max: prev - l.cfg.CompactEvery}
		infos, _, err := l.listPage(ctx, l.levelPrefix(st.Lineage, 1), l.Key(st.Lineage, before), 1)
		if err != nil {
			return err
		}
		if fs := parseFiles(1, infos); len(fs) == 0 || fs[0].Max != prev {
			ends = append(ends, prev)
		}
	}
	for _, end := range ends {
		// The previous one may have expired already; then it is not missed.
		if err := l.Compact(ctx, st.Lineage, 1, end, st.Boundary); err != nil && !(errors.Is(err, ErrStale) && end != st.TXID) {
			return err
		}
	}
	return nil
}

// Compact writes the file of level 1 to 3 that ends at commit end, a multiple
// of the level's width, from the level below. The bytes depend on the commits
// only, so any number of instances may do it at once and at any time. known is
// a boundary from before the call. ErrStale: commits of it are gone or going.
func (l *Log) Compact(ctx context.Context, lin Lineage, level int, end ltx.TXID, known Boundary) error {
	w := l.levelWidth(level)
	if level < 1 || level > 3 || end == 0 || end%w != 0 {
		return fmt.Errorf("compact level %d to %d: no such file", level, end)
	}
	target := FileInfo{Level: level, Min: end - w + 1, Max: end}
	files, err := l.sources(ctx, lin, target)
	if err != nil {
		return fmt.Errorf("compact %s: %w", target, err)
	}
	m, err := l.openMerge(ctx, lin, files)
	if err != nil {
		return fmt.Errorf("compact %s: %w", target, gone(err))
	}
	defer m.Close()
	body := &spool{dir: l.cfg.TempDir}
	defer body.Close()
	if _, err := m.writeFile(ctx, m.Header, body); err != nil {
		return fmt.Errorf("compact %s: %w", target, gone(err))
	}
	if level == 1 {
		// A late write may stand in a slot under the boundary; it came after
		// the boundary did, so what was read before this check is genuine.
		b, err := l.advance(ctx, lin, known)
		if err != nil {
			return err
		}
		if b.TXID >= target.Min {
			return fmt.Errorf("compact %s at boundary %d: %w", target, b.TXID, ErrStale)
		}
	}
	return l.putOnce(ctx, lin, target, body)
}

// putOnce creates a file whose bytes anybody would write the same.
func (l *Log) putOnce(ctx context.Context, lin Lineage, f FileInfo, body *spool) error {
	err := l.retry(ctx, func() error { return l.createStream(ctx, l.Key(lin, f), body.reader()) })
	if errors.Is(err, objstore.ErrExist) {
		return nil
	}
	return err
}

// sources lists the files of the level below that make up target, without a gap.
func (l *Log) sources(ctx context.Context, lin Lineage, target FileInfo) ([]FileInfo, error) {
	level := target.Level - 1
	w := l.levelWidth(level)
	n := int(l.levelWidth(target.Level) / w)
	after := FileInfo{Level: level, Min: target.Min, Max: target.Min - 1}
	infos, _, err := l.listPage(ctx, l.levelPrefix(lin, level), l.Key(lin, after), n)
	if err != nil {
		return nil, err
	}
	files := parseFiles(level, infos)
	for i := range n {
		if i >= len(files) || files[i].Min != target.Min+ltx.TXID(i)*w || files[i].Max != files[i].Min+w-1 {
			return nil, fmt.Errorf("commits from %d are missing: %w", target.Min+ltx.TXID(i)*w, ErrStale)
		}
	}
	return files, nil
}

// gone turns a file that vanished while it was read into ErrStale.
func gone(err error) error {
	if errors.Is(err, objstore.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrStale, err)
	}
	return err
}

// CompactAll writes every missing file of levels 1 to 3 whose sources are
// there, and returns how many. It can be interrupted anywhere and repeated.
func (l *Log) CompactAll(ctx context.Context, lin Lineage) (n int, err error) {
	b, err := l.Boundary(ctx, lin)
	if err != nil {
		return 0, err
	}
	for _, level := range compacted {
		below, err := l.Files(ctx, lin, level-1)
		if err != nil {
			return n, err
		}
		have, err := l.Files(ctx, lin, level)
		if err != nil {
			return n, err
		}
		done := make(map[ltx.TXID]bool, len(have))
		for _, f := range have {
			done[f.Max] = true
		}
		for _, f := range below {
			w := l.levelWidth(level)
			if f.Max%w != 0 || done[f.Max] || level == 1 && f.Max-w < b.TXID {
				continue
			}
			err := l.Compact(ctx, lin, level, f.Max, b)
			var sealed *SealedError
			switch {
			case errors.Is(err, ErrStale), errors.As(err, &sealed): // expired meanwhile, or never complete
			case err != nil:
				return n, err
			default:
				n++
			}
		}
	}
	return n, nil
}

// Files lists one level of a lineage by first commit.
func (l *Log) Files(ctx context.Context, lin Lineage, level int) ([]FileInfo, error) {
	infos, _, err := l.list(ctx, l.levelPrefix(lin, level), "", 0)
	return parseFiles(level, infos), err
}

// Snapshot writes the whole database at the newest commit of lin as one file,
// with the checksums of its pages beside it, if there is none yet, and returns
// it. Its bytes depend on the commits only.
// A sealed lineage is ErrSealed: a snapshot would hide the seal.
func (l *Log) Snapshot(ctx context.Context, lin Lineage) (FileInfo, error) {
	b, err := l.Boundary(ctx, lin)
	if err != nil {
		return FileInfo{}, err
	}
	p, err := l.plan(ctx, lin, 0, b)
	if err != nil {
		return FileInfo{}, err
	}
	if f := p.Files[0]; len(p.Files) == 1 && f.Level == LevelSnapshot {
		// Without its checksums it was made by a program that knew of none, or
		// by one that was killed.
		if _, err := l.getSums(ctx, lin, f); !errors.Is(err, objstore.ErrNotExist) {
			return f, nil
		}
	}
	m, err := l.openMerge(ctx, lin, p.Files)
	if err != nil {
		return FileInfo{}, fmt.Errorf("snapshot: %w", gone(err))
	}
	defer m.Close()
	body := &spool{dir: l.cfg.TempDir}
	defer body.Close()
	f := FileInfo{Level: LevelSnapshot, Min: 1, Max: p.End()}
	sums, err := m.writeFile(ctx, m.Header, body)
	if err != nil {
		return f, fmt.Errorf("snapshot %s: %w", f, gone(err))
	}
	if _, ok, err := l.confirm(ctx, p); err != nil || !ok {
		return f, fmt.Errorf("snapshot %s: %w", f, errors.Join(ErrStale, err))
	}
	f.Size = body.size
	if err := l.putOnce(ctx, lin, f, body); err != nil {
		return f, err
	}
	return f, l.putSums(ctx, lin, m.Header, sums)
}

// VerifySnapshot reads f back as it is stored and checks that every page is
// there and that together they have the checksum which the commits lead to.
// Only a snapshot that passed may carry the boundary.
func (l *Log) VerifySnapshot(ctx context.Context, lin Lineage, f FileInfo) error {
	r, _, err := l.bucket.Open(ctx, l.Key(lin, f), 0)
	if err != nil {
		return fmt.Errorf("verify %s: %w", f, err)
	}
	defer r.Close()
	d, err := NewReader(r, 0)
	if err == nil {
		err = f.matches(d.Header)
	}
	data := make([]byte, PageSize)
	for n := 0; err == nil; n++ {
		if n%1024 == 0 {
			err = ctx.Err()
		}
		if err == nil {
			_, err = d.Next(data)
		}
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("verify %s: %w", f, err)
	}
	want, err := l.checksumAt(ctx, lin, f.Max)
	if err != nil {
		return fmt.Errorf("verify %s: %w", f, err)
	}
	if want != d.Post {
		if b, err := l.Boundary(ctx, lin); err != nil || b.TXID >= f.Max {
			return fmt.Errorf("verify %s: expired meanwhile: %w", f, errors.Join(ErrStale, err))
		}
		return l.alarm(fmt.Errorf("verify %s: database checksum %s, commits lead to %s: %w", f, d.Post, want, ErrCorrupt))
	}
	return nil
}

// checksumAt reads the database checksum after commit id from a file that
// ends there and is not a snapshot.
func (l *Log) checksumAt(ctx context.Context, lin Lineage, id ltx.TXID) (ltx.Checksum, error) {
	for level := LevelCommit; level <= 3; level++ {
		w := l.levelWidth(level)
		if id%w != 0 {
			break
		}
		f := FileInfo{Level: level, Min: id - w + 1, Max: id}
		b, err := l.ReadRange(ctx, lin, f, -ltx.TrailerSize, ltx.TrailerSize)
		if errors.Is(err, objstore.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		var t ltx.Trailer
		if err := t.UnmarshalBinary(b); err != nil {
			return 0, corrupt("%s: trailer: %w", f, err)
		}
		return t.PostApplyChecksum, nil
	}
	return 0, fmt.Errorf("no commit file ends at %d: %w", id, ErrStale)
}

// WriteDatabase writes the database of lin as of commit at (0 = newest) to w
// as a plain SQLite file.
func (l *Log) WriteDatabase(ctx context.Context, lin Lineage, at ltx.TXID, w io.Writer) error {
	b, err := l.Boundary(ctx, lin)
	if err != nil {
		return err
	}
	p, err := l.plan(ctx, lin, at, b)
	if err != nil {
		return err
	}
	m, err := l.openMerge(ctx, lin, p.Files)
	var sealed *SealedError
	if errors.As(err, &sealed) && at == 0 && p.End() > 1 {
		return l.WriteDatabase(ctx, lin, p.End()-1, w)
	}
	if err != nil {
		return fmt.Errorf("write database at %d: %w", p.End(), gone(err))
	}
	defer m.Close()
	if err := m.writeDatabase(ctx, w); err != nil {
		return fmt.Errorf("write database at %d: %w", p.End(), gone(err))
	}
	if _, ok, err := l.confirm(ctx, p); err != nil || !ok {
		return fmt.Errorf("write database at %d: %w", p.End(), errors.Join(ErrStale, err))
	}
	return nil
}
