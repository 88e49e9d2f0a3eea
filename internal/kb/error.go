package kb

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies an error for the one who asked; package api maps it to a
// status code.
type Kind int

// Kinds of errors. The zero Kind is Internal: what nobody classified shows
// the user "internal error" and nothing else.
const (
	Internal         Kind = iota
	Invalid               // 400: the request is wrong; the message names the field and the remedy
	Unauthenticated       // 401
	Forbidden             // 403
	NotFound              // 404
	Conflict              // 409
	MethodNotAllowed      // 405
	TooLarge              // 413
	Unsupported           // 415: a type we do not read
	Unprocessable         // 422: the right type, but broken, encrypted or a bomb
	RateLimited           // 429
	Unavailable           // 503: a dependency is down or slow; try again
	Canceled              // 499: the client left
)

// Error carries a message that is safe to show and a cause that is not.
type Error struct {
	Kind    Kind
	Msg     string         // for the user: no ids of other tenants, no SQL, no keys
	Err     error          // for the log; may be nil
	Details map[string]any // for the user's program; may be nil
	Retry   time.Duration  // RateLimited and Unavailable: when to try again; 0 = unknown
}

// E makes an Error. Classify once, at the place that knows; wrap with %w elsewhere.
func E(k Kind, cause error, format string, args ...any) *Error {
	return &Error{Kind: k, Err: cause, Msg: fmt.Sprintf(format, args...)}
}

// With adds one detail and returns e.
func (e *Error) With(key string, v any) *Error {
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	e.Details[key] = v
	return e
}

// Error is for logs: message and cause.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf reports the kind of the outermost Error in err's chain, Internal if
// there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
