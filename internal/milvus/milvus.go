// Package milvus keeps vectors in a Milvus server: one collection per space,
// the tenant as its partition key. What it holds can always be rebuilt from
// the tenants' databases.
package milvus

import (
	"github.com/milvus-io/milvus-proto/go-api/v2/milvuspb"
	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"google.golang.org/grpc"
)

var (
	_ client.Client
	_ milvuspb.MilvusServiceClient
	_ grpc.ClientConnInterface
)
