package commitlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/superfly/ltx"

	"github.com/eino-qa/eino-qa/internal/objstore"
)

// Retention says what expiry keeps. Ages are by the store's clock; nothing but
// the choice of what to keep depends on them.
type Retention struct {
	Commits   time.Duration // single commits stay restorable for so long
	Snapshots time.Duration // older snapshots, and the ranges after them, for so long
}

// Expired says what a run of Expire did.
type Expired struct {
	Boundary Boundary
	Deleted  int
}

// Expire raises the boundary of lin as far as keep allows, and deletes behind
// it. verified is a snapshot that passed VerifySnapshot in this run: the
// boundary never passes it, nor the newest commit, nor a commit whose level-1
// file is missing. Run it after CompactAll. It may be killed anywhere, and run
// by several at once: each deletes only what its own boundary covers.
func (l *Log) Expire(ctx context.Context, lin Lineage, verified FileInfo, keep Retention) (Expired, error) {
	var e Expired
	commits, err := l.Files(ctx, lin, LevelCommit)
	if err != nil {
		return e, err
	}
	ranges, err := l.Files(ctx, lin, 1)
	if err != nil {
		return e, err
	}
	if e.Boundary, err = l.Boundary(ctx, lin); err != nil {
		return e, err
	}
	want := l.boundaryFor(commits, ranges, verified, e.Boundary, keep)
	if want > e.Boundary.TXID {
		if e.Boundary, err = l.raise(ctx, lin, Boundary{TXID: want, Snapshot: verified.Max}); err != nil {
			return e, err
		}
	}
	// From here on nobody can mistake an empty slot up to the boundary for
	// the end of the log. Late writes that appear there go too.
	var keys []string
	for _, f := range commits {
		if f.Max <= e.Boundary.TXID {
			keys = append(keys, l.Key(lin, f))
		}
	}
	old, err := l.oldFiles(ctx, lin, verified, keep)
	if err != nil {
		return e, err
	}
	keys = append(keys, old...)
	e.Deleted = len(keys)
	return e, l.deleteAll(ctx, keys)
}

// boundaryFor returns the highest boundary that keeps the rules of Expire.
func (l *Log) boundaryFor(commits, ranges []FileInfo, verified FileInfo, known Boundary, keep Retention) ltx.TXID {
	if len(commits) == 0 {
		return 0
	}
	limit := min(verified.Max, commits[len(commits)-1].Max-1) // the newest commit is never deleted
	young := time.UnixMilli(l.storeMillis()).Add(-keep.Commits)
	for _, f := range commits {
		if f.Max > known.TXID && f.Modified.After(young) {
			limit = min(limit, f.Min-1)
			break
		}
	}
	have := make(map[ltx.TXID]bool, len(ranges))
	for _, f := range ranges {
		have[f.Max] = true
	}
	b := known.TXID / l.cfg.CompactEvery * l.cfg.CompactEvery
	for b+l.cfg.CompactEvery <= limit && have[b+l.cfg.CompactEvery] {
		b += l.cfg.CompactEvery
	}
	return b
}

// oldFiles lists snapshots that are older than keep.Snapshots, except the
// newest ones, with their checksums, and the ranges that only they need.
func (l *Log) oldFiles(ctx context.Context, lin Lineage, verified FileInfo, keep Retention) ([]string, error) {
	snaps, err := l.Files(ctx, lin, LevelSnapshot)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(snaps, func(a, b FileInfo) int { return int(int64(a.Max) - int64(b.Max)) })
	young := time.UnixMilli(l.storeMillis()).Add(-keep.Snapshots)
	oldest := verified.Max // of the snapshots that stay
	var keys []string
	for _, f := range snaps {
		if f.Max < verified.Max && !f.Modified.After(young) {
			keys = append(keys, l.sumsKey(lin, f.Max), l.Key(lin, f)) // in this order: by the snapshot they are found
			continue
		}
		oldest = min(oldest, f.Max)
	}
	if len(keys) == 0 {
		return nil, nil // a history without a gap reaches back to its first commit
	}
	for _, level := range compacted {
		files, err := l.Files(ctx, lin, level)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if f.Max <= oldest {
				keys = append(keys, l.Key(lin, f))
			}
		}
	}
	return keys, nil
}

func (l *Log) deleteAll(ctx context.Context, keys []string) error {
	for part := range slices.Chunk(keys, 1000) { // what S3 and OSS take at once
		err := l.retry(ctx, func() error { return l.bucket.Delete(ctx, part...) })
		if err != nil {
			return fmt.Errorf("delete %d objects from %s on: %w", len(part), part[0], err)
		}
	}
	return nil
}

// wipe deletes everything under prefix: what a log without lineages would do.
func (l *Log) wipe(ctx context.Context, prefix string) error {
	infos, _, err := l.list(ctx, prefix, "", 0)
	if err != nil {
		return err
	}
	keys := make([]string, len(infos))
	for i, info := range infos {
		keys[i] = info.Key
	}
	return l.deleteAll(ctx, keys)
}

// ErrLive means that a lineage is, or may still become, the tenant's.
var ErrLive = errors.New("lineage is live")

// Retire gives a lineage up for ever: its boundary becomes infinite, then its
// files are deleted, except the boundaries, which stay. Undo is not possible
// any more. It refuses the live lineage, and one that a swap may be building.
func (l *Log) Retire(ctx context.Context, lin Lineage) error {
	if !l.cfg.Has(GuardLineage) {
		return l.wipe(ctx, l.Root(lin)+"/")
	}
	h, err := l.Head(ctx)
	if err != nil && !errors.Is(err, ErrNoTenant) {
		return err
	}
	dead, err := l.dead(ctx, lin, h)
	if err != nil {
		return err
	}
	if !dead {
		return fmt.Errorf("retire %s: %w", l.Root(lin), ErrLive)
	}
	if _, err := l.raise(ctx, lin, Boundary{TXID: retired}); err != nil {
		return err
	}
	infos, _, err := l.list(ctx, l.Root(lin)+"/", "", 0)
	if err != nil {
		return err
	}
	var keys []string
	for _, i := range infos {
		if !strings.HasPrefix(i.Key, l.gcPrefix(lin)) && i.Key != l.originKey(lin) {
			keys = append(keys, i.Key)
		}
	}
	return l.deleteAll(ctx, keys)
}

// dead reports whether lin can never be the tenant's lineage again: its
// origin's place in the pointers is taken, and the newest names another.
func (l *Log) dead(ctx context.Context, lin Lineage, h Head) (bool, error) {
	if h.Lineage == lin && !h.Deleted {
		return false, nil
	}
	var o origin
	b, _, err := l.get(ctx, l.originKey(lin))
	if err != nil {
		return false, fmt.Errorf("origin of %s: %w", l.Root(lin), err)
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return false, corrupt("origin of %s: %w", l.Root(lin), err)
	}
	return h.Generation > o.After, nil
}

// Orphans lists lineages that no pointer names and none can name any more:
// left over from races to create a tenant and from swaps that lost. Retire
// takes them.
func (l *Log) Orphans(ctx context.Context) ([]Lineage, error) {
	heads, err := l.Heads(ctx)
	if err != nil || len(heads) == 0 {
		return nil, err
	}
	named := map[Lineage]bool{}
	for _, h := range heads {
		named[h.Lineage] = true
	}
	var orphans []Lineage
	err = l.eachLineage(ctx, func(lin Lineage) error {
		if named[lin] {
			return nil
		}
		dead, err := l.dead(ctx, lin, heads[len(heads)-1])
		if errors.Is(err, objstore.ErrNotExist) {
			return nil // not ours
		}
		if b, berr := l.Boundary(ctx, lin); err == nil && dead && berr == nil && !b.Retired() {
			orphans = append(orphans, lin)
		}
		return err
	})
	return orphans, err
}

// eachLineage skips from folder to folder below the tenant.
func (l *Log) eachLineage(ctx context.Context, f func(Lineage) error) error {
	after := ""
	for {
		infos, _, err := l.listPage(ctx, l.prefix+"/", after, 1)
		if err != nil || len(infos) == 0 {
			return err
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(infos[0].Key, l.prefix+"/"), "/")
		if lin, err := parseLineage(name); err == nil {
			if err := f(lin); err != nil {
				return err
			}
		}
		after = l.prefix + "/" + name + "0" // '0' follows '/' in byte order: past everything in that folder
	}
}

// Names lists the tenants that have a log under root, which ends in a slash,
// in order. Deleted ones are among them.
func Names(ctx context.Context, b objstore.Bucket, root string) ([]string, error) {
	var names []string
	after := ""
	for {
		infos, _, err := b.List(ctx, root, after, 1)
		if err != nil {
			return nil, fmt.Errorf("list tenants: %w", err)
		}
		if len(infos) == 0 {
			return names, nil
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(infos[0].Key, root), "/")
		heads, _, err := b.List(ctx, root+name+"/head/", "", 1)
		if err != nil {
			return nil, fmt.Errorf("list tenants: %w", err)
		}
		if len(heads) > 0 {
			names = append(names, name)
		}
		after = root + name + "0" // '0' follows '/'
	}
}
