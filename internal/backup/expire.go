package backup

import (
	"context"
	"errors"
	"time"

	"github.com/eino-qa/eino-qa/internal/commitlog"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// storeNow is the store's clock, ours where it does not say.
func (s *Service) storeNow(ctx context.Context, id kb.TenantID) time.Time {
	_, info, err := s.cfg.Bucket.GetRange(ctx, root+string(id)+"/head/0000000000000001", 0, 1)
	if err == nil && !info.Date.IsZero() {
		return info.Date.UTC()
	}
	return time.Now().UTC()
}

// retire gives up histories that were replaced longer ago than the retention,
// and leftovers of swaps that lost. waiting is how many are still young.
func (s *Service) retire(ctx context.Context, l *commitlog.Log, now time.Time) (n, waiting int, err error) {
	heads, err := l.Heads(ctx)
	if err != nil || len(heads) == 0 {
		return 0, 0, err
	}
	last := heads[len(heads)-1]
	seen := map[commitlog.Lineage]bool{}
	for _, h := range heads {
		if seen[h.Lineage] || h.Lineage == last.Lineage && !last.Deleted {
			continue
		}
		seen[h.Lineage] = true
		b, err := l.Boundary(ctx, h.Lineage)
		if err != nil {
			return n, waiting, err
		}
		if b.Retired() {
			continue
		}
		files, err := l.Files(ctx, h.Lineage, commitlog.LevelCommit)
		if err != nil {
			return n, waiting, err
		}
		// The newest file is the seal: written when the history ended.
		if len(files) > 0 && now.Sub(files[len(files)-1].Modified) < s.cfg.Retention {
			waiting++
			continue
		}
		if err := l.Retire(ctx, h.Lineage); err != nil {
			return n, waiting, err
		}
		n++
	}
	orphans, err := l.Orphans(ctx)
	if err != nil {
		return n, waiting, err
	}
	for _, lin := range orphans {
		if err := l.Retire(ctx, lin); err != nil && !errors.Is(err, commitlog.ErrLive) {
			return n, waiting, err
		}
		n++
	}
	return n, waiting, nil
}

// purge deletes the originals of a tenant whose histories are all given up.
// The pointers stay: they say that the tenant is deleted.
func (s *Service) purge(ctx context.Context, id kb.TenantID, l *commitlog.Log, h commitlog.Head, now time.Time) (n int, err error) {
	b, err := l.Boundary(ctx, h.Lineage)
	if err != nil || !b.Retired() {
		return 0, err
	}
	for _, prefix := range []string{blobs(id), bin(id), "inbox/" + string(id) + "/", "export/" + string(id) + "/"} {
		for more := true; more; {
			infos, m, err := s.cfg.Bucket.List(ctx, prefix, "", 0)
			if err != nil {
				return n, err
			}
			more = m && len(infos) > 0
			keys := make([]string, 0, len(infos))
			for _, i := range infos {
				keys = append(keys, i.Key)
			}
			// Somebody may have made the tenant anew, with the same files.
			if again, err := l.Head(ctx); err != nil || again.Generation != h.Generation || len(keys) == 0 {
				more = false
				if err != nil || again.Generation != h.Generation {
					return n, err
				}
				continue
			}
			if err := s.cfg.Bucket.Delete(ctx, keys...); err != nil {
				return n, err
			}
			n += len(keys)
		}
	}
	return n, s.cfg.Bucket.Delete(ctx, recordKey(id))
}
