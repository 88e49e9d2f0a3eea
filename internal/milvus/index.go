package milvus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"

	"github.com/eino-qa/eino-qa/internal/kb"
)

const (
	// pieceBytes bounds the vectors of one upsert: below gRPC's default of
	// 4 MiB, which a proxy before the server may have kept.
	pieceBytes = 2 << 20
	// dropPiece is how many batches one delete names; an id is 66 bytes at most.
	dropPiece = 256
	// comeBack is what a caller is told to wait for a collection that has just
	// begun to be loaded.
	comeBack = 5 * time.Second
)

// names reports whether s may be a batch's id: it stands in expressions and keys.
func names(s string) bool { return word(s, "_-") }

// Index is the rows of one tenant in one space. It is safe for concurrent use.
// Its errors are kb.Unavailable, but for what is wrong with the arguments and
// for a collection that is not ours (kb.Conflict).
type Index struct {
	c      *Client
	col    *collection
	tenant kb.TenantID
	bad    error // why nothing can be done, found when the Index was made
}

// Index returns the rows of a tenant in a space, whose vectors have dims
// dimensions. It asks the server nothing; what cannot be is an error of the
// first call.
func (c *Client) Index(tenant kb.TenantID, space string, dims int) *Index {
	x := &Index{c: c, col: c.collection(space, dims), tenant: tenant, bad: checkDims(dims)}
	if _, err := kb.ParseTenant(string(tenant)); err != nil {
		x.bad = err
	}
	return x
}

// Collection returns the name of the collection that holds the rows: the same
// for equal spaces and metrics, never the same for different ones.
func (x *Index) Collection() string { return x.col.name }

// Upsert writes the rows of a batch and makes the collection where there is
// none. It may be repeated with the same rows. What was written is certain
// only when Count says so.
func (x *Index) Upsert(ctx context.Context, batch string, rows []kb.VectorRow) error {
	if err := x.checkRows(batch, rows); err != nil {
		return err
	}
	size := max(1, pieceBytes/(4*x.col.dims+2*lengthKey))
	for piece := range slices.Chunk(rows, size) {
		columns := x.columns(batch, piece)
		err := x.col.work(ctx, "upsert", true, func(ctx context.Context, sdk *client.GrpcClient) error {
			_, err := sdk.Upsert(ctx, x.col.name, "", columns...)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *Index) checkRows(batch string, rows []kb.VectorRow) error {
	if err := x.check(batch); err != nil {
		return err
	}
	seen := make(map[kb.ChunkID]struct{}, len(rows))
	for _, r := range rows {
		if _, twice := seen[r.Chunk]; twice {
			return kb.E(kb.Invalid, nil, "chunk %d is in the batch twice", r.Chunk)
		}
		seen[r.Chunk] = struct{}{}
		if err := x.checkVector(r.Vector); err != nil {
			return fmt.Errorf("chunk %d: %w", r.Chunk, err)
		}
	}
	return nil
}

func (x *Index) checkVector(v []float32) error {
	if len(v) != x.col.dims {
		return kb.E(kb.Invalid, nil, "a vector of %d dimensions does not belong to a space of %d", len(v), x.col.dims)
	}
	if !finite(v) {
		return kb.E(kb.Invalid, nil, "a vector is zero or holds what is not a number")
	}
	return nil
}

func (x *Index) check(batches ...string) error {
	if x.bad != nil {
		return x.bad
	}
	for _, b := range batches {
		if !names(b) {
			return kb.E(kb.Invalid, nil, "%.80q cannot name a batch: use up to %d letters, digits, '-' and '_'", b, lengthBatch)
		}
	}
	return nil
}

func (x *Index) columns(batch string, rows []kb.VectorRow) []entity.Column {
	n := len(rows)
	keys, chunks, vectors := make([]string, n), make([]int64, n), make([][]float32, n)
	for i, r := range rows {
		keys[i] = x.key(batch, r.Chunk)
		chunks[i], vectors[i] = int64(r.Chunk), r.Vector
	}
	return []entity.Column{
		entity.NewColumnVarChar(fieldKey, keys),
		entity.NewColumnVarChar(fieldTenant, slices.Repeat([]string{string(x.tenant)}, n)),
		entity.NewColumnVarChar(fieldBatch, slices.Repeat([]string{batch}, n)),
		entity.NewColumnInt64(fieldChunk, chunks),
		entity.NewColumnFloatVector(fieldVector, x.col.dims, vectors),
	}
}

func (x *Index) key(batch string, chunk kb.ChunkID) string {
	return string(x.tenant) + "/" + batch + "/" + strconv.FormatInt(int64(chunk), 10)
}

// hit reads a key of ours; another tenant's is none.
func (x *Index) hit(key string) (kb.VectorHit, bool) {
	rest, ours := strings.CutPrefix(key, string(x.tenant)+"/")
	batch, number, _ := strings.Cut(rest, "/")
	chunk, err := strconv.ParseInt(number, 10, 64)
	h := kb.VectorHit{Batch: batch, Chunk: kb.ChunkID(chunk)}
	return h, ours && err == nil && names(batch) && x.key(batch, h.Chunk) == key
}

// mine is the expression for the tenant's rows. A tenant's name and a batch's
// id, checked before they come here, need no escaping; they are quoted all the
// same.
func (x *Index) mine() string { return fieldTenant + " == " + strconv.Quote(string(x.tenant)) }

func among(batches []string) string {
	quoted := make([]string, len(batches))
	for i, b := range batches {
		quoted[i] = strconv.Quote(b)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Count returns how many rows of a batch the server has, all that was written
// before included. It is 0 where there is no collection.
func (x *Index) Count(ctx context.Context, batch string) (int, error) {
	if err := x.check(batch); err != nil {
		return 0, err
	}
	return x.count(ctx, x.mine()+" && "+fieldBatch+" == "+strconv.Quote(batch))
}

// Rows returns how many rows of the tenant the server has. It is 0 where there
// is no collection.
func (x *Index) Rows(ctx context.Context) (int, error) {
	if err := x.check(); err != nil {
		return 0, err
	}
	return x.count(ctx, x.mine())
}

func (x *Index) count(ctx context.Context, expr string) (int, error) {
	const all = "count(*)"
	var n int64
	err := x.col.work(ctx, "count", false, func(ctx context.Context, sdk *client.GrpcClient) error {
		got, err := sdk.Query(ctx, x.col.name, nil, expr, []string{all}, client.WithSearchQueryConsistencyLevel(entity.ClStrong))
		if err != nil {
			return err
		}
		column := got.GetColumn(all)
		if column == nil || column.Len() != 1 {
			return fmt.Errorf("%w: a count that is no number", errNonsense)
		}
		n, err = column.GetAsInt64(0)
		if err != nil || n < 0 || int64(int(n)) != n {
			return fmt.Errorf("%w: a count of %d", errNonsense, n)
		}
		return nil
	})
	if missing(err) {
		return 0, nil
	}
	return int(n), err
}

// Search returns the k rows next to vec, nearest first, of those that the
// server has noticed: what was written in the last seconds may not be among
// them. It does not wait for a collection to be loaded.
func (x *Index) Search(ctx context.Context, vec []float32, k int) ([]kb.VectorHit, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	if err := x.checkVector(vec); err != nil {
		return nil, err
	}
	if k = min(k, maxTopK); k < 1 {
		return nil, nil
	}
	hits, err := x.search(ctx, vec, k)
	switch {
	case err == nil, !complaint(err):
		return hits, err
	case notLoaded(err):
		if loading := x.col.startLoading(ctx); loading != nil {
			return nil, loading
		}
		e := kb.E(kb.Unavailable, err, "the vector index is being loaded")
		e.Retry = comeBack
		return nil, e
	}
	// Whatever it is, the collection may be another than the one we knew.
	if found := x.col.check(ctx); missing(found) {
		return nil, kb.E(kb.Unavailable, found, "the vector index is empty until it is built again")
	} else if found != nil {
		return nil, found
	}
	return x.search(ctx, vec, k)
}

func (x *Index) search(ctx context.Context, vec []float32, k int) (hits []kb.VectorHit, err error) {
	ef, err := entity.NewIndexHNSWSearchParam(max(x.c.cfg.Ef, k)) // a smaller one is refused
	if err != nil {
		return nil, fmt.Errorf("make a search: %w", err)
	}
	err = x.c.do(ctx, "search", func(ctx context.Context, sdk *client.GrpcClient) error {
		found, err := sdk.Search(ctx, x.col.name, nil, x.mine(), nil, []entity.Vector{entity.FloatVector(vec)},
			fieldVector, metrics[x.c.cfg.Metric], k, ef, client.WithSearchQueryConsistencyLevel(entity.ClBounded))
		if err == nil {
			hits, err = x.hits(found, k)
		}
		return err
	})
	return hits, err
}

// hits reads the answer to one question.
func (x *Index) hits(found []client.SearchResult, k int) ([]kb.VectorHit, error) {
	switch {
	case len(found) > 1:
		return nil, fmt.Errorf("%w: %d answers to one question", errNonsense, len(found))
	case len(found) == 0 || found[0].ResultCount == 0:
		return nil, nil
	case found[0].Err != nil:
		return nil, fmt.Errorf("%w: %w", errNonsense, found[0].Err)
	}
	keys, ok := found[0].IDs.(*entity.ColumnVarChar)
	if !ok || keys.Len() != found[0].ResultCount || keys.Len() > k {
		return nil, fmt.Errorf("%w: %d keys for %d of %d rows", errNonsense, found[0].IDs.Len(), found[0].ResultCount, k)
	}
	hits := make([]kb.VectorHit, keys.Len())
	for i, key := range keys.Data() {
		if hits[i], ok = x.hit(key); !ok {
			// The filter did not hold. What else came is not to be trusted.
			return nil, fmt.Errorf("%w: a row that is not the tenant's", errNonsense)
		}
	}
	return hits, nil
}

// Drop deletes the rows of batches. Batches that are not there are no error.
func (x *Index) Drop(ctx context.Context, batches []string) error {
	if err := x.check(batches...); err != nil {
		return err
	}
	for piece := range slices.Chunk(batches, dropPiece) {
		err := x.col.work(ctx, "delete", false, func(ctx context.Context, sdk *client.GrpcClient) error {
			return sdk.Delete(ctx, x.col.name, "", x.mine()+" && "+fieldBatch+" in "+among(piece))
		})
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Batches returns the ids of the tenant's batches, sorted.
func (x *Index) Batches(ctx context.Context) ([]string, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	var known []string
	for {
		page, err := x.page(ctx, known)
		if missing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			slices.Sort(known)
			return known, nil
		}
		known = append(known, page...)
	}
}

// page returns ids of batches beside the known ones. Milvus can neither group
// nor promises an order, so each page asks for rows of other batches than
// those seen: as many pages as it takes, each with at least one new id.
func (x *Index) page(ctx context.Context, known []string) ([]string, error) {
	expr := x.mine()
	if len(known) > 0 {
		expr += " && " + fieldBatch + " not in " + among(known)
	}
	var ids []string
	err := x.col.work(ctx, "batches", false, func(ctx context.Context, sdk *client.GrpcClient) error {
		got, err := sdk.Query(ctx, x.col.name, nil, expr, []string{fieldBatch}, client.WithLimit(maxTopK), client.WithSearchQueryConsistencyLevel(entity.ClStrong))
		if errors.Is(err, errNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		column, ok := got.GetColumn(fieldBatch).(*entity.ColumnVarChar)
		if !ok {
			return fmt.Errorf("%w: batches that are no text", errNonsense)
		}
		ids = slices.Compact(slices.Sorted(slices.Values(column.Data())))
		for _, id := range ids {
			if !names(id) || slices.Contains(known, id) {
				return fmt.Errorf("%w: the batch %.80q", errNonsense, id)
			}
		}
		return nil
	})
	return ids, err
}
