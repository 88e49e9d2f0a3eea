package logvfs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/eino-qa/eino-qa/internal/commitlog"
)

// backup compacts, snapshots, verifies and expires, as fast as it can.
func (s *sim) backup(name string, rounds int) func(*rand.Rand) {
	return func(r *rand.Rand) {
		for i := range rounds {
			in := &instance{w: s.world, name: fmt.Sprintf("%s.%d", name, i)}
			log, err := commitlog.New(in, tenant, s.config(name, i).Log)
			if err != nil {
				s.fault("backup: %v", err)
				return
			}
			err = s.backupOnce(log, r)
			s.mu.Lock()
			s.note("%s: backup: %v", in.name, err)
			s.mu.Unlock()
			if errors.Is(err, commitlog.ErrFork) || errors.Is(err, commitlog.ErrCorrupt) {
				s.fault("backup: %v", err)
			}
			time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
		}
	}
}

func (s *sim) backupOnce(log *commitlog.Log, r *rand.Rand) error {
	ctx := context.Background()
	h, err := log.Head(ctx)
	if err != nil {
		return err
	}
	if !h.Deleted {
		if _, err := log.CompactAll(ctx, h.Lineage); err != nil {
			return err
		}
		f, err := log.Snapshot(ctx, h.Lineage)
		if err != nil {
			return err
		}
		if err := log.VerifySnapshot(ctx, h.Lineage, f); err != nil {
			return err
		}
		if _, err := log.Expire(ctx, h.Lineage, f, commitlog.Retention{}); err != nil {
			return err
		}
	}
	orphans, err := log.Orphans(ctx)
	if err != nil {
		return err
	}
	for _, o := range orphans {
		if err := log.Retire(ctx, o); err != nil {
			return err
		}
	}
	if h.From != "" && r.IntN(4) == 0 && h.From != h.Lineage {
		return log.Retire(ctx, h.From)
	}
	return nil
}

// swapper restores, undoes, deletes and creates anew.
func (s *sim) swapper(rounds int) func(*rand.Rand) {
	return func(r *rand.Rand) {
		for i := range rounds {
			time.Sleep(time.Duration(1000+r.IntN(5000)) * time.Millisecond)
			in := &instance{w: s.world, name: fmt.Sprintf("swap.%d", i)}
			log, err := commitlog.New(in, tenant, s.config("swap", i).Log)
			if err != nil {
				s.fault("swapper: %v", err)
				return
			}
			what, err := s.swapOnce(log, r)
			s.mu.Lock()
			s.note("%s: %s: %v", in.name, what, err)
			s.mu.Unlock()
			if errors.Is(err, commitlog.ErrFork) || errors.Is(err, commitlog.ErrCorrupt) {
				s.fault("swapper: %s: %v", what, err)
			}
		}
	}
}

func (s *sim) swapOnce(log *commitlog.Log, r *rand.Rand) (string, error) {
	ctx := context.Background()
	h, err := log.Head(ctx)
	if err != nil {
		return "head", err
	}
	switch n := r.IntN(6); {
	case h.Deleted && n < 3:
		_, err := log.Create(ctx)
		return "create anew", err
	case h.Deleted || n == 0 && h.From != "":
		_, err := log.Undo(ctx, h)
		return "undo", err
	case n == 1:
		_, err := log.Delete(ctx, h)
		return "delete", err
	}
	points, err := log.Points(ctx, h.Lineage)
	if err != nil || len(points) == 0 {
		return "points", err
	}
	to, err := log.Fork(ctx, h.Generation, h.Lineage, points[r.IntN(len(points))].TXID)
	if err != nil {
		return "fork", err
	}
	_, err = log.Swap(ctx, h, to)
	return "swap", err
}
