package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Source is where settings come from. The zero value is a process without
// arguments and environment, in the current folder.
type Source struct {
	Args    []string // arguments without the program's name
	Environ []string // NAME=value, as os.Environ returns them; the last of a name wins
	Dir     string   // where .env and config/config.yaml are looked for; "" = the current folder
}

// Process is the Source of this process. It is the only place that reads the
// environment.
func Process() Source {
	return Source{Args: os.Args[1:], Environ: os.Environ()}
}

// Getenv returns a variable of Environ, or "". It is for packages that must ask
// for what is no setting, such as the names a platform sets.
func (s Source) Getenv(name string) string {
	for _, line := range slices.Backward(s.Environ) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}

// DefaultFile is read, if it is there, where neither -config nor CONFIG_PATH
// names a file.
const DefaultFile = "config/config.yaml"

// Run says how the process was started.
type Run struct {
	Args     []string          // what follows the flags: a command and its arguments
	File     string            // the YAML file that was read; "" = none
	EnvFile  string            // the .env file that was read; "" = none
	Validate bool              // -validate: print the effective settings and stop
	Help     bool              // -h: print Usage and stop; nothing was loaded
	Version  bool              // -version: print it and stop; nothing was loaded
	Platform string            // local, lambda, fc or fc-custom
	Origin   map[string]string // path → where its value comes from; settings with their default are absent
	Warnings []string          // worth saying at the start, not worth stopping for
}

// Load reads the settings: defaults, then the YAML file, then .env, then the
// environment. An empty variable counts as absent. The error is an *Error
// with every problem there is, or a *UsageError; the Config is usable only
// without one.
func Load(src Source) (Config, error) {
	l := &loader{src: src, schema: knownSettings(), cfg: Default()}
	l.cfg.Run.Origin = map[string]string{}
	if err := l.flags(); err != nil {
		return Config{}, err
	}
	if l.cfg.Run.Help || l.cfg.Run.Version {
		return l.cfg, nil
	}
	l.environ()
	l.yaml()
	l.overlay()
	l.aliases()
	l.bounds()
	l.derive()
	l.validate()
	l.warn()
	if len(l.problems) > 0 {
		return Config{}, &Error{Problems: l.problems}
	}
	return l.cfg, nil
}

// loader is one run of Load.
type loader struct {
	src      Source
	schema   *schema
	cfg      Config
	vars     map[string]string // what counts as the environment: no empty values
	varFrom  map[string]string // name → ".env:3"; absent: the process environment
	problems []Problem
	broken   map[string]bool // paths with a problem: no second one for a value that was not set
}

func (l *loader) bad(path, where, format string, args ...any) {
	if l.broken == nil {
		l.broken = map[string]bool{}
	}
	if path != "" {
		l.broken[path] = true
	}
	l.problems = append(l.problems, Problem{Setting: path, Where: where, Msg: fmt.Sprintf(format, args...)})
}

// badSetting reports a problem with the value of a known setting, wherever it
// came from. Only the first problem of a setting is reported.
func (l *loader) badSetting(path string, err error) {
	if !l.broken[path] {
		l.bad(path, l.cfg.Run.Origin[path], "%s", err)
	}
}

// from records where a setting's value comes from.
func (l *loader) from(path, where string) { l.cfg.Run.Origin[path] = where }

// isSet reports whether somebody chose the value, rather than Default.
func (l *loader) isSet(path string) bool { return l.cfg.Run.Origin[path] != "" }

func (l *loader) lookup(name string) string { return l.vars[name] }

// environ gathers the variables: the process's, then those of .env that the
// process does not have.
func (l *loader) environ() {
	l.vars, l.varFrom = map[string]string{}, map[string]string{}
	for name, value := range env.ToMap(l.src.Environ) {
		// Kubernetes sets MILVUS_PORT=tcp://10.0.0.7:19530 for a service
		// called milvus, and so on. Nobody chose that value.
		if strings.HasSuffix(name, "_PORT") && strings.HasPrefix(value, "tcp://") {
			continue
		}
		if value = strings.TrimSpace(value); value != "" {
			l.vars[name] = value
		}
	}
	name := ".env"
	data, err := readFile(filepath.Join(l.src.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		l.bad("", name, "%s", reason(err))
		return
	}
	l.cfg.Run.EnvFile = name
	vars, problems := parseDotEnv(data)
	for _, p := range problems {
		l.bad("", fmt.Sprintf("%s:%d", name, p.line), "%s", p.msg)
	}
	inFile := map[string]bool{}
	for _, v := range vars {
		value := strings.TrimSpace(v.value)
		if value == "" || l.vars[v.name] != "" && !inFile[v.name] {
			continue
		}
		inFile[v.name] = true
		l.vars[v.name], l.varFrom[v.name] = value, fmt.Sprintf("%s:%d", name, v.line)
	}
}

// yaml reads the file of -config, CONFIG_PATH or, if it is there, DefaultFile.
func (l *loader) yaml() {
	name, asked := l.cfg.Run.File, "-config"
	if name == "" {
		name, asked = l.vars["CONFIG_PATH"], "CONFIG_PATH"
	}
	if name == "" {
		name, asked = DefaultFile, ""
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.src.Dir, path)
	}
	data, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && asked == "":
		return
	case err != nil && asked == "":
		l.bad("", name, "%s", reason(err))
		return
	case err != nil:
		l.bad("", asked, "%s: %s", name, reason(err))
		return
	}
	l.cfg.Run.File = name
	l.file(name, data)
}

// readFile is os.ReadFile with a bound.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("is a folder, not a file")
	case info.Size() > maxFileBytes:
		return nil, fmt.Errorf("is larger than %s", Bytes(maxFileBytes))
	}
	return os.ReadFile(path)
}

// reason is an error of the file system without the path, which is said
// already.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// overlay lays the environment over the file.
func (l *loader) overlay() {
	known := map[string]string{}
	for name, value := range l.vars {
		if one := l.schema.byEnv[name]; one != nil {
			known[name] = value
			l.from(one.path, l.whence(name))
		}
	}
	if len(known) == 0 {
		return
	}
	options := env.Options{Environment: known, FuncMap: l.schema.parse}
	if env.ParseWithOptions(&l.cfg, options) == nil {
		return
	}
	// The library names the Go field of a bad value, not its variable. Ask
	// our own parsers, which are the same, about one variable after another.
	for _, one := range l.schema.settings {
		if value, ok := known[one.env]; ok {
			if err := l.schema.set(&l.cfg, &one, value); err != nil {
				l.badSetting(one.path, err)
			}
		}
	}
}

// whence names a variable the way an error shows it.
func (l *loader) whence(name string) string {
	if at := l.varFrom[name]; at != "" {
		return at + " " + name
	}
	return name
}
