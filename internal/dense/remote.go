package dense

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/vector"
)

const (
	// batchVectors is how many vectors a batch has at most: 6 MB at 1536
	// dimensions, a tenth of what a gRPC message of Milvus may have.
	batchVectors = 1000
	// pendingTime is how long a batch may be on its way; then whoever sent it
	// is taken to be dead. If it is not, it finds its batch abandoned.
	pendingTime = 10 * time.Minute
	// countEvery is how often a process counts the batches again: an index
	// outside may be emptied or lost behind our back.
	countEvery = 10 * time.Minute
	// listEvery is how often a process looks for batches that nobody knows.
	listEvery = time.Hour
)

// send gives the index outside the vectors that it lacks. Each batch is
// announced in the database, sent, read back, and only then made live there; a
// batch that fails or is not whole is abandoned, and its vectors are sent again
// in another one.
func (x *Indexer) send(ctx context.Context, rep *Report, dims int) error {
	if x.cfg.Remote.Of == nil {
		return nil
	}
	if err := x.sweepBatches(ctx, rep.Space, dims); err != nil {
		return err
	}
	all, epoch, err := x.store.VectorBatches(ctx, x.cfg.Remote.Target)
	if err != nil {
		return err
	}
	taken := ofSpace(all, rep.Space, kb.BatchLive, kb.BatchPending)
	r := x.cfg.Remote.Of(rep.Space, dims)
	var part []kb.VectorBlock
	n := 0
	flush := func() error {
		if len(part) == 0 {
			return nil
		}
		err := x.sendBatch(ctx, r, rep, epoch, dims, part)
		part, n = nil, 0
		if errors.Is(err, errTaken) { // the next pass looks
			return nil
		}
		return err
	}
	for after := int64(0); ; {
		page, err := x.store.VectorBlocks(ctx, rep.Space, after, pageBytes)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return flush()
		}
		// Read after the blocks: a chunk that is not live now died, and was not
		// merely published since.
		live, err := x.store.LiveSpans(ctx)
		if err != nil {
			return err
		}
		for _, b := range page {
			after = b.ID
			size := int(b.Last-b.First) + 1
			// A batch is every block from its first to its last.
			if hasBlock(taken, b.ID) || n+size > batchVectors {
				if err := flush(); err != nil {
					return err
				}
			}
			if !hasBlock(taken, b.ID) && isLive(live, b.First) {
				part, n = append(part, b), n+size
			}
		}
	}
}

// ofSpace returns the batches of a space in these states by their first block.
func ofSpace(all []kb.VectorBatch, space string, states ...kb.BatchState) []kb.VectorBatch {
	out := slices.DeleteFunc(slices.Clone(all), func(b kb.VectorBatch) bool { return b.Space != space || !slices.Contains(states, b.State) })
	slices.SortFunc(out, func(a, b kb.VectorBatch) int { return cmp.Compare(a.First, b.First) })
	return out
}

// sendBatch sends blocks as one batch.
func (x *Indexer) sendBatch(ctx context.Context, r Remote, rep *Report, epoch int64, dims int, blocks []kb.VectorBlock) error {
	var rows []kb.VectorRow
	for _, b := range blocks {
		if len(b.Data) == 0 {
			continue
		}
		d, err := vector.Decode(b.Data, dims)
		if err != nil {
			x.repair([]int64{b.ID})
			return fmt.Errorf("chunks %d to %d: %w", b.First, b.Last, err)
		}
		for i := range d.Len() {
			rows = append(rows, kb.VectorRow{Chunk: b.First + kb.ChunkID(i), Vector: d.At(i)})
		}
	}
	now := time.Now()
	b := kb.VectorBatch{
		ID: kb.NewID("vec", now), Space: rep.Space, Target: x.cfg.Remote.Target,
		First: blocks[0].ID, Last: blocks[len(blocks)-1].ID, N: len(rows), Epoch: epoch, Created: now,
	}
	if err := x.store.BeginBatch(ctx, b); err != nil {
		return taken(err)
	}
	err := fill(ctx, r, b, rows)
	if err == nil {
		err = taken(x.store.CountedBatch(ctx, b.ID, epoch))
	}
	if err != nil {
		// Best effort: a batch that stays pending is swept later.
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTime)
		defer cancel()
		_ = x.store.AbandonBatches(keep, []string{b.ID})
		return err
	}
	x.counted(b.ID, now)
	rep.Sent += len(rows)
	return nil
}

// errTaken is that another server sends these vectors, or swept ours.
var errTaken = errors.New("another server has the batch")

func taken(err error) error {
	if kb.KindOf(err) == kb.Conflict {
		return fmt.Errorf("%w: %w", errTaken, err)
	}
	return err
}

// fill sends the rows of a batch and reads it back.
func fill(ctx context.Context, r Remote, b kb.VectorBatch, rows []kb.VectorRow) error {
	if len(rows) == 0 {
		return nil
	}
	if err := r.Upsert(ctx, b.ID, rows); err != nil {
		return err
	}
	n, err := r.Count(ctx, b.ID)
	if err == nil && n != b.N {
		err = kb.E(kb.Unavailable, fmt.Errorf("batch %s: %d vectors of %d are there", b.ID, n, b.N), "the vector index lost vectors")
	}
	return err
}

func (x *Indexer) counted(id string, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.verified[id] = at
}

// sweepBatches takes out of use what does not count any more, and deletes it:
// first in the database, so that nobody searches it, then outside.
func (x *Indexer) sweepBatches(ctx context.Context, space string, dims int) error {
	if x.cfg.Remote.Of == nil || dims <= 0 {
		return nil
	}
	r := x.cfg.Remote.Of(space, dims)
	orphans, err := x.orphans(ctx, r, space)
	if err != nil {
		return err
	}
	all, epoch, err := x.store.VectorBatches(ctx, x.cfg.Remote.Target)
	if err != nil {
		return err
	}
	alive, err := x.alive(ctx, space)
	if err != nil {
		return err
	}
	gone := orphans
	var abandon []string
	for _, b := range ofSpace(all, space, kb.BatchLive, kb.BatchPending, kb.BatchAbandoned) {
		drop, err := x.judge(ctx, r, b, epoch, alive)
		if err != nil {
			return err
		}
		if drop {
			gone = append(gone, b.ID)
			if b.State != kb.BatchAbandoned {
				abandon = append(abandon, b.ID)
			}
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := x.store.AbandonBatches(ctx, abandon); err != nil {
		return err
	}
	if err := r.Drop(ctx, gone); err != nil {
		return err
	}
	return x.store.DropBatches(ctx, gone)
}

// judge says whether a batch has to go: abandoned, pending for too long, not
// whole outside, or mostly dead.
func (x *Indexer) judge(ctx context.Context, r Remote, b kb.VectorBatch, epoch int64, alive []kb.VectorBlock) (drop bool, err error) {
	switch b.State {
	case kb.BatchAbandoned:
		return true, nil
	case kb.BatchPending:
		return time.Since(b.Created) > pendingTime, nil
	}
	left := 0
	for _, blk := range alive {
		if blk.ID >= b.First && blk.ID <= b.Last {
			left += int(blk.Last-blk.First) + 1
		}
	}
	if 2*left < b.N || left == 0 {
		return true, nil
	}
	x.mu.Lock()
	at := x.verified[b.ID]
	x.mu.Unlock()
	if b.Epoch == epoch && time.Since(at) < countEvery {
		return false, nil
	}
	n := 0
	if b.N > 0 {
		if n, err = r.Count(ctx, b.ID); err != nil {
			return false, err
		}
	}
	if n != b.N {
		x.cfg.Log.WarnContext(ctx, "vector index lost a batch: it is sent again", "batch", b.ID, "there", n, "sent", b.N)
		return true, nil
	}
	if b.Epoch != epoch {
		if err := x.store.CountedBatch(ctx, b.ID, epoch); err != nil {
			return false, err
		}
	}
	x.counted(b.ID, time.Now())
	return false, nil
}

// alive lists the blocks of a space that hold live chunks.
func (x *Indexer) alive(ctx context.Context, space string) ([]kb.VectorBlock, error) {
	blocks, err := x.store.VectorSpans(ctx, space)
	if err != nil {
		return nil, err
	}
	live, err := x.store.LiveSpans(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(blocks, func(b kb.VectorBlock) bool { return !isLive(live, b.First) }), nil
}

// orphans lists, now and then, the batches outside that the database does not
// know: they were deleted there and not here, or belong to a history that was
// restored away.
func (x *Indexer) orphans(ctx context.Context, r Remote, space string) ([]string, error) {
	x.mu.Lock()
	due := time.Since(x.listed) > listEvery
	x.mu.Unlock()
	if !due {
		return nil, nil
	}
	there, err := r.Batches(ctx)
	if err != nil {
		return nil, err
	}
	// Read after listing: a batch is recorded before anything of it is sent.
	if err := x.store.Refresh(ctx); err != nil {
		return nil, err
	}
	all, _, err := x.store.VectorBatches(ctx, x.cfg.Remote.Target)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, b := range all {
		known[b.ID] = b.Space == space
	}
	x.mu.Lock()
	x.listed = time.Now()
	x.mu.Unlock()
	return slices.DeleteFunc(there, func(id string) bool { return known[id] }), nil
}

// abandonAll takes every batch of this model out of use, for Rebuild.
func (x *Indexer) abandonAll(ctx context.Context) error {
	if x.cfg.Remote.Of == nil {
		return nil
	}
	all, _, err := x.store.VectorBatches(ctx, x.cfg.Remote.Target)
	if err != nil {
		return err
	}
	var ids []string
	for _, b := range all {
		if model, _, _ := cut(b.Space); model == x.embed.Model() {
			ids = append(ids, b.ID)
		}
	}
	x.mu.Lock()
	x.listed = time.Time{} // what nobody knows goes, too
	x.mu.Unlock()
	return x.store.AbandonBatches(ctx, ids)
}

// Leave deletes everything of the tenant outside, best when the tenant is
// gone: nobody knows its batches any more.
func (x *Indexer) Leave(ctx context.Context) error {
	if x.cfg.Remote.Of == nil {
		return nil
	}
	d := x.embed.Dimensions()
	if d == 0 {
		return nil
	}
	r := x.cfg.Remote.Of(Space(x.embed.Model(), d), d)
	there, err := r.Batches(ctx)
	if err != nil || len(there) == 0 {
		return err
	}
	return r.Drop(ctx, there)
}
