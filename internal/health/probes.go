package health

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/telemetry"
)

// Probes ask the parts outside this process, but for the store, whether they
// can be reached: by HTTP and TCP, without a key and without any client of
// theirs. The methods may be called at the same time.
type Probes struct {
	cfg    config.Config
	log    *slog.Logger
	every  time.Duration
	client *http.Client

	mu    sync.Mutex
	at    time.Time
	parts map[string]api.Health
}

// NewProbes asks nobody yet. What was found holds for every: who asks for
// /health a thousand times a second must not have us ask the provider as often.
func NewProbes(cfg config.Config, every time.Duration, log *slog.Logger) *Probes {
	// A probe must not follow anybody anywhere.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &Probes{cfg: cfg, log: log, every: every, client: client}
}

// probeTime bounds one look at all parts: with an answer on its way, less than
// the least that load balancers wait, 5 s.
const probeTime = 4 * time.Second

// Look says how each of the features is, the store apart.
func (p *Probes) Look(ctx context.Context, features []config.Feature) map[string]api.Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.parts != nil && time.Since(p.at) < p.every {
		return maps.Clone(p.parts)
	}
	// Who asked may leave: others are told what it found.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTime)
	defer cancel()
	parts := map[string]api.Health{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, f := range features {
		probe := p.probe(f)
		if probe == nil {
			mu.Lock()
			parts[f.Name] = still(f)
			mu.Unlock()
			continue
		}
		wg.Go(func() {
			h := api.Health{Status: "up"}
			if err := probe(ctx); err != nil {
				p.log.WarnContext(ctx, "part is down", slog.String("part", f.Name), telemetry.Error(err))
				h = api.Health{Status: "down", Message: "the " + f.Name + " does not answer"}
			}
			mu.Lock()
			defer mu.Unlock()
			parts[f.Name] = h
		})
	}
	wg.Wait()
	delete(parts, "store")
	p.parts, p.at = parts, time.Now()
	return maps.Clone(parts)
}

// still is how a part is that nobody needs to ask.
func still(f config.Feature) api.Health {
	if f.On {
		return api.Health{Status: "up"}
	}
	return api.Health{Status: "off", Message: f.Detail}
}

// probe returns how a part is asked, nil if it is not.
func (p *Probes) probe(f config.Feature) func(context.Context) error {
	switch {
	case !f.On:
		return nil
	case f.Name == "milvus":
		return dial(p.cfg.Milvus.Address())
	case f.Name == "cache" && p.cfg.Cache.Type == "redis":
		return dial(p.cfg.Cache.Redis.Address())
	case strings.HasSuffix(f.Name, " model"):
		return p.models
	}
	return nil
}

// models asks the provider for anything without a key: any answer will do.
func (p *Probes) models(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, p.cfg.DashScope.BaseURL, http.NoBody)
	if err != nil {
		return fmt.Errorf("probe models: %w", err)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return fmt.Errorf("probe models: %w", err)
	}
	return res.Body.Close()
}

// dial returns a probe that connects and hangs up.
func dial(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return fmt.Errorf("probe %s: %w", addr, err)
		}
		return c.Close()
	}
}
