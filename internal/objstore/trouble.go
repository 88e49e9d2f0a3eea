package objstore

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/eino-qa/eino-qa/internal/kb"
)

// Named troubles of a store, for health and metrics to tell apart by
// errors.Is. Each comes wrapped in a kb.Unavailable (see Trouble); after a
// Create the outcome is as unknown as after any other error.
var (
	ErrDown      = errors.New("store does not answer")
	ErrThrottled = errors.New("store asks to slow down")
	ErrDenied    = errors.New("store refuses the credentials")
	ErrReadOnly  = errors.New("store is read-only")
	ErrFull      = errors.New("store is full")
	// ErrConfig: the bucket, its region or its address is not what was configured.
	ErrConfig = errors.New("store is configured wrongly")
	// ErrCorrupt: the object is not what was stored under that key.
	ErrCorrupt = errors.New("object in the store is damaged")
	// ErrConflict: the store saw another writer of the same key at the same
	// time and did neither confirm nor deny (S3: 409 ConditionalRequestConflict).
	ErrConflict = errors.New("store met a concurrent write and decided nothing")
)

// Trouble wraps cause as reason, one of the errors above, for the user: 503,
// with the time after which another try makes sense.
func Trouble(reason, cause error) error {
	switch {
	case cause == nil:
		cause = reason
	case errors.Is(cause, io.EOF), errors.Is(cause, io.ErrUnexpectedEOF):
		// A connection that ends early ends with these; whoever reads an object
		// must not take them for the end of the object.
		cause = fmt.Errorf("%w: %v", reason, cause) //nolint:errorlint // on purpose, see above
	default:
		cause = fmt.Errorf("%w: %w", reason, cause)
	}
	e := kb.E(kb.Unavailable, cause, "storage is unavailable: the %s", reason).With("storage", Reason(reason))
	e.Retry = 5 * time.Second // short outages and throttling end within it; the others need someone anyway
	return e
}

// troubles and their words, for metrics and reports.
var troubles = [...]struct {
	err  error
	word string
}{{ErrDown, "down"}, {ErrThrottled, "throttled"}, {ErrDenied, "denied"}, {ErrReadOnly, "read_only"}, {ErrFull, "full"}, {ErrConfig, "config"}, {ErrCorrupt, "corrupt"}, {ErrConflict, "conflict"}}

// Reason names err's trouble in one word for a metric or a health report, ""
// if it is none of them.
func Reason(err error) string {
	for _, t := range troubles {
		if errors.Is(err, t.err) {
			return t.word
		}
	}
	return ""
}

// Complaint says in a few words, which any stranger may read, what the matter
// is after err: "store is full".
func Complaint(err error) string {
	for _, t := range troubles {
		if errors.Is(err, t.err) {
			return t.err.Error()
		}
	}
	if kb.KindOf(err) == kb.Unavailable { // refused by the self-test, or never opened
		return "store is not fit for use: the log says why"
	}
	return ErrDown.Error()
}
