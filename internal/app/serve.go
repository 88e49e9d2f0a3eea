package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// Serve listens and serves until ctx ends, then lets running requests finish.
// ready is called once requests are answered, and may print.
func (a *App) Serve(ctx context.Context, ready func(ctx context.Context, url string) error) error {
	handler, err := a.Handler()
	if err != nil {
		return err
	}
	closeGaps()
	srv := a.httpServer(handler)
	srv.RegisterOnShutdown(handler.Stop)
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", a.cfg.Listen())
	if err != nil {
		return kb.E(kb.Unavailable, err, "cannot listen on %s; another program may use the port: stop it or set SERVER_PORT", a.cfg.Listen())
	}
	scheme, serve := "http", func() error { return srv.Serve(l) }
	if t := a.cfg.Server.TLS; t.Enabled {
		scheme, serve = "https", func() error { return srv.ServeTLS(l, t.CertFile, t.KeyFile) }
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		if err := a.intake.run(ctx); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		if err := a.vectors.run(ctx, a); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	g.Go(func() error { return a.backupEvery(ctx) })
	g.Go(func() error { return a.verifyOpen(ctx) })
	g.Go(func() error { return ready(ctx, scheme+"://"+l.Addr().String()) })
	g.Go(func() error {
		<-ctx.Done()
		// The time to finish begins when everything was asked to end.
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.Server.ShutdownTimeout)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			return errors.Join(err, srv.Close())
		}
		return nil
	})
	return g.Wait()
}

// maxHeaderBytes is plenty for keys and cookies, and little for an attacker.
const maxHeaderBytes = 64 << 10

func (a *App) httpServer(h http.Handler) *http.Server {
	s := a.cfg.Server
	return &http.Server{
		Handler: h, ReadHeaderTimeout: s.ReadTimeout, ReadTimeout: s.ReadTimeout,
		// An answer takes the budget of a request, then one write; streams renew
		// their deadline with each event.
		WriteTimeout:   s.RequestTimeout + s.WriteTimeout,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: maxHeaderBytes,
	}
}

// Banner prints where the server is, what is on and off, and the generated
// root key if this is the start that generated it.
func (a *App) Banner(out io.Writer, url string) {
	fmt.Fprintf(out, "\nEino QA %s\n  page  %s/\n  API   %s/openapi.json\n\n", Version, url, url)
	for _, f := range a.features() {
		state := "off"
		if f.On {
			state = "on "
		}
		fmt.Fprintf(out, "  %s  %-16s %s  (%s)\n", state, f.Name, f.Detail, f.Setting)
	}
	if a.rootKey != "" {
		fmt.Fprintf(out, "\n  admin key, shown this once: %s\n  (kept in %s, readable by you only)\n", a.rootKey, a.rootKeyFile())
	}
	fmt.Fprintln(out)
}

// features is what works in this process. Settings that are ahead of the
// program are named as what they are: off.
func (a *App) features() []config.Feature {
	fs := a.cfg.Features()
	for i, f := range fs {
		if !f.On {
			continue
		}
		switch f.Name {
		case "embedding model":
			fs[i].On = a.vectors.on()
		case "milvus":
			if fs[i].On = a.vectors.on() && a.vectors.index.on(); !a.vectors.on() {
				fs[i].Detail = "idle without an embedding model"
			}
		case "cache":
			fs[i].On, fs[i].Detail = false, "every answer is computed; comes with a later release"
		}
	}
	return fs
}
