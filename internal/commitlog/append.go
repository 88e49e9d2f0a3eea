package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Change is what one commit does: the pages it writes, by number ascending,
// and the database after it.
type Change struct {
	Commit uint32       // pages of the database after the commit
	Pages  []Page       // the written ones, without the lock page
	Post   ltx.Checksum // rolling checksum of the database after the commit
}

// Append makes c the commit after st. It returns nil only when the commit is
// durable and counts; the file is then what was stored.
//
// ErrConflict: somebody else has the slot; catch up and run again.
// ErrStale: st was behind the boundary; the commit may or may not have counted
// long ago, so it is also ErrUnknown. ErrUnknown: the store would not say
// before the commit timeout. ErrPoisoned: the store contradicts itself.
// ErrTooLarge: nothing was stored.
func (l *Log) Append(ctx context.Context, st State, c Change) (State, *File, error) {
	h := l.header(st)
	h.Commit = c.Commit
	f, err := Encode(h, c.Pages, c.Post)
	if err != nil {
		return st, nil, err
	}
	if len(f.Raw) > MaxCommitBytes {
		return st, nil, fmt.Errorf("commit of %d bytes: %w", len(f.Raw), ErrTooLarge)
	}
	next, err := l.appendFile(ctx, st, f)
	return next, f, err
}

// ConflictError carries the file that has the slot, and those behind it as far
// as they were there, which spares the loser two round trips. It is ErrConflict.
type ConflictError struct {
	Winners [][]byte
}

func (e *ConflictError) Error() string { return ErrConflict.Error() }

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// header begins the header of the commit after st.
func (l *Log) header(st State) ltx.Header {
	return ltx.Header{
		Version:          ltx.Version,
		PageSize:         PageSize,
		MinTXID:          st.TXID + 1,
		MaxTXID:          st.TXID + 1,
		Timestamp:        max(st.Millis+1, l.storeMillis()),
		PreApplyChecksum: st.Checksum,
		NodeID:           l.cfg.NodeID,
	}
}

// appendFile claims the slot after st for f and checks that it counts.
func (l *Log) appendFile(ctx context.Context, st State, f *File) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.CommitTimeout)
	defer cancel()
	id := f.Header.MaxTXID
	// Whoever loses wants the commits behind the winner's too: they are read
	// while the slot is read back.
	var behind [][]byte
	var ready chan struct{}
	winner, err := l.claim(ctx, l.slotKey(st.Lineage, id), f.Raw, func() {
		if ready == nil {
			ready = make(chan struct{})
			go func() {
				defer close(ready)
				behind, _ = l.getSlots(ctx, st.Lineage, id+1, probeSlots) // Catchup reads again what failed here
			}()
		}
	})
	if ready != nil {
		<-ready
	}
	if err != nil {
		if winner != nil {
			err = &ConflictError{Winners: append([][]byte{winner}, behind...)}
		}
		return st, fmt.Errorf("commit %d of %s: %w", id, l.Root(st.Lineage), err)
	}
	// The slot is ours. It counts if nobody can have deleted an earlier
	// owner of it, and whoever deletes raises the boundary first.
	b, err := l.advance(ctx, st.Lineage, st.Boundary)
	for n := 1; err != nil; n++ {
		if l.backoff(ctx, n) != nil || errors.Is(err, ErrCorrupt) {
			return st, fmt.Errorf("commit %d: %w: %w", id, ErrUnknown, err)
		}
		b, err = l.advance(ctx, st.Lineage, st.Boundary)
	}
	if id <= b.TXID {
		return st, fmt.Errorf("commit %d at boundary %d: %w: %w", id, b.TXID, ErrStale, ErrUnknown)
	}
	st.TXID, st.Checksum, st.Millis, st.Boundary = id, f.Post, f.Header.Timestamp, b
	return st, nil
}

// claim creates key with exactly body. nil means that body is there, by this
// call or an earlier try of it. ErrConflict comes with the body that is there
// instead. Any failure to learn the outcome is resolved by reading back until
// ctx ends, then it is ErrUnknown. A store that refuses to write, and never
// left anything open, ends it at once: nothing happened, and the error says
// why. taken, unless nil, is called before the first read-back of a key that
// exists.
func (l *Log) claim(ctx context.Context, key string, body []byte, taken func()) (other []byte, err error) {
	const maxGhosts = 4   // refusals to create what cannot be read; a deletion in between explains one
	const maxRefusals = 2 // a clock that was corrected, or a key that was renewed, helps the second try
	ghosts, wait, refusals := 0, 0, 0
	for open := false; ; {
		cerr := l.create(ctx, key, body)
		if cerr == nil {
			return nil, nil
		}
		if !l.cfg.Has(GuardReadBack) {
			return nil, fmt.Errorf("%w: %w", ErrConflict, cerr)
		}
		if taken != nil && errors.Is(cerr, objstore.ErrExist) {
			taken()
		}
		if refused(cerr) {
			refusals++
		} else if !errors.Is(cerr, objstore.ErrExist) {
			open = true // it may be on its way
		}
		got, _, gerr := l.get(ctx, key)
		switch {
		case gerr == nil && bytes.Equal(got, body):
			return nil, nil
		case gerr == nil:
			return got, ErrConflict
		case errors.Is(gerr, objstore.ErrNotExist) && errors.Is(cerr, objstore.ErrExist):
			if ghosts++; ghosts == maxGhosts {
				return nil, l.alarm(fmt.Errorf("%s: %w", key, ErrPoisoned))
			}
		case refusals >= maxRefusals && !open:
			return nil, cerr
		}
		wait++
		if err := l.backoff(ctx, wait); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnknown, errors.Join(cerr, gerr))
		}
	}
}

// refused reports whether the store decided not to write. Slowness, outages
// and answers that a proxy may have given decide nothing.
func refused(err error) bool {
	return errors.Is(err, objstore.ErrDenied) || errors.Is(err, objstore.ErrReadOnly) || errors.Is(err, objstore.ErrFull)
}
