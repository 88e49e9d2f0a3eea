// Package api is the HTTP surface: routes, who may use them, limits, bodies,
// errors and streams. It knows tenants by the interfaces below and nothing of
// how they are kept.
package api

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/ratelimit"
)

// Chat answers the questions of one tenant.
type Chat interface {
	Answer(ctx context.Context, q kb.Question) iter.Seq2[kb.Event, error]
}

// Ingester takes the files of one tenant.
type Ingester interface {
	Submit(ctx context.Context, f kb.File) (kb.Submitted, error)
}

// Documents are the documents of one tenant.
type Documents interface {
	Documents(ctx context.Context, p kb.Page) ([]kb.Document, string, error)
	Document(ctx context.Context, id kb.DocumentID) (kb.Document, error)
	DeleteDocument(ctx context.Context, id kb.DocumentID) error
	ChunksOf(ctx context.Context, id kb.DocumentID, p kb.Page) ([]kb.Chunk, string, error)
	Text(ctx context.Context, id kb.DocumentID, version int) (kb.Text, error)
	Job(ctx context.Context, id kb.JobID) (kb.Job, error)
}

// Conversations are what was said to one tenant.
type Conversations interface {
	Turn(ctx context.Context, id kb.TurnID, owner string) (kb.Turn, error)
	MissedQueries(ctx context.Context, p kb.Page) ([]kb.Missed, string, error)
}

// Receipts are requests that are to happen once, and their answers.
type Receipts interface {
	Receipt(ctx context.Context, id string, now time.Time) (kb.Receipt, error)
	KeepReceipt(ctx context.Context, rc kb.Receipt) error
}

// Tenant is what the routes need of one tenant.
type Tenant struct {
	ID            kb.TenantID
	Chat          Chat
	Ingester      Ingester
	Documents     Documents
	Conversations Conversations
	Orders        Orders
	Handoffs      Handoffs
	Sessions      Sessions
	Feedback      Feedback
	Settings      Settings
	Receipts      Receipts
}

// Backend opens tenants and tells how the parts beneath are.
type Backend interface {
	// Tenant returns an existing tenant, or makes it if create is set;
	// kb.NotFound otherwise.
	Tenant(ctx context.Context, id kb.TenantID, create bool) (Tenant, error)
	// Health asks each part; ready is whether requests can be served.
	Health(ctx context.Context) (parts map[string]Health, ready bool)
	// Ready asks only what nothing works without.
	Ready(ctx context.Context) bool
}

// Health is how one part is.
type Health struct {
	Status  string `json:"status"` // up, down, off
	Message string `json:"message,omitempty"`
}

// Config is what the surface needs to know.
type Config struct {
	Version       string
	PublicTenants []kb.TenantID  // those a visitor without a key may chat with
	TrustedProxy  []netip.Prefix // whose X-Forwarded-For is believed
	AutoCreate    bool           // a tenant named by an unbound key is made on first use
	ChatPerMinute int            // per tenant; 0 = no limit
	PublicMinute  int            // chat per client address without a key; 0 = no limit
	MaxBody       int64          // bytes of a JSON body; default 1 MiB
	MaxUpload     int64          // bytes of a document; default 10 MiB
	RequestTime   time.Duration  // budget of a request that is not a stream; default 30 s
	StreamTime    time.Duration  // longest stream; default 5 minutes
	HandoffTime   time.Duration  // a human who is waited for comes within; default 5 minutes
	Models        Models         // nil: none are configured
	Concurrent    int            // requests at once; 0 = no limit
	SlowRequest   time.Duration  // from which a request is logged as slow; 0 = never
	Meter         Meter          // default: none
	// TraceID names a request as whoever called us does; nil or "" = at random.
	TraceID func(context.Context) string
	Scrape  http.Handler // of GET /metrics; nil: nothing is scraped here
}

func (c Config) withDefaults() Config {
	c.MaxBody = cmp.Or(c.MaxBody, 1<<20)
	c.MaxUpload = cmp.Or(c.MaxUpload, 10<<20)
	c.RequestTime = cmp.Or(c.RequestTime, 30*time.Second)
	c.StreamTime = cmp.Or(c.StreamTime, 5*time.Minute)
	c.HandoffTime = cmp.Or(c.HandoffTime, 5*time.Minute)
	if c.Meter == nil {
		c.Meter = noMeter{}
	}
	return c
}

// Server is the http.Handler of all routes.
type Server struct {
	cfg     Config
	keys    *auth.Keys
	links   *auth.Links
	backend Backend
	log     *slog.Logger
	limits  ratelimit.Limiter
	running atomic.Int64 // requests being served
	handler http.Handler

	stop     sync.Once
	stopping chan struct{} // closed by Stop
}

// New returns the handler of all routes. console serves what no route claims.
func New(cfg Config, keys *auth.Keys, links *auth.Links, backend Backend, console http.Handler, log *slog.Logger) *Server {
	s := &Server{cfg: cfg.withDefaults(), keys: keys, links: links, backend: backend, log: log, stopping: make(chan struct{})}
	s.handler = s.outer(s.mux(console))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// handlerFunc answers or returns the error to answer with.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// route is one path and what each method does there.
type route struct {
	path    string
	methods map[string]handlerFunc
}

// routes is the table of everything there is; /openapi.json describes it and a
// test holds the two together.
func (s *Server) routes() []route {
	type m = map[string]handlerFunc
	return append([]route{
		s.chatRoute(),
		{"/api/v1/documents", m{"POST": s.once(s.documentPost), "GET": s.documentList}},
		{"/api/v1/documents/{id}", m{"GET": s.documentGet, "DELETE": s.documentDelete}},
		{"/api/v1/documents/{id}/chunks", m{"GET": s.chunkList}},
		{"/api/v1/jobs/{id}", m{"GET": s.jobGet}},
		{"/api/v1/uploads", m{"POST": s.uploadPost}},
		{"/api/v1/uploads/{id}", m{"PUT": s.uploadPut}},
		{"/api/v1/missed-queries", m{"GET": s.missedList}},
		{"/api/v1/sources/{id}", m{"GET": s.sourceGet}},
		{"/health", m{"GET": s.health}},
		{"/health/live", m{"GET": s.live}},
		{"/health/ready", m{"GET": s.ready}},
		{"/metrics", m{"GET": s.metrics}},
		{"/openapi.json", m{"GET": s.openapi}},
	}, slices.Concat(s.adminRoutes(), s.serviceRoutes())...)
}

func (s *Server) chatRoute() route {
	return route{"/chat", map[string]handlerFunc{"POST": s.once(s.chatPost), "GET": s.chatGet}}
}

// mux sends a request to its route. All of them are registered when one is
// asked for that is not /chat: a function that was started for a question has no
// use for the others.
func (s *Server) mux(console http.Handler) http.Handler {
	chat := s.chatRoute()
	answer := s.dispatch(chat)
	all := sync.OnceValue(func() http.Handler {
		mux := http.NewServeMux()
		for _, r := range s.routes() {
			mux.Handle(r.path, s.dispatch(r))
		}
		s.mountProfiles(mux)
		mux.Handle("/{$}", console)
		mux.Handle("/console/", console)
		mux.Handle("/", s.fails(notFound))
		return mux
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == chat.path {
			answer.ServeHTTP(w, r)
			return
		}
		all().ServeHTTP(w, r)
	})
}

func notFound(http.ResponseWriter, *http.Request) error {
	return kb.E(kb.NotFound, nil, "no such path; /openapi.json lists what there is")
}
