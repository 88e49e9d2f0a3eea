// Package app wires the product together: it opens what a configuration
// names, and offers the handlers and commands that the mains run. It is the
// only package that may import all others, and it decides nothing else.
package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/chat"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/console"
	"github.com/eino-qa/eino-qa/internal/ingest"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/llm"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/retrieve"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Version is set by the linker.
var Version = "dev"

// App is everything of one process. Close it when done.
type App struct {
	cfg     config.Config
	log     *slog.Logger
	bucket  objstore.Bucket
	tenants *tenant.Registry
	control *store.Control
	keys    *auth.Keys
	links   *auth.Links
	models  *llm.Client // nil without models
	engine  *chat.Engine
	worker  *ingest.Worker
	rootKey string // the generated key, if this process was the one to generate it

	mu   sync.Mutex
	open map[kb.TenantID]*Tenant
}

// Tenant is the parts that work for one tenant.
type Tenant struct {
	Store    *store.Store
	Ingester *ingest.Ingester
	Chat     *chat.Chat
	Retrieve *retrieve.Retriever
}

// Open opens the store and makes the first root key if nobody has. It makes no
// connection that it does not need at once.
func Open(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	a := &App{cfg: cfg, log: log, open: map[kb.TenantID]*Tenant{}}
	var err error
	if a.models, err = openModels(cfg); err != nil {
		return nil, err
	}
	a.engine = chat.New(chat.Config{
		TopK: cfg.RAG.TopK, HistoryTurns: cfg.Session.MaxHistory, SessionTimeout: cfg.Session.Timeout, HandoffTimeout: cfg.Handoff.Timeout,
		IntentConfidence: cfg.Intent.ConfidenceThreshold, ScoreThreshold: cfg.RAG.ScoreThreshold,
	}, a.models, log)
	folder := false
	if a.bucket, folder, err = openBucket(ctx, cfg); err != nil {
		return nil, err
	}
	a.tenants = tenant.NewRegistry(tenant.Config{
		Bucket: a.bucket, Folder: folder, Schema: store.Schema, CacheBytes: int64(cfg.Database.CacheSize),
		Alarm: func(err error) { log.Error("the store breaks its promises", "error", err) },
	})
	if err := a.bootstrap(ctx); err != nil {
		return nil, errors.Join(err, a.tenants.Close())
	}
	a.worker = ingest.NewWorker(a.bucket, a.ingester, log)
	return a, nil
}

// Close closes what Open opened.
func (a *App) Close() error {
	if a.models != nil {
		a.models.Close()
	}
	return a.tenants.Close()
}

// openModels returns the client of the models that settings name, nil without
// any. It asks nobody.
func openModels(cfg config.Config) (*llm.Client, error) {
	d := cfg.DashScope
	if !d.Models() {
		return nil, nil //nolint:nilnil // no models is no error
	}
	endpoint := func(on bool, model string) llm.Endpoint {
		if !on {
			return llm.Endpoint{Provider: llm.OpenAI} // which has no default model
		}
		return llm.Endpoint{Model: model}
	}
	retries := d.MaxRetries
	if retries == 0 {
		retries = -1 // package llm takes 0 for its default
	}
	return llm.New(llm.Config{
		BaseURL: d.BaseURL, APIKey: d.APIKey.Reveal(), Timeout: d.Timeout, MaxRetries: retries,
		Chat: endpoint(d.Chat(), d.ChatModel), Embedding: endpoint(d.Embed(), d.EmbedModel), Rerank: endpoint(d.Rerank(), d.RerankModel),
	})
}

// bootstrap opens the control database, makes the root key and the link secret
// unless another process did, and prepares the checking of both.
func (a *App) bootstrap(ctx context.Context) error {
	h, err := a.tenants.Create(ctx, store.ControlID)
	if err != nil {
		return err
	}
	a.control = store.NewControl(h)
	_, settings, err := a.control.Load(ctx)
	if err != nil {
		return err
	}
	if settings[linkSecret] == "" {
		if settings, err = a.firstStart(ctx); err != nil {
			return err
		}
	}
	secret, err := hex.DecodeString(settings[linkSecret])
	if err != nil {
		return fmt.Errorf("link secret in the control database: %w", err)
	}
	if a.links, err = auth.NewLinks(secret, a.cfg.Security.LinkTTL); err != nil {
		return err
	}
	a.keys = auth.NewKeys(fixedKeys(a.cfg), a.loadKeys)
	return nil
}

// linkSecret is the setting that signs links, in hex.
const linkSecret = "link_secret"

// firstStart generates what a new store needs. Of several processes that start
// at once one wins, and only its key is printed.
func (a *App) firstStart(ctx context.Context) (map[string]string, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	key := "eqa_root_" + strings.ToLower(rand.Text()) + strings.ToLower(rand.Text())
	now := time.Now()
	root := store.Key{ID: kb.NewID("key", now), Hash: auth.HashKey(key), Scopes: []string{string(auth.Root)}, Created: now}
	won, err := a.control.Bootstrap(ctx, root, map[string]string{linkSecret: hex.EncodeToString(secret)})
	if err != nil {
		return nil, err
	}
	if won {
		a.rootKey = key
		if err := a.keepRootKey(key); err != nil {
			return nil, err
		}
	}
	_, settings, err := a.control.Load(ctx)
	return settings, err
}

// fixedKeys are the keys that settings name.
func fixedKeys(cfg config.Config) []auth.Key {
	var keys []auth.Key
	for i, k := range cfg.Security.APIKeys {
		keys = append(keys, auth.Key{
			ID: fmt.Sprintf("api_key_%d", i+1), Hash: auth.HashKey(k.Reveal()), Scopes: []auth.Scope{auth.Chat, auth.Ingest, auth.Admin},
		})
	}
	if k := cfg.Security.RootKey.Reveal(); k != "" {
		keys = append(keys, auth.Key{ID: "root_key", Hash: auth.HashKey(k), Scopes: []auth.Scope{auth.Root}})
	}
	return keys
}

func (a *App) loadKeys(ctx context.Context) ([]auth.Key, error) {
	stored, _, err := a.control.Load(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]auth.Key, len(stored))
	for i, k := range stored {
		keys[i] = auth.Key{ID: k.ID, Hash: k.Hash, Tenant: kb.TenantID(k.Tenant), Expires: k.Expires}
		for _, s := range k.Scopes {
			keys[i].Scopes = append(keys[i].Scopes, auth.Scope(s))
		}
	}
	return keys, nil
}

// Tenant returns the parts of a tenant, making the tenant if create is set.
func (a *App) Tenant(ctx context.Context, id kb.TenantID, create bool) (*Tenant, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.open[id]; t != nil {
		return t, nil
	}
	open := a.tenants.Tenant
	if create {
		open = a.tenants.Create
	}
	h, err := open(ctx, id)
	if err != nil {
		return nil, err
	}
	s := store.New(h)
	if err := s.Check(ctx); err != nil {
		return nil, err
	}
	t := &Tenant{Store: s, Ingester: ingest.New(id, s, a.bucket), Retrieve: retrieve.New(s, retrieve.Config{})}
	t.Chat = a.engine.For(chat.Tenant{ID: id, Memory: s, Retriever: finder{t.Retrieve}})
	a.open[id] = t
	return t, nil
}

func (a *App) ingester(ctx context.Context, id kb.TenantID) (*ingest.Ingester, error) {
	t, err := a.Tenant(ctx, id, false)
	if err != nil {
		return nil, err
	}
	return t.Ingester, nil
}

// Handler is the HTTP surface of everything.
func (a *App) Handler() (*api.Server, error) {
	proxies, err := prefixes(a.cfg.Server.TrustedProxies)
	if err != nil {
		return nil, err
	}
	cfg := api.Config{
		Version: Version, TrustedProxy: proxies, AutoCreate: a.cfg.Tenants.AutoCreate,
		MaxBody: int64(a.cfg.Server.MaxBodyBytes), MaxUpload: int64(a.cfg.Server.MaxUploadBytes),
		ChatPerMinute: a.cfg.RateLimit.ChatPerMinute, PublicMinute: a.cfg.RateLimit.PublicPerMinute,
		RequestTime: a.cfg.Server.RequestTimeout, Concurrent: a.cfg.Server.MaxConcurrentRequests, SlowRequest: a.cfg.Logging.SlowRequest,
	}
	if a.cfg.PublicChat() {
		cfg.PublicTenants = []kb.TenantID{kb.DefaultTenant}
	}
	return api.New(cfg, a.keys, a.links, backend{a}, console.Handler(), a.log), nil
}

func prefixes(proxies []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, p := range proxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			addr, aerr := netip.ParseAddr(p)
			if aerr != nil {
				return nil, fmt.Errorf("server.trusted_proxies: %w", err)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		out = append(out, prefix)
	}
	return out, nil
}
