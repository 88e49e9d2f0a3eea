package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/largepages"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/redact"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
	"github.com/eino-qa/eino-qa/internal/storage"
	"github.com/eino-qa/eino-qa/internal/telemetry"
	"github.com/eino-qa/eino-qa/internal/telemetry/emf"
)

// Function is the App of one deployed function. The App is opened within the
// first invocation, not at the start: then a store that does not answer is an
// error of that invocation and the next one tries again, where a failing start
// would have the platform restart the process for ever. Handler, Object and
// Schedule methods may be called at the same time.
type Function struct {
	cfg    config.Config
	log    *telemetry.Log
	meter  *emf.Meter
	creds  function.Credentials // of Function Compute's role
	rights Rights

	mu      sync.Mutex
	app     *App
	handler http.Handler
}

// Rights are what a function's role lets it do to a new store.
type Rights int

// Rights of functions: those that take visitors' questions and files must not
// be able to make keys (template.yaml, infra/aliyun/roles).
const (
	Uses     Rights = iota // what others prepared
	Prepares               // makes the database of keys and tenants
)

// OpenFunction reads the settings of a function and sets up its log: JSON
// lines on stdout, which both platforms collect. It opens nothing else.
func OpenFunction(src config.Source, stdout io.Writer, r Rights) (*Function, error) {
	largepages.Heap()
	cfg, err := config.Load(src)
	if err != nil {
		return nil, err
	}
	if cfg.Run.Origin["logging.format"] == "" {
		cfg.Logging.Format = "json"
	}
	log, err := telemetry.Open(telemetry.Options{
		Level: cfg.Logging.Level, Format: cfg.Logging.Format, Stdout: stdout,
		Wrap: redact.New(cfg.Security.SensitiveFields, cfg.Secrets()).Handler,
	})
	if err != nil {
		return nil, err
	}
	return &Function{cfg: cfg, rights: r, log: log, meter: emf.New(stdout, cfg.Run.Platform)}, nil
}

// Config says how this function meets its platform.
func (f *Function) Config() function.Config {
	return function.Config{
		Platform: function.Platform(f.cfg.Run.Platform), Mode: function.Mode(f.cfg.Serverless.InvokeMode),
		Credentials: &f.creds, Log: f.log.Logger, Spill: f.spill,
	}
}

// Handler serves the routes. Requests are sent to the function that has what
// they need by the gateway; one that is not is told so.
func (f *Function) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer f.meter.Flush()
		h, ctx, err := f.routes(r.Context())
		if err != nil {
			f.log.ErrorContext(r.Context(), "not opened", telemetry.Error(err))
			if kb.KindOf(err) == kb.Internal {
				err = kb.E(kb.Unavailable, err, "the store cannot be opened; try again")
			}
			function.ErrorOf(r.Context(), err).WriteTo(w)
			return
		}
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

// routes returns the handler, and ctx with what it may know of the request.
func (f *Function) routes(ctx context.Context) (http.Handler, context.Context, error) {
	before := f.opened()
	a, err := f.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handler == nil {
		if f.handler, err = a.Handler(); err != nil {
			f.handler = nil
			return nil, nil, err
		}
	}
	a.settle()   // nothing may be under way after the reply
	if !before { // it came before anything was opened
		ctx = arrived(ctx, a.begun)
	}
	return f.handler, ctx, nil
}

// opened reports whether the App is open.
func (f *Function) opened() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.app != nil
}

// open returns the App, opening it if nobody has. One opens, others wait.
func (f *Function) open(ctx context.Context) (*App, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.app != nil {
		return f.app, nil
	}
	b, folder, err := f.openBucket(ctx)
	if err != nil {
		return nil, err
	}
	a, err := f.openOn(ctx, b, folder)
	if err != nil {
		return nil, err
	}
	a.traceID = requestID
	if f.cfg.Security.RootKey.Reveal() == "" && len(f.cfg.Security.APIKeys) == 0 {
		f.log.WarnContext(ctx, "no key is set: nobody can manage keys and tenants; set ROOT_KEY")
	}
	f.app = a
	return a, nil
}

// openOn asks what would break the store for good: whether the bucket keeps
// versions. Who only reads at first asks while it opens the App; nothing is
// written before the answer.
func (f *Function) openOn(ctx context.Context, b objstore.Bucket, folder bool) (*App, error) {
	check := func() error { return nil }
	if c, ok := b.(objstore.Checker); ok && !folder { // a folder says at its first write what is wrong with it
		check = func() error { return c.Check(ctx) }
	}
	if f.rights == Prepares {
		if err := check(); err != nil {
			return nil, err
		}
		return openOn(ctx, f.cfg, f.log.Logger, f.meter, b, folder, true, "")
	}
	checked := make(chan error, 1)
	go func() { checked <- check() }()
	a, err := openOn(ctx, f.cfg, f.log.Logger, f.meter, b, folder, false, f.foreseen())
	if cerr := <-checked; cerr != nil { // it explains err, if there is one
		if err == nil {
			cerr = errors.Join(cerr, a.Close())
		}
		return nil, cerr
	}
	return a, err
}

// foreseen is the tenant that the first request is most likely for: visitors
// have no other.
func (f *Function) foreseen() kb.TenantID {
	if answering && f.cfg.PublicChat() {
		return kb.DefaultTenant
	}
	return ""
}

// openBucket is openBucket without its self-test: ten round trips of every
// cold start. The function health makes the test.
func (f *Function) openBucket(ctx context.Context) (b objstore.Bucket, folder bool, err error) {
	var keys storage.Keys
	if _, err := f.creds.Get(ctx); err == nil && strings.HasPrefix(f.cfg.Storage.URL, "oss://") {
		keys = f.creds.Keys
	}
	if b, folder, err = storage.Open(f.cfg, keys); err != nil {
		return nil, false, err
	}
	b, err = encrypted(f.cfg, b)
	return b, folder, err
}

// spillLife is how long the link to a large response works.
const spillLife = 10 * time.Minute

// spill keeps a response that outgrew the platform and returns a link to it.
// export/ expires by the bucket's own rule.
func (f *Function) spill(ctx context.Context, contentType string, body []byte) (string, error) {
	a, err := f.open(ctx)
	if err != nil {
		return "", err
	}
	p, ok := a.bucket.(objstore.Presigner)
	if !ok {
		return "", errors.New("this store hands out no links")
	}
	key := "export/response/" + kb.NewID("res", time.Now()) + extension(contentType)
	if _, err := a.bucket.Put(ctx, key, bytes.NewReader(body)); err != nil {
		return "", fmt.Errorf("keep large response: %w", err)
	}
	link, err := p.PresignGet(ctx, key, spillLife)
	return link.URL, err
}

// extension tells a browser what the object is: a link carries no media type.
func extension(contentType string) string {
	switch mt, _, _ := strings.Cut(contentType, ";"); mt {
	case "application/json":
		return ".json"
	case "text/html":
		return ".html"
	case "text/plain":
		return ".txt"
	}
	return ""
}

// Backup is one scheduled run over all tenants. It begins no tenant in the
// last third of its time; the next run goes on with those left.
func (f *Function) Backup(ctx context.Context, ev function.ScheduleEvent) error {
	defer f.meter.Flush()
	if err := ev.Is("backup"); err != nil {
		return err
	}
	a, err := f.open(f.request(ctx))
	if err != nil {
		return err
	}
	var begin time.Time
	if end, ok := ctx.Deadline(); ok {
		begin = time.Now().Add(time.Until(end) * 2 / 3)
	}
	_, err = a.Backup(f.request(ctx), begin)
	return err
}

// requestID is the platform's id of the invocation that ctx is of.
func requestID(ctx context.Context) string {
	inv, _ := function.InvocationFrom(ctx)
	return inv.RequestID
}

// request makes log lines carry the platform's id of this invocation.
func (f *Function) request(ctx context.Context) context.Context {
	return telemetry.WithRequest(ctx, requestID(ctx))
}
