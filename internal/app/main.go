//go:build !function

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/redact"
	"github.com/eino-qa/eino-qa/internal/telemetry"
)

// Exit codes of the server's command line.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // bad flags or settings
)

// Main is the server's command line: serve, ingest, ask. It returns the exit
// code.
func Main(ctx context.Context, src config.Source, stdout, stderr io.Writer) int {
	cfg, err := config.Load(src)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	switch {
	case cfg.Run.Help:
		_ = config.Usage(stdout)
		OperatorUsage(stdout)
		return exitOK
	case cfg.Run.Version:
		fmt.Fprintln(stdout, Version)
		return exitOK
	case cfg.Run.Validate:
		fmt.Fprint(stdout, cfg.Redacted())
		return exitOK
	}
	err = command(ctx, cfg, stdout, stderr)
	if usage, ok := errors.AsType[*config.UsageError](err); ok {
		fmt.Fprintln(stderr, usage)
		return exitUsage
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return exitFailed
	}
	return exitOK
}

func command(ctx context.Context, cfg config.Config, stdout, stderr io.Writer) (err error) {
	name, args := "serve", cfg.Run.Args
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if name == "eval" { // needs no store
		if len(args) != 1 {
			return &config.UsageError{Msg: "eval: give the folder of the sets"}
		}
		return Evaluate(ctx, cfg, args[0], stdout)
	}
	openApp := func() (*App, func() error, error) {
		log, err := openLog(cfg, stderr, stderr) // what a command prints is its result
		if err != nil {
			return nil, nil, err
		}
		a, err := Open(ctx, cfg, log.Logger)
		if err != nil {
			return nil, nil, errors.Join(err, log.Close())
		}
		return a, func() error { return errors.Join(a.Close(), log.Close()) }, nil
	}
	if ok, err := operatorCommand(ctx, cfg, name, args, stdout, stderr, openApp); ok {
		return err
	}
	run := map[string]func(*App) error{
		"serve":   func(a *App) error { return serve(ctx, a, stdout) },
		"ingest":  func(a *App) error { return ingestCommand(ctx, a, args, stdout, stderr) },
		"ask":     func(a *App) error { return askCommand(ctx, a, args, stdout) },
		"vectors": func(a *App) error { return vectorsCommand(ctx, a, args, stdout) },
	}[name]
	if run == nil {
		return &config.UsageError{Msg: fmt.Sprintf("unknown command %q; there are serve, ingest PATH…, ask QUESTION, and for operators backup, restore, export, import, verify, tenants, vectors, migrate, keyring, rekey and decrypt-replica", name)}
	}
	log, err := openLog(cfg, stdout, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	a, err := Open(ctx, cfg, log.Logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	a.UseLog(log)
	if a.rootKey != "" && name != "serve" { // the banner of serve prints it
		fmt.Fprintf(stderr, "admin key, shown this once: %s (kept in %s)\n", a.rootKey, a.rootKeyFile())
	}
	defer reopenOnHangup(log)()
	for _, w := range cfg.Run.Warnings {
		fmt.Fprintln(stderr, "warning:", w)
	}
	return run(a)
}

// openLog opens the log that settings name, with the fence that takes secrets
// and personal data out of it.
func openLog(cfg config.Config, stdout, stderr io.Writer) (*telemetry.Log, error) {
	l := cfg.Logging
	return telemetry.Open(telemetry.Options{
		Level: l.Level, Format: l.Format, Output: l.Output, Path: l.FilePath, MaxBytes: int64(l.MaxSize), MaxFiles: l.MaxFiles, Stderr: stderr, Stdout: stdout,
		Wrap: redact.New(cfg.Security.SensitiveFields, cfg.Secrets()).Handler,
	})
}

// reopenOnHangup opens the log file anew at each SIGHUP, which is how log
// rotation tells us that it moved the file, until the returned function is
// called.
func reopenOnHangup(log *telemetry.Log) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range hangups {
			if err := log.Reopen(); err != nil {
				log.Error("the log file cannot be opened again", telemetry.Error(err))
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(hangups)
		wg.Wait()
	}
}

func serve(ctx context.Context, a *App, out io.Writer) error {
	if err := a.importPlain(ctx, out); err != nil {
		return err
	}
	return a.Serve(ctx, func(ctx context.Context, url string) error {
		a.Banner(out, url)
		b := newBar(out, "sample knowledge base")
		if err := a.Welcome(ctx, out, b.set); err != nil {
			return fmt.Errorf("load sample: %w", err)
		}
		fmt.Fprintf(out, "\nserving on %s — press Ctrl+C to stop\n", url)
		return nil
	})
}

func ingestCommand(ctx context.Context, a *App, args []string, out, problems io.Writer) error {
	id, args, err := tenantFlag(args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return &config.UsageError{Msg: "ingest: give the files or folders to load"}
	}
	b := newBar(out, "ingest")
	rep, err := a.IngestPaths(ctx, id, args, b.set, problems)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d ready, %d there already, %d skipped (not a kind we read), %d failed\n", rep.Ready, rep.Duplicate, rep.Skipped, rep.Failed)
	if err := a.vectorsOf(ctx, id, out); err != nil {
		return err
	}
	if rep.Failed > 0 {
		return fmt.Errorf("%d files could not be ingested; they are named above", rep.Failed)
	}
	return nil
}

func askCommand(ctx context.Context, a *App, args []string, out io.Writer) error {
	id, args, err := tenantFlag(args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return &config.UsageError{Msg: `ask: give a question, as in: ask "how long is the warranty?"`}
	}
	return a.Ask(ctx, id, strings.Join(args, " "), out)
}

// tenantFlag takes "-tenant ID" off the front of args.
func tenantFlag(args []string) (kb.TenantID, []string, error) {
	if len(args) < 2 || args[0] != "-tenant" && args[0] != "--tenant" {
		return kb.DefaultTenant, args, nil
	}
	id, err := kb.ParseTenant(args[1])
	return id, args[2:], err
}
