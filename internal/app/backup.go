package app

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/store"
)

// backups is backup over the store of this process.
func (a *App) backups() *backup.Service {
	layout := commitlog.Objects
	if a.folder {
		layout = commitlog.Folder
	}
	return backup.New(backup.Config{
		Bucket: a.bucket, Layout: layout, SQL: files{a}, Log: a.log,
		Window: a.cfg.Backup.CommitWindow, Retention: a.cfg.Backup.Retention,
		Create: func(ctx context.Context, id kb.TenantID) error {
			a.forget(id)
			_, err := a.tenants.Create(ctx, id)
			return err
		},
		Originals: store.OriginalsOf,
		Alarm:     func(err error) { a.log.Error("the store breaks its promises", "error", err); a.meter.Storage("alarm") },
	})
}

// Backup is the scheduled run: every tenant is compacted, and what is due gets
// a verified snapshot and expires. No tenant is begun after deadline (zero =
// none); the next run goes on with those left. Two runs at once do no harm.
func (a *App) Backup(ctx context.Context, deadline time.Time) (backup.Report, error) {
	rep, err := a.backups().Run(ctx, backup.Options{Deadline: deadline})
	a.log.InfoContext(ctx, "backup ended", "tenants", len(rep.Results), "done", rep.Count(backup.Done), "idle", rep.Count(backup.Idle),
		"deferred", rep.Count(backup.Deferred), "failed", rep.Count(backup.Failed), "duration", rep.Ended.Sub(rep.Started))
	return rep, err
}

// backupEvery runs the backup now and then until ctx ends. A failed run is
// logged: the next one tries again.
func (a *App) backupEvery(ctx context.Context) error {
	every := a.cfg.Backup.Interval
	if every <= 0 {
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// Servers that share a store take turns: who comes second finds most
		// tenants done.
		_, err := a.backups().Run(ctx, backup.Options{Recent: every / 2})
		if err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "backup failed", "error", err)
		}
	}
}

// verifyEvery is how soon a large database that was opened lazily begins to be
// verified; a look at those that are open asks the store for nothing.
const verifyEvery = time.Second

// verifyOpen verifies what was opened lazily, until ctx ends. Damage is told by
// the registry's alarm; what the store refuses is tried again, at most every
// minute.
func (a *App) verifyOpen(ctx context.Context) error {
	wait := verifyEvery
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = verifyEvery
		if err := a.tenants.Hydrate(ctx); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "an open database could not be verified", "error", err)
			wait = time.Minute
		}
	}
}

// forget drops what this process keeps of a tenant, so that the next request
// opens it anew.
func (a *App) forget(id kb.TenantID) {
	a.lately.forget(id)
	a.tenants.Forget(id)
}

// audited does what an operator asked for between two audit rows. Without the
// first nothing is done.
func (a *App) audited(ctx context.Context, actor, action string, id kb.TenantID, detail any, do func() (any, error)) error {
	e := store.Entry{At: now(), Actor: actor, Action: action, Tenant: string(id), Outcome: "begun", Detail: toJSON(detail)}
	if err := a.control.Note(ctx, e); err != nil {
		return err
	}
	result, err := do()
	e.At, e.Outcome, e.Detail = now(), "done", toJSON(result)
	if err != nil {
		e.Outcome, e.Detail = "failed", toJSON(map[string]string{"error": err.Error()})
	}
	// It is done whoever left meanwhile.
	if nerr := a.control.Note(context.WithoutCancel(ctx), e); nerr != nil {
		a.log.ErrorContext(ctx, "audit row of a finished action is missing", "action", action, "tenant", string(id), "outcome", e.Outcome, "error", nerr)
	}
	return err
}

// now is the time of an audit row.
func now() time.Time { return time.Now().UTC() }

func toJSON(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%q", err.Error())
	}
	return string(b)
}

// files is package store's knowledge of plain files as package backup sees it.
type files struct{ a *App }

var _ backup.SQL = files{}

func (files) Inspect(ctx context.Context, path string) (backup.Facts, error) {
	f, err := store.InspectFile(ctx, path)
	if err != nil {
		return backup.Facts{}, err
	}
	out := backup.Facts{Control: f.Control, Schema: f.Schema, MinReader: f.MinReader, MinWriter: f.MinWriter}
	for _, t := range f.Tables {
		out.Tables = append(out.Tables, backup.Table(t))
	}
	return out, nil
}

func (files) Compare(ctx context.Context, then, now string) ([]backup.Difference, error) {
	ds, err := store.CompareFiles(ctx, then, now)
	out := make([]backup.Difference, len(ds))
	for i, d := range ds {
		out[i] = backup.Difference(d)
	}
	return out, err
}

func (files) Normalize(ctx context.Context, src, dst string) error {
	return store.NormalizeFile(ctx, src, dst)
}

func (f files) Advance(ctx context.Context, id kb.TenantID, path string) error {
	h, err := f.a.tenants.Tenant(ctx, id)
	if err != nil {
		return err
	}
	s := store.New(h)
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	live, err := s.Counters(ctx)
	if err != nil {
		return err
	}
	return store.AdvanceFile(ctx, path, live)
}
