package backup

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Tenant is one of the list of tenants.
type Tenant struct {
	ID         kb.TenantID `json:"id"`
	Status     string      `json:"status"`           // live, deleted
	Commit     string      `json:"commit,omitempty"` // the newest
	Changed    time.Time   `json:"changed_at"`       // when that was stored; of a deletion, when
	LastBackup time.Time   `json:"last_backup"`      // zero = never
	Undo       bool        `json:"undo"`             // there is something that Undo would bring back
}

// Tenants lists tenants by id, also deleted ones.
func (s *Service) Tenants(ctx context.Context, page kb.Page) (ts []Tenant, next string, err error) {
	limit := page.Limit
	if limit <= 0 {
		limit = 50
	}
	names, err := commitlog.Names(ctx, s.cfg.Bucket, root)
	if err != nil {
		return nil, "", err
	}
	for _, name := range names {
		id, err := kb.ParseTenant(name)
		if err != nil || name <= page.Cursor {
			continue // the control database has a name of its own kind
		}
		if len(ts) == limit {
			next = string(ts[limit-1].ID)
			break
		}
		ts = append(ts, Tenant{ID: id})
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8) // each a few small reads
	for i := range ts {
		g.Go(func() (err error) {
			ts[i], err = s.about(ctx, ts[i].ID)
			return err
		})
	}
	return ts, next, g.Wait()
}

func (s *Service) about(ctx context.Context, id kb.TenantID) (Tenant, error) {
	t := Tenant{ID: id, Status: "live"}
	l, h, err := s.live(ctx, id)
	if err != nil {
		return t, err
	}
	files, err := l.Files(ctx, h.Lineage, commitlog.LevelCommit)
	if err != nil {
		return t, classify(id, err)
	}
	if n := len(files); n > 0 {
		t.Commit, t.Changed = pointID(h.Generation, files[n-1].Max), files[n-1].Modified.UTC()
	}
	if h.Deleted {
		t.Status, t.Commit = "deleted", ""
	}
	if h.From != "" && h.Seal >= 2 {
		b, err := l.Boundary(ctx, h.From)
		if err != nil {
			return t, classify(id, err)
		}
		t.Undo = !b.Retired()
	}
	rec, err := s.record(ctx, id)
	t.LastBackup = rec.At
	return t, err
}
