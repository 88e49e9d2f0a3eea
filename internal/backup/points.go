package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/superfly/ltx"
	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Point is a moment that a tenant can be restored to.
type Point struct {
	Commit   string    `json:"commit"`   // generation.transaction, to restore by
	Time     time.Time `json:"time"`     // of the commit
	Kind     string    `json:"kind"`     // commit, range (the end of several), snapshot
	Replaced bool      `json:"replaced"` // it is of a history that a restore replaced

	head commitlog.Head
	p    commitlog.Point
}

// history is one lineage of a tenant with its points, oldest first.
type history struct {
	head   commitlog.Head
	points []commitlog.Point
}

// histories lists what is restorable, the live lineage first.
func histories(ctx context.Context, l *commitlog.Log) ([]history, error) {
	heads, err := l.Heads(ctx)
	if err != nil {
		return nil, err
	}
	if len(heads) == 0 {
		return nil, commitlog.ErrNoTenant
	}
	var hs []history
	seen := map[commitlog.Lineage]bool{}
	for _, h := range heads { // the pointer of a deletion names a lineage that an older one named first
		if seen[h.Lineage] {
			continue
		}
		seen[h.Lineage] = true
		points, err := l.Points(ctx, h.Lineage)
		if err != nil {
			return nil, err
		}
		// The first commit of a tenant that was created is a database without
		// tables; its time is 0.
		if len(points) > 0 && points[0].TXID == 1 {
			at, err := l.TimeOf(ctx, h.Lineage, points[0])
			if err != nil {
				return nil, err
			}
			if at.UnixMilli() == 0 {
				points = points[1:]
			}
		}
		hs = append(hs, history{h, points})
	}
	slices.Reverse(hs)
	return hs, nil
}

// Points lists exactly what can be restored, newest first.
func (s *Service) Points(ctx context.Context, id kb.TenantID, page kb.Page) (ps []Point, next string, err error) {
	l, head, err := s.live(ctx, id)
	if err != nil {
		return nil, "", err
	}
	hs, err := histories(ctx, l)
	if err != nil {
		return nil, "", classify(id, err)
	}
	gen, txid := ^uint64(0), ltx.TXID(0)
	if page.Cursor != "" {
		if gen, txid, err = parsePoint(page.Cursor); err != nil {
			return nil, "", kb.E(kb.Invalid, err, "cursor: use the value of next").With("field", "cursor")
		}
	}
	limit := page.Limit
	if limit <= 0 {
		limit = 50
	}
	for _, h := range hs {
		for _, p := range slices.Backward(h.points) {
			if h.head.Generation > gen || h.head.Generation == gen && p.TXID >= txid {
				continue
			}
			if len(ps) == limit {
				next = ps[limit-1].Commit
				break
			}
			ps = append(ps, Point{
				Commit: pointID(h.head.Generation, p.TXID), Time: p.Time.UTC(), Kind: kind(p.File.Level),
				Replaced: head.Deleted || h.head.Lineage != head.Lineage, head: h.head, p: p,
			})
		}
	}
	return ps, next, classify(id, exactTimes(ctx, l, ps))
}

func kind(level int) string {
	switch level {
	case commitlog.LevelCommit:
		return "commit"
	case commitlog.LevelSnapshot:
		return "snapshot"
	}
	return "range"
}

// exactTimes reads the commit times: a file may have been stored long after
// the commit it ends at.
func exactTimes(ctx context.Context, l *commitlog.Log, ps []Point) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16) // small reads
	for i := range ps {
		g.Go(func() error {
			at, err := l.TimeOf(ctx, ps[i].head.Lineage, ps[i].p)
			if err == nil {
				ps[i].Time = at.UTC()
			}
			return err
		})
	}
	return g.Wait()
}

func parsePoint(s string) (gen uint64, id ltx.TXID, err error) {
	a, b, ok := strings.Cut(s, ".")
	gen, err1 := strconv.ParseUint(a, 10, 64)
	n, err2 := strconv.ParseUint(b, 10, 63)
	if !ok || err1 != nil || err2 != nil || n == 0 || gen == 0 {
		return 0, 0, fmt.Errorf("%q is no commit", s)
	}
	return gen, ltx.TXID(n), nil
}

// Target names a moment: a commit as Points lists it, or a time.
type Target struct {
	Commit string
	Time   time.Time
}

// resolve finds the point that a target names: the commit, or the newest one
// that is not after the time, in the history that was live then.
func (s *Service) resolve(ctx context.Context, id kb.TenantID, l *commitlog.Log, t Target) (Point, error) {
	var gen uint64
	var txid ltx.TXID
	var err error
	switch {
	case t.Commit != "" && !t.Time.IsZero(), t.Commit == "" && t.Time.IsZero():
		return Point{}, kb.E(kb.Invalid, nil, "time, commit: give one of the two").With("field", "time")
	case t.Commit != "":
		if gen, txid, err = parsePoint(t.Commit); err != nil {
			return Point{}, kb.E(kb.Invalid, err, "commit: use one of the list of restore points, such as 1.42").With("field", "commit")
		}
	}
	hs, err := histories(ctx, l)
	if err != nil {
		return Point{}, classify(id, err)
	}
	for _, h := range hs {
		if len(h.points) == 0 {
			continue
		}
		var p commitlog.Point
		if t.Commit != "" {
			i := slices.IndexFunc(h.points, func(p commitlog.Point) bool { return p.TXID == txid })
			if h.head.Generation != gen || i < 0 {
				continue
			}
			p = h.points[i]
		} else if p, err = l.PointAt(ctx, h.head.Lineage, h.points, t.Time); errors.Is(err, commitlog.ErrNoPlan) {
			continue // this history began later
		} else if err != nil {
			return Point{}, classify(id, err)
		}
		found := []Point{{Commit: pointID(h.head.Generation, p.TXID), Kind: kind(p.File.Level), head: h.head, p: p}}
		err := exactTimes(ctx, l, found)
		return found[0], classify(id, err)
	}
	if t.Commit != "" {
		return Point{}, kb.E(kb.NotFound, nil, "commit %s of tenant %q cannot be restored; list what can", t.Commit, id).With("field", "commit")
	}
	return Point{}, kb.E(kb.NotFound, nil, "tenant %q has nothing restorable at %s or before; list what there is", id, t.Time.UTC().Format(time.RFC3339)).With("field", "time")
}
