package milvus

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"google.golang.org/grpc/status"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// The fields of a collection. key is tenant/batch/chunk, so that a search need
// not fetch other fields and no tenant can overwrite another's rows.
const (
	fieldKey    = "id"
	fieldTenant = "tenant_id"
	fieldBatch  = "batch"
	fieldChunk  = "chunk"
	fieldVector = "vector"

	lengthTenant = 63 // kb.ParseTenant
	lengthBatch  = 64
	lengthKey    = lengthTenant + 1 + lengthBatch + 1 + 20
)

const (
	maxTopK = 16384 // Milvus 2.4 limits, "topK" and rows of a query
	maxDims = 32768 // as there
	// partitions is how many groups the tenants are hashed into: a search reads
	// one. Each costs the server memory and threads; 64 is what its documents
	// advise for partition keys.
	partitions = 64
	// layout is in every name: another layout is another collection.
	layout = "1"
	// loadTime is how long a collection may take into the server's memory before
	// we say so; the next attempt finds it further on.
	loadTime = 2 * time.Minute
)

// collection is one space on the server, as far as this process knows it.
type collection struct {
	c     *Client
	name  string
	space string
	dims  int
	turn  chan struct{} // holds one: who prepares the collection
	ready atomic.Bool   // it was seen as it must be, indexed and loaded
}

// collection returns the one of a space. Its name is made of the prefix, what
// of the space a name can hold, the metric, and a hash of all that tells
// collections apart: two spaces never share one.
func (c *Client) collection(space string, dims int) *collection {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%q\x00%d\x00%s", layout, space, dims, c.cfg.Metric))
	hash := strings.ToLower(base32.HexEncoding.EncodeToString(sum[:10]))
	model := strings.Map(func(r rune) rune {
		if r < 128 && (r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '_'
	}, space)
	name := fmt.Sprintf("%s_%s_%s_%s", c.cfg.Prefix, model[:min(len(model), 100)], strings.ToLower(c.cfg.Metric), hash)
	c.mu.Lock()
	defer c.mu.Unlock()
	col := c.known[name]
	if col == nil {
		col = &collection{c: c, name: name, space: space, dims: dims, turn: make(chan struct{}, 1)}
		c.known[name] = col
	}
	return col
}

// schema is the collection as we make it.
func (col *collection) schema() *entity.Schema {
	text := func(name string, most int64) *entity.Field {
		return entity.NewField().WithName(name).WithDataType(entity.FieldTypeVarChar).WithMaxLength(most)
	}
	return entity.NewSchema().WithName(col.name).
		WithDescription(fmt.Sprintf("vectors of knowledge bases; space %q, %d dimensions, %s", col.space, col.dims, col.c.cfg.Metric)).
		WithField(text(fieldKey, lengthKey).WithIsPrimaryKey(true)).
		WithField(text(fieldTenant, lengthTenant).WithIsPartitionKey(true)).
		WithField(text(fieldBatch, lengthBatch)).
		WithField(entity.NewField().WithName(fieldChunk).WithDataType(entity.FieldTypeInt64)).
		WithField(entity.NewField().WithName(fieldVector).WithDataType(entity.FieldTypeFloatVector).WithDim(int64(col.dims)))
}

// hnsw is the index as we make it. The SDK's own type refuses an M above 64,
// which newer servers take, and sends numbers as strings.
func (col *collection) hnsw() entity.Index {
	cfg := col.c.cfg
	params, _ := json.Marshal(map[string]int{"M": cfg.M, "efConstruction": cfg.EfConstruction})
	return entity.NewGenericIndex("", entity.HNSW, map[string]string{"metric_type": cfg.Metric, "params": string(params)})
}

// prepare makes sure that the collection is there as it must be, is indexed
// and loaded. Several processes may do so at once. Without create a missing
// one is an error of which missing is true.
func (col *collection) prepare(ctx context.Context, create bool) error {
	if col.ready.Load() {
		return nil
	}
	select {
	case col.turn <- struct{}{}:
		defer func() { <-col.turn }()
	case <-ctx.Done():
		return kb.E(kb.Canceled, ctx.Err(), "the question was given up")
	}
	if col.ready.Load() {
		return nil
	}
	err := col.check(ctx)
	if missing(err) && create {
		err = col.create(ctx)
	}
	if err == nil {
		err = col.index(ctx)
	}
	if err == nil {
		err = col.load(ctx)
	}
	col.ready.Store(err == nil)
	return err
}

// create makes the collection. Another process may be quicker, or just about
// to be, and what the server then says of ours is anything; so whether it
// stands is asked, a few times.
func (col *collection) create(ctx context.Context) error {
	for try := 1; ; try++ {
		err := col.c.do(ctx, "create", func(ctx context.Context, sdk *client.GrpcClient) error {
			// Every read says for itself which consistency it wants.
			return sdk.CreateCollection(ctx, col.schema(), 1, client.WithConsistencyLevel(entity.ClBounded), client.WithPartitionNum(partitions))
		})
		found := col.check(ctx)
		switch {
		case err == nil || !missing(found):
			return found
		case try == tries || !complaint(err) || !pause(ctx, try):
			return err
		}
	}
}

// check compares what the server has with what we would make. Asking also
// renews what the SDK remembers of the collection, which it otherwise never
// does.
func (col *collection) check(ctx context.Context) error {
	var got *entity.Collection
	var absent error // an answer, not a failed call
	err := col.c.do(ctx, "describe", func(ctx context.Context, sdk *client.GrpcClient) (err error) {
		if got, err = sdk.DescribeCollection(ctx, col.name); missing(err) {
			absent, err = err, nil
		}
		return err
	})
	if absent != nil {
		return col.c.explain(ctx, "describe", absent)
	}
	if err != nil {
		return err
	}
	want := map[string]string{}
	for _, f := range col.schema().Fields {
		want[f.Name] = shape(f)
	}
	for _, f := range got.Schema.Fields {
		if s, ours := want[f.Name]; ours && s != shape(f) {
			return col.misfit(fmt.Sprintf("its field %s is %s, not %s", f.Name, shape(f), s))
		}
		delete(want, f.Name)
	}
	for name := range want {
		return col.misfit("it has no field " + name)
	}
	return nil
}

// shape says of a field what must not differ.
func shape(f *entity.Field) string {
	s := f.DataType.Name()
	if d := f.TypeParams[entity.TypeParamDim]; d != "" {
		s += " of " + d + " dimensions"
	}
	if f.PrimaryKey {
		s += ", primary key"
	}
	if f.IsPartitionKey {
		s += ", partition key"
	}
	return s
}

// misfit is the error for a collection of our name that is not ours.
func (col *collection) misfit(how string) error {
	return kb.E(kb.Conflict, nil, "the Milvus collection %s was not made by this program: %s; run: bin/server vectors rebuild", col.name, how)
}

// index makes the index unless there is one.
func (col *collection) index(ctx context.Context) error {
	found, err := col.metric(ctx)
	if err == nil && found == "" {
		err = col.c.do(ctx, "create_index", func(ctx context.Context, sdk *client.GrpcClient) error {
			return sdk.CreateIndex(ctx, col.name, fieldVector, col.hnsw(), true)
		})
		// As with create: another process may have been quicker.
		if again, err2 := col.metric(ctx); err2 == nil && again != "" {
			found, err = again, nil
		}
	}
	if err != nil {
		return err
	}
	if found != col.c.cfg.Metric {
		return col.misfit(fmt.Sprintf("its index compares by %s, not %s", found, col.c.cfg.Metric))
	}
	return nil
}

// metric returns by what the index compares, "" without an index.
func (col *collection) metric(ctx context.Context) (found string, err error) {
	err = col.c.do(ctx, "describe_index", func(ctx context.Context, sdk *client.GrpcClient) error {
		indexes, err := sdk.DescribeIndex(ctx, col.name, fieldVector)
		if se, ok := errors.AsType[*serverError](err); ok && se.Code == codeIndexMissing {
			return nil
		}
		if err == nil && len(indexes) > 0 {
			found = strings.ToUpper(indexes[0].Params()["metric_type"])
		}
		return err
	})
	return found, err
}

// load has the server take the collection into memory and waits for it. It is
// for the indexing pass; a question does not wait (see Search).
func (col *collection) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	if err := col.startLoading(ctx); err != nil {
		return err
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		var state entity.LoadState
		err := col.c.do(ctx, "load_state", func(ctx context.Context, sdk *client.GrpcClient) (err error) {
			state, err = sdk.GetLoadState(ctx, col.name, nil)
			return err
		})
		if err != nil || state == entity.LoadStateLoaded {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return kb.E(kb.Unavailable, ctx.Err(), "the vector index is still being loaded")
		}
	}
}

func (col *collection) startLoading(ctx context.Context) error {
	return col.c.do(ctx, "load", func(ctx context.Context, sdk *client.GrpcClient) error {
		return sdk.LoadCollection(ctx, col.name, true)
	})
}

// work runs f on the prepared collection. When the server says that it is not
// what we take it for (dropped, released, made anew by another process) it is
// looked at again, and f tried once more.
func (col *collection) work(ctx context.Context, op string, create bool, f func(context.Context, *client.GrpcClient) error) error {
	for try := 1; ; try++ {
		if err := col.prepare(ctx, create); err != nil {
			return err
		}
		err := col.c.do(ctx, op, f)
		if err == nil || !complaint(err) {
			return err
		}
		col.ready.Store(false)
		if try == 2 || ctx.Err() != nil {
			return err
		}
	}
}

// complaint reports whether err is the server's, or the SDK's, about what was
// asked, not about its own health.
func complaint(err error) bool {
	if errors.Is(err, errNonsense) {
		return false
	}
	if se, ok := errors.AsType[*serverError](err); ok {
		return !se.busy() && !se.denied()
	}
	if _, wire := status.FromError(err); wire {
		return false
	}
	_, ours := errors.AsType[*callError](err)
	return ours
}

// Rebuild drops the collection of a space, with the rows of all tenants, and
// makes it anew. It is the remedy for one that does not fit; the tenants' rows
// come back when their vectors are next compared with the databases.
func (c *Client) Rebuild(ctx context.Context, space string, dims int) error {
	col := c.collection(space, dims)
	if err := checkDims(dims); err != nil {
		return err
	}
	err := c.do(ctx, "drop_collection", func(ctx context.Context, sdk *client.GrpcClient) error {
		return sdk.DropCollection(ctx, col.name)
	})
	if err != nil && !missing(err) {
		return err
	}
	col.ready.Store(false)
	return col.prepare(ctx, true)
}

func checkDims(dims int) error {
	if dims < 1 || dims > maxDims {
		return kb.E(kb.Invalid, nil, "vectors of %d dimensions cannot be kept in Milvus: use 1 to %d", dims, maxDims)
	}
	return nil
}
