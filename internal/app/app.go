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
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/aside"
	"github.com/eino-qa/eino-qa/internal/auth"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/console"
	"github.com/eino-qa/eino-qa/internal/health"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/logvfs"
	"github.com/eino-qa/eino-qa/internal/objstore"
	"github.com/eino-qa/eino-qa/internal/store"
	"github.com/eino-qa/eino-qa/internal/tenant"
)

// Version is set by the linker.
var Version = "dev"

// App is everything of one process. Close it when done.
type App struct {
	cfg      config.Config
	log      *slog.Logger
	bucket   objstore.Bucket
	vitals   objstore.Vitals // what the bucket last complained about
	folder   bool            // bucket is a folder
	prepare  bool            // may make the control database of a new store
	tenants  *tenant.Registry
	control  *store.Control
	keys     *auth.Keys
	links    *auth.Links
	answers  answers // who answers questions
	vectors  vectors // who makes and searches vectors
	intake   intake  // who takes files in
	settings settings
	begun    uint64         // tenant.Registry.Now before anything was opened
	beside   sync.WaitGroup // what is opened within the first request; see settle
	probes   *health.Probes
	rootKey  string // the generated key, if this process was the one to generate it

	meter   meter                        // counts what the parts do
	scrape  http.Handler                 // shows it; nil where nothing scrapes
	traceID func(context.Context) string // names a request as the platform does; nil = at random

	lately *tenantSet
}

// openOn is Open on a bucket that was opened before; folder tells a folder
// from object storage. A tenant that is foreseen to be asked for is opened
// beside the control database, and may not be open before settle returns; "" is
// none.
func openOn(ctx context.Context, cfg config.Config, log *slog.Logger, m meter, b objstore.Bucket, folder, prepare bool, foreseen kb.TenantID) (*App, error) {
	a := &App{cfg: cfg, log: log, meter: m, folder: folder, prepare: prepare, lately: newTenantSet(), probes: health.NewProbes(cfg, healthEvery, log)}
	a.bucket = objstore.Observed(b, func(op, outcome string, took time.Duration) {
		m.Object(op, outcome, took)
		a.vitals.Observe(op, outcome, took)
	})
	var err error
	if a.answers, err = openAnswers(cfg, m, log); err != nil {
		return nil, err
	}
	if a.vectors, err = openVectors(cfg, a.answers, m, log); err != nil {
		return nil, err
	}
	a.tenants = tenant.NewRegistry(tenant.Config{
		Bucket: a.bucket, Folder: folder, Schema: store.Schema, CacheBytes: int64(cfg.Database.CacheSize),
		Alarm:     func(err error) { log.Error("the store breaks its promises", "error", err) },
		Committed: m.Commit,
		Event:     func(e logvfs.Event) { m.Storage(string(e)) },
	})
	a.begun = a.tenants.Now()
	if foreseen != "" {
		// Best effort: who asks for it meets the store's trouble itself.
		a.beside.Go(func() {
			aside.Deepen()
			_, _ = a.openStore(ctx, foreseen, false)
		})
	}
	if err := a.bootstrap(ctx); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.intake = newIntake(a)
	return a, nil
}

// settle waits for what is opened beside.
func (a *App) settle() { a.beside.Wait() }

// Close closes what Open opened.
func (a *App) Close() error {
	a.settle()
	a.vectors.close()
	a.answers.close()
	return a.tenants.Close()
}

// bootstrap opens the control database, makes the root key and the link secret
// unless another process did, and prepares the checking of both.
func (a *App) bootstrap(ctx context.Context) error {
	keys, settings, err := a.openControl(ctx)
	if err != nil {
		return err
	}
	if settings[linkSecret] == "" && !a.prepare {
		return newStore()
	}
	if settings[linkSecret] == "" || a.locked(keys) {
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

// openControl opens the control database. Making it takes a transaction, even
// one that finds it made, so reading is tried first.
func (a *App) openControl(ctx context.Context) (keys []store.Key, settings map[string]string, err error) {
	h, err := a.tenants.Tenant(ctx, store.ControlID)
	if err == nil {
		a.control = store.NewControl(h)
		keys, settings, err = a.control.Load(ctx)
	}
	if err == nil {
		return keys, settings, nil
	}
	if !a.prepare {
		if kb.KindOf(err) == kb.NotFound {
			err = newStore()
		}
		return nil, nil, err
	}
	if h, err = a.tenants.Create(ctx, store.ControlID); err != nil {
		return nil, nil, err
	}
	a.control = store.NewControl(h)
	return a.control.Load(ctx)
}

// generates reports whether this process is to make a root key where there is
// none: settings name none, and there is a terminal to show it on.
func (a *App) generates() bool {
	return a.prepare && a.cfg.Run.Platform == "local" && !a.cfg.Security.RootKey.IsSet()
}

// locked reports whether nobody could manage this store: it was made with
// ROOT_KEY, which is gone.
func (a *App) locked(keys []store.Key) bool {
	return a.generates() && !slices.ContainsFunc(keys, func(k store.Key) bool { return slices.Contains(k.Scopes, string(auth.Root)) && k.Expires.IsZero() })
}

// errNew is a store that has no control database, met by who may not make it.
var errNew = errors.New("no control database")

func newStore() error {
	return kb.E(kb.Unavailable, errNew, "the store is new: the first request to the function admin prepares it, for example GET /api/v1/documents")
}

// linkSecret is the setting that signs links, in hex.
const linkSecret = "link_secret"

// firstStart generates what a new store needs, with a root key unless settings
// name one. Of several processes that start at once one wins, and only its key
// is printed.
func (a *App) firstStart(ctx context.Context) (map[string]string, error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	key := "eqa_root_" + strings.ToLower(rand.Text()) + strings.ToLower(rand.Text())
	now := time.Now()
	root := store.Key{ID: kb.NewID("key", now), Scopes: []string{string(auth.Root)}, Created: now}
	if a.generates() {
		root.Hash = auth.HashKey(key)
	}
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
	if err := a.control.Refresh(ctx); err != nil { // another server may have revoked one
		return nil, err
	}
	stored, kept, err := a.control.Load(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.applySettings(kept); err != nil {
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
		HandoffTime: a.cfg.Handoff.Timeout, Models: a.answers.catalogue(),
		Meter: a.meter, Scrape: a.scrape, TraceID: a.traceID,
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
