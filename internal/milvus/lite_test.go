package milvus

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	godiff "github.com/google/go-cmp/cmp"
	"github.com/milvus-io/milvus-sdk-go/v2/client"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/milvus/milvustest"
)

// TestMilvusLite runs everything against a real server. Its collections cannot
// be written by several at once, so what writes has a prefix of its own.
func TestMilvusLite(t *testing.T) {
	t.Parallel()
	server := milvustest.StartLite(t)
	for _, metric := range []string{"COSINE", "IP", "L2"} {
		t.Run("what is written is counted, found and dropped, by "+metric, func(t *testing.T) { tryRoundTrip(t, server.Address, metric) })
	}
	t.Run("tenants do not see each other", func(t *testing.T) { tryTenants(t, server.Address) })
	t.Run("creators at once are fine", func(t *testing.T) { tryCreators(t, server.Address) })
	t.Run("another dimension is a conflict until it is rebuilt", func(t *testing.T) { tryMisfit(t, server.Address) })
	t.Run("a collection that goes away is empty, then anew", func(t *testing.T) { liteDropped(t, server) })
	t.Run("databases are apart, and one that is not there is named", func(t *testing.T) { liteDatabases(t, server) })
	t.Run("killed and started again it goes on", func(t *testing.T) { liteKilled(t, server) })
}

// TestTheFake: what the other tests say of failures holds as far as the fake
// is like a Milvus where nothing fails.
func TestTheFake(t *testing.T) {
	t.Parallel()
	server := milvustest.StartFake(t, milvustest.Options{})
	for _, metric := range []string{"COSINE", "IP", "L2"} {
		tryRoundTrip(t, server.Address, metric)
	}
	tryTenants(t, server.Address)
	tryCreators(t, server.Address)
	tryMisfit(t, server.Address)
}

func onServer(t *testing.T, address, prefix string) *Client {
	t.Helper()
	c := newClient(t, Config{Address: address, Prefix: prefix})
	c.gate.first = 20 * time.Millisecond
	return c
}

// unit returns n seeded vectors of unit length.
func unit(seed uint64, n, dims int) []kb.VectorRow {
	r := rand.New(rand.NewPCG(seed, 0))
	rows := make([]kb.VectorRow, n)
	for i := range rows {
		v := make([]float32, dims)
		var sum float64
		for j := range v {
			v[j] = float32(r.NormFloat64())
			sum += float64(v[j]) * float64(v[j])
		}
		for j := range v {
			v[j] /= float32(math.Sqrt(sum))
		}
		rows[i] = kb.VectorRow{Chunk: kb.ChunkID(i + 1), Vector: v}
	}
	return rows
}

// best returns the chunks of the k rows next to v, by computing all.
func best(rows []kb.VectorRow, v []float32, k int) []kb.ChunkID {
	dot := func(r kb.VectorRow) (sum float32) {
		for i := range v {
			sum += r.Vector[i] * v[i]
		}
		return sum
	}
	sorted := slices.SortedFunc(slices.Values(rows), func(a, b kb.VectorRow) int { return cmp.Compare(dot(b), dot(a)) })
	ids := make([]kb.ChunkID, k)
	for i := range ids {
		ids[i] = sorted[i].Chunk
	}
	return ids
}

func want(t *testing.T, what string, got any, err error, want any) {
	t.Helper()
	if diff := godiff.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%s: error %v (-want +got):\n%s", what, err, diff)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tryRoundTrip(t *testing.T, address string, metric string) {
	const dims, n, k = 32, 600, 10
	c := newClient(t, Config{Address: address, Metric: metric})
	must(t, c.Ping(t.Context()))
	x := c.Index("acme", "m/32", dims)
	rows := unit(1, n, dims)
	for range 2 { // twice is as once
		must(t, x.Upsert(t.Context(), "first", rows[:n/2]))
		must(t, x.Upsert(t.Context(), "second", rows[n/2:]))
	}
	got, err := x.Count(t.Context(), "first")
	want(t, "Count of the first", got, err, n/2)
	got, err = x.Count(t.Context(), "none")
	want(t, "Count of none", got, err, 0)
	got, err = x.Rows(t.Context())
	want(t, "Rows", got, err, n)
	batches, err := x.Batches(t.Context())
	want(t, "Batches", batches, err, []string{"first", "second"})

	var found int
	questions := unit(2, 20, dims)
	for _, q := range questions {
		hits, err := x.Search(t.Context(), q.Vector, k)
		must(t, err)
		for _, id := range best(rows, q.Vector, k) {
			h := kb.VectorHit{Batch: "first", Chunk: id}
			if id > n/2 {
				h.Batch = "second"
			}
			if slices.Contains(hits, h) {
				found++
			}
		}
		if nearest := best(rows, q.Vector, 1)[0]; hits[0].Chunk != nearest {
			t.Errorf("the first hit is chunk %d, want the nearest, %d", hits[0].Chunk, nearest)
		}
	}
	// HNSW is not exact; ef 64 for 10 of 600 is nearly.
	if recall := float64(found) / float64(k*len(questions)); recall < .95 {
		t.Errorf("recall@%d = %.3f, want at least .95", k, recall)
	}
	all, err := x.Search(t.Context(), questions[0].Vector, maxTopK)
	want(t, "rows found by a search for all", len(all), err, n)

	must(t, x.Drop(t.Context(), []string{"first", "never-there"}))
	must(t, x.Drop(t.Context(), []string{"first"}))
	got, err = x.Rows(t.Context())
	want(t, "Rows after Drop", got, err, n/2)
	batches, err = x.Batches(t.Context())
	want(t, "Batches after Drop", batches, err, []string{"second"})
	hits, err := x.Search(t.Context(), questions[0].Vector, maxTopK)
	must(t, err)
	for _, h := range hits {
		if h.Batch != "second" {
			t.Errorf("the dropped %v was found", h)
		}
	}
}

func tryTenants(t *testing.T, address string) {
	c := onServer(t, address, "tenants")
	tenants := []kb.TenantID{"acme", "globex", "acme-2"}
	for i, tenant := range tenants { // the same batch and chunks, as after a restore under another name
		must(t, c.Index(tenant, "m/8", 8).Upsert(t.Context(), "b", unit(uint64(i), 10*(i+1), 8)))
	}
	for i, tenant := range tenants {
		x := c.Index(tenant, "m/8", 8)
		got, err := x.Count(t.Context(), "b")
		want(t, "Count of "+string(tenant), got, err, 10*(i+1))
		hits, err := x.Search(t.Context(), unit(9, 1, 8)[0].Vector, 1000)
		want(t, "hits of "+string(tenant), len(hits), err, 10*(i+1))
	}
	must(t, c.Index("acme", "m/8", 8).Drop(t.Context(), []string{"b"}))
	for i, tenant := range tenants[1:] {
		got, err := c.Index(tenant, "m/8", 8).Rows(t.Context())
		want(t, "Rows of "+string(tenant)+" after another's were dropped", got, err, 10*(i+2))
	}
}

func tryCreators(t *testing.T, address string) {
	var wg sync.WaitGroup
	for range 6 {
		c := onServer(t, address, "creators")
		wg.Go(func() {
			if err := c.collection("m/8", 8).prepare(t.Context(), true); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	x := onServer(t, address, "creators").Index("acme", "m/8", 8)
	must(t, x.Upsert(t.Context(), "b", unit(1, 5, 8)))
	hits, err := x.Search(t.Context(), unit(1, 5, 8)[2].Vector, 1)
	want(t, "the hit", hits, err, []kb.VectorHit{{Batch: "b", Chunk: 3}})
}

func tryMisfit(t *testing.T, address string) {
	c := onServer(t, address, "misfit")
	x := c.Index("acme", "m/8", 8)
	must(t, c.do(t.Context(), "make", func(ctx context.Context, sdk *client.GrpcClient) error {
		s := x.col.schema()
		s.Fields[len(s.Fields)-1].WithDim(4)
		return sdk.CreateCollection(ctx, s, 1)
	}))
	if err := x.Upsert(t.Context(), "b", unit(1, 5, 8)); kb.KindOf(err) != kb.Conflict {
		t.Errorf("Upsert = %v, want a conflict", err)
	}
	must(t, onServer(t, address, "misfit").Rebuild(t.Context(), "m/8", 8))
	must(t, x.Upsert(t.Context(), "b", unit(1, 5, 8)))
	got, err := x.Rows(t.Context())
	want(t, "Rows", got, err, 5)
}

func liteDropped(t *testing.T, server *milvustest.Lite) {
	c := onServer(t, server.Address, "dropped")
	x := c.Index("acme", "m/8", 8)
	must(t, x.Upsert(t.Context(), "b", unit(1, 5, 8)))
	must(t, c.do(t.Context(), "drop", func(ctx context.Context, sdk *client.GrpcClient) error {
		return sdk.DropCollection(ctx, x.Collection())
	}))
	_, err := x.Search(t.Context(), unit(1, 1, 8)[0].Vector, 1)
	unavailable(t, err, "empty until it is built again")
	got, err := x.Count(t.Context(), "b")
	want(t, "Count", got, err, 0)
	must(t, x.Upsert(t.Context(), "b", unit(1, 5, 8)))
	got, err = x.Count(t.Context(), "b")
	want(t, "Count after it was written again", got, err, 5)
	must(t, c.do(t.Context(), "release", func(ctx context.Context, sdk *client.GrpcClient) error {
		return sdk.ReleaseCollection(ctx, x.Collection())
	}))
	_, err = x.Search(t.Context(), unit(1, 1, 8)[0].Vector, 1)
	unavailable(t, err, "being loaded")
	hits, err := x.Search(t.Context(), unit(1, 1, 8)[0].Vector, 1)
	want(t, "the hit once it is loaded", hits, err, []kb.VectorHit{{Batch: "b", Chunk: 1}})
}

func liteDatabases(t *testing.T, server *milvustest.Lite) {
	c := onServer(t, server.Address, "databases")
	must(t, c.do(t.Context(), "make", func(ctx context.Context, sdk *client.GrpcClient) error {
		return sdk.CreateDatabase(ctx, "kb")
	}))
	must(t, c.Index("acme", "m/8", 8).Upsert(t.Context(), "b", unit(1, 5, 8)))
	in := func(database string) *Index {
		cfg := c.cfg
		cfg.Database = database
		return newClient(t, cfg).Index("acme", "m/8", 8)
	}
	got, err := in("kb").Rows(t.Context())
	want(t, "Rows in the other database", got, err, 0)
	must(t, in("kb").Upsert(t.Context(), "b", unit(1, 2, 8)))
	got, err = in("").Rows(t.Context())
	want(t, "Rows in the first", got, err, 5)
	if err := in("absent").Upsert(t.Context(), "b", unit(1, 2, 8)); kb.KindOf(err) != kb.Unavailable || !strings.Contains(err.Error(), "absent") {
		t.Errorf("Upsert = %v, want an error that names the database", err)
	}
}

func liteKilled(t *testing.T, server *milvustest.Lite) {
	c := onServer(t, server.Address, "killed")
	x := c.Index("acme", "m/8", 8)
	rows := unit(1, 50, 8)
	must(t, x.Upsert(t.Context(), "b", rows))
	server.Kill()
	for i := range 3 {
		_, err := x.Search(t.Context(), rows[0].Vector, 1)
		unavailable(t, err, "cannot be reached")
		unavailable(t, x.Upsert(t.Context(), fmt.Sprint("c", i), rows), "cannot be reached")
	}
	server.Start()
	for begun := time.Now(); c.Ping(t.Context()) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatal("the server is back, and we do not see it")
		}
	}
	got, err := x.Count(t.Context(), "b") // has it loaded again
	want(t, "Count", got, err, 50)
	hits, err := x.Search(t.Context(), rows[6].Vector, 1)
	want(t, "the hit", hits, err, []kb.VectorHit{{Batch: "b", Chunk: 7}})
	must(t, x.Upsert(t.Context(), "c", rows[:3]))
	batches, err := x.Batches(t.Context())
	want(t, "Batches", batches, err, []string{"b", "c"})
}
