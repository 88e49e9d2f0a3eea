package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// UsageError is a command line that cannot be understood. Programs print it
// and exit with code 2.
type UsageError struct{ Msg string }

// Error is the message.
func (e *UsageError) Error() string { return e.Msg + " (-h shows what there is)" }

// Usage writes the flags that every program of ours takes.
func Usage(w io.Writer) error {
	_, err := fmt.Fprintf(w, `  -config FILE   settings in YAML (CONFIG_PATH; else %s where it exists)
  -validate      print the effective settings without secrets, or every bad one, and stop
  -version       print the version and stop
  -h             print this and stop

Settings come from the file, then .env, then the environment: server.port in the
file is SERVER_PORT in the environment. docs/configuration.md lists them all.
`, DefaultFile)
	return err
}

// flags reads the arguments before the command.
func (l *loader) flags() error {
	run := &l.cfg.Run
	set := flag.NewFlagSet("", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&run.File, "config", "", "")
	set.BoolVar(&run.Validate, "validate", false, "")
	set.BoolVar(&run.Version, "version", false, "")
	err := set.Parse(l.src.Args)
	run.Args = set.Args()
	if errors.Is(err, flag.ErrHelp) {
		run.Help = true
		return nil
	}
	if err == nil {
		return nil
	}
	msg := err.Error()
	if _, name, ok := strings.Cut(msg, "not defined: -"); ok {
		msg = "unknown flag -" + name
		if best := nearest(name, []string{"config", "validate", "version"}); best != "" {
			msg += "; did you mean -" + best + "?"
		}
	}
	return &UsageError{msg}
}
