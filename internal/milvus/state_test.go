package milvus

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/milvus/milvustest"
)

func TestACollectionDroppedByHandIsEmptyUntilItIsWrittenAgain(t *testing.T) {
	t.Parallel()
	f, _, x, _ := onFake(t, Config{})
	f.DropAll()
	_, err := x.Search(t.Context(), question(), 2)
	unavailable(t, err, "empty until it is built again")
	if n, err := x.Count(t.Context(), "b1"); n != 0 || err != nil {
		t.Errorf("Count = %d, %v, want 0", n, err)
	}
	if n, err := x.Rows(t.Context()); n != 0 || err != nil {
		t.Errorf("Rows = %d, %v, want 0", n, err)
	}
	if b, err := x.Batches(t.Context()); b != nil || err != nil {
		t.Errorf("Batches = %v, %v, want none", b, err)
	}
	if err := x.Drop(t.Context(), []string{"b1"}); err != nil {
		t.Errorf("Drop = %v, want nil: there is nothing", err)
	}
	if err := x.Upsert(t.Context(), "b1", testRows()); err != nil {
		t.Fatal(err)
	}
	works(t, x)
}

func TestACollectionDroppedInTheMiddleOfAnUpsertIsMadeAgain(t *testing.T) {
	t.Parallel()
	f, _, x, _ := onFake(t, Config{})
	f.Fault(once(1, "Upsert", func(c milvustest.Call) (any, error) {
		f.DropAll()
		return c.Next()
	}))
	if err := x.Upsert(t.Context(), "b1", testRows()); err != nil {
		t.Fatal(err)
	}
	works(t, x)
}

// TestACollectionThatIsNotInMemory: a question does not wait for it.
func TestACollectionThatIsNotInMemory(t *testing.T) {
	t.Parallel()
	f, _, x, _ := onFake(t, Config{})
	f.Release()
	f.Fault(always("GetLoadState", func(milvustest.Call) (any, error) {
		t.Error("a question waits for the collection to be loaded")
		return &milvuspb.GetLoadStateResponse{Status: &commonpb.Status{}, State: commonpb.LoadState_LoadStateLoaded}, nil
	}))
	_, err := x.Search(t.Context(), question(), 2)
	unavailable(t, err, "being loaded")
	works(t, x)
	f.Release()
	f.Fault(nil)
	if n, err := x.Count(t.Context(), "b1"); n != 3 || err != nil {
		t.Errorf("Count = %d, %v, want 3 once it is loaded", n, err)
	}
	f.Release()
	var states atomic.Int64
	f.Fault(func(_ context.Context, c milvustest.Call) (any, error) {
		if c.Method == "GetLoadState" && states.Add(1) < 3 {
			return &milvuspb.GetLoadStateResponse{Status: &commonpb.Status{}, State: commonpb.LoadState_LoadStateLoading}, nil
		}
		return c.Next()
	})
	if err := x.Drop(t.Context(), []string{"b1"}); err != nil || states.Load() != 3 {
		t.Errorf("Drop = %v after asking %d times whether it is loaded, want 3", err, states.Load())
	}
}

// TestACollectionThatIsNotOurs: another dimension, metric or layout is an error
// that says what to do; nothing is dropped but by Rebuild.
func TestACollectionThatIsNotOurs(t *testing.T) {
	t.Parallel()
	field := func(s *entity.Schema, name string) *entity.Field {
		return s.Fields[slices.IndexFunc(s.Fields, func(f *entity.Field) bool { return f.Name == name })]
	}
	for name, c := range map[string]struct {
		change func(*entity.Schema)
		metric string
		want   string
	}{
		"another dimension": {func(s *entity.Schema) { field(s, fieldVector).WithDim(8) }, "COSINE", "8 dimensions"},
		"another metric":    {func(*entity.Schema) {}, "L2", "compares by L2, not COSINE"},
		"no partition key":  {func(s *entity.Schema) { field(s, fieldTenant).WithIsPartitionKey(false) }, "COSINE", fieldTenant},
		"no batch": {func(s *entity.Schema) {
			s.Fields = slices.DeleteFunc(s.Fields, func(f *entity.Field) bool { return f.Name == fieldBatch })
		}, "COSINE", "no field batch"},
		"numbers for text": {func(s *entity.Schema) { field(s, fieldBatch).WithDataType(entity.FieldTypeInt64) }, "COSINE", fieldBatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := milvustest.StartFake(t, milvustest.Options{})
			c1, x, _ := onAddress(t, Config{Address: f.Address})
			err := c1.do(t.Context(), "make", func(ctx context.Context, sdk *client.GrpcClient) error {
				s := x.col.schema()
				c.change(s)
				if err := sdk.CreateCollection(ctx, s, 1); err != nil {
					return err
				}
				return sdk.CreateIndex(ctx, s.CollectionName, fieldVector, entity.NewGenericIndex("", entity.HNSW, map[string]string{"metric_type": c.metric}), true)
			})
			if err != nil {
				t.Fatal(err)
			}
			for op, err := range map[string]error{
				"Upsert": x.Upsert(t.Context(), "b1", testRows()),
				"Drop":   x.Drop(t.Context(), []string{"b1"}),
			} {
				if kb.KindOf(err) != kb.Conflict || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "vectors rebuild") {
					t.Errorf("%s = %v, want a conflict that names %q and the remedy", op, err, c.want)
				}
			}
			if got := f.Calls("DropCollection"); got != 0 {
				t.Fatal("what is not ours was dropped")
			}
			// Another process rebuilds. What the SDK remembers of the old one must not last.
			c2, _, _ := onAddress(t, Config{Address: f.Address})
			if err := c2.Rebuild(t.Context(), "m/2", 2); err != nil {
				t.Fatal(err)
			}
			if err := x.Upsert(t.Context(), "b1", testRows()); err != nil {
				t.Fatal(err)
			}
			works(t, x)
		})
	}
}

// TestASearchLooksAgain: this process still remembers the collection that
// another one, of another layout, has replaced in the meantime.
func TestASearchLooksAgain(t *testing.T) {
	t.Parallel()
	f, c, x, _ := onFake(t, Config{})
	works(t, x)
	f.DropAll()
	err := c.do(t.Context(), "make", func(ctx context.Context, sdk *client.GrpcClient) error {
		s := x.col.schema()
		s.Fields[len(s.Fields)-1].WithDim(8)
		if err := sdk.CreateCollection(ctx, s, 1); err != nil {
			return err
		}
		if err := sdk.CreateIndex(ctx, s.CollectionName, fieldVector, x.col.hnsw(), true); err != nil {
			return err
		}
		return sdk.LoadCollection(ctx, s.CollectionName, true)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.Search(t.Context(), question(), 2); kb.KindOf(err) != kb.Conflict {
		t.Errorf("Search = %v, want a conflict", err)
	}
}

// TestACreatorWhoComesSecond is refused before the first one's collection can
// be seen: what Milvus Lite does for some milliseconds.
func TestACreatorWhoComesSecond(t *testing.T) {
	t.Parallel()
	f := milvustest.StartFake(t, milvustest.Options{})
	f.Fault(once(2, "CreateCollection", func(milvustest.Call) (any, error) {
		return &commonpb.Status{Code: 1, Reason: "[Errno 17] File exists"}, nil
	}))
	_, x, _ := onAddress(t, Config{Address: f.Address})
	if err := x.Upsert(t.Context(), "b1", testRows()); err != nil {
		t.Fatal(err)
	}
	works(t, x)
	f = milvustest.StartFake(t, milvustest.Options{})
	f.Fault(always("CreateCollection", func(milvustest.Call) (any, error) {
		return milvustest.Refuse(102, commonpb.ErrorCode_UnexpectedError, "exceeded the limit number of collections"), nil
	}))
	_, x, _ = onAddress(t, Config{Address: f.Address})
	unavailable(t, x.Upsert(t.Context(), "b1", testRows()), "exceeded the limit")
	if n := f.Calls("CreateCollection"); n != tries {
		t.Errorf("tried %d times, want %d", n, tries)
	}
}

func TestManyCreatorsAtOnceAreFine(t *testing.T) {
	t.Parallel()
	f := milvustest.StartFake(t, milvustest.Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		c, _, _ := onAddress(t, Config{Address: f.Address}) // as eight processes
		for range 4 {
			wg.Go(func() {
				batch := fmt.Sprintf("b%d", i)
				x := c.Index("acme", "m/2", 2)
				if err := x.Upsert(t.Context(), batch, testRows()); err != nil {
					t.Error(err)
				}
				if n, err := x.Count(t.Context(), batch); n != 3 || err != nil {
					t.Errorf("Count = %d, %v, want 3", n, err)
				}
			})
		}
	}
	wg.Wait()
}

func TestTheNameAndPasswordAreSentAndNeverTold(t *testing.T) {
	t.Parallel()
	const password = "s3cret-password"
	f := milvustest.StartFake(t, milvustest.Options{Username: "root", Password: password})
	var database atomic.Value
	f.Fault(func(_ context.Context, c milvustest.Call) (any, error) {
		database.Store(strings.Join(c.Header.Get("dbname"), ","))
		return c.Next()
	})
	_, x, _ := onAddress(t, Config{Address: f.Address, Username: "root", Password: password, Database: "kb"})
	if err := x.Upsert(t.Context(), "b1", testRows()); err != nil {
		t.Fatal(err)
	}
	works(t, x)
	if got := database.Load(); got != "kb" {
		t.Errorf("the database asked for is %q, want kb", got)
	}

	for name, cfg := range map[string]Config{
		"a wrong password": {Username: "root", Password: password + "-old"},
		"a wrong name":     {Username: "admin", Password: password},
		"no password":      {},
	} {
		cfg.Address = f.Address
		_, x, l := onAddress(t, cfg)
		before := f.Calls("DescribeCollection")
		err := x.Upsert(t.Context(), "b1", testRows())
		unavailable(t, err, "check milvus.username")
		if n := f.Calls("DescribeCollection") - before; n != 1 {
			t.Errorf("%s: tried %d times, want once: it does not get better", name, n)
		}
		for _, secret := range []string{password, base64.StdEncoding.EncodeToString([]byte(cfg.Username + ":" + cfg.Password))} {
			if told := err.Error() + l.String(); strings.Contains(told, secret) {
				t.Errorf("%s: %q is told: %s", name, secret, told)
			}
		}
		if !strings.Contains(l.String(), "failed to connect to milvus") {
			t.Errorf("%s: the log says nothing of it: %q", name, l)
		}
	}

	// Milvus may say it in a status, too.
	f.Fault(always("CheckHealth", func(milvustest.Call) (any, error) {
		return &milvuspb.CheckHealthResponse{Status: milvustest.Refuse(1400, commonpb.ErrorCode_UnexpectedError, "not authenticated")}, nil
	}))
	c, _, l := onAddress(t, Config{Address: f.Address, Username: "root", Password: password})
	unavailable(t, c.Ping(t.Context()), "check milvus.username")
	if !strings.Contains(l.String(), "failed to connect to milvus") {
		t.Errorf("the log says nothing of a denied status: %q", l)
	}
}

func TestPiecesAndPagesStayBelowTheLimits(t *testing.T) {
	t.Parallel()
	f := milvustest.StartFake(t, milvustest.Options{})
	_, x, _ := onAddress(t, Config{Address: f.Address})
	var pieces atomic.Int64
	f.Fault(func(_ context.Context, c milvustest.Call) (any, error) {
		if r, ok := c.Req.(*milvuspb.UpsertRequest); ok {
			pieces.Add(1)
			if n := proto.Size(protoadapt.MessageV2Of(r)); n > 4<<20 {
				t.Errorf("an upsert of %d bytes", n)
			}
		}
		if r, ok := c.Req.(*milvuspb.QueryRequest); ok && r.GetGuaranteeTimestamp() != 0 {
			t.Error("a count or a page may miss what was just written") // 0 is strong
		}
		return c.Next()
	})
	rows := make([]kb.VectorRow, maxTopK+10)
	for i := range rows {
		rows[i] = kb.VectorRow{Chunk: kb.ChunkID(i), Vector: question()}
	}
	// One batch fills a page of its own, so that the next is on another.
	for batch, n := range map[string]int{"big": len(rows), "c": 1, "d": 2} {
		if err := x.Upsert(t.Context(), batch, rows[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if pieces.Load() < 4 {
		t.Errorf("%d rows went in %d pieces", len(rows), pieces.Load())
	}
	before := f.Calls("Query")
	got, err := x.Batches(t.Context())
	if diff := cmp.Diff([]string{"big", "c", "d"}, got); err != nil || diff != "" {
		t.Errorf("Batches = %v (-want +got):\n%s", err, diff)
	}
	if pages := f.Calls("Query") - before; pages != 3 {
		t.Errorf("the batches came in %d pages, want one full, one with the rest, one empty", pages)
	}
	hits, err := x.Search(t.Context(), question(), 1<<30)
	if err != nil || len(hits) != maxTopK {
		t.Errorf("a search for all = %d hits, %v, want %d", len(hits), err, maxTopK)
	}
	var many []string
	for i := range 3 * dropPiece {
		many = append(many, fmt.Sprint("b", i))
	}
	if err := x.Drop(t.Context(), append(many, "big")); err != nil {
		t.Fatal(err)
	}
	if n, err := x.Rows(t.Context()); n != 3 || err != nil {
		t.Errorf("Rows = %d, %v, want 3", n, err)
	}
}

// FuzzAnswers: no answer to a search makes a panic or a hit that is not ours.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{})
	for _, r := range []*milvuspb.SearchResults{milvustest.Hits(), milvustest.Hits("acme/b1/1"), milvustest.Hits("acme/b1/1", "globex/b1/2")} {
		b, err := proto.Marshal(protoadapt.MessageV2Of(r))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	server := milvustest.StartFake(f, milvustest.Options{})
	c := newClient(f, Config{Address: server.Address})
	x := c.Index("acme", "m/2", 2)
	if err := x.Upsert(f.Context(), "b1", testRows()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		r := new(milvuspb.SearchResults)
		if proto.Unmarshal(answer, protoadapt.MessageV2Of(r)) != nil {
			return
		}
		server.Fault(always("Search", func(milvustest.Call) (any, error) { return r, nil }))
		hits, err := x.Search(t.Context(), question(), 2)
		if err != nil && (hits != nil || kb.KindOf(err) != kb.Unavailable) {
			t.Errorf("Search = %v, %v", hits, err)
		}
		if len(hits) > 2 {
			t.Errorf("%d hits, want at most 2", len(hits))
		}
		for i, h := range hits {
			if key := x.key(h.Batch, h.Chunk); key != r.GetResults().GetIds().GetStrId().GetData()[i] {
				t.Errorf("the hit %v was made of another key", h)
			}
		}
	})
}
