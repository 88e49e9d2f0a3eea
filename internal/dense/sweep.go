package dense

import (
	"context"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// usedEvery is how often a server notes that it uses a space while there is
// another one.
const usedEvery = time.Hour

// sweep removes blocks whose chunks cannot be found any more and, once this
// space has every chunk, other spaces that no server uses. A space is used
// while servers say so; what they did not say for KeepOld, and this space being
// that old itself, is a change of model that is over.
func (x *Indexer) sweep(ctx context.Context, rep *Report) error {
	spaces, err := x.store.VectorSpaces(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	var own kb.VectorSpace
	for _, s := range spaces {
		if s.Space == rep.Space {
			own = s
		}
	}
	if own.Space != "" && len(spaces) > 1 && now.Sub(own.Used) > usedEvery {
		if err := x.store.UseVectorSpace(ctx, own.Space, now); err != nil {
			return err
		}
	}
	over := own.Space != "" && rep.Missing == 0 && now.Sub(own.Since) > x.cfg.KeepOld
	for _, s := range spaces {
		whole := s.Space != rep.Space && over && now.Sub(s.Used) > x.cfg.KeepOld
		if err := x.sweepSpace(ctx, s.Space, whole, rep); err != nil {
			return err
		}
	}
	return nil
}

// sweepAll removes everything: the tenant has no chunks.
func (x *Indexer) sweepAll(ctx context.Context, rep *Report) error {
	spaces, err := x.store.VectorSpaces(ctx)
	if err != nil {
		return err
	}
	for _, s := range spaces {
		if err := x.sweepSpace(ctx, s.Space, false, rep); err != nil {
			return err
		}
		if err := x.sweepBatches(ctx, s.Space, dimsOf(s.Space)); err != nil {
			return err
		}
	}
	return nil
}

// sweepSpace removes the dead blocks of a space, or all of them.
func (x *Indexer) sweepSpace(ctx context.Context, space string, whole bool, rep *Report) error {
	live, err := x.store.LiveSpans(ctx)
	if err != nil {
		return err
	}
	blocks, err := x.store.VectorSpans(ctx, space)
	if err != nil {
		return err
	}
	var ids []int64
	for _, b := range blocks {
		if whole || !isLive(live, b.First) {
			ids = append(ids, b.ID)
		}
	}
	if err := x.store.DropVectors(ctx, ids); err != nil {
		return err
	}
	rep.Swept += len(ids)
	if !whole {
		return nil
	}
	if err := x.sweepBatches(ctx, space, dimsOf(space)); err != nil {
		return err
	}
	return x.store.DropVectorSpace(ctx, space)
}

// Space names the space in use. A model that nobody knows is asked.
func (x *Indexer) Space(ctx context.Context) (space string, dims int, err error) {
	dims, _, err = x.dims(ctx)
	return Space(x.embed.Model(), dims), dims, err
}

// Rebuild gives the index outside everything anew; with embeddings it also
// makes every vector of this model anew, which is paid for again.
func (x *Indexer) Rebuild(ctx context.Context, embeddings bool) (rep Report, err error) {
	if err := x.store.Refresh(ctx); err != nil {
		return rep, err
	}
	if err := x.abandonAll(ctx); err != nil {
		return rep, err
	}
	if embeddings {
		dims, _, err := x.dims(ctx)
		if err != nil {
			return rep, err
		}
		if err := x.sweepSpace(ctx, Space(x.embed.Model(), dims), true, &rep); err != nil {
			return rep, err
		}
	}
	return x.Pass(ctx)
}

// Status is how far the vectors of a tenant are.
type Status struct {
	Chunks  int           // that can be found
	Model   string        //
	Spaces  []SpaceStatus // the one in use first
	Remote  bool          // there is an index outside
	Batches []kb.VectorBatch
	Epoch   int64
}

// SpaceStatus is one space of a tenant.
type SpaceStatus struct {
	Space   string
	Dims    int
	InUse   bool // by this server
	Missing int  // chunks without a vector
	Blocks  int
	Outside int // blocks that the index outside has, as the database knows
	Sent    int // vectors of these
	Pending int // batches on their way there
	Dropped int // batches abandoned and not deleted there yet
}

// Status reads how far the vectors are, without asking the model or the index
// outside.
func (x *Indexer) Status(ctx context.Context) (st Status, err error) {
	live, err := x.store.LiveSpans(ctx)
	if err != nil {
		return st, err
	}
	st.Chunks, st.Model, st.Remote = count(live), x.embed.Model(), x.cfg.Remote.Of != nil
	if st.Batches, st.Epoch, err = x.store.VectorBatches(ctx, x.cfg.Remote.Target); err != nil {
		return st, err
	}
	spaces, err := x.store.VectorSpaces(ctx)
	if err != nil {
		return st, err
	}
	inUse := ""
	if d := x.embed.Dimensions(); d > 0 {
		inUse = Space(x.embed.Model(), d)
	}
	for _, s := range spaces {
		blocks, err := x.store.VectorSpans(ctx, s.Space)
		if err != nil {
			return st, err
		}
		model, _, _ := cut(s.Space)
		one := SpaceStatus{Space: s.Space, Dims: dimsOf(s.Space), InUse: s.Space == inUse || inUse == "" && model == st.Model, Missing: count(missing(live, blocks)), Blocks: len(blocks)}
		_, covered := usable(st.Batches, st.Epoch, s.Space)
		for _, b := range blocks {
			if hasBlock(covered, b.ID) {
				one.Outside++
			}
		}
		for _, b := range covered {
			one.Sent += b.N
		}
		one.Pending = len(ofSpace(st.Batches, s.Space, kb.BatchPending))
		one.Dropped = len(ofSpace(st.Batches, s.Space, kb.BatchAbandoned))
		st.Spaces = append(st.Spaces, one)
	}
	return st, nil
}
