// Package errors stands for github.com/cockroachdb/errors with the standard
// library's: those eight functions that the Milvus SDK calls. The original
// notes a stack for each error, and can send errors over a network and to a
// service that collects them; for that it brings a second implementation of
// protocol buffers (docs/adr/0005-what-nobody-calls-is-not-linked.md).
package errors

import (
	"errors"
	"fmt"
	"slices"
)

// New is errors.New.
func New(msg string) error { return errors.New(msg) }

// Newf is fmt.Errorf.
func Newf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// Errorf is fmt.Errorf.
func Errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// Wrap puts msg before err's text; no error stays none.
func Wrap(err error, msg string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", msg, err)
}

// Unwrap is errors.Unwrap.
func Unwrap(err error) error { return errors.Unwrap(err) }

// Cause returns the innermost error of err's chain.
func Cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// Is is errors.Is.
func Is(err, target error) bool { return errors.Is(err, target) }

// IsAny reports whether err is one of targets.
func IsAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}
