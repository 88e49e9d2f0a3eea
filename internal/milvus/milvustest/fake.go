package milvustest

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-proto/go-api/v2/schemapb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// Call is one call on its way to the fake. Next carries it out.
type Call struct {
	Method string // "Search"
	Req    any
	Header metadata.MD
	Next   func() (any, error)
}

// Options of a fake.
type Options struct {
	Username, Password string                           // asked for when there is a password
	Credentials        credentials.TransportCredentials // TLS; nil: plain text
}

// Fake is a Milvus in this process, as far as this program uses one: it keeps
// rows in memory, knows the few expressions we send and refuses all others.
type Fake struct {
	milvuspb.UnimplementedMilvusServiceServer
	Address string // host:port, the same after a restart

	t      testing.TB
	opts   Options
	server *grpc.Server

	mu          sync.Mutex
	fault       func(context.Context, Call) (any, error)
	calls       map[string]int
	collections map[string]*table
}

type table struct {
	schema *schemapb.CollectionSchema
	index  []*commonpb.KeyValuePair // nil: none
	loaded bool
	rows   map[string]row // by key
}

type row struct {
	key, tenant, batch string
	chunk              int64
	vector             []float32
}

// StartFake starts an empty fake; it ends with the test.
func StartFake(t testing.TB, opts Options) *Fake {
	t.Helper()
	f := &Fake{t: t, opts: opts, calls: map[string]int{}, collections: map[string]*table{}, Address: "127.0.0.1:0"}
	f.Start()
	t.Cleanup(f.Stop)
	return f
}

// Start serves again after Stop, with the rows there were.
func (f *Fake) Start() {
	f.t.Helper()
	listener, err := net.Listen("tcp", f.Address)
	if err != nil {
		f.t.Fatal(err)
	}
	f.Address = listener.Addr().String()
	opts := []grpc.ServerOption{grpc.UnaryInterceptor(f.intercept)}
	if f.opts.Credentials != nil {
		opts = append(opts, grpc.Creds(f.opts.Credentials))
	}
	f.server = grpc.NewServer(opts...)
	milvuspb.RegisterMilvusServiceServer(f.server, f)
	go f.server.Serve(listener)
}

// Stop ends the server and all its connections at once.
func (f *Fake) Stop() { f.server.Stop() }

// Fault has every call from now on go through fault; nil ends it.
func (f *Fake) Fault(fault func(context.Context, Call) (any, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// Calls returns how often a method was called, refused calls included.
func (f *Fake) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[method]
}

// DropAll forgets all collections, as one does who drops them by hand.
func (f *Fake) DropAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.collections)
}

// Release takes all collections out of memory, as a restart does.
func (f *Fake) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.collections {
		t.loaded = false
	}
}

func (f *Fake) intercept(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	call := Call{Method: info.FullMethod[strings.LastIndexByte(info.FullMethod, '/')+1:], Req: req}
	call.Header, _ = metadata.FromIncomingContext(ctx)
	call.Next = func() (any, error) { return handler(ctx, req) }
	f.mu.Lock()
	f.calls[call.Method]++
	fault := f.fault
	f.mu.Unlock()
	if f.opts.Password != "" {
		want := base64.StdEncoding.EncodeToString([]byte(f.opts.Username + ":" + f.opts.Password))
		if got := call.Header.Get("authorization"); len(got) != 1 || got[0] != want {
			// What a bad server says; the client must not pass it on.
			return nil, status.Errorf(codes.Unauthenticated, "auth check failure, please check username and password are correct: %q", got)
		}
	}
	if fault != nil {
		return fault(ctx, call)
	}
	return call.Next()
}

// Refuse is the status of a call that failed, as Milvus 2.4 words it.
//
//nolint:staticcheck // the legacy code is deprecated, and old servers send no other
func Refuse(code int32, legacy commonpb.ErrorCode, format string, args ...any) *commonpb.Status {
	return &commonpb.Status{Code: code, ErrorCode: legacy, Reason: fmt.Sprintf(format, args...)}
}

func success() *commonpb.Status { return &commonpb.Status{} }

// open returns a collection, or why it cannot be used. f.mu is held.
func (f *Fake) open(name string, loaded bool) (*table, *commonpb.Status) {
	t := f.collections[name]
	switch {
	case t == nil:
		return nil, Refuse(100, commonpb.ErrorCode_CollectionNotExists, "collection not found[collection=%s]", name)
	case loaded && !t.loaded:
		return nil, Refuse(101, commonpb.ErrorCode_UnexpectedError, "collection not loaded[collection=%s]", name)
	}
	return t, success()
}

// CheckHealth implements the service.
func (f *Fake) CheckHealth(context.Context, *milvuspb.CheckHealthRequest) (*milvuspb.CheckHealthResponse, error) {
	return &milvuspb.CheckHealthResponse{Status: success(), IsHealthy: true}, nil
}

// CreateCollection implements the service.
func (f *Fake) CreateCollection(_ context.Context, r *milvuspb.CreateCollectionRequest) (*commonpb.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	schema := new(schemapb.CollectionSchema)
	if err := proto.Unmarshal(r.GetSchema(), protoadapt.MessageV2Of(schema)); err != nil {
		return Refuse(1100, commonpb.ErrorCode_IllegalArgument, "schema: %v", err), nil
	}
	if f.collections[r.GetCollectionName()] != nil {
		return Refuse(1, commonpb.ErrorCode_UnexpectedError, "create duplicate collection"), nil
	}
	f.collections[r.GetCollectionName()] = &table{schema: schema, rows: map[string]row{}}
	return success(), nil
}

// DropCollection implements the service.
func (f *Fake) DropCollection(_ context.Context, r *milvuspb.DropCollectionRequest) (*commonpb.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.collections, r.GetCollectionName())
	return success(), nil
}

// DescribeCollection implements the service.
func (f *Fake) DescribeCollection(_ context.Context, r *milvuspb.DescribeCollectionRequest) (*milvuspb.DescribeCollectionResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, s := f.open(r.GetCollectionName(), false)
	if t == nil {
		return &milvuspb.DescribeCollectionResponse{Status: s}, nil
	}
	return &milvuspb.DescribeCollectionResponse{Status: s, Schema: t.schema, CollectionName: r.GetCollectionName()}, nil
}

// HasCollection implements the service.
func (f *Fake) HasCollection(_ context.Context, r *milvuspb.HasCollectionRequest) (*milvuspb.BoolResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &milvuspb.BoolResponse{Status: success(), Value: f.collections[r.GetCollectionName()] != nil}, nil
}

// CreateIndex implements the service.
func (f *Fake) CreateIndex(_ context.Context, r *milvuspb.CreateIndexRequest) (*commonpb.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, s := f.open(r.GetCollectionName(), false)
	if t != nil && t.index != nil {
		return Refuse(702, commonpb.ErrorCode_UnexpectedError, "at most one distinct index is allowed per field"), nil
	}
	if t != nil {
		t.index = r.GetExtraParams()
	}
	return s, nil
}

// DescribeIndex implements the service.
func (f *Fake) DescribeIndex(_ context.Context, r *milvuspb.DescribeIndexRequest) (*milvuspb.DescribeIndexResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, s := f.open(r.GetCollectionName(), false)
	if t != nil && t.index == nil {
		s = Refuse(700, commonpb.ErrorCode_IndexNotExist, "index not found[collection=%s]", r.GetCollectionName())
	}
	if t == nil || t.index == nil {
		return &milvuspb.DescribeIndexResponse{Status: s}, nil
	}
	d := &milvuspb.IndexDescription{IndexName: "vector", FieldName: "vector", Params: t.index, State: commonpb.IndexState_Finished}
	return &milvuspb.DescribeIndexResponse{Status: s, IndexDescriptions: []*milvuspb.IndexDescription{d}}, nil
}

// LoadCollection implements the service.
func (f *Fake) LoadCollection(_ context.Context, r *milvuspb.LoadCollectionRequest) (*commonpb.Status, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, s := f.open(r.GetCollectionName(), false)
	switch {
	case t != nil && t.index == nil:
		s = Refuse(700, commonpb.ErrorCode_IndexNotExist, "index not found[collection=%s]", r.GetCollectionName())
	case t != nil:
		t.loaded = true
	}
	return s, nil
}

// GetLoadState implements the service.
func (f *Fake) GetLoadState(_ context.Context, r *milvuspb.GetLoadStateRequest) (*milvuspb.GetLoadStateResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	state := commonpb.LoadState_LoadStateNotLoad
	t, s := f.open(r.GetCollectionName(), false)
	if t != nil && t.loaded {
		state = commonpb.LoadState_LoadStateLoaded
	}
	return &milvuspb.GetLoadStateResponse{Status: s, State: state}, nil
}
