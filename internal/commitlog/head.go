package commitlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Head is one pointer of a tenant: head/<generation>. The highest generation
// counts; pointers are created, never overwritten and never deleted.
type Head struct {
	Generation uint64   `json:"-"`
	Lineage    Lineage  `json:"lineage"`           // the live one; of a deletion the one that was sealed
	Deleted    bool     `json:"deleted,omitempty"` // the tenant is gone; a higher generation may bring it back
	From       Lineage  `json:"from,omitempty"`    // the lineage before
	Seal       ltx.TXID `json:"seal,omitempty"`    // the commit that sealed From
}

// Head returns the newest pointer: ErrNoTenant if there is none. A deleted
// tenant's head is returned without an error; see Head.Deleted.
func (l *Log) Head(ctx context.Context) (Head, error) {
	return l.HeadAfter(ctx, 0)
}

// HeadAfter is Head for who knows that generation known exists.
func (l *Log) HeadAfter(ctx context.Context, known uint64) (Head, error) {
	// Few tenants were ever swapped: the first pointers are read while the
	// listing is under way, which saves a cold start one round trip.
	const guesses = 3
	guess := max(known, 1)
	if l.Near() { // a listing is no trip
		infos, _, err := l.list(ctx, l.headPrefix(), l.headKey(guess-1), 0)
		switch gen := lastGeneration(infos); {
		case err != nil:
			return Head{}, fmt.Errorf("read head of %s: %w", l.prefix, err)
		case gen == 0:
			return Head{}, fmt.Errorf("%s: %w", l.prefix, ErrNoTenant)
		default:
			return l.readHead(ctx, gen)
		}
	}
	var heads [guesses]Head
	var errs [guesses]error
	var wg sync.WaitGroup
	for i := range heads {
		wg.Go(func() { heads[i], errs[i] = l.readHead(ctx, guess+uint64(i)) })
	}
	infos, _, err := l.list(ctx, l.headPrefix(), l.headKey(guess), 0)
	wg.Wait()
	gen := max(lastGeneration(infos), guess)
	switch i := gen - guess; {
	case err != nil:
		return Head{}, fmt.Errorf("read head of %s: %w", l.prefix, err)
	case i >= guesses || errors.Is(errs[i], objstore.ErrNotExist) && i > 0: // listed after it was looked for
		return l.readHead(ctx, gen)
	case errors.Is(errs[i], objstore.ErrNotExist):
		return Head{}, fmt.Errorf("%s: %w", l.prefix, ErrNoTenant)
	default:
		return heads[i], errs[i]
	}
}

func (l *Log) readHead(ctx context.Context, gen uint64) (Head, error) {
	var h Head
	err := l.retry(ctx, func() error {
		b, _, err := l.get(ctx, l.headKey(gen))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &h); err != nil {
			return corrupt("head %d: %w", gen, err)
		}
		if _, err := parseLineage(string(h.Lineage)); err != nil {
			return corrupt("head %d: %w", gen, err)
		}
		return nil
	})
	h.Generation = gen
	return h, err
}

// Heads lists every pointer of the tenant, oldest first: its lineages.
func (l *Log) Heads(ctx context.Context) ([]Head, error) {
	infos, _, err := l.list(ctx, l.headPrefix(), "", 0)
	if err != nil {
		return nil, err
	}
	var all []Head
	for g, last := uint64(1), lastGeneration(infos); g <= last; g++ {
		h, err := l.readHead(ctx, g)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

// putHead appends the pointer after generation. It returns the pointer that
// stands there, which is another one if somebody was faster.
func (l *Log) putHead(ctx context.Context, generation uint64, h Head) (Head, error) {
	body, err := json.Marshal(h)
	if err != nil {
		return Head{}, fmt.Errorf("encode head: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.CommitTimeout)
	defer cancel()
	// Two who complete the same seal write the same bytes and both succeed.
	_, err = l.claim(ctx, l.headKey(generation+1), body, nil)
	if err != nil && !errors.Is(err, ErrConflict) {
		return Head{}, fmt.Errorf("append head %d of %s: %w", generation+1, l.prefix, err)
	}
	return l.readHead(ctx, generation+1)
}

// Create returns the tenant's live head, and makes an empty database with its
// deterministic first commit if there is none. It is safe to call from any
// number of instances at once; a deleted tenant is created anew.
func (l *Log) Create(ctx context.Context) (Head, error) {
	for {
		h, err := l.Head(ctx)
		if err != nil && !errors.Is(err, ErrNoTenant) {
			return Head{}, err
		}
		if err == nil && !h.Deleted {
			return h, nil
		}
		lin := l.newLineage()
		if err := l.bootstrap(ctx, lin, h.Generation); err != nil {
			return Head{}, err
		}
		next := Head{Lineage: lin, From: h.Lineage, Seal: h.Seal}
		if next, err = l.putHead(ctx, h.Generation, next); err != nil {
			return Head{}, err
		}
		if !next.Deleted {
			return next, nil // ours, or that of another instance: ours is then an orphan that expiry removes
		}
	}
}

// Follow returns the head that a seal of lineage from leads to, and completes
// the pointer if the one who sealed was interrupted. generation is that of
// the pointer that names from.
func (l *Log) Follow(ctx context.Context, generation uint64, from Lineage, at ltx.TXID, s Seal) (Head, error) {
	h, err := l.HeadAfter(ctx, generation)
	if err != nil {
		return Head{}, err
	}
	if h.Generation > generation {
		return h, nil
	}
	next := Head{Lineage: s.Successor, From: from, Seal: at}
	if s.Deleted {
		next.Lineage, next.Deleted = from, true
	}
	return l.putHead(ctx, generation, next)
}
