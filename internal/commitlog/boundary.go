package commitlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Boundary is gc/<generation> of a lineage: commits up to TXID may have lost
// their level-0 files, so a slot there proves nothing any more. Boundaries
// only grow and are never deleted; generation 0 stands for none.
type Boundary struct {
	Generation uint64   `json:"-"`
	TXID       ltx.TXID `json:"txid"`
	Snapshot   ltx.TXID `json:"snapshot,omitempty"` // the verified snapshot that covers it
}

// retired is the boundary of a lineage whose data expires: no commit counts.
const retired = ltx.TXID(math.MaxInt64)

// Retired reports whether the lineage has been given up for ever.
func (b Boundary) Retired() bool { return b.TXID == retired }

func (l *Log) readBoundary(ctx context.Context, lin Lineage, gen uint64) (Boundary, error) {
	var b Boundary
	body, _, err := l.get(ctx, l.gcKey(lin, gen))
	if err != nil {
		return b, err
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return b, corrupt("boundary %d: %w", gen, err)
	}
	b.Generation = gen
	return b, nil
}

// advance reads boundaries after known until there is none: one GET of an
// absent object in the usual case. Read it after what it is to vouch for.
func (l *Log) advance(ctx context.Context, lin Lineage, known Boundary) (Boundary, error) {
	if !l.cfg.Has(GuardBoundary) {
		return known, nil
	}
	for {
		var next Boundary
		err := l.retry(ctx, func() (err error) {
			next, err = l.readBoundary(ctx, lin, known.Generation+1)
			return err
		})
		switch {
		case err == nil:
			known = next
		case errors.Is(err, objstore.ErrNotExist):
			return known, nil
		case errors.Is(err, ErrCorrupt):
			return known, l.alarm(err)
		default:
			return known, fmt.Errorf("read boundary of %s: %w", l.Root(lin), err)
		}
	}
}

// Boundary returns the newest boundary of lin by a listing.
func (l *Log) Boundary(ctx context.Context, lin Lineage) (Boundary, error) {
	infos, _, err := l.list(ctx, l.gcPrefix(lin), "", 0)
	if err != nil {
		return Boundary{}, err
	}
	g := lastGeneration(infos)
	if g == 0 {
		return Boundary{}, nil
	}
	var b Boundary
	if err := l.retry(ctx, func() (err error) { b, err = l.readBoundary(ctx, lin, g); return err }); err != nil {
		return b, err
	}
	return l.advance(ctx, lin, b)
}

// raise appends a boundary that is at least want. Whoever runs it beside
// others ends with the highest of all.
func (l *Log) raise(ctx context.Context, lin Lineage, want Boundary) (Boundary, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.CommitTimeout)
	defer cancel()
	for {
		b, err := l.Boundary(ctx, lin)
		if err != nil || b.TXID >= want.TXID {
			return b, err
		}
		body, err := json.Marshal(want)
		if err != nil {
			return b, fmt.Errorf("encode boundary: %w", err)
		}
		if _, err := l.claim(ctx, l.gcKey(lin, b.Generation+1), body, nil); err != nil && !errors.Is(err, ErrConflict) {
			return b, fmt.Errorf("raise boundary of %s to %d: %w", l.Root(lin), want.TXID, err)
		}
	}
}
