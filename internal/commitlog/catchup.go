package commitlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Catchup returns the commits after st in order and the state after them; at
// the end of the log that is nothing and st. hint are files of the next slots
// if the caller has them already (ConflictError.Winners), else nil.
//
// The result is not confirmed: a file may be a late write under a boundary
// that st does not know. Confirm before anybody reads from it; a writer may
// build its commit on it, because Append confirms both.
//
// A *SealedError means that the lineage ends there; ErrStale that files are
// missing, so the caller must load anew; ErrFork that the log is not ours.
func (l *Log) Catchup(ctx context.Context, st State, hint [][]byte) ([]*File, State, error) {
	var all []*File
	raws := hint
	if raws == nil {
		b, err := l.getSlot(ctx, st.Lineage, st.TXID+1)
		if err != nil || b == nil {
			return nil, st, err
		}
		raws = [][]byte{b}
	}
	next, err := st, error(nil)
	for i := 0; err == nil && i < len(raws); i++ {
		next, err = l.take(ctx, &all, next, raws[i])
	}
	// Usually one commit behind: three reads at once find the end for the
	// price of one round trip. The loser of a race has them already.
	switch {
	case err != nil || len(hint) > 0 && len(hint) <= probeSlots:
		raws = nil
	case hint == nil:
		raws, err = l.getSlots(ctx, next.Lineage, next.TXID+1, probeSlots)
		for i := 0; err == nil && i < len(raws); i++ {
			next, err = l.take(ctx, &all, next, raws[i])
		}
		if len(raws) < probeSlots {
			raws = nil
		}
	}
	for err == nil && len(raws) > 0 {
		var n int
		if n, err = l.listRun(ctx, next); n == 0 || err != nil {
			break
		}
		if raws, err = l.getSlots(ctx, next.Lineage, next.TXID+1, n); err == nil && len(raws) < n {
			err = fmt.Errorf("slot %d was listed and is gone: %w", next.TXID+1+ltx.TXID(len(raws)), ErrStale)
		}
		for i := 0; err == nil && i < len(raws); i++ {
			next, err = l.take(ctx, &all, next, raws[i])
		}
	}
	if err != nil {
		return nil, st, err
	}
	return all, next, nil
}

// probeSlots is how many slots are read at once on suspicion.
const probeSlots = 3

// take decodes the commit after st, checks that it continues st, and appends
// it to all.
func (l *Log) take(ctx context.Context, all *[]*File, st State, raw []byte) (State, error) {
	id := st.TXID + 1
	f, err := Decode(raw)
	if err != nil {
		return st, l.alarm(fmt.Errorf("commit %d of %s: %w", id, l.Root(st.Lineage), err))
	}
	h := f.Header
	if h.MinTXID != id || h.MaxTXID != id {
		return st, l.alarm(fmt.Errorf("slot %d of %s holds commits %d to %d: %w", id, l.Root(st.Lineage), h.MinTXID, h.MaxTXID, ErrCorrupt))
	}
	if h.PreApplyChecksum != st.Checksum && l.cfg.Has(GuardChain) {
		return st, l.forked(ctx, st, id)
	}
	if s, ok := sealOf(h); ok && l.cfg.Has(GuardSeal) {
		return st, &SealedError{Seal: s}
	}
	*all = append(*all, f)
	st.TXID, st.Checksum, st.Millis = id, f.Post, h.Timestamp
	return st, nil
}

// forked tells a late write under the boundary, which only means that we are
// stale, from a real fork.
func (l *Log) forked(ctx context.Context, st State, id ltx.TXID) error {
	b, err := l.advance(ctx, st.Lineage, st.Boundary)
	if err != nil {
		return err
	}
	if id <= b.TXID || st.TXID <= b.TXID {
		return fmt.Errorf("commit %d does not follow, boundary %d: %w", id, b.TXID, ErrStale)
	}
	return l.alarm(fmt.Errorf("commit %d of %s: %w", id, l.Root(st.Lineage), ErrFork))
}

// Confirm checks that st and every commit read on the way from base to st
// count: no boundary passed base while they were read. It returns st with the
// newest boundary, or ErrStale.
func (l *Log) Confirm(ctx context.Context, base, st State) (State, error) {
	b, err := l.advance(ctx, st.Lineage, base.Boundary)
	if err != nil {
		return st, err
	}
	if b.TXID > base.TXID {
		return st, fmt.Errorf("commit %d is behind boundary %d: %w", base.TXID, b.TXID, ErrStale)
	}
	st.Boundary = b
	return st, nil
}

// getSlot returns the file of one slot, nil if it is absent.
func (l *Log) getSlot(ctx context.Context, lin Lineage, id ltx.TXID) (raw []byte, err error) {
	err = l.retry(ctx, func() error {
		raw, _, err = l.get(ctx, l.slotKey(lin, id))
		return err
	})
	if errors.Is(err, objstore.ErrNotExist) {
		return nil, nil
	}
	return raw, err
}

// getSlots reads n slots from id on at once and returns those before the
// first absent one.
func (l *Log) getSlots(ctx context.Context, lin Lineage, id ltx.TXID, n int) ([][]byte, error) {
	raws := make([][]byte, n)
	g, gctx := l.group(ctx, n)
	for i := range n {
		g.Go(func() (err error) {
			raws[i], err = l.getSlot(gctx, lin, id+ltx.TXID(i))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for i, r := range raws {
		if r == nil {
			return raws[:i], nil
		}
	}
	return raws, nil
}

// listRun returns how many slots follow st without a gap, at most 256, so that
// a long absence is read in pieces of bounded memory. A gap is ErrStale.
func (l *Log) listRun(ctx context.Context, st State) (int, error) {
	const piece = 256
	infos, _, err := l.listPage(ctx, l.levelPrefix(st.Lineage, LevelCommit), l.slotKey(st.Lineage, st.TXID), piece)
	if err != nil {
		return 0, err
	}
	files := parseFiles(LevelCommit, infos)
	for i, f := range files {
		if f.Min != st.TXID+1+ltx.TXID(i) {
			return 0, fmt.Errorf("slot %d is missing: %w", st.TXID+1+ltx.TXID(i), ErrStale)
		}
	}
	return len(files), nil
}
