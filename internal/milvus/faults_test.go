package milvus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"

	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/milvus/milvustest"
	"github.com/eino-qa/eino-qa/internal/telemetry"
)

// logs is a log that several goroutines may write.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// onFake returns an index on a new fake that holds the rows of one batch, and
// its client, whose outages are short.
func onFake(t *testing.T, cfg Config) (*milvustest.Fake, *Client, *Index, *logs) {
	t.Helper()
	f := milvustest.StartFake(t, milvustest.Options{})
	cfg.Address = f.Address
	c, x, l := onAddress(t, cfg)
	if err := x.Upsert(t.Context(), "b1", testRows()); err != nil {
		t.Fatal(err)
	}
	return f, c, x, l
}

func onAddress(t *testing.T, cfg Config) (*Client, *Index, *logs) {
	t.Helper()
	l := new(logs)
	log, err := telemetry.Open(telemetry.Options{Stdout: l})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Log = log.Logger
	c := newClient(t, cfg)
	c.gate.first = 20 * time.Millisecond
	return c, c.Index("acme", "m/2", 2), l
}

func testRows() []kb.VectorRow {
	return []kb.VectorRow{{Chunk: 1, Vector: []float32{1, 0}}, {Chunk: 2, Vector: []float32{.8, .6}}, {Chunk: 3, Vector: []float32{0, 1}}}
}

func question() []float32 { return []float32{1, 0} }

var nearest = []kb.VectorHit{{Batch: "b1", Chunk: 1}, {Batch: "b1", Chunk: 2}}

// unavailable fails unless err is what callers know to do without Milvus on.
func unavailable(t *testing.T, err error, words string) {
	t.Helper()
	if kb.KindOf(err) != kb.Unavailable || !strings.Contains(err.Error(), words) {
		t.Errorf("error = %v (kind %d), want Unavailable and %q", err, kb.KindOf(err), words)
	}
}

// works waits until a search gives what it must: a gate opens within its pause.
func works(t *testing.T, x *Index) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		hits, err := x.Search(t.Context(), question(), 2)
		if err == nil {
			if diff := cmp.Diff(nearest, hits); diff != "" {
				t.Errorf("hits (-want +got):\n%s", diff)
			}
			return
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("the search does not come back: %v", err)
		}
	}
}

// once makes a fault of the first n calls of a method; then all is well.
func once(n int, method string, answer func(milvustest.Call) (any, error)) func(context.Context, milvustest.Call) (any, error) {
	var seen atomic.Int64
	return func(_ context.Context, c milvustest.Call) (any, error) {
		if c.Method == method && seen.Add(1) <= int64(n) {
			return answer(c)
		}
		return c.Next()
	}
}

func always(method string, answer func(milvustest.Call) (any, error)) func(context.Context, milvustest.Call) (any, error) {
	return once(1<<30, method, answer)
}

func TestNothingIsAskedBeforeTheFirstCall(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan struct{}, 1)
	go func() {
		if _, err := listener.Accept(); err == nil {
			accepted <- struct{}{}
		}
	}()
	c, x, _ := onAddress(t, Config{Address: listener.Addr().String(), ConnectTimeout: 50 * time.Millisecond})
	select {
	case <-accepted:
		t.Error("New connects")
	case <-time.After(20 * time.Millisecond):
	}
	if _, err := x.Rows(t.Context()); err == nil {
		t.Error("a server that says nothing answered")
	}
	<-accepted // so the wait above would have seen it
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	unavailable(t, c.Ping(t.Context()), "closed")
}

func TestAServerThatIsAwayCostsOneQuestionItsTimeAndOneLineOfLog(t *testing.T) {
	t.Parallel()
	f, c, x, l := onFake(t, Config{})
	f.Stop()
	_, err := x.Search(t.Context(), question(), 2)
	unavailable(t, err, "cannot be reached")
	for range 20 {
		_, err := x.Search(t.Context(), question(), 2)
		unavailable(t, err, "cannot be reached")
		if e, _ := errors.AsType[*kb.Error](err); e.Retry <= 0 {
			t.Error("the error does not say when to try again")
		}
	}
	unavailable(t, c.Ping(t.Context()), "refused")
	f.Start()
	works(t, x)
	if got := strings.Count(l.String(), `msg="failed to connect to milvus" address=`+f.Address+" "); got != 1 {
		t.Errorf("%d lines say that Milvus is away:\n%s", got, l)
	}
	if !strings.Contains(l.String(), "milvus answers again") {
		t.Errorf("no line says that it is back:\n%s", l)
	}
}

// TestAServerThatWasNeverThere: the very first call, with nothing known.
func TestAServerThatWasNeverThere(t *testing.T) {
	t.Parallel()
	_, x, l := onAddress(t, Config{Address: "127.0.0.1:1"})
	ctx := telemetry.WithRequest(t.Context(), "req-1")
	unavailable(t, x.Upsert(ctx, "b1", testRows()), "connection refused")
	if !strings.Contains(l.String(), "failed to connect to milvus") || !strings.Contains(l.String(), "trace_id=req-1") {
		t.Errorf("the log says nothing of it: %q", l)
	}
}

// TestASilentServer accepts connections, or calls, and never answers.
func TestASilentServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody speaks
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, x, l := onAddress(t, Config{Address: listener.Addr().String(), ConnectTimeout: 50 * time.Millisecond})
	c.gate.first = time.Hour
	_, err = x.Search(t.Context(), question(), 2)
	unavailable(t, err, "in time")
	_, err = x.Search(t.Context(), question(), 2)
	unavailable(t, err, "cannot be reached") // words of a call that was not made
	if !strings.Contains(l.String(), "failed to connect to milvus") {
		t.Errorf("the log says nothing of it: %q", l)
	}

	f, c, x, _ := onFake(t, Config{Timeout: 50 * time.Millisecond})
	c.gate.first = time.Hour
	f.Fault(func(ctx context.Context, _ milvustest.Call) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	for range 3 {
		_, err := x.Search(t.Context(), question(), 2)
		unavailable(t, err, "in time")
	}
	before := f.Calls("Search")
	_, err = x.Search(t.Context(), question(), 2)
	unavailable(t, err, "in time") // why it is not asked
	if got := f.Calls("Search"); got != before {
		t.Errorf("a server that hung three times was asked again")
	}
}

func TestACallerWhoLeavesSaysNothingAboutTheServer(t *testing.T) {
	t.Parallel()
	f, _, x, l := onFake(t, Config{})
	entered := make(chan struct{})
	f.Fault(func(ctx context.Context, _ milvustest.Call) (any, error) {
		entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-entered; cancel() }()
		if _, err := x.Search(ctx, question(), 2); kb.KindOf(err) != kb.Canceled {
			t.Errorf("error = %v, want Canceled", err)
		}
	}
	go func() {
		for range entered {
		}
	}()
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err := x.Search(ctx, question(), 2)
		unavailable(t, err, "in time")
		cancel()
	}
	f.Fault(nil)
	if _, err := x.Search(t.Context(), question(), 2); err != nil {
		t.Errorf("after callers that had no time the server is not asked: %v", err)
	}
	if l.String() != "" {
		t.Errorf("the log tells of an outage:\n%s", l)
	}
}

// TestTrials: what passes a moment later is tried again, a bounded number of
// times; what does not is not.
func TestTrials(t *testing.T) {
	t.Parallel()
	busy := func(c milvustest.Call) (any, error) {
		return nil, status.Error(codes.Unavailable, "proxy is restarting")
	}
	refuse := func(code int32, legacy legacyCode) func(milvustest.Call) (any, error) {
		return func(milvustest.Call) (any, error) {
			return &milvuspb.SearchResults{Status: milvustest.Refuse(code, legacy, "no\nmore\x00")}, nil
		}
	}
	for name, c := range map[string]struct {
		fault func(context.Context, milvustest.Call) (any, error)
		calls int
		fails string
	}{
		"a burst of Unavailable":       {once(2, "Search", busy), 3, ""},
		"Unavailable for good":         {always("Search", busy), 3, "proxy is restarting"},
		"a rate limit":                 {once(2, "Search", refuse(8, commonpb.ErrorCode_RateLimit)), 3, ""},
		"an old server's rate limit":   {once(2, "Search", refuse(0, commonpb.ErrorCode_RateLimit)), 3, ""},
		"a rate limit for good":        {always("Search", refuse(8, commonpb.ErrorCode_RateLimit)), 3, "no more"},
		"a server that is starting":    {once(1, "Search", refuse(1, commonpb.ErrorCode_NotReadyServe)), 2, ""},
		"a refusal":                    {always("Search", refuse(1100, commonpb.ErrorCode_IllegalArgument)), 2, "no more"}, // once more after looking at the collection
		"only the newer of both codes": {always("Search", refuse(1, commonpb.ErrorCode_Success)), 2, "no more"},
		"a denied privilege":           {always("Search", refuse(1401, commonpb.ErrorCode_PermissionDenied)), 2, "no more"},
		"an answer too large": {always("Search", func(milvustest.Call) (any, error) {
			r := milvustest.Hits()
			r.CollectionName = strings.Repeat("x", maxAnswerBytes)
			return r, nil
		}), 1, "larger than max"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, _, x, _ := onFake(t, Config{})
			f.Fault(c.fault)
			hits, err := x.Search(t.Context(), question(), 2)
			if c.fails != "" {
				unavailable(t, err, c.fails)
			} else if diff := cmp.Diff(nearest, hits); err != nil || diff != "" {
				t.Errorf("Search = %v; hits (-want +got):\n%s", err, diff)
			}
			if got := f.Calls("Search"); got != c.calls {
				t.Errorf("the server was asked %d times, want %d", got, c.calls)
			}
		})
	}
}

// TestLies: answers that no Milvus gives are errors, and none reaches a caller.
func TestLies(t *testing.T) {
	t.Parallel()
	search := func(r *milvuspb.SearchResults) func(context.Context, milvustest.Call) (any, error) {
		return always("Search", func(milvustest.Call) (any, error) { return r, nil })
	}
	query := func(data ...*schemapb.FieldData) func(context.Context, milvustest.Call) (any, error) {
		return always("Query", func(milvustest.Call) (any, error) {
			return &milvuspb.QueryResults{Status: &commonpb.Status{}, FieldsData: data}, nil
		})
	}
	changed := func(change func(*schemapb.SearchResultData)) func(context.Context, milvustest.Call) (any, error) {
		r := milvustest.Hits("acme/b1/1", "acme/b1/2")
		change(r.Results)
		return search(r)
	}
	for name, c := range map[string]struct {
		fault func(context.Context, milvustest.Call) (any, error)
		call  string
	}{
		"another tenant's row":          {search(milvustest.Hits("acme/b1/1", "globex/b1/2")), "search"},
		"a key of nobody":               {search(milvustest.Hits("17")), "search"},
		"more rows than asked":          {search(milvustest.Hits("acme/b1/1", "acme/b1/2", "acme/b1/3")), "search"},
		"more rows announced than sent": {changed(func(r *schemapb.SearchResultData) { r.Topks[0] = 1 << 40 }), "search"},
		"a negative number of rows":     {changed(func(r *schemapb.SearchResultData) { r.Topks[0] = -1 }), "search"},
		"fewer keys than rows":          {changed(func(r *schemapb.SearchResultData) { r.Ids.GetStrId().Data = r.Ids.GetStrId().Data[:1] }), "search"},
		"keys that are numbers": {changed(func(r *schemapb.SearchResultData) {
			r.Ids = &schemapb.IDs{IdField: &schemapb.IDs_IntId{IntId: &schemapb.LongArray{Data: []int64{1, 2}}}}
		}), "search"},
		"no keys":                       {changed(func(r *schemapb.SearchResultData) { r.Ids = nil }), "search"},
		"two answers to one question":   {changed(func(r *schemapb.SearchResultData) { r.NumQueries, r.Topks = 2, []int64{1, 1} }), "search"},
		"more answers than sizes":       {changed(func(r *schemapb.SearchResultData) { r.NumQueries = 1 << 40 }), "search"},
		"a search without a status":     {search(&milvuspb.SearchResults{}), "search"},
		"a negative count":              {query(milvustest.Count(-1)), "count"},
		"a count of text":               {query(milvustest.Texts("count(*)", []string{"3"})), "count"},
		"no count":                      {query(), "count"},
		"another column than a count":   {query(milvustest.Texts("batch", []string{"b"})), "count"},
		"a count without its value":     {query(&schemapb.FieldData{FieldName: "count(*)", Type: schemapb.DataType_Int64}), "count"},
		"the same batch for ever":       {query(milvustest.Texts("batch", []string{"b1"})), "batches"},
		"a batch that is an expression": {query(milvustest.Texts("batch", []string{`b" || tenant_id != "`})), "batches"},
		"batches that are numbers":      {query(&schemapb.FieldData{FieldName: "batch", Type: schemapb.DataType_Int64, Field: milvustest.Count(3).Field}), "batches"},
		"a failure in one code only": {always("Upsert", func(milvustest.Call) (any, error) {
			return &milvuspb.MutationResult{Status: &commonpb.Status{Code: 1, Reason: "KeyError: 'x'"}}, nil
		}), "upsert"},
		"a collection without a schema": {always("DescribeCollection", func(milvustest.Call) (any, error) {
			return &milvuspb.DescribeCollectionResponse{Status: &commonpb.Status{}}, nil
		}), "describe"},
		"an unhealthy server": {always("CheckHealth", func(milvustest.Call) (any, error) {
			return &milvuspb.CheckHealthResponse{Status: &commonpb.Status{}, Reasons: []string{"no query node"}}, nil
		}), "ping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client, x, _ := onFake(t, Config{})
			f.Fault(c.fault)
			var got any
			var err error
			switch c.call {
			case "search":
				if hits, e := x.Search(t.Context(), question(), 2); e != nil || hits != nil {
					got, err = hits, e
				}
				if len(fmt.Sprint(got)) > len("[]") {
					t.Errorf("hits were delivered: %v", got)
				}
			case "count":
				_, err = x.Count(t.Context(), "b1")
			case "batches":
				_, err = x.Batches(t.Context())
			case "upsert":
				err = x.Upsert(t.Context(), "b1", testRows())
			case "ping":
				err = client.Ping(t.Context())
			case "describe":
				_, other, _ := onAddress(t, Config{Address: f.Address})
				if err = other.Upsert(t.Context(), "b2", testRows()); kb.KindOf(err) == kb.Conflict {
					return
				}
			}
			unavailable(t, err, "")
		})
	}
}

func TestNoMoreCallsThanAllowedRunAtOnce(t *testing.T) {
	t.Parallel()
	f, _, x, _ := onFake(t, Config{MaxCalls: 2})
	var running, most atomic.Int64
	f.Fault(func(_ context.Context, c milvustest.Call) (any, error) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer running.Add(-1)
		time.Sleep(2 * time.Millisecond)
		return c.Next()
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := x.Search(t.Context(), question(), 2); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := most.Load(); got != 2 {
		t.Errorf("%d calls ran at once, want 2", got)
	}
}

func TestAnIdleConnectionIsClosedAndMadeAgain(t *testing.T) {
	t.Parallel()
	_, c, x, l := onFake(t, Config{CloseIdle: true})
	if c.idle > 10*time.Second {
		t.Errorf("an idle connection stays for %v", c.idle)
	}
	c2 := newClient(t, c.cfg)
	c2.idle = 10 * time.Millisecond
	y := c2.Index("acme", "m/2", 2)
	works(t, y)
	for begun := time.Now(); c2.sdk.Conn.GetState() != connectivity.Idle; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the connection stays")
		}
	}
	if hits, err := y.Search(t.Context(), question(), 2); err != nil || len(hits) != 2 {
		t.Errorf("after a rest Search = %v, %v", hits, err)
	}
	works(t, x)
	if l.String() != "" {
		t.Errorf("the log tells of an outage:\n%s", l)
	}
	for c2.sdk.Conn.GetState() != connectivity.Idle {
		time.Sleep(5 * time.Millisecond)
	}
	// An outage that ends while the connection rests: somebody must wake it.
	c2.gate.leave(t.Context(), false, lost, time.Now().Add(-time.Hour), errTest)
	works(t, y)
}

func TestEveryCallIsMetered(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	got := map[string][]bool{}
	f, _, x, _ := onFake(t, Config{Meter: func(op string, took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		if took <= 0 {
			t.Errorf("%s took %v", op, took)
		}
		got[op] = append(got[op], err == nil)
	}})
	f.Fault(once(1, "Delete", func(milvustest.Call) (any, error) { return nil, status.Error(codes.Internal, "broken") }))
	works(t, x)
	unavailable(t, x.Drop(t.Context(), []string{"b1"}), "broken")
	mu.Lock()
	defer mu.Unlock()
	want := map[string][]bool{"describe": {true, true}, "create": {true}, "describe_index": {true, true}, "create_index": {true}, "load": {true}, "load_state": {true}, "upsert": {true}, "search": {true}, "delete": {false}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metered (-want +got):\n%s", diff)
	}
}
