// Package milvus keeps vectors in a Milvus server: one collection for each
// space (model and dimensions) and metric, with the tenant as partition key.
// Nothing in it is the only copy. Every collection can be dropped and filled
// again from the tenants' databases, and an answer that makes no sense is an
// error, never a wrong result. DESIGN §5.3.
//
// The SDK is used for its encoding only. Its retries, which take 22 s to report
// a refused connection, are not linked (internal/instead/middleware), and its
// blocking dial is off; deadlines, retries and the reading of status codes are
// here.
package milvus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/milvus-io/milvus-proto/go-api/v2/commonpb"
	"github.com/milvus-io/milvus-sdk-go/v2/client"
	"github.com/milvus-io/milvus-sdk-go/v2/entity"
	"google.golang.org/grpc/credentials"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Config says where the server is and how vectors are compared. Zero values
// mean the defaults that the fields name.
type Config struct {
	Address  string // host:port
	Username string // empty: the server asks for none
	Password string
	Database string // empty: the server's default; it must exist

	TLS        bool
	CAFile     string // PEM, the authority to trust; empty: the system's
	ServerName string // that the certificate must carry; empty: the host of Address

	Timeout        time.Duration // of one call with all its tries; 10 s
	ConnectTimeout time.Duration // of connecting; 10 s
	MaxCalls       int           // at once; more wait their turn; 100
	CloseIdle      bool          // the connection is closed when it was not used for some seconds

	Metric         string // COSINE, IP or L2; COSINE
	M              int    // neighbours of a node; 16
	EfConstruction int    // breadth while the index is built; 256
	Ef             int    // breadth of a search; 64
	Prefix         string // of the names of collections: letters, digits, underscore; eino_qa

	Log   *slog.Logger                                   // nil: nothing is logged
	Meter func(op string, took time.Duration, err error) // told of every call; may be nil
}

// Client talks to one Milvus server over one connection, which it makes at the
// first call and again whenever it is lost. It is safe for concurrent use.
type Client struct {
	cfg    Config
	creds  credentials.TransportCredentials // nil: plain text
	slots  chan struct{}                    // one for each call that may run
	gate   gate
	idle   time.Duration
	redact func(string) string // takes what is secret out of a text of the server

	mu     sync.Mutex
	sdk    *client.GrpcClient // nil until the first call
	closed bool
	known  map[string]*collection
}

var metrics = map[string]entity.MetricType{"COSINE": entity.COSINE, "IP": entity.IP, "L2": entity.L2}

// New checks cfg and reads its CA file. It makes no connection.
func New(cfg Config) (*Client, error) {
	setDefault(&cfg.Timeout, 10*time.Second)
	setDefault(&cfg.ConnectTimeout, 10*time.Second)
	setDefault(&cfg.MaxCalls, 100)
	setDefault(&cfg.Metric, "COSINE")
	setDefault(&cfg.M, 16) // DESIGN §5.3, as the next two
	setDefault(&cfg.EfConstruction, 256)
	setDefault(&cfg.Ef, 64)
	setDefault(&cfg.Prefix, "eino_qa")
	setDefault(&cfg.Log, slog.New(slog.DiscardHandler))
	if cfg.Address == "" {
		return nil, kb.E(kb.Invalid, nil, "milvus.host: is empty")
	}
	if _, ok := metrics[cfg.Metric]; !ok {
		return nil, kb.E(kb.Invalid, nil, "milvus.metric: %q is not one of COSINE, IP, L2", cfg.Metric)
	}
	if !word(cfg.Prefix, "_") || strings.ContainsAny(cfg.Prefix[:1], "0123456789") {
		return nil, kb.E(kb.Invalid, nil, "the prefix of collections %q is not letters, digits and underscores", cfg.Prefix)
	}
	if cfg.Ef > maxTopK*2 { // 32,768: the SDK's bound and the server's
		return nil, kb.E(kb.Invalid, nil, "milvus.hnsw.ef: %d is more than %d", cfg.Ef, maxTopK*2)
	}
	creds, err := transportCredentials(cfg)
	if err != nil {
		return nil, err
	}
	idle := 30 * time.Minute // gRPC's own default
	if cfg.CloseIdle {
		idle = 5 * time.Second
	}
	return &Client{
		cfg: cfg, creds: creds, idle: idle,
		slots:  make(chan struct{}, cfg.MaxCalls),
		gate:   gate{log: cfg.Log, address: cfg.Address, first: firstPause},
		redact: redactor(cfg.Username, cfg.Password),
		known:  map[string]*collection{},
	}, nil
}

// word reports whether s is 1 to 64 letters of ASCII, digits and characters of
// more. Compiled expressions for it would cost every cold start .2 ms.
func word(s, more string) bool {
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(more, r) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func transportCredentials(cfg Config) (credentials.TransportCredentials, error) {
	if !cfg.TLS {
		return nil, nil
	}
	conf := &tls.Config{ServerName: cfg.ServerName, MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, kb.E(kb.Invalid, err, "milvus.tls.ca_file: %s cannot be read", cfg.CAFile)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, kb.E(kb.Invalid, nil, "milvus.tls.ca_file: %s holds no PEM certificate", cfg.CAFile)
		}
	}
	return credentials.NewTLS(conf), nil
}

// Ping reports whether the server answers and calls itself healthy.
func (c *Client) Ping(ctx context.Context) error {
	return c.do(ctx, "ping", func(ctx context.Context, sdk *client.GrpcClient) error {
		state, err := sdk.CheckHealth(ctx)
		if err != nil {
			return err
		}
		if !state.IsHealthy {
			return &serverError{Legacy: commonpb.ErrorCode_NotReadyServe, Reason: fmt.Sprintf("not healthy: %.200q", state.Reasons)}
		}
		return nil
	})
}

// Close ends the connection. Calls that run, and later ones, fail.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.sdk == nil {
		return nil
	}
	return c.sdk.Close()
}

// finite reports whether v can be a vector of a space: no NaN, no infinity, not
// all zero, which COSINE cannot compare.
func finite(v []float32) bool {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return sum > 0 && !math.IsInf(sum, 0) && !math.IsNaN(sum)
}
