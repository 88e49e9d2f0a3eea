//go:build !function

package app

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/eino-qa/eino-qa/internal/backup"
	"github.com/eino-qa/eino-qa/internal/config"
	"github.com/eino-qa/eino-qa/internal/kb"
	"github.com/eino-qa/eino-qa/internal/store"
)

// operatorCommands are the commands on whole tenants, and what -h shows.
var operatorHelp = []struct{ name, usage, what string }{
	{"backup", "backup [-tenant ID] [-full] [-deadline 10m]", "compact, snapshot, verify and expire every tenant, or one; what the server's own schedule does"},
	{"restore", "restore -tenant ID (-list | -undo | [-preview] (-time T | -commit C))", "make a tenant what it was at a moment: -list shows those there are, -preview the rows that would change; -undo takes the last restore, import or deletion back. T is 2026-05-01T12:00:00Z, '2026-05-01 12:00' (local) or 2h (ago)"},
	{"export", "export (-tenant ID [-time T | -commit C] FILE | -all FOLDER)", "write a tenant as one plain SQLite file, verified, and FILE.json with its SHA-256 and rows"},
	{"import", "import -tenant ID [-replace] FILE", "make a tenant of such a file, after it was verified; -replace where the tenant exists"},
	{"verify", "verify [-tenant ID | FILE]", "read everything back and check it: every tenant, one, or an exported file"},
	{"tenants", "tenants [-json | -delete ID]", "list tenants, or delete one (undo: restore -tenant ID -undo)"},
	{"migrate", "migrate [-contract]", "bring the schema of every tenant up to this program; -contract takes away what the release before replaced, once no older program runs"},
	{"keyring", "keyring (init | add) FILE", "make a keyring for encryption at rest, or put a new key into one"},
	{"rekey", "rekey", "wrap all data keys with the first key of the keyring"},
	{"decrypt-replica", "decrypt-replica [-tenant ID] FOLDER", "copy the logs, decrypted, to where stock litestream restore reads them"},
}

// OperatorUsage writes the commands on whole tenants.
func OperatorUsage(w io.Writer) {
	fmt.Fprintln(w, "\nCommands for operators:")
	for _, h := range operatorHelp {
		fmt.Fprintf(w, "  %s\n        %s\n", h.usage, h.what)
	}
	fmt.Fprintln(w, "  "+vectorsUsage)
}

// operator is one run of such a command.
type operator struct {
	cfg      config.Config
	name     string
	out, err io.Writer
	set      *flag.FlagSet
	args     []string

	tenant, commit, when, remove                    string
	full, list, undo, preview, all, replace, asJSON bool
	contract                                        bool
	deadline                                        time.Duration
}

// parse reads the flags of a command.
func (o *operator) parse(args []string) error {
	o.set = flag.NewFlagSet(o.name, flag.ContinueOnError)
	o.set.SetOutput(io.Discard)
	str := func(p *string, name string, in ...string) { o.flagIn(in, func() { o.set.StringVar(p, name, "", "") }) }
	yes := func(p *bool, name string, in ...string) { o.flagIn(in, func() { o.set.BoolVar(p, name, false, "") }) }
	str(&o.tenant, "tenant", "backup", "restore", "export", "import", "verify", "decrypt-replica")
	str(&o.commit, "commit", "restore", "export")
	str(&o.when, "time", "restore", "export")
	str(&o.remove, "delete", "tenants")
	yes(&o.full, "full", "backup")
	yes(&o.list, "list", "restore")
	yes(&o.undo, "undo", "restore")
	yes(&o.preview, "preview", "restore")
	yes(&o.all, "all", "export")
	yes(&o.replace, "replace", "import")
	yes(&o.asJSON, "json", "backup", "restore", "tenants", "verify")
	yes(&o.contract, "contract", "migrate")
	o.flagIn([]string{"backup"}, func() { o.set.DurationVar(&o.deadline, "deadline", 0, "") })
	if err := o.set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return &config.UsageError{Msg: o.usage()}
		}
		return o.bad("%v", err)
	}
	o.args = o.set.Args()
	return nil
}

func (o *operator) flagIn(commands []string, add func()) {
	for _, c := range commands {
		if c == o.name {
			add()
		}
	}
}

func (o *operator) usage() string {
	for _, h := range operatorHelp {
		if h.name == o.name {
			return "usage: bin/server " + h.usage + "\n" + h.what
		}
	}
	return ""
}

func (o *operator) bad(format string, args ...any) error {
	return &config.UsageError{Msg: o.name + ": " + fmt.Sprintf(format, args...) + "\n" + o.usage()}
}

// operatorCommand runs a command on whole tenants; ok is false if name is none.
// open opens the application, for those that need it.
func operatorCommand(ctx context.Context, cfg config.Config, name string, args []string, stdout, stderr io.Writer, open func() (*App, func() error, error)) (ok bool, err error) {
	o := &operator{cfg: cfg, name: name, out: stdout, err: stderr}
	if o.usage() == "" {
		return false, nil
	}
	if err := o.parse(args); err != nil {
		return true, err
	}
	switch name { // those that work without a server's state
	case "keyring":
		return true, o.keyring()
	case "rekey":
		return true, o.rekey(ctx)
	case "decrypt-replica":
		return true, o.replica(ctx)
	case "verify":
		if len(o.args) == 1 && o.tenant == "" {
			return true, o.verifyFile(ctx, o.args[0])
		}
	}
	run := map[string]func(context.Context, *App) error{
		"backup": o.backup, "restore": o.restore, "export": o.export, "import": o.imports, "verify": o.verify, "tenants": o.tenants, "migrate": o.migrate,
	}[name]
	a, done, err := open()
	if err != nil {
		return true, err
	}
	defer func() { err = errors.Join(err, done()) }()
	return true, run(ctx, a)
}

// actor is who the audit says it was.
func actor() string {
	if u, err := user.Current(); err == nil {
		return "cli:" + u.Username
	}
	return "cli"
}

// id is the tenant that -tenant names; the control database can be named, too.
func (o *operator) id() (kb.TenantID, error) {
	switch o.tenant {
	case "":
		return "", o.bad("-tenant is missing")
	case string(store.ControlID):
		return store.ControlID, nil
	}
	return kb.ParseTenant(o.tenant)
}

// target is the moment that -time or -commit names.
func (o *operator) target() (backup.Target, error) {
	t := backup.Target{Commit: o.commit}
	if o.when == "" {
		return t, nil
	}
	if ago, err := time.ParseDuration(o.when); err == nil && ago >= 0 {
		t.Time = time.Now().Add(-ago)
		return t, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02"} {
		if at, err := time.ParseInLocation(layout, o.when, time.Local); err == nil {
			t.Time = at
			return t, nil
		}
	}
	return t, o.bad("-time %q: use 2026-05-01T12:00:00Z, '2026-05-01 12:00' (local time), or 2h for two hours ago", o.when)
}

func (o *operator) json(v any) error {
	enc := json.NewEncoder(o.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (o *operator) backup(ctx context.Context, a *App) error {
	if len(o.args) > 0 {
		return o.bad("%q is too much", o.args[0])
	}
	opt := backup.Options{Full: true} // who types it wants to have it
	if o.tenant != "" {
		id, err := o.id()
		if err != nil {
			return err
		}
		opt.Tenants = []kb.TenantID{id}
	}
	if o.deadline > 0 {
		opt.Deadline = time.Now().Add(o.deadline)
	}
	bar := newBar(o.err, "backup")
	opt.Progress = func(done, of int, r backup.Result) { bar.set(done, of, string(r.Tenant)) }
	rep, err := a.backups().Run(ctx, opt)
	if o.asJSON {
		return errors.Join(o.json(rep), err)
	}
	for _, r := range rep.Results {
		fmt.Fprintf(o.out, "%-8s  %-20s  %s\n", r.Status, r.Tenant, strings.Join(o.did(r), ", "))
	}
	if n := rep.Count(backup.Failed); n > 0 {
		return fmt.Errorf("%d of %d tenants could not be backed up; they are named above", n, len(rep.Results))
	}
	if n := rep.Count(backup.Deferred); n > 0 {
		return fmt.Errorf("%d of %d tenants were left for the next run: the deadline came first", n, len(rep.Results))
	}
	return err
}

func (o *operator) did(r backup.Result) (words []string) {
	add := func(cond bool, format string, args ...any) {
		if cond {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	add(r.Commit != "", "at commit %s", r.Commit)
	add(r.Snapshot != "", "snapshot %s verified (%d rows)", r.Snapshot, r.Rows)
	add(r.Compacted > 0, "%d files compacted", r.Compacted)
	add(r.Deleted > 0, "%d objects expired", r.Deleted)
	add(r.Retired > 0, "%d histories given up", r.Retired)
	add(r.Error != "", "%s", r.Error)
	return append(words, "in "+r.Took)
}

func (o *operator) restore(ctx context.Context, a *App) error {
	id, err := o.id()
	if err != nil {
		return err
	}
	t, err := o.target()
	switch {
	case err != nil:
		return err
	case len(o.args) > 0:
		return o.bad("%q is too much", o.args[0])
	case o.list:
		return o.points(ctx, a, id)
	case o.undo && t != backup.Target{}:
		return o.bad("-undo takes neither -time nor -commit")
	case !o.undo && t == backup.Target{}:
		return o.bad("give -time or -commit, or -undo, or -list")
	}
	var r backup.Restored
	if o.undo {
		r, err = a.undo(ctx, actor(), id)
	} else {
		r, err = a.restore(ctx, actor(), id, t, o.preview)
	}
	if err != nil {
		return err
	}
	if o.asJSON {
		return o.json(r)
	}
	switch {
	case o.undo:
		fmt.Fprintf(o.out, "tenant %s is what it was at commit %s; it goes on as commit %s. To take that back: restore -tenant %s -undo\n", id, r.Commit, r.Now, id)
	case o.preview:
		fmt.Fprintf(o.out, "commit %s of %s; nothing was changed\n\n", r.Commit, r.Time.Local().Format(time.DateTime))
		o.differences(r.Differences)
	default:
		fmt.Fprintf(o.out, "tenant %s is what it was at commit %s, %s; it goes on as commit %s. To take that back: restore -tenant %s -undo\n",
			id, r.Commit, r.Time.Local().Format(time.DateTime), r.Now, id)
	}
	return nil
}

func (o *operator) differences(ds []backup.Difference) {
	if len(ds) == 0 {
		fmt.Fprintln(o.out, "no row would change")
		return
	}
	fmt.Fprintf(o.out, "%-20s %10s %10s %10s %10s %10s\n", "table", "rows now", "rows then", "come back", "go away", "change")
	for _, d := range ds {
		fmt.Fprintf(o.out, "%-20s %10d %10d %10d %10d %10d\n", d.Table, d.Now, d.Then, d.Back, d.Gone, d.Changed)
	}
}

func (o *operator) points(ctx context.Context, a *App, id kb.TenantID) error {
	s := a.backups()
	for cursor := ""; ; {
		ps, next, err := s.Points(ctx, id, kb.Page{Cursor: cursor, Limit: 200})
		if err != nil {
			return err
		}
		for _, p := range ps {
			note := ""
			if p.Replaced {
				note = "  (replaced since)"
			}
			fmt.Fprintf(o.out, "%s  %-12s %s%s\n", p.Time.Local().Format("2006-01-02 15:04:05.000"), p.Commit, p.Kind, note)
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
}

func (o *operator) verify(ctx context.Context, a *App) error {
	var ids []kb.TenantID
	switch {
	case len(o.args) > 0:
		return o.bad("%q is too much", o.args[0])
	case o.tenant != "":
		id, err := o.id()
		if err != nil {
			return err
		}
		ids = []kb.TenantID{id}
	default:
		live, err := a.liveTenants(ctx)
		if err != nil {
			return err
		}
		ids = slices.Concat(live, []kb.TenantID{store.ControlID})
	}
	failed := 0
	for _, id := range ids {
		v, err := a.backups().Verify(ctx, id)
		if err != nil {
			failed++
			fmt.Fprintf(o.out, "BAD  %-20s  %v\n", id, err)
			continue
		}
		fmt.Fprintf(o.out, "ok   %-20s  commit %s, %d rows, schema %d\n", id, v.Commit, v.Rows(), v.Schema)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d tenants are not whole", failed, len(ids))
	}
	return nil
}

func (o *operator) tenants(ctx context.Context, a *App) error {
	if o.remove != "" {
		id, err := kb.ParseTenant(o.remove)
		if err != nil {
			return err
		}
		if err := a.deleteTenant(ctx, actor(), id); err != nil {
			return err
		}
		fmt.Fprintf(o.out, "tenant %s is deleted; its data is kept for %s. To take that back: restore -tenant %s -undo\n", id, a.cfg.Backup.Retention, id)
		return nil
	}
	var all []backup.Tenant
	for cursor := ""; ; {
		ts, next, err := a.backups().Tenants(ctx, kb.Page{Cursor: cursor, Limit: 200})
		if err != nil {
			return err
		}
		all = append(all, ts...)
		if cursor = next; cursor == "" {
			break
		}
	}
	if o.asJSON {
		return o.json(all)
	}
	for _, t := range all {
		last := "never backed up"
		if !t.LastBackup.IsZero() {
			last = "backed up " + t.LastBackup.Local().Format(time.DateTime)
		}
		fmt.Fprintf(o.out, "%-8s %-20s commit %-10s changed %s, %s\n", t.Status, t.ID, t.Commit, t.Changed.Local().Format(time.DateTime), last)
	}
	return nil
}

func (o *operator) migrate(ctx context.Context, a *App) error {
	ids, err := a.liveTenants(ctx)
	if err != nil {
		return err
	}
	for _, id := range append(ids, store.ControlID) {
		h, err := a.tenants.Tenant(ctx, id)
		if err != nil {
			return err
		}
		m, err := store.Migrate(ctx, h, o.contract)
		if err != nil {
			return err
		}
		fmt.Fprintf(o.out, "%-20s schema %d → %d", id, m.From, m.To)
		if m.Contracted > 0 {
			fmt.Fprintf(o.out, ", programs before %d are refused from now on", m.Contracted)
		}
		fmt.Fprintln(o.out)
	}
	return nil
}
