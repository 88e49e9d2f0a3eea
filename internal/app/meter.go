package app

import (
	"context"
	"errors"
	"time"

	"github.com/eino-qa/eino-qa/internal/api"
	"github.com/eino-qa/eino-qa/internal/kb"
)

// meter counts what the parts of an App do: *metrics.Metrics where something
// scrapes, *emf.Meter elsewhere.
type meter interface {
	api.Meter
	Document(outcome string)
	Commit(outcome string, took time.Duration)
	Storage(event string)
	Object(op, outcome string, took time.Duration)
	Model(kind, outcome string, took time.Duration, tokensIn, tokensOut int)
	Retrieval(channel string, took time.Duration)
	Milvus(op string, took time.Duration)
}

// ending is a word for how a call ended.
func ending(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	switch kb.KindOf(err) {
	case kb.RateLimited:
		return "limited"
	case kb.Unavailable:
		return "unavailable"
	case kb.Unauthenticated, kb.Forbidden:
		return "denied"
	}
	return "error"
}
