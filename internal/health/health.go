// Package health is the function that tells how the parts are. It links the
// clients of the store and nothing else: models, Milvus and Redis are asked
// whether they can be reached, by HTTP and TCP, and only by GET /health.
package health

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/redact"
	"github.com/eino-qa/eino-qa/internal/serverless/function"
	"github.com/eino-qa/eino-qa/internal/storage"
	"github.com/eino-qa/eino-qa/internal/telemetry"
	"github.com/eino-qa/eino-qa/internal/telemetry/emf"
)

// Function is the function of one process. Its methods may be called at the
// same time.
type Function struct {
	cfg    config.Config
	log    *telemetry.Log
	meter  *emf.Meter
	creds  function.Credentials
	probes *Probes

	mu     sync.Mutex
	bucket objstore.Bucket
	tested time.Time // when the bucket last passed the self-test
}

// Open reads the settings. It opens nothing.
func Open(src config.Source, stdout io.Writer) (*Function, error) {
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
	return &Function{cfg: cfg, log: log, meter: emf.New(stdout, cfg.Run.Platform), probes: NewProbes(cfg, 0, log.Logger)}, nil
}

// Config says how this function meets its platform.
func (f *Function) Config() function.Config {
	return function.Config{
		Platform: function.Platform(f.cfg.Run.Platform), Mode: function.Mode(f.cfg.Serverless.InvokeMode),
		Credentials: &f.creds, Log: f.log.Logger,
	}
}

// Handler serves /health and below as every other function does, and writes
// the metrics of each request at its end.
func (f *Function) Handler(version string) http.Handler {
	keys := auth.NewKeys(nil, func(context.Context) ([]auth.Key, error) { return nil, nil })
	trace := func(ctx context.Context) string {
		inv, _ := function.InvocationFrom(ctx)
		return inv.RequestID
	}
	h := api.New(api.Config{Version: version, TraceID: trace, Meter: f.meter}, keys, nil, f, http.NotFoundHandler(), f.log.Logger)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer f.meter.Flush()
		h.ServeHTTP(w, r)
	})
}

// Tenant implements api.Backend: here are none.
func (f *Function) Tenant(context.Context, kb.TenantID, bool) (api.Tenant, error) {
	return api.Tenant{}, kb.E(kb.NotFound, nil, "this function only tells how the parts are: send requests to the functions chat and admin")
}

// Ready implements api.Backend.
func (f *Function) Ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	return f.storeHealth(ctx).Status == "up"
}

// Health implements api.Backend.
func (f *Function) Health(ctx context.Context) (map[string]api.Health, bool) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var parts map[string]api.Health
	var wg sync.WaitGroup
	wg.Go(func() { parts = f.probes.Look(ctx, f.cfg.Features()) })
	store := f.storeHealth(ctx)
	wg.Wait()
	parts["store"] = store
	return parts, store.Status == "up"
}

func (f *Function) storeHealth(ctx context.Context) api.Health {
	if err := f.store(ctx); err != nil {
		f.log.WarnContext(ctx, "part is down", slog.String("part", "store"), telemetry.Error(err))
		return api.Health{Status: "down", Message: "the " + objstore.Complaint(err)}
	}
	return api.Health{Status: "up"}
}

// testEvery is how often the self-test is repeated while somebody asks: only
// writing shows that a store is full or read-only by now.
const testEvery = time.Minute

// store asks the store for a list; the first time, and later now and then, it
// makes the self-test for the functions that must not take the time.
func (f *Function) store(ctx context.Context) error {
	b, tested, err := f.open(ctx)
	if err != nil {
		return err
	}
	if time.Since(tested) < testEvery {
		_, _, err := b.List(ctx, "control/", "", 1)
		return err
	}
	if err := objstore.SelfTest(ctx, b, "selftest"); err != nil {
		return err
	}
	f.mu.Lock()
	f.tested = time.Now()
	f.mu.Unlock()
	return nil
}

func (f *Function) open(ctx context.Context) (b objstore.Bucket, tested time.Time, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bucket != nil {
		return f.bucket, f.tested, nil
	}
	var keys storage.Keys
	if _, err := f.creds.Get(ctx); err == nil && strings.HasPrefix(f.cfg.Storage.URL, "oss://") {
		keys = f.creds.Keys
	}
	if b, _, err = storage.Open(f.cfg, keys); err != nil {
		return nil, tested, err
	}
	f.bucket = objstore.Observed(b, f.meter.Object)
	return f.bucket, tested, nil
}
