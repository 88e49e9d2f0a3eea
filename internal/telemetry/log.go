// Package telemetry sets up the log: structured lines by log/slog to a stream
// or to a file that it rotates itself, at a level that can change at run time.
// It imports the standard library only, because the smallest function links
// it; counters and histograms are in package metrics below it. A line never
// holds a secret or a user's text: callers see to it, and package redact,
// given as Options.Wrap, is the second fence.
package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Options say where the log goes. The zero value is text at level info to
// standard output.
type Options struct {
	Level    string                          // debug, info, warn, error; "" = info
	Format   string                          // json, text; "" = text
	Output   string                          // stdout, stderr, file; "" = stdout
	Path     string                          // of the file
	MaxBytes int64                           // size at which the file is rotated; 0 = never
	MaxFiles int                             // rotated files to keep; 0 = 1
	Wrap     func(slog.Handler) slog.Handler // around the writing handler; nil = none
	Stdout   io.Writer                       // nil = os.Stdout
	Stderr   io.Writer                       // nil = os.Stderr; also takes the lines that a file cannot
}

// Log is a logger with its level and its file. Safe for concurrent use.
type Log struct {
	*slog.Logger
	level *slog.LevelVar
	file  *File // nil where the log is a stream
}

// Open sets up the log.
func Open(o Options) (*Log, error) {
	l := &Log{level: new(slog.LevelVar)}
	if err := l.SetLevel(orElse(o.Level, "info")); err != nil {
		return nil, err
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	w, err := l.writer(o)
	if err != nil {
		return nil, err
	}
	var h slog.Handler
	handlerOptions := &slog.HandlerOptions{Level: l.level}
	switch orElse(o.Format, "text") {
	case "json":
		h = slog.NewJSONHandler(w, handlerOptions)
	case "text":
		h = slog.NewTextHandler(w, handlerOptions)
	default:
		return nil, errors.Join(fmt.Errorf("log format %q: want json or text", o.Format), l.Close())
	}
	if o.Wrap != nil {
		h = o.Wrap(h)
	}
	l.Logger = slog.New(contextHandler{h})
	return l, nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (l *Log) writer(o Options) (io.Writer, error) {
	switch orElse(o.Output, "stdout") {
	case "stdout":
		return o.Stdout, nil
	case "stderr":
		return o.Stderr, nil
	case "file":
		f, err := OpenFile(o.Path, o.MaxBytes, o.MaxFiles, o.Stderr)
		l.file = f
		return f, err
	}
	return nil, fmt.Errorf("log output %q: want stdout, stderr or file", o.Output)
}

// Level returns the level in force: debug, info, warn or error.
func (l *Log) Level() string { return strings.ToLower(l.level.Level().String()) }

// SetLevel changes the level, for all loggers made from this one, at once.
func (l *Log) SetLevel(name string) error {
	switch name {
	case "debug":
		l.level.Set(slog.LevelDebug)
	case "info":
		l.level.Set(slog.LevelInfo)
	case "warn":
		l.level.Set(slog.LevelWarn)
	case "error":
		l.level.Set(slog.LevelError)
	default:
		return fmt.Errorf("log level %q: want debug, info, warn or error", name)
	}
	return nil
}

// Reopen opens the file anew, after another program moved it away. Without a
// file it does nothing.
func (l *Log) Reopen() error {
	if l.file == nil {
		return nil
	}
	return l.file.Reopen()
}

// Close closes the file. Lines written afterwards go to standard error.
func (l *Log) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
