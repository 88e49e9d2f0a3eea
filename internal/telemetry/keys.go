package telemetry

import (
	"log/slog"
	"time"
)

// Keys of log attributes. Write these and not literals, so that one search
// finds every line about a thing. No key holds a question, an answer or the
// text of a document.
const (
	Tenant    = "tenant"
	Request   = "trace_id" // as in the error body that the user sees
	Method    = "method"
	Route     = "route" // the pattern, never the path: paths hold ids
	Status    = "status"
	Duration  = "duration_ms" // by Took
	FirstByte = "first_byte_ms"
	Client    = "client" // address
	Bytes     = "bytes"
	Count     = "count"
	Session   = "session"
	Turn      = "turn"
	Document  = "document"
	Job       = "job"
	Version   = "version"
	Model     = "model"
	Tokens    = "tokens"
	Degraded  = "degraded"
	Attempt   = "attempt"
	Key       = "key" // of an object in the store, or the id of an API key; never the key itself
	Path      = "path"
	Signal    = "signal"
	Err       = "err"
)

// Took is the attribute of a duration: milliseconds, to the microsecond.
func Took(d time.Duration) slog.Attr { return millis(Duration, d) }

// FirstByteAfter is the attribute of the time to the first byte.
func FirstByteAfter(d time.Duration) slog.Attr { return millis(FirstByte, d) }

func millis(key string, d time.Duration) slog.Attr {
	return slog.Float64(key, float64(d.Microseconds())/1000)
}

// Error is the attribute of an error; nil is an empty attribute, which
// handlers leave out.
func Error(err error) slog.Attr {
	if err == nil {
		return slog.Attr{}
	}
	return slog.String(Err, err.Error())
}
