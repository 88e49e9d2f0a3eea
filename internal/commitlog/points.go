package commitlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/superfly/ltx"
)

// Point is a commit that can be restored.
type Point struct {
	TXID ltx.TXID
	Time time.Time // about when it was stored; TimeOf has the commit time itself
	File FileInfo  // a file that ends there
}

// Points lists, oldest first, exactly the commits of lin that can be restored:
// single ones above the boundary, the ends of ranges and snapshots below it.
func (l *Log) Points(ctx context.Context, lin Lineage) ([]Point, error) {
	b, err := l.Boundary(ctx, lin)
	if err != nil {
		return nil, err
	}
	if b.Retired() {
		return nil, nil
	}
	var files []FileInfo
	for _, level := range [...]int{LevelCommit, 1, 2, 3, LevelSnapshot} {
		fs, err := l.Files(ctx, lin, level)
		if err != nil {
			return nil, err
		}
		for _, f := range fs {
			if level != LevelCommit || f.Max > b.TXID {
				files = append(files, f)
			}
		}
	}
	return l.trimSeal(ctx, lin, reachable(files))
}

// reachable picks the ends of files that a chain from a whole database leads to.
func reachable(files []FileInfo) []Point {
	slices.SortFunc(files, func(a, b FileInfo) int {
		if a.Max != b.Max {
			return int(int64(a.Max) - int64(b.Max))
		}
		return a.Level - b.Level
	})
	var points []Point
	for _, f := range files {
		n := len(points)
		if n > 0 && points[n-1].TXID == f.Max {
			continue
		}
		// The nearest point before f must not be before what f continues.
		if f.Min == 1 || n > 0 && points[n-1].TXID+1 >= f.Min {
			points = append(points, Point{TXID: f.Max, Time: f.Modified, File: f})
		}
	}
	return points
}

// trimSeal removes a seal at the end: it is no state of the database.
func (l *Log) trimSeal(ctx context.Context, lin Lineage, points []Point) ([]Point, error) {
	n := len(points)
	if n == 0 || points[n-1].File.Level != LevelCommit {
		return points, nil
	}
	b, err := l.ReadRange(ctx, lin, points[n-1].File, 0, ltx.HeaderSize)
	if err != nil {
		return nil, err
	}
	h, err := ParseHeader(b)
	if err != nil {
		return nil, err
	}
	if _, ok := sealOf(h); ok {
		points = points[:n-1]
	}
	return points, nil
}

// TimeOf reads the commit time of p.
func (l *Log) TimeOf(ctx context.Context, lin Lineage, p Point) (time.Time, error) {
	b, err := l.ReadRange(ctx, lin, p.File, 0, ltx.HeaderSize)
	if err != nil {
		return time.Time{}, err
	}
	h, err := ParseHeader(b)
	return time.UnixMilli(h.Timestamp), err
}

// PointAt returns the newest of points, as Points returned them, whose commit
// time is not after t. ErrNoPlan means that all are later.
func (l *Log) PointAt(ctx context.Context, lin Lineage, points []Point, t time.Time) (Point, error) {
	var failed error
	i := sort.Search(len(points), func(i int) bool { // commit times grow with commits
		if failed != nil {
			return true
		}
		at, err := l.TimeOf(ctx, lin, points[i])
		failed = errors.Join(failed, err)
		return at.After(t)
	})
	if failed != nil {
		return Point{}, failed
	}
	if i == 0 {
		return Point{}, fmt.Errorf("nothing is restorable at %s: %w", t.UTC().Format(time.RFC3339), ErrNoPlan)
	}
	return points[i-1], nil
}
